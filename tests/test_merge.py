"""Several sources as one: in time order, and the same however their batches are cut."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iplog_core.batch import RawBatch
from iplog_core.capture.merge import merge
from iplog_core.capture.savefile import open_savefile
from iplog_core.capture.source import Source

pytestmark = pytest.mark.kernel


class Packets:
    """A source of packets that have nothing but a time and what they carry; its one buffer is overwritten by each batch."""

    def __init__(self, times: Sequence[int], name: str, batch_size: int, *, size: int = 0, faults: Sequence[str] = ()) -> None:
        self.times = times
        self.name = name
        self.batch_size = batch_size
        self.faults = list(faults)
        self.unsupported = len(faults)
        self.size = size
        self.position = size // 2
        self.closed = False

    def __iter__(self) -> Iterator[RawBatch]:
        buffer = np.zeros(12 * self.batch_size, np.uint8)
        for start in range(0, len(self.times), self.batch_size):
            times = np.array(self.times[start : start + self.batch_size], np.int64)
            buffer[:] = 0xFF
            for row in range(len(times)):
                buffer[12 * row + 2 : 12 * row + 10] = np.frombuffer(struct.pack("<q", start + row), np.uint8)
            yield RawBatch(
                data=buffer,
                offset=np.arange(len(times), dtype=np.int64) * 12 + 2,
                captured=np.full(len(times), 8, np.uint32),
                wire_length=np.arange(start, start + len(times), dtype=np.uint32),
                time=times,
                link=np.full(len(times), 1 + start % 2, np.uint16),
                interface=np.ones(len(times), np.uint16),
                interfaces=("lo", self.name),
            )

    def close(self) -> None:
        self.closed = True


def merged(sources: Sequence[Source]) -> list[tuple[int, str, int]]:
    """Return (time, interface, number in its source) of each packet of the merged sources."""
    packets = []
    for batch in merge(sources):
        for row in range(len(batch)):
            start = int(batch.offset[row])
            (number,) = struct.unpack("<q", batch.data[start : start + int(batch.captured[row])].tobytes())
            assert number == batch.wire_length[row]
            packets.append((int(batch.time[row]), batch.interfaces[int(batch.interface[row])], number))
    return packets


def model(sources: Sequence[Sequence[int]]) -> list[tuple[int, str, int]]:
    rows = [
        (clock, source, number, time)
        for source, times in enumerate(sources)
        for number, (time, clock) in enumerate(zip(times, accumulate(times, max), strict=True))
    ]
    return [(time, f"eth{source}", number) for _, source, number, time in sorted(rows)]


TIMES = st.lists(st.integers(0, 12), max_size=30)


@given(st.lists(st.tuples(TIMES | TIMES.map(sorted), st.sampled_from([1, 2, 3, 7, 4096])), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_packets_come_by_the_latest_time_of_their_source_then_by_source_then_by_row(
    cut: list[tuple[list[int], int]],
) -> None:
    sources = [Packets(times, f"eth{number}", size) for number, (times, size) in enumerate(cut)]
    assert merged(sources) == model([times for times, _ in cut])


def test_times_before_1970_and_at_the_end_of_time_are_merged() -> None:
    times = [[-(2**63), 5], [-(2**63), 2**63 - 1]]
    assert merged([Packets(t, f"eth{number}", 1) for number, t in enumerate(times)]) == model(times)


def test_one_source_is_returned_as_it_is() -> None:
    source = Packets([1, 2], "eth0", 7)
    assert merge([source]) is source


def test_a_batch_is_no_longer_than_those_of_the_sources() -> None:
    sources = [Packets(range(100), f"eth{number}", 7) for number in range(5)]
    assert max(len(batch) for batch in merge(sources)) <= 7


def test_an_interface_that_several_sources_have_is_one() -> None:
    sources = [Packets([1], "eth0", 7), Packets([2], "eth1", 7), Packets([3], "eth0", 7)]
    assert [batch.interfaces for batch in merge(sources)][-1] == ("lo", "eth0", "eth1")


def test_faults_sizes_and_counts_are_those_of_all_sources() -> None:
    whole = merge([Packets([], "", 1, size=10, faults=["a"]), Packets([], "", 1, size=30, faults=["b", "c"])])
    assert (whole.faults, whole.unsupported, whole.size, whole.position) == (["a", "b", "c"], 3, 40, 20)


def test_the_size_is_unknown_where_that_of_one_source_is() -> None:
    assert merge([Packets([], "", 1, size=10), Packets([], "", 1)]).size == 0


def test_closing_closes_every_source() -> None:
    sources = [Packets([1], "eth0", 1), Packets([1], "eth1", 1)]
    merge(sources).close()
    assert [source.closed for source in sources] == [True, True]


def test_captures_are_merged_the_same_whatever_the_batch_size(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.pcap")
        records = b"".join(struct.pack("<IIIIHI", 5 + row // 10, row * 7 % 11, 6, 6, number, row) for row in range(1000))
        paths[-1].write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)

    def packets(batch_size: int) -> list[tuple[int, bytes]]:
        return [
            (int(batch.time[row]), batch.data[start : start + 6].tobytes())
            for batch in merge([open_savefile(str(path), batch_size) for path in paths])
            for row, start in enumerate(batch.offset.tolist())
        ]

    assert len(packets(4096)) == 3000
    assert packets(1) == packets(7) == packets(4096)
