"""A minute of ordinary traffic, and what is always there besides.

Of the packets, about four fifths are TCP: web and mail connections of realistic length with handshakes and closes. Then QUIC, DNS, NTP, pings, ARP, fragmented
datagrams, single SYNs from random sources, and a few dozen scanners that try a hundred ports of one host each. 8 % of the connections, the QUIC and the DNS are
IPv6. About 620 bytes a packet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.frames import ACK, ARP, FIN, ICMP, PIECE, PSH, RST, SYN, TCP, UDP, Packets, packets

MINUTE = 60_000_000
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
SCANNERS, PORTS = 36, 100

_SHARES = {"quic": 0.10, "dns": 0.05, "ntp": 0.01, "pings": 0.015, "arp": 0.01, "fragments": 0.01, "noise": 0.03}
"""Parts of all packets; the scanners are some dozens however many packets there are, and the rest is TCP."""
_RESOLVER, _ROUTER = 0x0A000035, 0x0A000001


def mixed(count: int, seed: int = 0) -> Packets:
    """That many packets of the sixty seconds, in order of time within each kind only."""
    # The stream of a RandomState never changes; that of a Generator may, from one numpy to the next.
    dice = np.random.RandomState(seed)
    shares = {name: int(count * share) for name, share in _SHARES.items()}
    parts = [
        _quic(dice, shares["quic"]),
        _asked(dice, shares["dns"], port=53, sizes=(40, 120), six=0.08, server=_RESOLVER),
        _asked(dice, shares["ntp"], port=123, sizes=(48, 48)),
        _pings(dice, shares["pings"]),
        _arp(dice, shares["arp"]),
        _fragments(dice, shares["fragments"]),
        _noise(dice, shares["noise"]),
        _scans(dice, max(1, min(SCANNERS, count // (20 * PORTS)))),
    ]
    parts.append(connections(dice, count - sum(map(len, parts))))
    return np.concatenate(parts)


def connections(dice: np.random.RandomState, count: int, *, longest: int = 2000) -> Packets:
    """TCP connections of clients of ours: handshake, a request, an answer of realistic length, a close. Those that last longer are cut off after a minute."""
    made: list[Packets] = []
    while (missing := count - sum(map(len, made))) > 0:
        number = missing // 25 + 1
        segments = np.minimum(4 + dice.pareto(1.1, number).astype(np.int64), longest)
        gap = dice.randint(1_000, 50_000, number)
        rows = talk(dice, segments, begin=dice.randint(0, MINUTE, number), gap=gap, six=dice.random_sample(number) < 0.08)
        made.append(rows[rows["time"] < MINUTE][:missing])
    return np.concatenate(made)


def talk(dice: np.random.RandomState, segments: NDArray[Any], *, begin: NDArray[Any], gap: NDArray[Any], six: NDArray[Any] | bool = False) -> Packets:
    """Whole TCP connections, one after the other: each answer has so many segments, every second of which is acknowledged."""
    number = len(segments)
    lengths = 4 + segments + segments // 2 + 3
    flow, place = _places(lengths)
    data = place - 4
    left = lengths[flow] - place
    in_answer = (data >= 0) & (left > 3)
    acknowledges = in_answer & (data % 3 == 2)
    out = (place == 0) | (place == 2) | (place == 3) | acknowledges | (left == 2)
    flags = np.full(len(flow), ACK, np.uint8)
    flags[place == 0] = SYN
    flags[place == 1] = SYN | ACK
    flags[place == 3] = PSH | ACK
    flags[(left == 3) | (left == 2)] = FIN | ACK
    size = np.where(in_answer & ~acknowledges, np.where(data == 0, 300, 1448), 0)
    size[place == 3] = dice.randint(80, 900, number)
    seq, ack = _numbers(dice, lengths, flow, out, size + ((flags & (SYN | FIN)) > 0))
    ack[place == 0] = 0
    client, server = clients(dice, number)[flow], servers(dice, number)[flow]
    sport = dice.randint(32768, 61000, number)[flow]
    dport = np.array([80, 443, 443, 443, 25, 993])[dice.randint(0, 6, number)][flow]
    return packets(
        len(flow),
        time=begin[flow] + place * gap[flow],
        kind=TCP,
        six=six[flow] if isinstance(six, np.ndarray) else six,
        **_ends(out, client, server, sport, dport),
        seq=seq,
        ack=ack,
        flags=flags,
        size=size,
        ident=place & 0xFFFF,
        fragment=DONT_FRAGMENT,
    )


def _numbers(
    dice: np.random.RandomState, lengths: NDArray[Any], flow: NDArray[Any], out: NDArray[Any], used: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sequence and acknowledgement numbers: what each side has sent before a packet of its own, and what the other has."""
    sent = []
    for mine in (out, ~out):
        before = np.cumsum(np.where(mine, used, 0)) - np.where(mine, used, 0)
        firsts = np.cumsum(lengths) - lengths
        sent.append(before - before[firsts][flow] + dice.randint(0, 1 << 30, len(lengths))[flow])
    return np.where(out, sent[0], sent[1]), np.where(out, sent[1], sent[0])


def _quic(dice: np.random.RandomState, count: int) -> Packets:
    """Conversations of a few full datagrams each way at the beginning, then of more from the server than to it."""
    lengths = np.minimum(6 + dice.pareto(1.2, count // 10 + 1).astype(np.int64) * 2, 400)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), count)) + 1]
    flow, place = _places(lengths)
    number = len(lengths)
    out = (place == 0) | (place == 2) | (place % 3 == 2)
    size = np.where(place < 3, 1200, np.where(out, 40, 1252))
    gap = dice.randint(2_000, 60_000, number)
    return packets(
        len(flow),
        time=(dice.randint(0, MINUTE, number)[flow] + place * gap[flow]) % MINUTE,
        kind=UDP,
        six=(dice.random_sample(number) < 0.08)[flow],
        **_ends(out, clients(dice, number)[flow], servers(dice, number)[flow], dice.randint(32768, 61000, number)[flow], np.full(len(flow), 443)),
        size=size,
        fragment=DONT_FRAGMENT,
    )[:count]


def _asked(dice: np.random.RandomState, count: int, *, port: int, sizes: tuple[int, int], six: float = 0.0, server: int | None = None) -> Packets:
    """A question in one datagram, an answer in another."""
    number = count // 2
    asked, place = _places(np.full(number, 2))
    there = servers(dice, number) if server is None else np.full(number, server)
    return packets(
        len(asked),
        time=dice.randint(0, MINUTE, number)[asked] + place * 10_000,
        kind=UDP,
        six=(dice.random_sample(number) < six)[asked],
        **_ends(place == 0, clients(dice, number)[asked], there[asked], dice.randint(32768, 61000, number)[asked], np.full(len(asked), port)),
        size=np.array(sizes)[place],
    )


def _pings(dice: np.random.RandomState, count: int) -> Packets:
    number = count // 2
    asked, place = _places(np.full(number, 2))
    ends = _ends(place == 0, clients(dice, number)[asked], servers(dice, number)[asked], asked, asked)
    ends["sport"] = np.where(place == 0, 8 << 8, 0)
    ends["dport"] = dice.randint(0, 1000, number)[asked]
    return packets(len(asked), time=dice.randint(0, MINUTE, number)[asked] + place * 20_000, kind=ICMP, **ends, ident=(asked + 1) & 0xFFFF, size=56)


def _arp(dice: np.random.RandomState, count: int) -> Packets:
    number = count // 2
    asked, place = _places(np.full(number, 2))
    ends = _ends(place == 0, clients(dice, number)[asked], np.full(len(asked), _ROUTER), asked, asked)
    ends["sport"] = ends["dport"] = place + 1
    return packets(len(asked), time=dice.randint(0, MINUTE, number)[asked] + place * 1_000, kind=ARP, **ends)


def _fragments(dice: np.random.RandomState, count: int) -> Packets:
    """Datagrams of 3,508 bytes of payload, in three fragments each."""
    number = count // 3
    datagram, place = _places(np.full(number, 3))
    return packets(
        len(datagram),
        time=dice.randint(0, MINUTE, number)[datagram] + place * 50,
        kind=np.where(place == 0, UDP, PIECE),
        source=servers(dice, number)[datagram],
        target=clients(dice, number)[datagram],
        sport=2049,
        dport=dice.randint(600, 1024, number)[datagram],
        ack=3508,
        size=np.array([1472, 1480, 556])[place],
        ident=dice.randint(0, 65536, number)[datagram],
        fragment=np.array([MORE_FRAGMENTS, MORE_FRAGMENTS | 185, 370])[place],
    )


def _noise(dice: np.random.RandomState, count: int) -> Packets:
    """What random hosts of the Internet send to whoever is there."""
    return packets(
        count,
        time=dice.randint(0, MINUTE, count),
        kind=TCP,
        source=strangers(dice, count),
        target=servers(dice, count),
        sport=dice.randint(1024, 65536, count),
        dport=dice.randint(1, 65536, count),
        seq=dice.randint(0, 1 << 31, count),
        flags=SYN,
    )


def _scans(dice: np.random.RandomState, number: int) -> Packets:
    """Each scanner tries its ports one by one, fifty in a second, and is refused."""
    scan, place = _places(np.full(number, 2 * PORTS))
    out, seq = place % 2 == 0, np.repeat(dice.randint(0, 1 << 31, number * PORTS), 2)
    ports = np.argsort(dice.random_sample((number, 10_000)), axis=1)[:, :PORTS].astype(np.int64) + 1
    begin = dice.randint(0, MINUTE - PORTS * 20_000, number)
    return packets(
        len(scan),
        time=begin[scan] + place // 2 * 20_000 + place % 2 * 1_000,
        kind=TCP,
        **_ends(out, strangers(dice, number)[scan], servers(dice, number)[scan], np.full(len(scan), 40000), np.repeat(ports.ravel(), 2)),
        seq=np.where(out, seq, 0),
        ack=np.where(out, 0, seq + 1),
        flags=np.where(out, SYN, RST | ACK),
    )


def clients(dice: np.random.RandomState, count: int) -> NDArray[Any]:
    """Hosts of 10.0.0.0/20."""
    return 0x0A000000 + dice.randint(256, 4000, count)


def servers(dice: np.random.RandomState, count: int) -> NDArray[Any]:
    """Hosts of 198.18.0.0/21."""
    return 0xC6120000 + dice.randint(1, 2000, count)


def strangers(dice: np.random.RandomState, count: int) -> NDArray[Any]:
    """Addresses from 11.0.0.0 to 99.255.255.255."""
    return dice.randint(11 << 24, 100 << 24, count)


def _places(lengths: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For packets that follow each other: which sequence each belongs to, and which packet of it it is."""
    which = np.repeat(np.arange(len(lengths)), lengths)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _ends(out: NDArray[Any], client: NDArray[Any], server: NDArray[Any], sport: NDArray[Any], dport: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The addresses and ports of packets to servers, where `out`, and of those back."""
    return {
        "source": np.where(out, client, server),
        "target": np.where(out, server, client),
        "sport": np.where(out, sport, dport),
        "dport": np.where(out, dport, sport),
    }
