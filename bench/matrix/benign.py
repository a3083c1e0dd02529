"""Ordinary traffic, which looks like something else to who counts packets."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from ftplib import FTP
from functools import partial
from typing import Any

from captures import lab
from captures.lab import GET, connect, datagram

from bench.matrix.captures import side
from bench.matrix.network import answering, at_target, daemon, far_away, ftp_server, listening, put, together, tool, tools, web_server
from bench.matrix.scenario import Packet, Scenario, add
from iplog_core.testing import Frame, connection, handshake, icmp, ip, ping, refused, sctp, silent, tcp, udp, udp_exchange

CLIENT, SERVERS = "198.18.0.201", [f"198.18.2.{n}" for n in range(1, 101)]
DEAD = [f"198.18.9.{n}" for n in range(1, 100)]
REMOTE = [f"198.18.3.{n}" for n in range(64, 127)]
CROWD = [f"198.18.8.{n}" for n in range(1, 201)]


def benign(how: str, **more: Any) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register something that happens on the network; its name is that of the function."""

    def register(play: Callable[[], None]) -> Callable[[], None]:
        add(Scenario(play.__name__, "benign", (), how, play, **more))
        return play

    return register


def written(how: str) -> Callable[[Callable[[], Iterable[Frame]]], None]:
    """Register traffic that takes too long to wait for; it is written as a file."""
    return lambda write: add(Scenario(write.__name__, "benign", (), how, write=write))


# The web


@benign("ab, 3,000 requests by 50 clients at once, a connection each")
def web_ab() -> None:
    tool("ab -q -n 3000 -c 50 -B 198.18.0.201 http://198.18.1.1/")


@benign("ab -k: 3,000 requests over 20 connections that are kept")
def web_keepalive() -> None:
    with web_server(8000):
        tool("ab -q -k -n 3000 -c 20 -B 198.18.0.201 http://198.18.1.1:8000/")


@benign("wrk, 30 connections for a second")
def web_wrk() -> None:
    with web_server(8000):
        tool("wrk -t 1 -c 30 -d 1s http://198.18.1.1:8000/")


@benign("a flash crowd: 200 sources, five connections each within three seconds")
def flash_crowd() -> None:
    together([partial(connect, source, "198.18.1.1", 80, send=GET, timeout=5) for _ in range(5) for source in CROWD])


@benign("a web client with 100 servers one after another, eight of them dead and four refusing")
def web_client_in_turn() -> None:
    for server in _some_dead(SERVERS, refusing=True):
        connect(CLIENT, server[0], server[1], send=GET, timeout=0.4)


@benign("a web client with 100 servers, 30 at a time, twelve of them dead: three seconds of patience")
def web_client_in_parallel() -> None:
    together([partial(connect, CLIENT, server[0], server[1], send=GET, timeout=3) for server in _some_dead(SERVERS)], at_once=30)


@benign("a browser: 60 servers, six connections to each at once, 50 ms away")
def browser_far_away() -> None:
    with far_away(50), listening("::", (443,), lab.WebServer, lab.FAR):
        together([partial(connect, CLIENT, server, 443, send=GET, timeout=3) for server in REMOTE[:60] for _ in range(6)])


@benign("IPv6: a web client with 20 servers")
def web_client_v6() -> None:
    for n in range(1, 21):
        tool(f"curl -s -o /dev/null --max-time 5 http://[2001:db8:2::{n:x}]/")


@benign("eight services of one host at once, 50 ms away")
def eight_services() -> None:
    _eight_services(50)


@benign("eight services of one host at once, 600 ms away")
def eight_services_by_satellite() -> None:
    _eight_services(600)


@benign("eight services of one host at once, 1,400 ms away, so that the first SYNs are sent again")
def eight_services_by_two_satellites() -> None:
    _eight_services(1400)


@benign("eight services of one host at once, over and over")
def eight_services_again() -> None:
    with listening("198.18.1.1", (110, 143, 993)):
        for _ in range(10):
            together([partial(connect, CLIENT, "198.18.1.1", port, send=GET, timeout=2) for port in EIGHT])


EIGHT = (21, 22, 25, 80, 110, 143, 443, 993)


def _eight_services(milliseconds: int) -> None:
    with far_away(milliseconds), listening("::", EIGHT, where=lab.FAR):
        together([partial(connect, CLIENT, REMOTE[0], port, send=GET, timeout=5) for port in EIGHT])


def _some_dead(servers: list[str], *, refusing: bool = False) -> list[tuple[str, int]]:
    """The servers' port 80, every twelfth exchanged for a dead one, and every 25th for a port that refuses."""
    targets = []
    for n, server in enumerate(servers):
        if n % 12 == 5:
            targets.append((DEAD[n], 80))
        else:
            targets.append((server, 8080 if refusing and n % 25 == 7 else 80))
    return targets


# Files


@benign("vsftpd and curl, 40 files in passive mode")
def ftp_passive() -> None:
    with ftp_server() as port:
        tool(f"curl -s --interface 198.18.0.203 {_files(port)}")


@benign("vsftpd and curl, 40 files in active mode")
def ftp_active() -> None:
    with ftp_server() as port:
        tool(f"curl -s --interface 198.18.0.203 -P 198.18.0.203 {_files(port)}")


@benign("vsftpd and ftplib, three clients at once, active and passive, 50 ms away")
def ftp_far_away() -> None:
    def transfer(source: str, passive: bool, port: int) -> None:
        with FTP(source_address=(source, 0)) as ftp:
            ftp.connect(REMOTE[0], port, timeout=20)
            ftp.login()
            ftp.set_pasv(passive)
            for n in range(12):
                ftp.retrbinary(f"RETR file{n}", lambda data: None)

    with far_away(50), ftp_server(lab.FAR) as port:
        together([partial(transfer, f"198.18.0.{n}", passive, port) for n, passive in ((203, True), (204, False), (205, True))])


def _files(port: int) -> str:
    return " ".join(f"-o /dev/null ftp://198.18.1.1:{port}/file{n}" for n in range(40))


@benign("bulk over TCP, 6 MB in one connection")
def bulk() -> None:
    with lab.inside(lab.TARGET):
        server = socket.create_server(("198.18.1.1", 5201))
    with server, socket.create_connection(("198.18.1.1", 5201), source_address=(CLIENT, 0)) as client:
        there, _ = server.accept()
        together([partial(_send, client, 6_000_000), partial(_drain, there)])
        there.close()


@benign("bulk over a path whose packets must be smaller: path MTU discovery")
def path_mtu() -> None:
    with lab.inside(lab.FAR):
        server = socket.create_server(("198.18.3.1", 5201))
    with at_target("ip link set far0 mtu 1280", "ip link set far0 mtu 1500"), server:
        for n in range(12):
            with socket.create_connection(("198.18.3.1", 5201), source_address=(f"198.18.0.{201 + n}", 0), timeout=5) as client:
                there, _ = server.accept()
                together([partial(_send, client, 60_000), partial(_drain, there)])
                there.close()


@benign("a file server over UDP: 8 KB datagrams in fragments, both ways, as fast as they are answered")
def nfs() -> None:
    with answering(["198.18.1.1"], 2049, lambda data: data[:8192]), _udp(CLIENT, 800) as client:
        client.settimeout(2)
        for n in range(1200):
            client.sendto(struct.pack(">I", n) + bytes(8188), ("198.18.1.1", 2049))
            with contextlib.suppress(TimeoutError):
                client.recv(65536)


@benign("a writer over UDP: 8 KB datagrams in fragments, 1,000 a second, each acknowledged in few bytes")
def nfs_write() -> None:
    with answering(["198.18.1.1"], 2049, lambda data: data[:100]), _udp(CLIENT, 801) as client:
        for n in range(2000):
            client.sendto(struct.pack(">I", n) + bytes(8188), ("198.18.1.1", 2049))
            time.sleep(0.001)


def _send(connection: socket.socket, size: int) -> None:
    connection.sendall(bytes(size))
    connection.shutdown(socket.SHUT_WR)


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


# Names, time, datagrams


@benign("dnsmasq, 60 clients that ask ten questions each")
def dns_clients() -> None:
    with daemon("dnsmasq -k -C /dev/null --no-resolv --no-hosts --listen-address=198.18.2.99 --bind-interfaces --address=/#/192.0.2.1 --pid-file="):
        together([partial(lab.ask, source, "198.18.2.99", f"host{n}.example.net", timeout=2) for n in range(10) for source in CROWD[:60]])


@benign("a resolver that asks 80 name servers; each tenth answers after seven seconds, each twentieth never")
def resolver_late_answers() -> None:
    late, dead = SERVERS[5:80:10], DEAD[:4]
    prompt = [server for server in SERVERS[:80] if server not in late]
    with answering(prompt, 53, _name), answering(late, 53, _name, wait=7.0):
        together(
            [partial(lab.ask, CLIENT, server, f"host{n}.example.net", timeout=2) for n, server in enumerate([*prompt, *late, *dead] * 2)],
            at_once=60,
        )
        time.sleep(5.5)


@benign("a resolver that asks one name server 200 questions from as many ports; the answers take 150 ms")
def resolver_one_server() -> None:
    with answering(["198.18.2.7"], 53, _name, wait=0.15):
        together([partial(lab.ask, CLIENT, "198.18.2.7", f"host{n}.example.net", timeout=2) for n in range(200)], at_once=60)


@benign("a client asks a resolver whose answers come after six seconds, when it has given up")
def resolver_gives_up() -> None:
    with answering(["198.18.2.7"], 53, _name, wait=5.5):
        together([partial(lab.ask, CLIENT, "198.18.2.7", f"host{n}.example.net", timeout=2) for n in range(40)], at_once=40)
        time.sleep(4)


@benign("NTP to twelve pool servers from port 123, six rounds; two never answer")
def ntp_pool() -> None:
    with answering(SERVERS[:10], 123, lambda data: b"\x24" + data[1:]), _udp(CLIENT, 123) as client:
        for _ in range(6):
            for server in [*SERVERS[:10], *DEAD[:2]]:
                client.sendto(b"\x23" + bytes(47), (server, 123))
            time.sleep(0.5)


@benign("QUIC: 40 servers on UDP 443 from a port each; six do not speak it, and TCP is tried")
def quic() -> None:
    with answering(SERVERS[:34], 443, lambda data: data[:1200]):

        def load(server: str) -> None:
            for _ in range(3):
                if not datagram(CLIENT, server, 443, b"\xc0\0\0\0\1" + bytes(1195), timeout=0.4):
                    connect(CLIENT, server, 443, send=GET)
                    return

        together([partial(load, server) for server in SERVERS[:40]], at_once=10)


@benign("mDNS and SSDP: questions to groups, and the answers of 30 hosts to the port that asked")
def discovery() -> None:
    frames = []
    for n in range(20):
        source = f"198.18.0.{201 + n % 10}"
        frames.append(udp(source, "224.0.0.251", sport=5353, dport=5353, payload=bytes(40), ttl=1 if n % 2 else 255))
        frames.append(udp(source, "239.255.255.250", sport=40000 + n, dport=1900, payload=b"M-SEARCH * HTTP/1.1\r\n\r\n", ttl=2))
        frames += [
            udp(f"198.18.8.{k}", "198.18.1.1", sport=1900 if k % 2 else 50000 + k, dport=45000, payload=b"HTTP/1.1 200 OK\r\n\r\n") for k in range(1, 31)
        ]
    with lab.inside(lab.TARGET), _udp("198.18.1.1", 45000) as asker:
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("198.18.0.1"))
        for _ in range(4):
            asker.sendto(b"M-SEARCH * HTTP/1.1\r\n\r\n", ("239.255.255.250", 1900))
        with lab.inside(lab.ATTACKER):
            put(frames, pause=0.002)


@benign("broadcasts: NetBIOS, DHCP, wake on LAN, IGMP and routing protocols of 20 hosts")
def broadcasts() -> None:
    frames = []
    for n in range(60):
        source = f"198.18.0.{200 + n % 20}"
        frames.append(udp(source, "198.18.0.255", sport=137, dport=137, payload=bytes(50), broadcast=True))
        frames.append(udp("0.0.0.0", "255.255.255.255", sport=68, dport=67, payload=bytes(244)))
        frames.append(udp(source, "255.255.255.255", sport=40000, dport=9, payload=b"\xff" * 6 + bytes(96)))
        frames.append(ip(source, "224.0.0.5", proto=89, payload=bytes(44), ttl=1))
        frames.append(ip(source, "224.0.0.22", proto=2, payload=bytes(16), ttl=1))
        frames.append(ip(source, "224.0.0.18", proto=112, payload=bytes(20), ttl=255))
    put(frames, pause=0.003)


@benign("a media stream: 1,000 datagrams a second for five seconds, one way")
def media_stream() -> None:
    _stream("198.18.1.1", 5000, seconds=5)


@benign("a media stream to where nothing answers, not even a refusal, 1,000 a second")
def media_stream_into_the_dark() -> None:
    _stream("198.18.9.40", 5000, seconds=5)


@benign("four media streams of one call, both ways, 250 datagrams a second each")
def media_call() -> None:
    ports = (5000, 5001, 5002, 5003)
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(answering(["198.18.1.1"], port, lambda data: data))
        clients = [stack.enter_context(_udp(CLIENT, port)) for port in ports]
        for _ in range(800):
            for client, port in zip(clients, ports, strict=True):
                client.sendto(bytes(172), ("198.18.1.1", port))
            time.sleep(0.004)


def _stream(target: str, port: int, seconds: float) -> None:
    with lab.inside(lab.TARGET), _udp("0.0.0.0", port), lab.inside(lab.ATTACKER), _udp(CLIENT, 5004) as client:
        start = time.monotonic()
        for n in range(int(1000 * seconds)):
            client.sendto(b"\x80\x60" + struct.pack(">HII", n & 0xFFFF, n * 160, 7) + bytes(160), (target, port))
            time.sleep(max(0.0, start + n / 1000 - time.monotonic()))


@contextlib.contextmanager
def _udp(address: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind((address, port))
        yield client


def _name(query: bytes) -> bytes:
    """An answer to a DNS question."""
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([192, 0, 2, 1])
    return query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 0) + query[12:] + answer


# Many partners


@benign("a peer-to-peer client: 150 peers over UDP and TCP, most silent, some refusing")
def peer_to_peer() -> None:
    dice = random.Random(5)
    with answering(SERVERS[:25], 6881, lambda data: data[:60]), _udp("198.18.0.202", 51413) as client:
        for n in range(150):
            alive = n % 6 == 0
            client.sendto(b"d1:ad2:id20:" + bytes(60), (SERVERS[n // 6], 6881) if alive else (f"198.18.9.{n + 1}", dice.randrange(1025, 65535)))
            time.sleep(0.005)
    peers = [(SERVERS[n], 80) if n % 5 == 0 else (SERVERS[n], 6889) if n % 5 == 1 else (f"198.18.9.{n + 1}", dice.randrange(1025, 65535)) for n in range(60)]
    together([partial(connect, "198.18.0.202", *peer, send=b"\x13BitTorrent protocol", timeout=1.5) for peer in peers])


@benign("a peer-to-peer client of whose peers ten are behind one address, half of them silent")
def peers_behind_one_address() -> None:
    with contextlib.ExitStack() as stack:
        for port in range(20001, 20006):
            stack.enter_context(answering(["198.18.2.77"], port, lambda data: data[:60]))
        stack.enter_context(listening("198.18.2.77", range(20001, 20006)))
        stack.enter_context(answering(SERVERS[:10], 6881, lambda data: data[:60]))
        with _udp("198.18.0.202", 51413) as client:
            for n in range(80):
                client.sendto(b"d1:ad2:id20:" + bytes(60), (SERVERS[n // 8], 6881) if n % 8 == 0 else (f"198.18.9.{n + 1}", 1025 + 700 * n))
                if n % 8 == 4:
                    client.sendto(b"d1:ad2:id20:" + bytes(60), ("198.18.2.77", 20001 + n // 8))
                time.sleep(0.005)
        for n in range(40):
            connect("198.18.0.202", f"198.18.9.{n + 1}" if n % 3 else SERVERS[n], 80 if n % 3 == 0 else 1025 + 900 * n, send=GET, timeout=0.1)
            if n % 10 == 4:
                connect("198.18.0.202", "198.18.2.77", 20001 + n // 10, send=GET, timeout=0.3)


@benign("a NAT gateway: 1,000 connections of many clients to 60 servers from one address, some dead")
def nat_gateway() -> None:
    targets = [_some_dead(SERVERS[:60])[n % 60] for n in range(1000)]
    together([partial(connect, "198.18.0.210", *target, send=GET, timeout=0.7) for target in targets], at_once=50)


@benign("many clients behind one address at one server: web, mail, ssh, ftp, some of them at ports that are closed")
def nat_to_one_server() -> None:
    ports = [80] * 40 + [443] * 40 + [22] * 10 + [25] * 10 + [21] * 5 + [8443, 3000]
    together([partial(connect, "198.18.0.210", "198.18.1.1", port, send=GET, timeout=2) for port in ports * 3])


@benign("health checks of a load balancer: ten hosts, three ports, each second, two hosts and one service down")
def load_balancer() -> None:
    checks = [(host, port) for host in [*SERVERS[:8], *DEAD[:2]] for port in (80, 443, 8081)]
    for _ in range(12):
        together([partial(connect, "198.18.0.211", *check, timeout=0.5) for check in checks])
        time.sleep(0.4)


@benign("monitoring of four services on eight hosts, three hosts down, four rounds")
def monitoring() -> None:
    for _ in range(4):
        for host in [*SERVERS[:5], *DEAD[:3]]:
            together([partial(connect, "198.18.0.209", host, port, timeout=0.15) for port in (21, 22, 25, 80)])


@benign("a host with six services that was up goes down altogether: eight rounds up, eight down")
def host_goes_down() -> None:
    _goes_down(lambda: at_target("ip address del 198.18.2.100/32 dev lo", "ip address add 198.18.2.100/32 dev lo"))


@benign("six services of a host that was up end one by one: refusals")
def services_go_down() -> None:
    ports = tuple(range(7001, 7007))
    servers = [listening("198.18.2.100", [port]) for port in ports]
    for server in servers:
        server.__enter__()
    for ended in range(len(ports) + 1):
        for _ in range(2):
            together([partial(connect, "198.18.0.209", "198.18.2.100", port, send=GET, timeout=0.5) for port in ports])
        if ended < len(ports):
            servers[ended].__exit__(None, None, None)


def _goes_down(down: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    ports = (21, 22, 25, 80, 443, 993)

    def rounds() -> None:
        for _ in range(8):
            together([partial(connect, "198.18.0.209", "198.18.2.100", port, send=GET, timeout=0.4) for port in ports])

    with listening("198.18.2.100", (993,)):
        rounds()
        with down():
            rounds()


@benign("ssh to 40 hosts, three of them dead")
def ssh_to_many() -> None:
    for server in [*SERVERS[:37], *DEAD[:3]]:
        connect("198.18.0.212", server, 22, send=b"SSH-2.0-client\r\n", timeout=0.5)


@benign("ssh to 40 hosts in parallel, three of them dead, 50 ms away")
def ssh_in_parallel() -> None:
    with far_away(50), listening("::", (22,), where=lab.FAR):
        together(
            [partial(connect, "198.18.0.212", server, 22, send=b"SSH-2.0-client\r\n", timeout=3) for server in [*REMOTE[:37], *DEAD[:3]]],
            at_once=40,
        )


@benign("mail to 24 servers, three of them dead")
def mail() -> None:
    for server in [*SERVERS[:21], *DEAD[:3]]:
        connect("198.18.0.208", server, 25, send=b"HELO client.example\r\n", timeout=0.5)


@benign("retries to one closed port, 80 times")
def retry_closed() -> None:
    for _ in range(80):
        connect("198.18.0.204", "198.18.1.1", 2222)
        time.sleep(0.01)


@benign("three dead servers, four ports each, SYNs sent again for nine seconds")
def syn_retransmissions() -> None:
    together([partial(connect, "198.18.0.204", host, port, timeout=9) for host in DEAD[:3] for port in (80, 443, 22, 25)])


@benign("one source port again and again, 60 connections to one service")
def port_reuse() -> None:
    for _ in range(60):
        _abort("198.18.0.205", 40000, "198.18.1.1", 80)


def _abort(source: str, sport: int, target: str, port: int) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.settimeout(1)
        client.bind((source, sport))
        client.connect((target, port))
        client.sendall(GET)
        client.recv(4096)


@benign("a client that aborts its connections with a RST at once, 300 of them")
def aborted_connections() -> None:
    for n in range(300):
        _abort(f"198.18.0.{201 + n % 5}", 0, "198.18.1.1", 80)


# Pings


@benign("one host pinged for long: 400 times")
def ping_one_host() -> None:
    tool("ping -q -c 400 -i 0.05 -I 198.18.0.206 198.18.1.1")


@benign("20 hosts pinged five times each, one after another")
def ping_hosts_in_turn() -> None:
    for n in range(1, 21):
        tool(f"ping -q -c 5 -i 0.1 -I 198.18.0.206 198.18.2.{n}")


@benign("20 hosts pinged five times each, at the same time")
def ping_hosts_at_once() -> None:
    tools([f"ping -q -c 5 -i 0.5 -I 198.18.0.206 198.18.2.{n}" for n in range(1, 21)])


@benign("20 hosts pinged five times each at the same time, three of them dead")
def ping_hosts_some_dead() -> None:
    tools([f"ping -q -c 5 -i 0.5 -W 1 -I 198.18.0.206 {host}" for host in [*SERVERS[:17], *DEAD[:3]]], check=False)


@benign("fping in a loop over 20 hosts, two of them dead, six rounds")
def fping_rounds() -> None:
    tool(f"fping -q -c 6 -p 1000 -i 10 -S 198.18.0.206 {' '.join([*SERVERS[:18], *DEAD[:2]])}", check=False)


@benign("IPv6: 15 hosts pinged four times each at the same time")
def ping_hosts_v6() -> None:
    tools([f"ping -6 -q -c 4 -i 0.5 2001:db8:2::{n:x}" for n in range(1, 16)])


@benign("large pings, which are lawful fragments: 3,000, 20,000 and 65,000 bytes, IPv4 and IPv6")
def large_pings() -> None:
    for size in (3000, 20000, 65000):
        tool(f"ping -q -c 8 -i 0.1 -s {size} -I 198.18.0.206 198.18.1.1")
        tool(f"ping -6 -q -c 8 -i 0.1 -s {size} 2001:db8:2::1")


@benign("ARP for eight neighbours, one asked over and over, and gratuitous ones")
def neighbours() -> None:
    tools([f"ping -q -c 2 -i 0.2 198.18.0.{n}" for n in range(130, 138)])
    tool("arping -q -c 15 -w 5 -I eth0 198.18.0.140", check=False, patience=6)
    tool("arping -q -c 5 -w 3 -A -I eth0 198.18.0.66", check=False, patience=6)


# What comes unasked, and what is seen in part


@benign("backscatter of floods elsewhere in our name: SYN-ACKs, RSTs and ICMP errors from 300 hosts")
def backscatter() -> None:
    dice = random.Random(3)
    frames = []
    for _ in range(300):
        source = f"203.0.{dice.randrange(256)}.{dice.randrange(1, 255)}"
        ours, port = f"198.18.1.{dice.randrange(1, 15)}", dice.randrange(1024, 65536)
        asked = tcp(ours, source, sport=port, dport=80, flags="S")
        frames.append(tcp(source, ours, sport=80, dport=port, flags=dice.choice(("SA", "RA", "R")), ack=1))
        frames.append(icmp(f"192.0.2.{dice.randrange(1, 200)}", ours, type=3, code=dice.choice((0, 1, 3, 13)), quote=asked))
        frames.append(icmp(f"192.0.2.{dice.randrange(1, 200)}", ours, type=11, code=0, quote=asked))
    put(frames, pause=0.002)


@benign("backscatter from one host that somebody floods in our name: SYN-ACKs from its port 80 to 400 of our ports")
def backscatter_one_host() -> None:
    dice = random.Random(4)
    put((tcp("203.0.113.80", "198.18.1.1", sport=80, dport=dice.randrange(1024, 65536), flags="SA", ack=1) for _ in range(400)), pause=0.005)


def _crowd_and_mail() -> None:
    together([partial(connect, source, "198.18.1.1", 80, send=GET, timeout=5) for source in CROWD[:40]])
    for server in _some_dead(SERVERS[:40]):
        connect(CLIENT, *server, send=GET, timeout=0.3)


def _asymmetric(packets: list[Packet]) -> Iterator[Packet]:
    """Every second pair of hosts is seen in one direction, every fourth in the other."""
    for at, frame in packets:
        turn = (frame[29] + frame[33]) % 4 if frame[12:14] == b"\x08\x00" else 0
        ours = frame[6:12].hex() == "020000000001"
        if turn == 0 or turn == 1 or (turn == 2 and not ours) or (turn == 3 and ours):
            yield at, frame


add(Scenario("asymmetric_routes", "benign", (), "web traffic of which half of the pairs is seen in one direction only", _crowd_and_mail, change=_asymmetric))


def _mid_stream_traffic() -> None:
    with contextlib.ExitStack() as stack:
        talks = []
        for n in range(60):
            client = stack.enter_context(
                socket.create_connection((SERVERS[n % 15], (21, 25, 22, 80)[n % 4]), source_address=(f"198.18.0.{201 + n % 10}", 0), timeout=3)
            )
            talks.append(client)
        time.sleep(0.3)
        for client in talks:
            client.sendall(b"NOOP\r\n")
        time.sleep(0.3)


def _from_the_middle(packets: list[Packet]) -> Iterator[Packet]:
    """What came after the first pause."""
    pause = next(n for n in range(1, len(packets)) if packets[n][0] - packets[n - 1][0] > 0.2)
    return iter(packets[pause:])


add(Scenario("mid_stream", "benign", (), "60 connections; the capture begins when all are open", _mid_stream_traffic, change=_from_the_middle))
add(Scenario("one_web_server_answers_only", "benign", (), "ab; only what the server sends", web_ab, change=lambda packets: side(packets, "answered")))


# Hours


@written("monitoring, each five minutes for six hours: four services of three hosts; one host is down, one service of another")
def monitoring_for_hours() -> Iterator[Frame]:
    for n in range(72):
        for k, port in enumerate((22, 25, 80, 443)):
            at, sport = 300.0 * n + k, 30000 + (n * 4 + k) % 20000
            yield from connection("198.18.0.209", "198.18.1.1", sport=sport, dport=port, at=at)
            yield from (
                refused("198.18.0.209", "198.18.1.2", sport=sport, dport=port, at=at + 0.2)
                if port == 25
                else connection("198.18.0.209", "198.18.1.2", sport=sport, dport=port, at=at + 0.2)
            )
            yield from silent("198.18.0.209", "198.18.1.3", sport=sport, dport=port, at=at + 0.4, retries=2)


def _six_services(down: Callable[..., list[Frame]]) -> Iterator[Frame]:
    for n in range(360):
        for k, port in enumerate((21, 22, 25, 80, 443, 993)):
            at, sport = 60.0 * n + k / 10, 30000 + (n * 6 + k) % 20000
            yield from (connection if n < 60 else down)("198.18.0.209", "198.18.1.1", sport=sport, dport=port, at=at)


@written("a host with six services, checked each minute: up for an hour, then down for five hours")
def host_down_for_hours() -> Iterator[Frame]:
    return _six_services(silent)


@written("the same, but refused while it is down")
def host_refuses_for_hours() -> Iterator[Frame]:
    return _six_services(refused)


@written("30 connections that idle for hours; a keep-alive each 20 minutes, answered")
def keep_alives() -> Iterator[Frame]:
    for n in range(30):
        client, sport, begin = f"198.18.0.{201 + n % 3}", 41000 + n, 3.0 * n
        yield from handshake(client, "198.18.1.1", sport=sport, dport=22, at=begin, payload=b"hello")
        for hour in range(1, 12):
            at = begin + 1200.0 * hour
            yield tcp("198.18.1.1", client, sport=22, dport=sport, flags="A", seq=5000, ack=1006, at=at)
            yield tcp(client, "198.18.1.1", sport=sport, dport=22, flags="A", seq=1006, ack=5001, at=at + 0.001)


@written("the same; half of the clients are gone, so that nobody answers, or a RST comes")
def keep_alives_to_the_gone() -> Iterator[Frame]:
    for n in range(30):
        client, sport, begin = f"198.18.0.{201 + n % 3}", 41000 + n, 3.0 * n
        yield from handshake(client, "198.18.1.1", sport=sport, dport=22, at=begin, payload=b"hello")
        for again in range(9):
            yield tcp("198.18.1.1", client, sport=22, dport=sport, flags="A", seq=5000, ack=1006, at=begin + 7200 + 75.0 * again)
            if n % 2:
                yield tcp(client, "198.18.1.1", sport=sport, dport=22, flags="R", seq=1006, at=begin + 7200.001 + 75.0 * again)
                break


@written("a ping each second for two hours, some unanswered")
def ping_for_hours() -> Iterator[Frame]:
    for n in range(7200):
        yield from ping("198.18.0.206", "198.18.1.1", at=float(n), answered=n % 50 != 0, ident=77)


@written("30 hosts pinged each minute for two hours, four of them down")
def pings_of_a_monitor() -> Iterator[Frame]:
    for n in range(120):
        for host in range(1, 31):
            yield from ping("198.18.0.206", f"198.18.2.{host}", at=60.0 * n + host / 10, answered=host % 8 != 0, ident=n + 1)


@written("SCTP: a client's associations with eight servers, which answer")
def sctp_associations() -> Iterator[Frame]:
    for n in range(8):
        yield sctp("198.18.0.207", f"198.18.1.{n + 1}", sport=3000 + n, dport=3868, at=n)
        yield sctp(f"198.18.1.{n + 1}", "198.18.0.207", sport=3868, dport=3000 + n, chunk=2, at=n + 0.01)


@written("tunnels and routing protocols between two routers: GRE, ESP, AH, IPIP, OSPF, PIM, L2TP, both ways")
def protocols_of_routers() -> Iterator[Frame]:
    for n in range(40):
        for k, proto in enumerate((47, 50, 51, 4, 89, 103, 115)):
            yield ip("198.18.0.66", "198.18.1.1", proto=proto, payload=bytes(40), at=n + k / 10)
            yield ip("198.18.1.1", "198.18.0.66", proto=proto, payload=bytes(40), at=n + k / 10 + 0.01)


@written("datagrams that a syslog server never answers, from 30 hosts, for an hour; and SNMP traps")
def syslog() -> Iterator[Frame]:
    for n in range(1800):
        yield udp(f"198.18.8.{1 + n % 30}", "198.18.1.1", sport=514 if n % 2 else 40000 + n % 30, dport=514 if n % 7 else 162, payload=bytes(80), at=2.0 * n)


@written("DNS: 300 answers of each of which two come, over an hour, from ten servers")
def dns_twice() -> Iterator[Frame]:
    for n in range(300):
        server = f"198.18.2.{1 + n % 10}"
        yield from udp_exchange("198.18.0.205", server, sport=20000 + 97 * n % 40000, dport=53, at=12.0 * n)
        yield udp(server, "198.18.0.205", sport=53, dport=20000 + 97 * n % 40000, payload=bytes(60), at=12.0 * n + 1)
