"""Conversations with an outcome: `refused(dport=23)` is a SYN and the RST that it meets. Each is a list of frames in time order."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Unpack

from iplog_core.testing.packets import ROUTER, ROUTER6, Frame, Wire, endpoints, icmp, icmp6, tcp, udp

DELAY = 0.001
"""Seconds from a packet to the one that answers it."""


def handshake(
    src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 80, payload: bytes = b"", **wire: Unpack[Wire]
) -> list[Frame]:
    """SYN, SYN-ACK, ACK, and the client's first data where there is a `payload`."""
    talk = _Tcp(src, dst, sport, dport, wire)
    talk.client("S", seq=1000)
    talk.server("SA", seq=5000, ack=1001)
    talk.client("A", seq=1001, ack=5001)
    if payload:
        talk.client("PA", seq=1001, ack=5001, payload=payload)
    return talk.frames


def connection(
    src: str | None = None,
    dst: str | None = None,
    *,
    sport: int = 40000,
    dport: int = 80,
    request: bytes = b"request",
    response: bytes = b"response",
    **wire: Unpack[Wire],
) -> list[Frame]:
    """A whole TCP connection: handshake, request, response, and both sides' FIN."""
    talk = _Tcp(src, dst, sport, dport, wire)
    sent, answered = 1001 + len(request), 5001 + len(response)
    talk.client("S", seq=1000)
    talk.server("SA", seq=5000, ack=1001)
    talk.client("A", seq=1001, ack=5001)
    talk.client("PA", seq=1001, ack=5001, payload=request)
    talk.server("PA", seq=5001, ack=sent, payload=response)
    talk.client("FA", seq=sent, ack=answered)
    talk.server("FA", seq=answered, ack=sent + 1)
    talk.client("A", seq=sent + 1, ack=answered + 1)
    return talk.frames


def refused(src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 80, **wire: Unpack[Wire]) -> list[Frame]:
    """A SYN, and the RST of a closed port."""
    talk = _Tcp(src, dst, sport, dport, wire)
    talk.client("S", seq=1000)
    talk.server("RA", seq=0, ack=1001)
    return talk.frames


def silent(src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 80, retries: int = 0, **wire: Unpack[Wire]) -> list[Frame]:
    """A SYN that nobody answers, sent again after 1, 3, 7 ... seconds."""
    at = wire.get("at", 0.0)
    return [tcp(src, dst, sport=sport, dport=dport, **{**wire, "at": at + 2**n - 1}) for n in range(retries + 1)]


def half_open(src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 80, **wire: Unpack[Wire]) -> list[Frame]:
    """SYN, SYN-ACK, and the client's RST: what a SYN scan does at an open port."""
    talk = _Tcp(src, dst, sport, dport, wire)
    talk.client("S", seq=1000)
    talk.server("SA", seq=5000, ack=1001)
    talk.client("R", seq=1001)
    return talk.frames


def udp_exchange(
    src: str | None = None,
    dst: str | None = None,
    *,
    sport: int = 40000,
    dport: int = 53,
    request: bytes = b"request",
    response: bytes = b"response",
    **wire: Unpack[Wire],
) -> list[Frame]:
    """A datagram and its answer."""
    source, target = endpoints(src, dst)
    return [
        udp(source, target, sport=sport, dport=dport, payload=request, **wire),
        udp(target, source, sport=dport, dport=sport, payload=response, **_later(wire, DELAY)),
    ]


def udp_refused(
    src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 53, payload: bytes = b"", **wire: Unpack[Wire]
) -> list[Frame]:
    """A datagram, and the target's port unreachable that quotes it."""
    source, target = endpoints(src, dst)
    probe = udp(source, target, sport=sport, dport=dport, payload=payload, **wire)
    return [probe, unreachable(probe, target, **_later(wire, DELAY))]


def ping(
    src: str | None = None, dst: str | None = None, *, count: int = 1, answered: bool = True, ident: int = 1, payload: bytes = bytes(56), **wire: Unpack[Wire]
) -> list[Frame]:
    """Echo requests a second apart, each with its reply unless nobody answers."""
    source, target = endpoints(src, dst)
    echo, request, reply = (icmp, 8, 0) if ip_address(target).version == 4 else (icmp6, 128, 129)
    frames = []
    for n in range(count):
        frames.append(echo(source, target, type=request, ident=ident, seq=n + 1, payload=payload, **_later(wire, n)))
        if answered:
            frames.append(echo(target, source, type=reply, ident=ident, seq=n + 1, payload=payload, **_later(wire, n + DELAY)))
    return frames


def unreachable(about: Frame, src: str | None = None, *, port: bool = True, **wire: Unpack[Wire]) -> Frame:
    """Return the ICMP error about a packet, to its sender: port unreachable, or host unreachable; from `src`, else from a router."""
    datagram = about.datagram
    if datagram[0] >> 4 == 4:
        return icmp(src or ROUTER, str(ip_address(datagram[12:16])), type=3, code=3 if port else 1, quote=about, **wire)
    return icmp6(src or ROUTER6, str(ip_address(datagram[8:24])), type=1, code=4 if port else 3, quote=about, **wire)


class _Tcp:
    """Two ends of a connection, whose packets follow each other by DELAY."""

    def __init__(self, src: str | None, dst: str | None, sport: int, dport: int, wire: Wire) -> None:
        self.src, self.dst = endpoints(src, dst)
        self.sport, self.dport = sport, dport
        self.wire = wire
        self.frames: list[Frame] = []

    def client(self, flags: str, *, seq: int, ack: int = 0, payload: bytes = b"") -> None:
        self._send(self.src, self.dst, self.sport, self.dport, flags, seq, ack, payload)

    def server(self, flags: str, *, seq: int, ack: int = 0, payload: bytes = b"") -> None:
        self._send(self.dst, self.src, self.dport, self.sport, flags, seq, ack, payload)

    def _send(self, src: str, dst: str, sport: int, dport: int, flags: str, seq: int, ack: int, payload: bytes) -> None:
        wire = _later(self.wire, len(self.frames) * DELAY)
        self.frames.append(tcp(src, dst, sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, payload=payload, **wire))


def _later(wire: Wire, seconds: float) -> Wire:
    return {**wire, "at": wire.get("at", 0.0) + seconds}
