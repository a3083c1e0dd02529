"""Write a capture of ordinary traffic to measure with: `python bench/mixed.py PACKETS FILE`.

Web and mail connections that begin within sixty seconds, with handshakes and closes, DNS, pings, ARP, 8 % IPv6, single SYNs from random sources, and thirty
port scans; about 600 bytes a packet. The same arguments give the same file.
"""

from __future__ import annotations

import heapq
import random
import struct
import sys
from collections.abc import Iterator

SECONDS = 60.0
EPOCH = 1_790_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

Packet = tuple[float, bytes, int]
"""When, the bytes captured, the bytes that were on the wire."""


def main() -> None:
    packets, path = int(sys.argv[1]), sys.argv[2]
    dice = random.Random(packets)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for _, (time, frame, wire) in zip(range(packets), heapq.merge(*_streams(dice, packets)), strict=False):
            out.write(struct.pack("<IIII", EPOCH + int(time), int(time % 1 * 1e6), len(frame), wire))
            out.write(frame)


def _streams(dice: random.Random, packets: int) -> list[list[Packet]]:
    """Enough of everything for that many packets, each kind in order of time."""
    conversations: list[Packet] = []
    while len(conversations) < packets * 0.88:
        conversations.extend(_connection(dice, dice.random() * SECONDS))
    rest = packets - len(conversations)
    small = [packet for _ in range(rest * 3 // 8) for packet in _small(dice, dice.random() * SECONDS)]
    noise = [_syn(dice.random() * SECONDS, dice.getrandbits(32), _server(dice), dice.randrange(1, 65536), dice) for _ in range(rest // 4)]
    scans = [packet for _ in range(30) for packet in _scan(dice, dice.random() * SECONDS)]
    return [sorted(stream) for stream in (conversations, small, noise, scans)]


def _connection(dice: random.Random, at: float) -> Iterator[Packet]:
    """A TCP connection of a client of ours: handshake, a request, an answer of realistic length, a close."""
    six = dice.random() < 0.08
    client, server = 0x0A000000 | dice.randrange(1, 4000), _server(dice)
    sport, dport = dice.randrange(32768, 61000), dice.choice((80, 443, 443, 443, 25, 993))
    seq, ack, gap = dice.getrandbits(31), dice.getrandbits(31), dice.uniform(0.001, 0.05)

    def packet(out: bool, flags: int, size: int) -> Packet:
        nonlocal at
        at += gap
        ends = (client, server, sport, dport, seq, ack) if out else (server, client, dport, sport, ack, seq)
        return _tcp(at, *ends, flags, size, six)

    yield packet(True, SYN, 0)
    yield packet(False, SYN | ACK, 0)
    yield packet(True, ACK, 0)
    yield packet(True, PSH | ACK, dice.randrange(80, 900))
    for n in range(min(4 + int(dice.paretovariate(1.1)), 2000)):
        yield packet(False, ACK, 1448 if n else 300)
        if n % 2:
            yield packet(True, ACK, 0)
    yield packet(False, FIN | ACK, 0)
    yield packet(True, FIN | ACK, 0)
    yield packet(False, ACK, 0)


def _small(dice: random.Random, at: float) -> Iterator[Packet]:
    """A name looked up, a host pinged, or an address asked for."""
    client, kind = 0x0A000000 | dice.randrange(1, 4000), dice.random()
    if kind < 0.8:
        sport = dice.randrange(32768, 61000)
        yield _udp(at, client, 0x0A000035, sport, 53, 40)
        yield _udp(at + 0.01, 0x0A000035, client, 53, sport, 120)
    elif kind < 0.9:
        body = struct.pack(">HHHH", 0x0800, 0, client & 0xFFFF, dice.getrandbits(16)) + bytes(56)
        server = _server(dice)
        yield _ip4(at, client, server, 1, body)
        yield _ip4(at + 0.02, server, client, 1, b"\0" + body[1:])
    else:
        for operation, sender, target in ((1, client, 0x0A000001), (2, 0x0A000001, client)):
            arp = struct.pack(">HHBBH6sI6sI", 1, 0x0800, 6, 4, operation, bytes(6), sender, bytes(6), target)
            yield at + operation / 1000, _ETHERNET + b"\x08\x06" + arp, 42


def _scan(dice: random.Random, at: float) -> Iterator[Packet]:
    source, target = dice.getrandbits(32), _server(dice)
    for n, port in enumerate(dice.sample(range(1, 10000), 100)):
        yield _syn(at + n / 50, source, target, port, dice)
        yield _tcp(at + n / 50 + 0.001, target, source, port, 40000, 0, 1, RST | ACK, 0, False)


_ETHERNET = bytes.fromhex("020000000002020000000001")


def _server(dice: random.Random) -> int:
    return 0xC6120000 | dice.randrange(1, 2000)


def _syn(at: float, source: int, target: int, port: int, dice: random.Random) -> Packet:
    return _tcp(at, source, target, 40000, port, dice.getrandbits(31), 0, SYN, 0, False)


def _tcp(at: float, src: int, dst: int, sport: int, dport: int, seq: int, ack: int, flags: int, size: int, six: bool) -> Packet:
    body = struct.pack(">HHIIHHHH", sport, dport, seq, ack, 5 << 12 | flags, 64240, 0, 0) + bytes(size)
    return _ip6(at, src, dst, 6, body) if six else _ip4(at, src, dst, 6, body)


def _udp(at: float, src: int, dst: int, sport: int, dport: int, size: int) -> Packet:
    return _ip4(at, src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + size, 0) + bytes(size))


def _ip4(at: float, src: int, dst: int, proto: int, body: bytes) -> Packet:
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0x4000, 64, proto, 0, src, dst)
    return at, _ETHERNET + b"\x08\x00" + head + body, 34 + len(body)


def _ip6(at: float, src: int, dst: int, proto: int, body: bytes) -> Packet:
    prefix = 0x20010DB8 << 96
    head = struct.pack(">IHBB", 6 << 28, len(body), proto, 64) + (prefix | src).to_bytes(16, "big") + (prefix | dst).to_bytes(16, "big")
    return at, _ETHERNET + b"\x86\xdd" + head + body, 54 + len(body)


if __name__ == "__main__":
    main()
