"""Datagrams that ask a service what it is there for: a capture that shows one direction of a busy one is full of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iplog_core import Mask, PacketBatch

DNS, NTP, QUIC = 53, 123, 443
UDP_HEADER = 8
LOOKED_AT = 8


def questions(batch: PacketBatch, where: Mask) -> Mask:
    """Tell which of the datagrams in `where` are questions to a name server (RFC 1035), a time server (RFC 5905) or a web server (an Initial of RFC 9000).

    They need the first eight bytes of the payload; those that were not captured are taken for none.
    """
    asks = np.zeros(len(batch), np.bool_)
    rows = where.nonzero()[0]
    if not len(rows):
        return asks
    port = batch.dport[rows]
    rows = rows[((port == DNS) | (port == NTP) | (port == QUIC)) & (batch.payload_length[rows] >= LOOKED_AT)]
    start = batch.transport[rows].astype(np.int64) + UDP_HEADER
    there = (batch.transport[rows] > 0) & (batch.captured[rows] >= start + LOOKED_AT)
    rows, start = rows[there], start[there]
    if not len(rows):
        return asks
    head = batch.data[(batch.offset[rows] + start)[:, None] + np.arange(LOOKED_AT)]
    size, port = batch.payload_length[rows], batch.dport[rows]
    asks[rows] = ((port == DNS) & _dns(head, size)) | ((port == NTP) & _ntp(head, size)) | ((port == QUIC) & _quic(head, size))
    return asks


def _dns(head: NDArray[np.uint8], size: NDArray[np.uint32]) -> Mask:
    """A standard query with one question."""
    found: Mask = (size >= 17) & (head[:, 2] & 0xF8 == 0) & (head[:, 4] == 0) & (head[:, 5] == 1) & (head[:, 6] == 0) & (head[:, 7] == 0)
    return found


def _ntp(head: NDArray[np.uint8], size: NDArray[np.uint32]) -> Mask:
    """Symmetric active or client, version 1 to 4."""
    mode, version = head[:, 0] & 7, head[:, 0] >> 3 & 7
    found: Mask = (size >= 48) & ((mode == 1) | (mode == 3)) & (version >= 1) & (version <= 4)
    return found


def _quic(head: NDArray[np.uint8], size: NDArray[np.uint32]) -> Mask:
    """A long header in a datagram of full size, as every client's first one is."""
    found: Mask = (size >= 1200) & (head[:, 0] & 0xC0 == 0xC0)
    return found
