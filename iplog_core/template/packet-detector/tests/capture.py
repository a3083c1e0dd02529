"""Packets with what is to be found; as a capture: python tests/capture.py try.pcap"""

import sys

from iplog_core.testing import Packets, in_order, refused, write_pcap


def knocks(port: int) -> Packets:
    """One client tries a port three times, a second apart, and is refused."""
    return [refused(dport=port, sport=40000 + n, at=n) for n in range(3)]


if __name__ == "__main__":
    write_pcap(sys.argv[1], in_order(knocks(port=23)))
