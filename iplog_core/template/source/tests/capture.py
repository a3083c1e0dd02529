"""Packets as a file that the plugin reads: python tests/capture.py try.txt"""

import sys
from decimal import Decimal
from pathlib import Path

from iplog_core.testing import Packets, in_order, refused


def attempts() -> Packets:
    return [refused(dport=port, at=port / 10) for port in range(1, 4)]


def as_text(packets: Packets) -> str:
    """A line for each packet: its time in seconds, its bytes in hexadecimal."""
    lines = [
        f"{Decimal(frame.time) / 10**9} {frame.data.hex()}"
        for frame in in_order(packets)
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(as_text(attempts()))
