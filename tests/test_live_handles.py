"""Both libraries in front of libpcap do the same: they open, read, filter and count alike, and put what fails into the same words."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cables import Wire, one_clock
from harness import frames_of
from namespaces import Host
from watching import wait_for

from iplog_core.capture.handle import Handle, NotUpError, open_handle
from iplog_core.errors import CaptureError
from iplog_core.kernel_filter import kernel_filter
from iplog_core.rules import compile_rules
from iplog_core.testing import Frame, tcp, udp

HANDLES = {"pcap": "pypcap.PypcapHandle", "pcapy": "pcapy.PcapyHandle"}

Open = Callable[..., Handle]


@pytest.fixture
def sensor(sensor_and_peer: tuple[Host, Host]) -> Host:
    return sensor_and_peer[0]


@pytest.fixture
def wire(sensor_and_peer: tuple[Host, Host]) -> Iterator[Wire]:
    """The peer's end of the cable."""
    with contextlib.closing(Wire(sensor_and_peer[1])) as wire:
        yield wire


@pytest.fixture(params=[name for name in HANDLES if find_spec(name)])
def opened(request: pytest.FixtureRequest, sensor: Host) -> Iterator[Open]:
    """Opens an interface of the sensor with one of the libraries."""
    module, _, name = HANDLES[request.param].partition(".")
    handles: list[Handle] = []

    def open_it(interface: str = "eth0", *, snap_length: int = 256, ring: int = 1 << 20, promiscuous: bool = False, filter: str = "udp port 9") -> Handle:
        cls = getattr(import_module(f"iplog_core.capture.{module}"), name)
        with sensor.inside():
            handle: Handle = cls(interface, snap_length=snap_length, ring=ring, promiscuous=promiscuous)
        handles.append(handle)
        handle.set_filter(filter)
        return handle

    yield open_it
    for handle in handles:
        handle.close()


def numbered(count: int, size: int = 20) -> list[Frame]:
    """Datagrams to port 9 that tell themselves apart."""
    return [udp(dport=9, payload=number.to_bytes(size, "big")) for number in range(count)]


def read(handle: Handle, count: int, limit: int = 1000) -> list[bytes]:
    """Read until there are that many packets."""
    packets: list[bytes] = []

    def enough() -> bool:
        taken = handle.read(limit)
        assert len(taken.time) <= limit
        packets.extend(taken.data[start : start + length] for start, length in zip(taken.offset.tolist(), taken.captured.tolist(), strict=True))
        return len(packets) >= count

    wait_for(enough, lambda: f"{count} packets; there are {len(packets)}")
    return packets


def test_packets_are_read_whole_and_in_order(opened: Open, wire: Wire) -> None:
    frames = numbered(50)
    handle = opened()
    wire.send(frames)
    assert read(handle, 50) == [frame.data for frame in frames]


def test_no_read_gives_more_than_was_asked_for(opened: Open, wire: Wire) -> None:
    frames = numbered(50)
    handle = opened()
    wire.send(frames)
    assert read(handle, 50, limit=7) == [frame.data for frame in frames]


def test_a_packet_is_cut_at_the_snap_length(opened: Open, wire: Wire) -> None:
    (frame,) = numbered(1, size=300)
    handle = opened(snap_length=100)
    wire.send([frame])
    assert read(handle, 1) == [frame.data[:100]]


def test_reading_where_there_is_nothing_gives_nothing_at_once(opened: Open) -> None:
    taken = opened().read(1000)
    assert (taken.data, len(taken.offset), len(taken.captured), len(taken.time)) == (b"", 0, 0, 0)


def test_the_columns_are_of_the_kinds_that_the_kernel_reads(opened: Open) -> None:
    assert [column.dtype for column in opened().read(10)[1:]] == [np.int64, np.uint32, np.int64]


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_times_are_those_that_tcpdump_writes(opened: Open, wire: Wire, sensor: Host, tmp_path: Path) -> None:
    handle = opened()
    file = tmp_path / "beside.pcap"
    with one_clock(), tcpdump(sensor, file, "udp port 9"):
        wire.send(numbered(20))
        times: list[int] = []

        def all_read() -> bool:
            times.extend(handle.read(100).time.tolist())
            return len(times) == 20

        wait_for(all_read, lambda: f"20 packets; there are {len(times)}")
        wait_for(lambda: len(frames_of(file)) == 20, lambda: "20 packets in the file")
    assert [round(time / 1000) for time in times] == [round(frame.time / 1000) for frame in frames_of(file)]
    assert all(time % 1000 == 0 for time in times)


def test_a_filter_lets_pass_what_matches(opened: Open, wire: Wire) -> None:
    handle = opened(filter="tcp port 80")
    wire.send([udp(dport=9), tcp(dport=80), tcp(dport=81)])
    assert read(handle, 1) == [tcp(dport=80).data]


def test_a_filter_that_is_none_is_told_in_libpcaps_words_and_the_one_before_holds_on(opened: Open, wire: Wire) -> None:
    handle = opened(filter="tcp port 80")
    with pytest.raises(CaptureError, match="syntax error"):
        handle.set_filter("tpc port 80")
    wire.send([udp(dport=9), tcp(dport=80)])
    assert read(handle, 1) == [tcp(dport=80).data]


def test_an_empty_filter_lets_everything_pass_again(opened: Open, wire: Wire) -> None:
    handle = opened(filter="tcp port 80")
    handle.set_filter("")
    handle.set_filter("udp or tcp")
    wire.send([udp(dport=9), tcp(dport=80)])
    assert read(handle, 2) == [udp(dport=9).data, tcp(dport=80).data]


def test_the_longest_filter_that_rules_make_is_taken(opened: Open, wire: Wire) -> None:
    rules = [
        f"ignore {proto} {side} {net}"
        for n in range(200)
        for proto in ("tcp", "udp")
        for side in ("from", "to")
        for net in (f"10.{n}/16", f"2001:db8:{n:x}::/65")
    ]
    handle = opened()
    handle.set_filter(kernel_filter(compile_rules(rules), "udp port 9 or tcp port 80") or "")
    hidden = udp("10.0.0.1", "10.1.0.1", dport=9, payload=bytes(40))
    wire.send([hidden, tcp(dport=80)])
    assert read(handle, 1) == [tcp(dport=80).data]


@pytest.mark.parametrize(("interface", "link"), [("eth0", 1), ("lo", 1), ("any", 113)])
def test_the_link_type_is_that_of_the_interface(opened: Open, interface: str, link: int) -> None:
    assert opened(interface).link == link


def test_what_is_sent_to_others_is_seen_in_promiscuous_mode(opened: Open, sensor: Host) -> None:
    opened(promiscuous=True)
    assert "promiscuity 1" in sensor("ip", "-d", "link", "show", "eth0")


def test_what_is_dropped_for_want_of_room_is_counted(opened: Open, wire: Wire) -> None:
    handle = opened(ring=65536)
    wire.send(numbered(1) * 20_000)
    wait_for(lambda: handle.counters().dropped > 0, lambda: f"drops; there are {handle.counters()}")
    kept = 0
    while taken := len(handle.read(1000).time):
        kept += taken
    assert kept + handle.counters().dropped <= 20_000


def test_after_it_was_down_the_interface_is_read_on(opened: Open, wire: Wire, sensor: Host) -> None:
    handle = opened()
    sensor("ip", "link", "set", "eth0", "down")
    with contextlib.suppress(CaptureError):  # one library tells it, once; the other does not
        handle.read(10)
    sensor("ip", "link", "set", "eth0", "up")
    wait_for(lambda: "LOWER_UP" in sensor("ip", "link", "show", "eth0"), lambda: "eth0 up")
    wire.send(numbered(3))
    assert read(handle, 3) == [frame.data for frame in numbered(3)]


def test_an_interface_that_is_gone_is_an_error(opened: Open, sensor: Host) -> None:
    handle = opened()
    sensor("ip", "link", "del", "eth0")
    with pytest.raises(CaptureError, match=r"^eth0: The interface .*\.$"):
        handle.read(10)


def test_an_interface_that_is_down_is_told_from_what_is_wrong(opened: Open, sensor: Host) -> None:
    sensor("ip", "link", "set", "eth0", "down")
    with pytest.raises(NotUpError, match=r"^eth0: the interface is down\.$"):
        opened()


def test_an_unknown_interface_is_a_capture_error(opened: Open) -> None:
    with pytest.raises(CaptureError, match=r"^eth7: it could not be opened \(.*o such device.*\)\.$"):
        opened("eth7")


@pytest.mark.skipif(find_spec("pcap") is None, reason="pypcap is not installed")
def test_a_file_with_the_name_of_an_interface_is_not_read_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iplog_core.capture.pypcap import PypcapHandle

    monkeypatch.chdir(tmp_path)
    (tmp_path / "lo").touch()
    with pytest.raises(CaptureError, match=r"^lo: .* has a file of this name, which pypcap would read instead; start iplog in another directory\.$"):
        PypcapHandle("lo", snap_length=256, ring=1 << 20, promiscuous=False)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a library be as one that is not installed."""

    def hide(library: str) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, f"iplog_core.capture.{HANDLES[library].partition('.')[0]}", raising=False)

    return hide


def on_loopback(sensor: Host) -> Handle:
    with sensor.inside():
        return open_handle("lo", snap_length=256, ring=1 << 20, promiscuous=False)


@pytest.mark.skipif(not all(map(find_spec, HANDLES)), reason="only one of the libraries is installed")
def test_without_pypcap_pcapy_is_taken(sensor: Host, missing: Callable[[str], None]) -> None:
    missing("pcap")
    with contextlib.closing(on_loopback(sensor)) as handle:
        assert type(handle).__name__ == "PcapyHandle"


def test_without_both_libraries_it_says_what_is_missing(sensor: Host, missing: Callable[[str], None]) -> None:
    for library in HANDLES:
        missing(library)
    with pytest.raises(CaptureError, match=r"^capturing needs pypcap or pcapy-ng, and neither can be imported \(.*\); reinstall iplog\.$"):
        on_loopback(sensor)


@contextlib.contextmanager
def tcpdump(host: Host, file: Path, expression: str) -> Iterator[None]:
    """tcpdump, from when it listens until it has written all."""
    command = host.command("tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-w", str(file), "-Z", "root", expression)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "listening on" not in process.stderr.readline():
            pass
        try:
            yield
        finally:
            process.terminate()
