"""The probes of programs that tell operating systems apart by how they answer what no honest sender sends.

Each probe has a class, a small number; several classes from one source to one host are a fingerprinter at work. nmap: G. Lyon, "TCP/IP Fingerprinting Methods
Supported by Nmap", for both families. xprobe2: O. Arkin and F. Yarochkin, "XProbe2" (2002). queso: its table of seven packets (1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iplog_core import FlowBit, Kind, Mask, PacketBatch, TcpFlag

Labels = NDArray[np.uint8]

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (int(flag) for flag in TcpFlag)
XMAS = FIN | PSH | URG
OPENS = int(FlowBit.OPENS)

TCP_HEADER = 20
UDP_HEADER = 8
FILLING = ord("C")
FILLED, LOOKED_AT = 300, 16

# The options that a SYN alone may carry: maximum segment size, window scale, SACK permitted.
OF_A_SYN = (2, 3, 4)

NULL, SYN_XMAS, JUST_XMAS, SYN_OPTIONS, URGENT_ECN, ODD_ECHO, FILLED_UDP, TIMESTAMP, DEPRECATED = range(1, 10)

# Requests of ICMP that hosts hardly make of each other; those for information and for an address mask are deprecated (RFC 6918).
REQUESTS = {13: TIMESTAMP, 15: DEPRECATED, 17: DEPRECATED}

# What queso sends without options, and in that order; ECE and CWR were reserved bits then.
PLAIN = (SYN | ACK, FIN, FIN | ACK, SYN | FIN, PSH, SYN | ECE | CWR)


def odd_probes(batch: PacketBatch, unusual: Mask) -> Labels:
    """Return the class of each packet, 0 for those that are no such probe; `unusual` are the TCP packets that are strays, or whose flags are `ODD`."""
    found = np.zeros(len(batch), np.uint8)
    _tcp(batch, unusual, found)
    _icmp(batch, found)
    _udp(batch, found)
    return found


def plain_probes(batch: PacketBatch) -> Labels:
    """Return the number of each packet among `PLAIN`, from 1 on; 0 for the others. Most are ordinary by themselves, so that it takes nearly all."""
    found = np.zeros(len(batch), np.uint8)
    rows = (batch.is_tcp & (batch.flow & OPENS != 0) & (batch.tcp_flags != SYN)).nonzero()[0]
    rows = rows[batch.payload_length[rows] == 0]
    found[rows] = _PLAIN[batch.tcp_flags[rows]]
    return found


def _tcp(batch: PacketBatch, unusual: Mask, found: Labels) -> None:
    """Segments with options that only a SYN may carry, and an urgent pointer in a SYN with ECN."""
    rows = unusual.nonzero()[0]
    if not len(rows):
        return
    rows = rows[batch.payload_length[rows] == 0]
    # Whoever speaks in the middle of a connection has options of another kind; of ACKs it is enough to look at those without one.
    odd = _CLASSES[batch.tcp_flags[rows]]
    with_options, options = _bytes(batch, rows[(odd != 0) & (odd != URGENT_ECN)], TCP_HEADER, 1)
    with_options = with_options[np.isin(options[:, 0], OF_A_SYN)]
    found[with_options] = _CLASSES[batch.tcp_flags[with_options]]
    urgent, pointers = _bytes(batch, rows[odd == URGENT_ECN], TCP_HEADER - 2, 2)
    found[urgent[pointers.any(axis=1)]] = URGENT_ECN


def _icmp(batch: PacketBatch, found: Labels) -> None:
    found[batch.is_echo & (batch.icmp_code != 0)] = ODD_ECHO
    near = (batch.icmp_type >= min(REQUESTS)) & (batch.icmp_type <= max(REQUESTS))
    rows = (near & (batch.kind == int(Kind.ICMP))).nonzero()[0]
    found[rows] = _REQUESTS[batch.icmp_type[rows]]


def _udp(batch: PacketBatch, found: Labels) -> None:
    filled = (batch.is_udp & (batch.payload_length == FILLED)).nonzero()[0]
    if len(filled):
        rows, payloads = _bytes(batch, filled, UDP_HEADER, LOOKED_AT)
        found[rows[(payloads == FILLING).all(axis=1)]] = FILLED_UDP


def _bytes(batch: PacketBatch, rows: NDArray[np.int64], start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return those of the rows that have `count` bytes from `start` on, counted from the transport header, and the bytes."""
    first = batch.transport[rows].astype(np.int64) + start
    header = batch.network[rows].astype(np.int64)
    there = (batch.transport[rows] > 0) & (batch.captured[rows] >= first + count) & (header + batch.length[rows] >= first + count)
    rows, first = rows[there], first[there]
    return rows, batch.data[(batch.offset[rows] + first)[:, None] + np.arange(count)]


_PLAIN = np.zeros(4096, np.uint8)
_PLAIN[list(PLAIN)] = range(1, len(PLAIN) + 1)

_REQUESTS = np.zeros(256, np.uint8)
_REQUESTS[list(REQUESTS)] = list(REQUESTS.values())

_CLASSES = np.zeros(4096, np.uint8)
for _ecn in range(0, (ECE | CWR | AE) + 1, ECE):
    for _flags, _label in ((0, NULL), (SYN | XMAS, SYN_XMAS), (XMAS, JUST_XMAS), (ACK, SYN_OPTIONS)):
        _CLASSES[_flags | _ecn] = _label
# nmap sets a reserved bit, too.
_CLASSES[[_reserved | SYN | ECE | CWR for _reserved in range(0, 4096, AE)]] = URGENT_ECN

ODD = (_CLASSES != 0) & (_CLASSES != SYN_OPTIONS)
"""Flags by which a packet may be such a probe; ACKs may be one as strays only."""
