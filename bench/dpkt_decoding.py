"""Read a capture with dpkt, and decode every packet: dpkt_decoding.py FILE"""

from __future__ import annotations

import sys

import dpkt


def main() -> None:
    seen = 0
    with open(sys.argv[1], "rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            dpkt.ethernet.Ethernet(data)
            seen += 1
    print(seen)


if __name__ == "__main__":
    main()
