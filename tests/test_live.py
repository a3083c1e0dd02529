"""Interfaces that are watched: packets as they come, time on a quiet line, and what happens to an interface meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from fcntl import ioctl
from pathlib import Path
from struct import pack

import pytest
from cables import Wire
from namespaces import Host, join
from watching import PATIENCE, wait_for

from iplog_core import CaptureError, RawBatch
from iplog_core.capture.live import BEHIND_NS, Live
from iplog_core.settings import CaptureSettings
from iplog_core.testing import Frame, tcp, udp

CHECKOUT = Path(__file__).resolve().parents[1]
PORT_9 = "udp port 9"

TUNSETIFF, TUNSETLINK, IFF_TAP, ARPHRD_IEEE80211_RADIOTAP = 0x400454CA, 0x400454CD, 0x0002, 803  # linux/if_tun.h, linux/if_arp.h


@pytest.fixture
def wire(peer: Host) -> Iterator[Wire]:
    """The peer's end of the cable."""
    with contextlib.closing(Wire(peer)) as wire:
        yield wire


@pytest.fixture
def second(sensor: Host, peer: Host) -> Iterator[Wire]:
    """The peer's end of a second cable, to the sensor's eth1."""
    join(sensor, "eth1", peer, "eth1")
    with contextlib.closing(Wire(peer, "eth1")) as wire:
        yield wire


class Watch:
    """A `Live` iterated over on a thread of its own, as long as it stands in a `with`."""

    def __init__(self, host: Host, *names: str, filter: str | None = PORT_9, batch_size: int = 8192, promiscuous: bool = False, ring: int = 1 << 20) -> None:
        self.notes: list[str] = []
        self.packets: list[tuple[str, bytes]] = []
        self.times: list[int] = []
        self.sizes: list[int] = []
        self.ticks: list[tuple[int, int]] = []
        self.empty = 0
        self._host = host
        with host.inside():
            settings = CaptureSettings(ring=ring)
            self.live = Live(names or ("eth0",), settings, promiscuous=promiscuous, batch_size=batch_size, filter=filter, note=self.notes.append)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run)
        with self._host.inside():  # which a thread has from the one that starts it
            self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.live.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.live.close()

    def _run(self) -> None:
        for batch in self.live:
            self._take(batch)

    def _take(self, batch: RawBatch) -> None:
        if batch.now is not None:
            self.ticks.append((batch.now, time.time_ns()))
        if not len(batch):
            self.empty += 1
            return
        self.sizes.append(len(batch))
        self.times += batch.time.tolist()
        for offset, length, interface in zip(batch.offset.tolist(), batch.captured.tolist(), batch.interface.tolist(), strict=True):
            self.packets.append((batch.interfaces[interface], batch.data[offset : offset + length].tobytes()))

    def wait_for_packets(self, count: int) -> None:
        wait_for(lambda: len(self.packets) >= count, lambda: f"{count} packets; there are {len(self.packets)}; {self.notes}")

    def wait_for_note(self, line: str) -> None:
        wait_for(lambda: line in self.notes, lambda: f"{line!r} in {self.notes}")


def numbered(count: int) -> list[Frame]:
    """Datagrams to port 9 that tell themselves apart."""
    return [udp(dport=9, payload=number.to_bytes(20, "big")) for number in range(count)]


def data(frames: Sequence[Frame]) -> list[bytes]:
    return [frame.data for frame in frames]


# What comes


def test_packets_come_in_order_with_the_name_of_their_interface(sensor: Host, wire: Wire) -> None:
    frames = numbered(100)
    with Watch(sensor) as watch:
        wire.send(frames)
        watch.wait_for_packets(100)
    assert watch.packets == [("eth0", frame.data) for frame in frames]


def test_no_batch_is_longer_than_the_batch_size(sensor: Host, wire: Wire) -> None:
    with Watch(sensor, batch_size=7) as watch:
        wire.send(numbered(100))
        watch.wait_for_packets(100)
    assert max(watch.sizes) <= 7


@pytest.mark.parametrize("batch_size", [1, 8192])
def test_packets_of_two_interfaces_are_given_in_order_of_time(sensor: Host, wire: Wire, second: Wire, batch_size: int) -> None:
    frames = numbered(60)
    with Watch(sensor, "eth0", "eth1", batch_size=batch_size) as watch:
        for number, frame in enumerate(frames):
            (second if number % 2 else wire).send([frame], pause=0.005)
        watch.wait_for_packets(60)
    assert [packet for _, packet in watch.packets] == data(frames)
    assert watch.times == sorted(watch.times)
    assert [name for name, _ in watch.packets[:4]] == ["eth0", "eth1", "eth0", "eth1"]


def test_any_sees_the_packets_of_all_interfaces(sensor: Host, wire: Wire, second: Wire) -> None:
    (frame,) = numbered(1)
    with Watch(sensor, "any") as watch:
        wire.send([frame])
        second.send([frame])
        watch.wait_for_packets(2)
    assert [(name, packet[16:]) for name, packet in watch.packets] == [("any", frame.datagram)] * 2


def test_only_what_the_filter_lets_pass_comes(sensor: Host, wire: Wire) -> None:
    with Watch(sensor, filter="tcp port 80") as watch:
        wire.send([udp(dport=9), tcp(dport=80), tcp(dport=81)])
        watch.wait_for_packets(1)
    assert watch.packets == [("eth0", tcp(dport=80).data)]


# Time


def test_on_a_quiet_line_time_passes_a_second_behind_the_wall_clock(sensor: Host) -> None:
    with Watch(sensor) as watch:
        wait_for(lambda: len(watch.ticks) >= 4, lambda: f"4 ticks; there are {watch.ticks}")
    assert all(now <= wall - BEHIND_NS for now, wall in watch.ticks)
    assert [now for now, _ in watch.ticks] == sorted(now for now, _ in watch.ticks)


def test_no_packet_is_older_than_the_time_that_was_told_before(sensor: Host, wire: Wire) -> None:
    told: list[bool] = []
    with Watch(sensor) as watch:
        for frame in numbered(8):
            before = len(watch.ticks)
            wait_for(lambda before=before: len(watch.ticks) > before, lambda: "a tick")  # type: ignore[misc]
            wire.send([frame])
        watch.wait_for_packets(8)
        told = [any(now > first for now, wall in watch.ticks if wall < first) for first in watch.times]
    assert not any(told)


def test_waking_gives_an_empty_batch_at_once(sensor: Host) -> None:
    with Watch(sensor) as watch:
        for _ in range(20):
            before = watch.empty
            watch.live.wake()
            wait_for(lambda before=before: watch.empty > before, lambda: "an empty batch")  # type: ignore[misc]


# How it ends


def test_what_had_come_when_it_was_stopped_is_given(sensor: Host, wire: Wire) -> None:
    frames = numbered(200)
    with Watch(sensor) as watch:
        wait_for(lambda: watch.ticks, lambda: "a tick")
        wire.send(frames)
        watch.live.stop()
        wait_for(lambda: not watch._thread.is_alive(), lambda: "the end")
    assert [packet for _, packet in watch.packets] == data(frames)


def test_it_ends_under_a_flood(sensor: Host, wire: Wire) -> None:
    ended = threading.Event()

    def flood() -> None:
        while not ended.is_set():
            wire.send(numbered(100))

    with Watch(sensor, batch_size=100) as watch:
        sender = threading.Thread(target=flood)
        sender.start()
        watch.wait_for_packets(1000)
        watch.live.stop()
        try:
            wait_for(lambda: not watch._thread.is_alive(), lambda: "the end")
        finally:
            ended.set()
            sender.join()


def test_a_signal_handler_may_stop_it(sensor: Host) -> None:
    with sensor.inside():
        live = Live(["eth0"], CaptureSettings(), promiscuous=False, batch_size=100, filter=PORT_9, note=print)
        before = signal.signal(signal.SIGALRM, lambda *about: live.stop())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            assert all(len(batch) == 0 for batch in live)
        finally:
            signal.signal(signal.SIGALRM, before)
            live.close()
    live.stop()  # a late one harms nobody


# What happens to an interface


def test_an_interface_that_goes_down_and_comes_up_is_told_once_each_and_watched_on(sensor: Host, wire: Wire) -> None:
    with Watch(sensor) as watch:
        sensor("ip", "link", "set", "eth0", "down")
        watch.wait_for_note("eth0: the interface went down.")
        sensor("ip", "link", "set", "eth0", "up")
        watch.wait_for_note("eth0: the interface is up again.")
        wire.send(numbered(3))
        watch.wait_for_packets(3)
    assert watch.notes == ["eth0: the interface went down.", "eth0: the interface is up again."]


def test_time_passes_while_the_only_interface_is_gone(sensor: Host) -> None:
    with Watch(sensor) as watch:
        sensor("ip", "link", "del", "eth0")
        watch.wait_for_note("eth0: the interface is gone; it is watched again when it is back.")
        before = len(watch.ticks)
        wait_for(lambda: len(watch.ticks) > before + 2, lambda: "ticks")


def test_an_interface_that_was_removed_is_watched_again_when_it_is_back(sensor: Host, peer: Host) -> None:
    with Watch(sensor) as watch:
        sensor("ip", "link", "del", "eth0")
        watch.wait_for_note("eth0: the interface is gone; it is watched again when it is back.")
        join(sensor, "eth0", peer, "eth0")
        watch.wait_for_note("eth0: the interface is back.")
        with contextlib.closing(Wire(peer)) as wire:
            wire.send(numbered(3))
        watch.wait_for_packets(3)
    assert [packet for _, packet in watch.packets] == data(numbered(3))
    assert len(watch.notes) == 2


def test_an_interface_that_was_replaced_between_two_looks_is_watched_again(sensor: Host, peer: Host) -> None:
    with Watch(sensor) as watch:
        sensor("ip", "link", "del", "eth0")
        join(sensor, "eth0", peer, "eth0")
        watch.wait_for_note("eth0: the interface is back.")
        with contextlib.closing(Wire(peer)) as wire:
            wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_an_interface_that_was_down_for_a_moment_is_watched_on(sensor: Host, wire: Wire) -> None:
    with Watch(sensor) as watch:
        hold, take = threading.Event(), watch._take
        watch._take = lambda batch: hold.wait(PATIENCE) and None  # type: ignore[assignment, method-assign]
        watch.live.wake()
        sensor("ip", "link", "set", "eth0", "down")
        sensor("ip", "link", "set", "eth0", "up")
        watch._take = take  # type: ignore[method-assign]
        hold.set()
        before = watch.empty
        wait_for(lambda: watch.empty > before + 5, lambda: "a look at the interface")
        wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_one_interface_that_is_gone_leaves_the_others_alone(sensor: Host, wire: Wire, second: Wire) -> None:
    with Watch(sensor, "eth0", "eth1") as watch:
        sensor("ip", "link", "del", "eth1")
        watch.wait_for_note("eth1: the interface is gone; it is watched again when it is back.")
        wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_an_interface_that_is_down_at_the_start_is_watched_when_it_comes_up(sensor: Host, wire: Wire) -> None:
    sensor("ip", "link", "set", "eth0", "down")
    with Watch(sensor) as watch:
        assert watch.notes == ["eth0: the interface is down; it is watched when it comes up."]
        sensor("ip", "link", "set", "eth0", "up")
        watch.wait_for_note("eth0: the interface is up.")
        wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_counters_outlive_an_interface(sensor: Host, wire: Wire) -> None:
    with Watch(sensor) as watch:
        wire.send(numbered(5))
        watch.wait_for_packets(5)
        sensor("ip", "link", "del", "eth0")
        watch.wait_for_note("eth0: the interface is gone; it is watched again when it is back.")
        assert watch.live.stats()["eth0"].packets == 5


def test_what_the_kernel_drops_is_counted_and_told_once(sensor: Host, wire: Wire) -> None:
    with Watch(sensor, ring=65536, filter=None) as watch:
        hold = threading.Event()
        watch._take = lambda batch: hold.wait(PATIENCE) and None  # type: ignore[assignment, method-assign]
        wire.send(numbered(1) * 30_000)
        hold.set()
        wait_for(lambda: watch.notes, lambda: "a note")
        wire.send(numbered(1) * 30_000)
        wait_for(lambda: watch.live.stats()["eth0"].rate > 0, lambda: "a rate")
    stats = watch.live.stats()["eth0"]
    assert stats.kernel_drops > 0
    assert stats.ring == 65536
    (note,) = watch.notes
    assert note.startswith("eth0: the kernel dropped ")
    assert note.endswith("since iplog was too slow; more room than ring = 65536 in [capture] gives may help.")


# What it is told anew


def test_it_watches_other_interfaces_when_it_is_told_to(sensor: Host, wire: Wire, second: Wire) -> None:
    with Watch(sensor) as watch, sensor.inside():
        assert watch.live.rearm(["eth1"], PORT_9) == []
        wire.send(numbered(1))
        second.send(numbered(3))
        watch.wait_for_packets(3)
    assert {name for name, _ in watch.packets} == {"eth1"}
    assert set(watch.live.stats()) == {"eth0", "eth1"}


def test_it_takes_another_filter_when_it_is_told_to(sensor: Host, wire: Wire) -> None:
    with Watch(sensor) as watch:
        assert watch.live.rearm(["eth0"], "udp port 10") == []
        wire.send([udp(dport=9), udp(dport=10)])
        watch.wait_for_packets(1)
    assert watch.packets == [("eth0", udp(dport=10).data)]


def test_an_interface_that_cannot_be_opened_then_is_told_and_the_others_are_watched_on(sensor: Host, wire: Wire) -> None:
    with Watch(sensor) as watch, sensor.inside():
        assert watch.live.rearm(["eth0", "eth7"], PORT_9) == ["eth7: no such interface."]
        wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_a_filter_that_is_none_changes_nothing(sensor: Host, wire: Wire, second: Wire) -> None:
    with Watch(sensor) as watch, sensor.inside():
        with pytest.raises(CaptureError, match="syntax error"):
            watch.live.rearm(["eth1"], "tpc port 80")
        wire.send(numbered(3))
        watch.wait_for_packets(3)


def test_what_was_counted_stays_when_an_interface_is_left_and_taken_up_again(sensor: Host, wire: Wire, second: Wire) -> None:
    with Watch(sensor) as watch, sensor.inside():
        wire.send(numbered(5))
        watch.wait_for_packets(5)
        assert watch.live.rearm(["eth1"], PORT_9) == []
        assert watch.live.rearm(["eth0"], PORT_9) == []
        wire.send(numbered(5))
        watch.wait_for_packets(10)
    assert watch.live.stats()["eth0"].packets == 10


# What cannot be


def test_all_interfaces_that_cannot_be_opened_are_told_at_once(sensor: Host) -> None:
    with pytest.raises(CaptureError) as told:
        Watch(sensor, "eth7", "eth0", "eth8")
    assert told.value.faults == ("eth7: no such interface.", "eth8: no such interface.")


def test_a_filter_that_is_none_is_told_once_whatever_the_number_of_interfaces(sensor: Host) -> None:
    with pytest.raises(CaptureError) as told:
        Watch(sensor, "eth0", "lo", filter="tpc port 80")
    (line,) = told.value.faults
    assert line.startswith("the filter 'tpc port 80' is none: ")
    assert line.endswith("syntax error; pcap-filter(7) tells how one is written.")


@pytest.fixture
def monitor(sensor: Host) -> Iterator[str]:
    """An interface of the sensor that carries what iplog cannot decode, as one of a wireless network in monitor mode does."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("this machine has no tap interfaces")
    with sensor.inside(), open("/dev/net/tun", "rb", buffering=0) as tap:
        ioctl(tap, TUNSETIFF, pack("16sH22x", b"mon0", IFF_TAP))
        ioctl(tap, TUNSETLINK, ARPHRD_IEEE80211_RADIOTAP)
        sensor("ip", "link", "set", "mon0", "up")
        yield "mon0"


def test_an_interface_that_cannot_be_decoded_is_left_out_where_there_are_others(sensor: Host, wire: Wire, monitor: str) -> None:
    with Watch(sensor, monitor, "eth0") as watch:
        wire.send(numbered(1))
        watch.wait_for_packets(1)
    assert watch.live.names == ["eth0"]
    assert watch.notes == ["mon0: link type 127 (IEEE 802.11 with radiotap header) is not supported; the interface is not watched."]


def test_it_does_not_watch_where_nothing_can_be_decoded(sensor: Host, monitor: str) -> None:
    with pytest.raises(CaptureError) as told:
        Watch(sensor, monitor)
    assert told.value.faults == ("mon0: link type 127 (IEEE 802.11 with radiotap header) is not supported; the interface is not watched.",)


def test_any_cannot_be_made_promiscuous_and_says_so(sensor: Host) -> None:
    with Watch(sensor, "any", promiscuous=True) as watch:
        assert watch.notes == ["any: interfaces are not made promiscuous by it; to see what is sent to others, name them."]


SCRIPT = """
import os, sys
from iplog_core.capture.live import Live
from iplog_core.errors import CaptureError
from iplog_core.settings import CaptureSettings

def note(line):
    print(line, flush=True)
    if "any more" in line:
        live.stop()

settings = CaptureSettings()
os.setgroups([])
if sys.argv[1] == "before":
    os.setuid(65534)
try:
    live = Live(["eth0"], settings, promiscuous=False, batch_size=100, filter=None, note=note)
except CaptureError as error:
    sys.exit(print(*error.faults, sep="\\n"))
os.setuid(65534)
print("watching", flush=True)
for batch in live:
    pass
"""


def unprivileged(host: Host, when: str) -> subprocess.Popen[str]:
    command = host.command(sys.executable, "-c", SCRIPT, when)
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)


def test_without_the_permission_it_says_what_is_needed(sensor: Host) -> None:
    with unprivileged(sensor, "before") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert output == "eth0: no permission to capture; run iplog as root, or with the capability CAP_NET_RAW.\n"


def test_an_interface_that_comes_back_after_privileges_were_given_up_is_told(sensor: Host, peer: Host) -> None:
    with unprivileged(sensor, "after") as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "watching\n"
            sensor("ip", "link", "del", "eth0")
            assert process.stdout.readline() == "eth0: the interface is gone; it is watched again when it is back.\n"
            join(sensor, "eth0", peer, "eth0")
            refused = "eth0: the interface is back, but iplog may not open it any more, since it gave up its privileges; restart it.\n"
            assert process.stdout.readline() == refused
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
