"""Packets with what is to be found; as a capture: python tests/capture.py try.pcap"""

import sys

from iplog_core.testing import Packets, in_order, refused, write_pcap


def attempts(hosts: int) -> Packets:
    """One client tries the port of some hosts, half a second apart; each refuses."""
    return [
        refused(dst=f"192.0.2.{host}", dport=22, at=host / 2)
        for host in range(1, hosts + 1)
    ]


if __name__ == "__main__":
    write_pcap(sys.argv[1], in_order(attempts(hosts=6)))
