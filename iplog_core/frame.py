"""What columns cannot hold: dpkt's view of one packet."""

from __future__ import annotations

import dpkt

_ETHERNET, _PPP, _SLL, _SLL2 = 1, 9, 113, 276
_LINKS = {_ETHERNET: dpkt.ethernet.Ethernet, _PPP: dpkt.ppp.PPP, _SLL: dpkt.sll.SLL, _SLL2: dpkt.sll2.SLL2}


def decode_frame(frame: bytes, link: int, network: int) -> dpkt.Packet:
    """Return dpkt's object for a captured frame of a link type (a DLT number): of its link layer, else of the IP header at offset `network`.

    dpkt takes what it cannot read as bytes in `data`. Raise dpkt.UnpackError where it can read nothing at all, too short a frame for example.
    """
    layer = _LINKS.get(link)
    if layer is None:
        frame = frame[network:]
        layer = dpkt.ip6.IP6 if frame[:1] >= b"\x60" else dpkt.ip.IP
    try:
        return layer(frame)
    except dpkt.UnpackError:
        raise
    except Exception as fault:  # hostile bytes make dpkt raise IndexError, struct.error, RecursionError and others
        raise dpkt.UnpackError(f"dpkt cannot read this packet: {fault}") from fault
