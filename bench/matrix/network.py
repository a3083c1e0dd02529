"""The network of tests/captures/lab.py, with more hosts in it, and the tools and clients that act there.

Besides what the lab has: 198.18.2.1-100 and 2001:db8:2::1-20 are alive, 198.18.0.130-189 are alive on the link, 198.18.9.0/24 and 2001:db8:9::/64 drop
everything in silence; every address of 198.18.8.0/24 and 2001:db8:8::/64 is a client's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import selectors
import shlex
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from captures import lab

from iplog_core.testing import Frame

TARGET_MAC, ATTACKER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:66"
PATIENCE = 40.0
"""Seconds that one command may take."""


@contextlib.contextmanager
def stage() -> Iterator[None]:
    """The whole network with its servers; it is gone afterwards, however the work ended."""
    with lab.network():
        with lab.inside(lab.TARGET):
            lab.run(f"ip link set eth0 address {TARGET_MAC}")
            _all_at_once(
                *(f"address add 198.18.2.{n}/32 dev lo" for n in range(31, 101)),
                *(f"address add 198.18.0.{n}/32 dev eth0" for n in range(130, 190)),
                *(f"address add 2001:db8:2::{n:x}/128 dev lo" for n in range(2, 21)),
                "route add 198.18.8.0/24 via 198.18.0.66",
                "route add default via 198.18.0.66",
                "route add 2001:db8:8::/64 via 2001:db8:1::66",
                "route add blackhole 2001:db8:9::/64",
            )
        with lab.inside(lab.ATTACKER):
            lab.run(f"ip link set eth0 address {ATTACKER_MAC}")
            _all_at_once("route add local 198.18.8.0/24 dev lo", "route add local 2001:db8:8::/64 dev lo", "route add blackhole default")
            lab.run("sysctl -qw net.ipv6.ip_nonlocal_bind=1")
            lab.run("ping -c 1 -W 1 198.18.0.1", check=False)
            lab.run("ping -c 1 -W 1 2001:db8:1::1", check=False)
        yield


def tool(command: str, *, check: bool = True, patience: float = PATIENCE) -> None:
    """Run a tool in the attacker's namespace; one that has no end of its own is ended when its time is over."""
    _run(command, check=check, patience=patience)


def tools(commands: Sequence[str], *, check: bool = True, patience: float = PATIENCE) -> None:
    """Run tools at the same time."""
    together([partial(_run, command, check=check, patience=patience) for command in commands])


def together(tasks: Iterable[Callable[[], Any]], *, at_once: int = 32) -> None:
    """Do things in parallel, all in the namespace of the caller."""
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


@contextlib.contextmanager
def daemon(command: str, where: str = lab.TARGET) -> Iterator[None]:
    """Run a server as long as the block lasts."""
    with lab.inside(where):
        process = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        time.sleep(0.4)
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(f"{command}: status {process.returncode}: {process.stderr.read().decode().strip()}")
        yield
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def at_target(command: str, undo: str) -> Iterator[None]:
    """Change something in the target's namespace for a while."""
    with lab.inside(lab.TARGET):
        lab.run(command)
    try:
        yield
    finally:
        with lab.inside(lab.TARGET):
            lab.run(undo, check=False)


@contextlib.contextmanager
def far_away(milliseconds: float) -> Iterator[None]:
    """Hosts behind the target to whom every packet takes half of the time given, and as long back: 198.18.3.64-127, all of them the namespace FAR.

    A program carries the packets, since not every kernel has a queue that can wait.
    """
    ends = [_tunnel(namespace) for namespace in (lab.TARGET, lab.FAR)]
    with lab.inside(lab.TARGET):
        lab.run("ip route add 198.18.3.64/26 dev slow0")
    with lab.inside(lab.FAR):
        _all_at_once("route add local 198.18.3.64/26 dev lo", "route add 198.18.0.0/24 dev slow0", "route add 198.18.8.0/24 dev slow0")
    going = True

    def carry() -> None:
        on_the_way: deque[tuple[float, int, bytes]] = deque()
        while going:
            wait = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else 0.1
            for end in select.select(ends, [], [], wait)[0]:
                on_the_way.append((time.monotonic() + milliseconds / 2000, ends[1 - ends.index(end)], os.read(end, 65536)))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, end, packet = on_the_way.popleft()
                os.write(end, packet)

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield
    finally:
        going = False
        thread.join()
        for end in ends:
            os.close(end)


def _tunnel(namespace: str) -> int:
    """A TUN interface, slow0, and the file that its packets are read from and written to (linux/if_tun.h)."""
    set_interface, tun, no_header = 0x400454CA, 0x0001, 0x1000
    with lab.inside(namespace):
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, set_interface, struct.pack("16sH22x", b"slow0", tun | no_header))
        lab.run("ip link set slow0 up")
    return end


@contextlib.contextmanager
def listening(address: str, ports: Iterable[int], handler: type[socketserver.BaseRequestHandler] = lab.Banner, where: str = lab.TARGET) -> Iterator[None]:
    """More TCP services on one address of the target."""
    with lab.inside(where):
        servers = [lab.Listener((address if ":" in address else f"::ffff:{address}", port), handler) for port in ports]
        for server in servers:
            lab.start(server)
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def web_server(port: int) -> Iterator[None]:
    """A web server that keeps its connections open."""
    with lab.inside(lab.TARGET):
        server = _Web(("198.18.1.1", port), _Page)
        lab.start(server)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def answering(addresses: Iterable[str], port: int, answer: Callable[[bytes], bytes | None] = lambda data: data, wait: float = 0.0) -> Iterator[None]:
    """UDP services of the target, one socket an address; an answer comes `wait` seconds late, None is no answer."""
    selector = selectors.DefaultSelector()
    with lab.inside(lab.TARGET):
        for address in addresses:
            service = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            service.bind((address, port))
            selector.register(service, selectors.EVENT_READ)
    going = True

    def serve() -> None:
        while going:
            for key, _ in selector.select(0.1):
                service = key.fileobj
                assert isinstance(service, socket.socket)
                data, client = service.recvfrom(65536)
                reply = answer(data)
                if reply is None:
                    continue
                if wait:
                    threading.Timer(wait, service.sendto, (reply, client)).start()
                else:
                    service.sendto(reply, client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        going = False
        thread.join()
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


@contextlib.contextmanager
def ftp_server(where: str = lab.TARGET) -> Iterator[int]:
    """vsftpd, with a few files for everybody; the block gets its port."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "files")
        root.mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        for n in range(40):
            (root / f"file{n}").write_bytes(os.urandom(300 * n))
        settings = {
            "listen": "YES", "listen_port": 2121, "background": "NO", "anonymous_enable": "YES", "anon_root": root, "ftp_username": "daemon",
            "nopriv_user": "nobody", "secure_chroot_dir": root, "connect_from_port_20": "YES", "seccomp_sandbox": "NO", "isolate_network": "NO",
        }  # fmt: skip
        conf = Path(folder, "vsftpd.conf")
        conf.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        with daemon(f"vsftpd {conf}", where):
            yield 2121


def put(frames: Iterable[Frame], *, pause: float = 0.0) -> None:
    """Put frames on the cable to the target as they are, from the attacker's end, but for their link addresses."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as cable:
        cable.bind(("eth0", 0))
        for frame in frames:
            cable.send(_to(frame.data, TARGET_MAC)[:6] + _mac(ATTACKER_MAC) + frame.data[12:])
            if pause:
                time.sleep(pause)


def dressed(frame: Frame) -> bytes:
    """A frame with the link addresses of the network: the target's for what 198.18.1-3.x and 2001:db8:2-3:: sent, the attacker's for others."""
    ours = _sender(frame).startswith(_OURS)
    mine, theirs = (TARGET_MAC, ATTACKER_MAC) if ours else (ATTACKER_MAC, TARGET_MAC)
    return _to(frame.data, theirs)[:6] + _mac(mine) + frame.data[12:]


_OURS = ("198.18.1.", "198.18.2.", "198.18.3.", "2001:db8:2:", "2001:db8:3:")


def _sender(frame: Frame) -> str:
    network = frame.datagram
    if network[0] >> 4 == 6:
        return socket.inet_ntop(socket.AF_INET6, network[8:24])
    return socket.inet_ntoa(network[12:16] if network[0] >> 4 == 4 else network[14:18])


def _to(data: bytes, mac: str) -> bytes:
    return data if data[0] & 1 else _mac(mac) + data[6:]


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _all_at_once(*lines: str) -> None:
    """Many commands of `ip` in one process."""
    subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(line + (" nodad" if line.startswith("address") and "::" in line else "") for line in lines),
        text=True,
        check=True,
    )


def _run(command: str, *, check: bool, patience: float) -> None:
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=patience, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        if check:
            raise RuntimeError(f"{command}: not done after {patience:g} s") from None
        return
    if check and done.returncode:
        raise RuntimeError(f"{command}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = b"<p>It works.</p>\n" * 20
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Connection", self.headers.get("Connection", "keep-alive"))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments: object) -> None:
        """No log."""
