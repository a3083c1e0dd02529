"""The layout of a packet batch: what the kernel writes is what numpy reads."""

from __future__ import annotations

import numpy as np
import pytest
from harness import columns_of, decoded

from iplog_core.addresses import halves
from iplog_core.batch import BYTES_PER_PACKET, FLOW_DTYPE, Kind
from iplog_core.kernel.columns import LAYOUT
from iplog_core.testing import EPOCH, Frame, Link, arp, icmp, sctp, tcp, udp, unreachable

pytestmark = pytest.mark.kernel

FRAMES = [
    tcp(seq=7, vlan=(3,), ttl=5),
    udp(dst="2001:db8::1", at=1.5),
    icmp(ident=3, seq=4),
    sctp(),
    arp(),
    unreachable(udp()),
    tcp(link=Link.SLL),
]


def test_every_column_of_a_packet_is_where_numpy_reads_it() -> None:
    frame = tcp("2001:db8::7", "2001:db8:1::9", sport=1000, dport=2000, flags=0x0ABC, seq=0xABCDEF01, ttl=77, at=3, payload=b"abc", vlan=(5,))
    (source_hi, source_lo), (target_hi, target_lo) = halves("2001:db8::7"), halves("2001:db8:1::9")
    time = (EPOCH + 3) * 1_000_000_000
    assert columns_of(decoded([Frame(0, b"!"), frame]))[1] == {
        "time": time, "clock": time, "index": 1, "offset": 1, "src_hi": source_hi, "src_lo": source_lo, "dst_hi": target_hi, "dst_lo": target_lo,
        "captured": 81, "wire_length": 81, "length": 63, "payload_length": 3, "ip_id": 0, "tcp_seq": 0xABCDEF01, "interface": 0, "link": 1,
        "network": 18, "transport": 58, "sport": 1000, "dport": 2000, "tcp_flags": 0xABC, "fragment_offset": 0, "icmp_id": 0, "icmp_seq": 0,
        "kind": Kind.TCP, "version": 6, "proto": 6, "ttl": 77, "icmp_type": 0, "icmp_code": 0, "sctp_chunk": 0, "cast": 0, "fragment": 0,
        "malformed": 0, "flow": 0,
    }  # fmt: skip


@pytest.mark.parametrize("n", range(1, len(FRAMES) + 1))
def test_columns_stay_apart_whatever_the_number_of_packets(n: int) -> None:
    together = [row | {"index": 0, "offset": 0, "clock": 0} for row in columns_of(decoded(FRAMES[:n]))]
    alone = [columns_of(decoded([frame]))[0] | {"index": 0, "offset": 0, "clock": 0} for frame in FRAMES[:n]]
    assert together == alone


def test_the_layout_names_every_column_once_and_the_widest_first() -> None:
    widths = [np.dtype(code).itemsize for _, code in LAYOUT]
    assert len({name for name, _ in LAYOUT}) == len(LAYOUT)
    assert widths == sorted(widths, reverse=True)
    assert sum(widths) == BYTES_PER_PACKET


def test_a_flow_row_has_no_holes() -> None:
    assert FLOW_DTYPE.itemsize == sum(FLOW_DTYPE[name].itemsize for name in FLOW_DTYPE.names or ())


def test_the_clock_never_runs_backwards() -> None:
    batch = decoded([tcp(at=5), tcp(at=3), tcp(at=6)])
    seconds = ((batch.clock - EPOCH * 1_000_000_000) // 1_000_000_000).tolist()
    assert (seconds, batch.now) == ([5, 5, 6], (EPOCH + 6) * 1_000_000_000)
