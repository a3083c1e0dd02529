"""Packets that raise an alert, as a capture: python tests/capture.py try.pcap"""

import sys

from iplog_core.testing import in_order, refused, write_pcap

if __name__ == "__main__":
    scan = [refused(dport=port, at=port / 10) for port in range(1, 21)]
    write_pcap(sys.argv[1], in_order(scan))
