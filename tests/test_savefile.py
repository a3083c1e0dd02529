"""The reader of pcap and pcapng, held against a model, libpcap and dpkt."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iplog_core.capture.linktypes import DECODED
from iplog_core.capture.source import InterfaceNames
from iplog_core.kernel.savefile import SavefileReader

pytestmark = pytest.mark.kernel

LATEST = 2**62 - 1


class Row(NamedTuple):
    time: int
    data: bytes
    wire_length: int
    link: int
    interface: str


class Read(NamedTuple):
    rows: list[Row]
    fault: str
    left_out: int


def read(capture: bytes, batch_size: int = 4096, block_size: int = 1 << 20) -> Read:
    names = InterfaceNames()
    reader = SavefileReader(io.BytesIO(capture), b"", DECODED, names.number, batch_size, block_size)
    rows = []
    while batch := reader.read():
        data = batch[0]
        assert 1 <= len(batch[1]) <= batch_size
        columns = [column.tolist() for column in batch[1:]]
        for offset, captured, wire_length, time, link, interface in zip(*columns, strict=True):
            rows.append(Row(time, data[offset : offset + captured].tobytes(), wire_length, link, names.names[interface]))
    return Read(rows, reader.fault, sum(reader.left_out.values()))


# Writing captures


def pcap(
    *records: tuple[int, int, bytes],
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    link: int = 1,
    snaplen: int = 65535,
    version: tuple[int, int] = (2, 4),
) -> bytes:
    """Write a pcap of (seconds, fraction, data) records."""
    extra = b"patched!" if magic == 0xA1B2CD34 else b""
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)
    for seconds, fraction, data in records:
        out += struct.pack(order + "IIII", seconds, fraction, len(data), len(data) + 4) + extra + data
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<", version: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, version, 0, -1))


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(
    order: str = "<",
    *,
    link: int = 1,
    name: str | None = None,
    resolution: int | None = None,
    offset: int | None = None,
    snaplen: int = 0,
) -> bytes:
    body = struct.pack(order + "HHI", link, 0, snaplen)
    if name is not None:
        body += option(order, 2, name.encode())
    if resolution is not None:
        body += option(order, 9, bytes([resolution]))
    if offset is not None:
        body += option(order, 14, struct.pack(order + "q", offset))
    return block(order, 1, body + option(order, 0, b""))


def enhanced(data: bytes, ticks: int = 0, number: int = 0, order: str = "<", options: bytes = b"") -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) + 4)
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def obsolete(data: bytes, ticks: int = 0, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "HHIIII", number, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) + 4)
    return block(order, 2, head + data)


def simple(data: bytes, wire_length: int, order: str = "<") -> bytes:
    return block(order, 3, struct.pack(order + "I", wire_length) + data)


# The model: one record after the other, and a record is whole and right, or the capture ends before it.


class BrokenError(Exception):
    pass


@dataclass
class Reading:
    data: bytes
    order: str = "<"
    at: int = 0
    rows: list[Row] = field(default_factory=list)
    left_out: int = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise BrokenError
        self.at += count
        return self.data[self.at - count : self.at]

    def unpack(self, code: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack_from(self.order + code, data)

    def packet(self, row: Row) -> None:
        if row.link in DECODED:
            self.rows.append(row)
        else:
            self.left_out += 1


def limit(link: int, snaplen: int) -> int:
    return min(max(snaplen, 262144), 16 << 20) if link in DECODED else 128 << 20


def pcap_model(r: Reading) -> None:
    r.order = "<" if r.data[3] == 0xA1 else ">"
    magic, _, minor, _, _, snaplen, link = r.unpack("IHHiIII", r.take(24))
    link &= 0x03FFFFFF
    while r.at < len(r.data):
        seconds, fraction, captured, wire_length = r.unpack("IIII", r.take(16))
        if minor < 3 or (minor == 3 and captured > wire_length):
            captured, wire_length = wire_length, captured
        if captured > limit(link, snaplen):
            raise BrokenError
        if magic == 0xA1B2CD34:
            r.take(8)
        time = seconds * 10**9 + fraction * (1 if magic == 0xA1B23C4D else 1000)
        r.packet(Row(time, r.take(captured), wire_length, link, ""))


class Described(NamedTuple):
    link: int
    snaplen: int
    name: str
    resolution: int
    offset: int

    def time(self, high: int, low: int) -> int:
        units: int = (2 if self.resolution & 128 else 10) ** (self.resolution & 127)
        return min(max((high << 32 | low) * 10**9 // units + self.offset * 10**9, 0), LATEST)


def description(r: Reading, body: bytes) -> Described:
    link, _, snaplen = r.unpack("HHI", body)
    name, resolution, offset, rest = b"", 6, 0, body[8:]
    while len(rest) >= 4:
        code, length = r.unpack("HH", rest)
        value, rest = rest[4 : 4 + length], rest[4 + length + -length % 4 :]
        if code == 0:
            break
        if len(value) < length or (code == 9 and length != 1) or (code == 14 and length != 8):
            raise BrokenError
        if code == 2:
            name = value
        elif code == 9:
            resolution = value[0]
        elif code == 14:
            (offset,) = r.unpack("q", value)
    text = name.rstrip(b"\0").decode(errors="replace")[:128]
    return Described(link, snaplen, "".join(c if c.isprintable() else "?" for c in text), resolution, offset)


def pcapng_model(r: Reading) -> None:
    interfaces: list[Described] = []
    while r.at < len(r.data):
        start = r.take(12)
        if start[:4] == b"\n\r\r\n":
            r.order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(start[8:12], "")
            interfaces = []
        kind, total = r.unpack("II", start)
        least = {0x0A0D0D0A: 28, 1: 20, 2: 32, 3: 16, 6: 32}.get(kind, 12)
        if not r.order or total % 4 or total < least:
            raise BrokenError
        r.at -= 4
        body = r.take(total - 12)
        if r.take(4) != start[4:8]:
            raise BrokenError
        if kind == 0x0A0D0D0A and r.unpack("H", body[4:])[0] != 1:
            raise BrokenError
        if kind == 1:
            interfaces.append(description(r, body))
        if kind not in (2, 3, 6):
            continue
        number = 0
        if kind == 3:
            high = low = 0
            (wire_length,) = r.unpack("I", body)
            body = body[4:]
        else:
            number = r.unpack("I" if kind == 6 else "H", body)[0]
            _, high, low, captured, wire_length = r.unpack("IIIII", body)
            body = body[20:]
        if number >= len(interfaces):
            raise BrokenError
        found = interfaces[number]
        if kind == 3:
            captured = min(wire_length, found.snaplen or wire_length)
        if captured > min(len(body), limit(found.link, found.snaplen)):
            raise BrokenError
        time = 0 if kind == 3 else found.time(high, low)
        r.packet(Row(time, body[:captured], wire_length, found.link, found.name))


def model(capture: bytes) -> tuple[list[Row], bool, int]:
    """Return the rows of a capture, whether it ends well, and how many packets are left out."""
    reading = Reading(capture)
    try:
        (pcapng_model if capture.startswith(b"\n\r\r\n") else pcap_model)(reading)
    except BrokenError:
        return reading.rows, False, reading.left_out
    return reading.rows, True, reading.left_out


def check(capture: bytes, batch_size: int = 4096, block_size: int = 1 << 20) -> None:
    try:
        found = read(capture, batch_size, block_size)
    except ValueError:
        assert model(capture) == ([], False, 0)
        return
    assert (found.rows, not found.fault, found.left_out) == model(capture)


ORDERS = ["<", ">"]
LINKS = st.sampled_from([0, 1, 12, 101, 105, 113, 228, 229, 276, 65535])
LINKS_AND_MORE = LINKS | LINKS.map(lambda link: link | 0xFC000000)
SMALL = st.binary(max_size=90)
WORD = st.integers(0, 2**32 - 1)


@st.composite
def pcaps(
    draw: st.DrawFn,
    links: st.SearchStrategy[int] = LINKS_AND_MORE,
    seconds: st.SearchStrategy[int] = WORD,
    fraction: st.SearchStrategy[int] = WORD,
) -> bytes:
    return pcap(
        *draw(st.lists(st.tuples(seconds, fraction, SMALL), max_size=12)),
        order=draw(st.sampled_from(ORDERS)),
        magic=draw(st.sampled_from([0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])),
        link=draw(links),
        snaplen=draw(st.sampled_from([0, 96, 65535, 2**32 - 1])),
        version=draw(st.sampled_from([(2, 4), (2, 4), (2, 3), (2, 2)])),
    )


@st.composite
def sections(draw: st.DrawFn) -> bytes:
    order = draw(st.sampled_from(ORDERS))
    described = st.builds(
        interface,
        st.just(order),
        link=LINKS,
        name=st.none() | st.text(max_size=9),
        resolution=st.none() | st.integers(0, 255),
        offset=st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**33), 2**33),
        snaplen=st.sampled_from([0, 0, 16, 262144]),
    )
    ticks = st.integers(0, 2**64 - 1)
    number = st.integers(0, 2)
    blocks = (
        st.builds(enhanced, SMALL, ticks, number, st.just(order), st.sampled_from([b"", bytes(8)]))
        | st.builds(obsolete, SMALL, ticks, number, st.just(order))
        | st.builds(simple, SMALL, st.integers(0, 90), st.just(order))
        | st.builds(block, st.just(order), st.sampled_from([4, 5, 0xBAD, 2**31]), st.binary(max_size=300))
        | described
    )
    parts = draw(st.lists(described, min_size=1, max_size=3)) + draw(st.lists(blocks, max_size=10))
    return section(order) + b"".join(parts)


CAPTURES = pcaps() | st.lists(sections(), min_size=1, max_size=3).map(b"".join)
SIZES = st.sampled_from([1, 7, 4096])
BLOCKS = st.sampled_from([1, 64, 100, 1 << 20])


@given(CAPTURES, SIZES, BLOCKS)
@settings(deadline=None)
def test_captures_are_read_as_the_model_reads_them_however_they_are_cut(capture: bytes, batch_size: int, block_size: int) -> None:
    check(capture, batch_size, block_size)


@given(CAPTURES, st.data(), SIZES, BLOCKS)
@settings(deadline=None, max_examples=300)
def test_damaged_captures_are_read_as_the_model_reads_them(capture: bytes, data: st.DataObject, batch_size: int, block_size: int) -> None:
    damaged = bytearray(capture)
    begin = 24 if capture[0] != 10 else 28
    for _ in range(data.draw(st.integers(1, 4))):
        if len(damaged) > begin:
            damaged[data.draw(st.integers(begin, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(damaged[: data.draw(st.integers(begin, len(damaged)))]), batch_size, block_size)


HEADERS = [pcap(order=order, magic=magic) for order in ORDERS for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)]
HEADERS += [section(order) + interface(order) for order in ORDERS]


@given(st.sampled_from(HEADERS), st.binary(max_size=400), BLOCKS)
@settings(deadline=None, max_examples=300)
def test_any_bytes_behind_a_header_are_read_as_the_model_reads_them(header: bytes, rest: bytes, block_size: int) -> None:
    check(header + rest, 7, block_size)


@given(st.sampled_from(HEADERS), st.binary(max_size=100))
@settings(deadline=None)
def test_any_bytes_behind_a_magic_raise_nothing_but_value_error(header: bytes, rest: bytes) -> None:
    with suppress(ValueError):
        read(header[:4] + rest, 7, 64)


@pytest.mark.parametrize(
    "capture",
    [
        pcap((1, 2, b"first"), (3, 4, b""), (5, 6, b"third one")),
        pcap((1, 2, b"first"), (3, 4, b"second"), order=">", magic=0xA1B2CD34),
        section() + interface(name="a") + enhanced(b"first", 5) + block("<", 77, b"?") + simple(b"second", 6),
        section(">") + interface(">", link=105) + interface(">") + enhanced(b"ab", 5, 0, ">") + obsolete(b"c", 5, 1, ">"),
    ],
    ids=["pcap", "kuznetsov", "pcapng", "pcapng with an unknown link type"],
)
def test_a_capture_cut_at_any_byte_keeps_the_whole_packets_before_the_cut(capture: bytes) -> None:
    for cut in range(24 if capture[0] != 10 else 28, len(capture)):
        check(capture[:cut], 7, 64)


@pytest.mark.parametrize("block_size", [1, 64, 1 << 20])
@pytest.mark.parametrize("batch_size", [1, 7, 256, 8192])
def test_neither_batches_nor_blocks_change_what_is_read(batch_size: int, block_size: int) -> None:
    packets = b"".join(enhanced(bytes([n % 256]) * (n % 131), n * 1000, n % 2) for n in range(1000))
    capture = section() + interface(name="a") + interface(name="b", link=101) + packets
    assert read(capture, batch_size, block_size) == read(capture)


# Long captures, where the reader sends scouts ahead to where it guesses that records begin

SECONDS = 1_700_000_000


def frames(order: str, pcapng: bool, random: Random) -> list[bytes]:
    """Packets of all lengths, most of which carry what looks like records: right ones, hostile ones, and parts of both."""

    def record(length: int, claimed: int | None = None) -> bytes:
        data = bytes(length)
        if pcapng:
            return enhanced(data, SECONDS * 10**6, 0, order)
        return struct.pack(order + "IIII", SECONDS + 1, 5, length if claimed is None else claimed, 300_000) + data

    inside = [record(random.choice([0, 1, 44, 60, 500])) for _ in range(9)]
    inside += [record(40, claimed) for claimed in (0, 39, 262144, 262145, 2**31, 2**32 - 1)]
    inside += [bytes(200), random.randbytes(700), record(0) * 40]
    return [b"".join(random.choices(inside, k=random.randrange(6)))[random.randrange(5) :] for _ in range(60)]


@st.composite
def long_captures(draw: st.DrawFn) -> bytes:
    """Captures of some hundred kilobytes; a few of their bytes are wrong, and they may be cut off."""
    random = draw(st.randoms(use_true_random=True))
    order = draw(st.sampled_from(ORDERS))
    pcapng = draw(st.booleans())
    taken = random.choices(frames(order, pcapng, random), k=draw(st.integers(1500, 2500)))
    if pcapng:
        blocks = [enhanced(data, SECONDS * 10**6 + n, n % 2, order, random.choice([b"", bytes(8)])) for n, data in enumerate(taken)]
        blocks[100:100] = [block(order, 5, bytes(300)), simple(bytes(60), 60, order)] * draw(st.integers(0, 2))
        capture = section(order) + interface(order) + interface(order, link=draw(st.sampled_from([1, 105]))) + b"".join(blocks)
    else:
        magic = draw(st.sampled_from([0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34]))
        records = [(SECONDS + n // 9, n, data) for n, data in enumerate(taken)]
        capture = pcap(*records, order=order, magic=magic, link=draw(st.sampled_from([1, 1, 105])), version=draw(st.sampled_from([(2, 4), (2, 3), (2, 2)])))
    damaged = bytearray(capture)
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        damaged[random.randrange(len(damaged) // 2, len(damaged))] = random.randrange(256)
    return bytes(damaged[: random.choice([len(damaged), random.randrange(len(damaged) // 2, len(damaged))])])


@given(long_captures(), st.sampled_from([1000, 4096]), st.sampled_from([400_000, 1 << 20]))
@settings(deadline=None, max_examples=80)
def test_long_captures_are_read_as_the_model_reads_them_whatever_their_packets_carry(capture: bytes, batch_size: int, block_size: int) -> None:
    check(capture, batch_size, block_size)


@pytest.mark.parametrize("order", ORDERS)
def test_records_inside_the_packets_of_a_capture_are_none_of_its_own(order: str) -> None:
    inside = pcap(*[(SECONDS, n, bytes(44)) for n in range(25)], order=order)[24:]
    capture = pcap(*[(SECONDS, n, inside) for n in range(1000)], order=order)
    assert [row.data for row in read(capture).rows] == [inside] * 1000


@pytest.mark.parametrize("block_size", [400_000, 1 << 20])
def test_scouts_change_nothing_that_is_read(block_size: int) -> None:
    capture = pcap(*[(SECONDS, n, bytes([n % 256]) * (n * 7919 % 1500)) for n in range(2000)])
    assert read(capture, 4096, block_size) == read(capture, 1, block_size)


# Times


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1), (0xA1B2CD34, 1000)])
def test_a_pcap_has_micro_or_nanoseconds_in_either_byte_order(order: str, magic: int, unit: int) -> None:
    capture = pcap((1_700_000_000, 123_456, b"x"), (2**32 - 1, 2**32 - 1, b"y"), order=order, magic=magic)
    times = [1_700_000_000 * 10**9 + 123_456 * unit, (2**32 - 1) * 10**9 + (2**32 - 1) * unit]
    assert [row.time for row in read(capture).rows] == times


@pytest.mark.parametrize(
    ("resolution", "ticks", "offset", "time"),
    [
        (None, 1_700_000_000_123_456, None, 1_700_000_000_123_456_000),
        (0, 1_700_000_000, None, 1_700_000_000 * 10**9),
        (9, 1_700_000_000_123_456_789, None, 1_700_000_000_123_456_789),
        (12, 1_234_567_890_123_456_789, None, 1_234_567_890_123_456),
        (19, 2**64 - 1, None, 1_844_674_407),
        (20, 2**64 - 1, None, 184_467_440),
        (127, 2**64 - 1, None, 0),
        (128 + 10, 1024 + 512, None, 1_500_000_000),
        (128 + 32, (5 << 32) + 2**31, None, 5_500_000_000),
        (128 + 63, 2**63 + 2**62, None, 1_500_000_000),
        (128 + 64, 2**63, None, 500_000_000),
        (128 + 127, 2**64 - 1, None, 0),
        (6, 5_000_000, 1_700_000_000, 1_700_000_005 * 10**9),
        (6, 5_000_000, -3, 2 * 10**9),
        (6, 5_000_000, -6, 0),
        (0, 2**64 - 1, 2**63 - 1, LATEST),
        (0, 2**64 - 1, -(2**63), LATEST),
        (0, 2**63 + 7, -(2**63), 7 * 10**9),
        (0, 0, -(2**63), 0),
    ],
)
def test_a_time_of_pcapng_goes_by_resolution_and_offset_and_stays_between_1970_and_2116(
    resolution: int | None, ticks: int, offset: int | None, time: int
) -> None:
    capture = section() + interface(resolution=resolution, offset=offset) + enhanced(b"x", ticks)
    assert [row.time for row in read(capture).rows] == [time]


# What else the formats have


def test_the_bits_above_the_link_type_are_no_part_of_it() -> None:
    assert [row.link for row in read(pcap((1, 2, b"x"), link=0x14000001)).rows] == [1]


@pytest.mark.parametrize(("version", "captured"), [((2, 4), 4), ((2, 3), 4), ((2, 2), 8), ((543, 0), 8)])
def test_old_versions_have_the_two_lengths_the_other_way_round(version: tuple[int, int], captured: int) -> None:
    head = pcap(version=version)
    assert [len(row.data) for row in read(head + struct.pack("<IIII", 1, 1, 4, 8) + bytes(captured)).rows] == [captured]


def test_each_section_has_its_own_byte_order_and_interfaces() -> None:
    first = section("<") + interface("<", link=1, name="eth0") + enhanced(b"one", 1, 0, "<")
    second = section(">") + interface(">", link=101, name="tun0") + enhanced(b"two", 2, 0, ">")
    assert [(row.interface, row.link) for row in read(first + second + first).rows] == [
        ("eth0", 1),
        ("tun0", 101),
        ("eth0", 1),
    ]


def test_an_interface_described_twice_is_one() -> None:
    names = InterfaceNames()
    part = section() + interface(name="eth0") + enhanced(b"x")
    reader = SavefileReader(io.BytesIO(part * 3), b"", DECODED, names.number, 7)
    while reader.read():
        pass
    assert names.names == ("eth0",)


def test_an_interface_name_has_no_control_characters() -> None:
    assert read(section() + interface(name="eth0\x1b[2J\n") + enhanced(b"x")).rows[0].interface == "eth0?[2J?"


def test_names_beyond_those_that_can_be_numbered_share_the_last_number() -> None:
    names = InterfaceNames()
    numbers = [names.number(f"veth{number}") for number in range(70_000)]
    assert numbers == [*range(65_536), *[65_535] * 4464]
    assert len(names.names) == 65_536


def test_a_simple_packet_is_cut_to_the_snap_length_of_the_first_interface() -> None:
    capture = section() + interface(snaplen=4) + simple(b"abcd", 1500)
    assert [(row.data, row.wire_length, row.time) for row in read(capture).rows] == [(b"abcd", 1500, 0)]


@pytest.mark.parametrize("block_size", [64, 1 << 20])
def test_a_packet_may_be_as_long_as_the_snap_length_says(block_size: int) -> None:
    data = bytes(range(256)) * 2000
    assert read(pcap((1, 2, data), snaplen=len(data)), block_size=block_size).rows[0].data == data


def test_packets_of_other_link_types_are_counted_and_those_of_known_ones_read() -> None:
    capture = section() + interface(link=105) + interface(link=1) + enhanced(b"wlan", number=0) * 3
    found = read(capture + enhanced(b"ethernet", number=1))
    assert ([row.data for row in found.rows], found.left_out) == ([b"ethernet"], 3)


class Zeros:
    """A capture that goes on with `count` zeros."""

    def __init__(self, begin: bytes, count: int) -> None:
        self.begin = begin
        self.count = count

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self.begin[: len(buffer)] or bytes(min(len(buffer), self.count))
        if not self.begin:
            self.count -= len(piece)
        self.begin = self.begin[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize(
    "begin",
    [
        section() + struct.pack("<II", 0xBAD, 2**30),
        section() + interface(link=105) + struct.pack("<IIIIIII", 6, 2**27, 0, 0, 0, 2**27 - 32, 2**27 - 32),
        pcap(link=105) + struct.pack("<IIII", 1, 1, 2**27, 2**27),
    ],
    ids=["unknown block", "pcapng packet of an unknown link type", "pcap packet of an unknown link type"],
)
def test_what_is_skipped_is_not_held_in_memory(begin: bytes) -> None:
    tracemalloc.start()
    try:
        reader = SavefileReader(Zeros(begin, 64 << 20), b"", DECODED, InterfaceNames().number, 4096)
        assert reader.read() is None
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert "in the middle of" in reader.fault


def test_a_stream_that_claims_more_than_it_was_asked_for_is_refused() -> None:
    class Liar:
        def readinto(self, buffer: memoryview, /) -> int:
            return len(buffer) + 1

    with pytest.raises(OSError, match="more bytes than were asked for"):
        SavefileReader(Liar(), b"", DECODED, InterfaceNames().number, 1)


# What is said of broken captures


@pytest.mark.parametrize(
    ("capture", "fault"),
    [
        (pcap((1, 2, b"first")) + b"\0" * 9, "the file ends in the middle of packet 2 (byte 45)"),
        (
            pcap((1, 2, b"first")) + struct.pack("<IIII", 1, 1, 2**32 - 1, 9),
            "packet 2 (byte 45) claims 4,294,967,295 bytes where 262,144 are the most",
        ),
        (section() + b"\0" * 9, "the file ends in the middle of a block (byte 28)"),
        (section() + interface() + enhanced(b"x")[:-1], "the file ends in the middle of packet 1 (byte 52)"),
        (section() + interface(link=105) + enhanced(b"x")[:-1], "the file ends in the middle of packet 1 (byte 52)"),
        (section() + block("<", 99, bytes(40))[:-9], "the file ends in the middle of a block (byte 28)"),
        (section() + struct.pack("<III", 99, 13, 0), "the block at byte 28 claims an impossible length, 13 bytes"),
        (section() + struct.pack("<III", 1, 12, 12), "the block at byte 28 claims an impossible length, 12 bytes"),
        (
            section() + block("<", 99, bytes(4))[:-4] + bytes(4),
            "the block at byte 28 has another length at its end than at its beginning",
        ),
        (
            section() + interface()[:-4] + bytes(4),
            "the block at byte 28 has another length at its end than at its beginning",
        ),
        (section() + enhanced(b"x"), "packet 1 (byte 28) is of interface 0, which the file does not describe"),
        (
            section() + interface() + simple(b"abcd", 99),
            "packet 1 (byte 52) claims 99 bytes where 4 are the most",
        ),
        (
            section() + block("<", 1, struct.pack("<HHIHH", 1, 0, 0, 9, 2) + bytes(4)),
            "the interface description at byte 28 has an option of an impossible length",
        ),
        (section() + section(version=2), "the section at byte 28 has version 2 of pcapng, and 1 is the last one known"),
        (
            section() + block("<", 0x0A0D0D0A, bytes(16)),
            "the section at byte 28 has no byte order that is known",
        ),
        (
            section() + interface() * 65537,
            f"the section describes more than 65,536 interfaces (byte {28 + 65536 * 24:,})",
        ),
    ],
)
def test_a_broken_record_is_named_with_its_place(capture: bytes, fault: str) -> None:
    assert read(capture).fault == fault


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (pcap()[:23], "the file ends inside its header"),
        (section()[:27], "the file ends inside its header"),
        (pcap(version=(2, 9)), "the file has version 2.9 of pcap, and 2.4 is the last one known"),
        (pcap(version=(3, 0)), "the file has version 3.0 of pcap, and 2.4 is the last one known"),
        (section(version=2), "the section at byte 0 has version 2 of pcapng, and 1 is the last one known"),
        (bytes(30), "the file does not begin like a capture"),
    ],
)
def test_a_header_that_is_none_is_refused(capture: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        read(capture)


# The same files, read by others


def by_libpcap(capture: bytes) -> tuple[list[tuple[int, bytes, int]], bool]:
    """Let tcpdump write a capture anew, and return its packets: (time, data, wire length), and whether it read to the end."""
    command = ["tcpdump", "-r", "-", "-w", "-", "--time-stamp-precision=nano"]
    done = subprocess.run(command, input=capture, capture_output=True, check=False)
    written = Reading(done.stdout)
    if done.stdout:
        pcap_model(written)
    return [row[:3] for row in written.rows], done.returncode == 0


def as_libpcap(capture: bytes, rows: list[Row]) -> list[tuple[int, bytes, int]]:
    """Cut packets to the snap length of a pcap, as libpcap does with those that are longer; iplog keeps all that is there."""
    snaplen = None
    if capture[0] != 10:
        (snaplen,) = struct.unpack(("<" if capture[3] == 0xA1 else ">") + "I", capture[16:20])
    return [(row.time, row.data[: snaplen or None], row.wire_length) for row in rows]


needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")


@needs_tcpdump
@given(pcaps(links=st.sampled_from([1, 0x14000001, 113, 276]), seconds=st.integers(0, 2**31 - 1), fraction=st.integers(0, 999_999)))
@settings(deadline=None, max_examples=60)
def test_libpcap_reads_the_same_from_a_pcap(capture: bytes) -> None:
    found = read(capture)
    assert (as_libpcap(capture, found.rows), found.fault == "") == by_libpcap(capture)


@needs_tcpdump
def test_libpcap_reads_the_same_from_every_capture(every_capture: list[Path]) -> None:
    different = []
    for path in every_capture:
        capture = path.read_bytes()
        found = read(capture)
        rows = as_libpcap(capture, found.rows)
        packets, whole = by_libpcap(capture)
        if found.left_out == 0 and (rows if whole else rows[: len(packets)]) != packets:
            different.append(path.name)
    assert different == []


def test_dpkt_reads_the_same_from_every_capture(every_capture: list[Path]) -> None:
    different = []
    for path in every_capture:
        found = read(path.read_bytes())
        if found.left_out == 0 and [row.data for row in found.rows] != list(by_dpkt(path)):
            different.append(path.name)
    assert different == []


def by_dpkt(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _, data in dpkt.pcap.UniversalReader(file):
            yield bytes(data)


def test_every_capture_is_read_as_the_model_reads_it(every_capture: list[Path]) -> None:
    for path in every_capture:
        check(path.read_bytes(), 7, 1 << 16)
