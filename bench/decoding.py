"""Read a capture with iplog's reader, and decode it: what everything else that iplog does comes on top of. decoding.py FILE"""

from __future__ import annotations

import sys

import numpy as np

from iplog_core.batch import BYTES_PER_PACKET
from iplog_core.capture.savefile import open_savefile
from iplog_core.kernel.decode import decode
from iplog_core.settings import Settings


def main() -> None:
    seen = clock = 0
    for raw in open_savefile(sys.argv[1], Settings().batch_size):
        block = np.empty(len(raw) * BYTES_PER_PACKET, np.uint8)
        clock, _ = decode(raw.data, raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface, block, seen, clock)
        seen += len(raw)
    print(seen)


if __name__ == "__main__":
    main()
