"""A small network in namespaces, which the captures are recorded in, and the servers that answer there.

    attacker 198.18.0.66/24 --- eth0 198.18.0.1 target 198.18.1.1-14, 198.18.2.1-30 --- far0 198.18.3.254 --- far 198.18.3.1
    attacker br0 198.18.4.254/24 --- amplifiers 198.18.4.1-8, which answer to the broadcast address

The target routes; what it has no address for in 198.18.0.0/16 it drops in silence. IPv6 is the same within 2001:db8::/32. Nothing leads
out of the namespaces, which bear the number of this process in their names.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_NAME = f"iplog-{os.getpid()}"
ATTACKER, TARGET, FAR = f"{_NAME}-attacker", f"{_NAME}-target", f"{_NAME}-far"
AMPLIFIERS = [f"{_NAME}-amplifier{n}" for n in range(1, 9)]
CLONE_NEWNET = 0x40000000
GET = b"GET / HTTP/1.0\r\n\r\n"


def run(command: str, *, check: bool = True, timeout: float = 60) -> str:
    """Run a command in the namespace of the calling thread; a tool that hangs is ended after `timeout` seconds."""
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise SystemExit(f"{command}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Move the calling thread, and what it starts or opens, to a network namespace for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def network() -> Iterator[None]:
    """The whole network with its servers; it is gone afterwards, however the work ended."""
    namespaces = [ATTACKER, TARGET, FAR, *AMPLIFIERS]
    try:
        for namespace in namespaces:
            run(f"ip netns add {namespace}")
            with inside(namespace):
                run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.ip_forward=1")
                run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0")
                run("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_echo_ignore_broadcasts=0")
                run("ip link set lo up")
        join(ATTACKER, "eth0", TARGET, "eth0")
        join(TARGET, "far0", FAR, "eth0")
        lay_attacker()
        lay_target()
        lay_far()
        lay_amplifiers()
        serve()
        yield
    finally:
        for namespace in namespaces:
            kill_all(namespace)
            run(f"ip netns del {namespace}", check=False)


def kill_all(namespace: str) -> None:
    """Kill what still runs in a namespace; this process is there with a thread of its own."""
    for pid in run(f"ip netns pids {namespace}", check=False).split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def join(left: str, left_name: str, right: str, right_name: str) -> None:
    run(f"ip link add {left_name} netns {left} type veth peer name {right_name} netns {right}")
    for namespace, name in ((left, left_name), (right, right_name)):
        with inside(namespace):
            run(f"ethtool -K {name} tx off rx off tso off gso off gro off")
            run(f"ip link set {name} up")


def lay_attacker() -> None:
    with inside(ATTACKER):
        run("sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=1")
        for host in (66, *range(67, 76), *range(101, 121), *range(200, 220)):
            run(f"ip address add 198.18.0.{host}/24 dev eth0")
        for address in ("192.168.7.9", "192.0.2.9"):
            run(f"ip address add {address}/32 dev eth0")
        run("ip address add 2001:db8:1::66/64 dev eth0 nodad")
        run("ip route add 198.18.0.0/16 via 198.18.0.1 src 198.18.0.66")
        run("ip route add 2001:db8::/32 via 2001:db8:1::1")
        run("ip link add br0 type bridge")
        run("ip address add 198.18.4.254/24 brd + dev br0")
        run("ip link set br0 up")


def lay_target() -> None:
    with inside(TARGET):
        run("ip address add 198.18.0.1/24 brd + dev eth0")
        run("ip address add 198.18.3.254/24 dev far0")
        run("ip address add 2001:db8:1::1/64 dev eth0 nodad")
        run("ip address add 2001:db8:3::fe/64 dev far0 nodad")
        run("ip address add 2001:db8:2::1/128 dev lo")
        for address in [f"198.18.1.{n}" for n in range(1, 15)] + [f"198.18.2.{n}" for n in range(1, 31)]:
            run(f"ip address add {address}/32 dev lo")
        run("ip route add blackhole 198.18.0.0/16")
        run("ip route add 198.18.4.0/24 via 198.18.0.66")
        run("ip route add 192.168.7.9 dev eth0")
        run("ip route add 192.0.2.9 dev eth0")
        run("ip route add throw 198.18.5.0/24")
        run("ip route add unreachable 198.18.6.0/24")
        run("ip route add prohibit 198.18.7.0/24")


def lay_far() -> None:
    with inside(FAR):
        run("ip address add 198.18.3.1/24 dev eth0")
        run("ip address add 2001:db8:3::1/64 dev eth0 nodad")
        run("ip route add default via 198.18.3.254")
        run("ip route add 2001:db8::/32 via 2001:db8:3::fe")


def lay_amplifiers() -> None:
    for n, namespace in enumerate(AMPLIFIERS, 1):
        join(ATTACKER, f"amp{n}", namespace, "eth0")
        with inside(ATTACKER):
            run(f"ip link set amp{n} master br0")
        with inside(namespace):
            run(f"ip address add 198.18.4.{n}/24 brd + dev eth0")
            run("ip route add default via 198.18.4.254")


def serve() -> None:
    """Ports 21, 22, 25, 80 and 443 and a name server on the target, an echo service on every amplifier."""
    with inside(TARGET):
        for port, handler in ((21, FileServer), (22, Banner), (25, MailServer), (80, WebServer), (443, WebServer)):
            start(Listener(("::", port), handler))
        # One socket for each address, so that an answer comes from the address that was asked.
        for host in range(1, 15):
            start(socketserver.UDPServer((f"198.18.1.{host}", 53), NameServer))
    for namespace in AMPLIFIERS:
        with inside(namespace):
            start(socketserver.UDPServer(("", 7), Echo))


def start(server: socketserver.BaseServer) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Listener(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A scanner that hangs up is no error."""


class Banner(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-lab\r\n")
        self.rfile.readline()


class WebServer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        page = b"<p>It works.</p>\n" * 6
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))


class MailServer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 mail.example\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")


class FileServer(socketserver.StreamRequestHandler):
    """As much of FTP as passive transfers need (RFC 959)."""

    def handle(self) -> None:
        self.wfile.write(b"220 lab\r\n")
        data = socket.socket()
        while line := self.rfile.readline():
            match line.split()[0].upper():
                case b"PASV":
                    data = self.listen()
                case b"RETR":
                    self.wfile.write(b"150 coming\r\n")
                    connection, _ = data.accept()
                    connection.sendall(b"some bytes of a file\n" * 10)
                    connection.close()
                    data.close()
                    self.wfile.write(b"226 done\r\n")
                case b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                case _:
                    self.wfile.write(b"230 ok\r\n")

    def listen(self) -> socket.socket:
        address = self.connection.getsockname()[0].removeprefix("::ffff:")
        with inside(TARGET):
            data = socket.create_server((address, 0))
        port = data.getsockname()[1]
        self.wfile.write(f"227 passive ({address.replace('.', ',')},{port >> 8},{port & 255})\r\n".encode())
        return data


class NameServer(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        """Answer every question with 192.0.2.1 (RFC 1035, section 4)."""
        query = self.rfile.read()
        if len(query) < 17:
            return
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([192, 0, 2, 1])
        self.wfile.write(query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 0) + query[12:] + answer)


class Echo(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


@contextlib.contextmanager
def record(path: Path, *options: str, interface: str = "eth0", namespace: str = TARGET) -> Iterator[None]:
    """Record an interface with tcpdump, both directions; the clients within the block act from the attacker's namespace."""
    command = ["tcpdump", "-i", interface, "-w", str(path), "-U", "--immediate-mode", "-Z", "root", *options]
    with inside(namespace):
        tcpdump = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tcpdump.stderr is not None
    for line in tcpdump.stderr:
        if "listening on" in line:
            break
    else:
        raise SystemExit(f"{' '.join(command)}: did not start")
    try:
        with inside(ATTACKER):
            yield
        time.sleep(0.5)
    finally:
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.communicate(timeout=10)


def connect(source: str, target: str, port: int, *, sport: int = 0, send: bytes = b"", timeout: float = 0.5) -> bytes:
    """One TCP connection from an address of the attacker's side: say `send`, hear the first answer, hang up. b"" where there is none."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.settimeout(timeout)
        client.bind((source, sport))
        try:
            client.connect((target, port))
            client.sendall(send)
            return client.recv(4096)
        except OSError:
            return b""


def ask(source: str, server: str, name: str, *, sport: int = 0, timeout: float = 0.5) -> bytes:
    """One DNS question for an address."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    return datagram(source, server, 53, os.urandom(2) + struct.pack("!HHHHH", 0x100, 1, 0, 0, 0) + question, sport=sport, timeout=timeout)


def datagram(source: str, target: str, port: int, data: bytes, *, sport: int = 0, timeout: float = 0) -> bytes:
    """One UDP datagram, and its answer where one is waited for."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind((source, sport))
        client.sendto(data, (target, port))
        if timeout:
            client.settimeout(timeout)
            with contextlib.suppress(OSError):
                return client.recv(4096)
        return b""


def each(commands: Sequence[str], *, patience: float = 60) -> None:
    """Run commands one after another, each for `patience` seconds; a probe that meets no answer has a status of its own, which is no fault."""
    for command in commands:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run(command, check=False, timeout=patience)
