"""The captures that are measured with: made from a seed, kept outside the tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.frames import SYN, TCP, UDP, Packets, packets, write
from bench.mixed import MINUTE, clients, mixed, servers, talk

GENERATION = 1
"""To be raised with every change of what is written; what earlier ones have left is then made anew."""

SHORT = 96
"""Bytes kept of a packet where a capture is long."""


@dataclass(frozen=True)
class Load:
    """A capture: what is in it, how many of it are made, and how. `small` of it are made for `--quick`.

    `count` counts packets, but for mice, mixed1 and mixed10, which are connections and minutes.
    """

    name: str
    about: str
    count: int
    make: Callable[[int], Iterator[Packets]]
    small: int = 0
    snaplen: int = 262144

    def path(self, count: int) -> Path:
        """Where the capture is; it is made where it is not there yet."""
        folder = cache()
        path = folder / f"{self.name}-{count}-{GENERATION}.pcap"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            packets = write(path, self.make(count), self.snaplen)
            _beside(path).write_text(f"{packets}\n")
        return path


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iplog-bench"


def packets_of(capture: Path) -> int:
    """How many packets a capture has that was made here."""
    return int(_beside(capture).read_text())


def _beside(capture: Path) -> Path:
    return capture.with_suffix(".packets")


def nothing(packets: int) -> Path:
    """A capture that shows what starting costs: without packets or, for tools that refuse that, with one."""
    return Load("nothing", "hardly a packet", packets, _syns(None)).path(packets)


def _mixed(count: int) -> Iterator[Packets]:
    yield mixed(count)


def _long(minutes: int) -> Iterator[Packets]:
    """One minute of mixed traffic after the other, none like another."""
    for minute in range(minutes):
        rows = mixed(1_200_000, seed=minute)
        rows["time"] += minute * MINUTE
        yield rows


def _syns(sources: int | None) -> Callable[[int], Iterator[Packets]]:
    """A minute of SYNs to one port, each from a source of its own, or from so many."""

    def make(count: int) -> Iterator[Packets]:
        dice = np.random.RandomState(1)
        if not count:
            return
        wanted = sources or count
        # Every 800th address from 1.0.0.0 on leaves room for four million, below what is multicast.
        addresses = ((1 << 24) + np.arange(wanted) * 800 + dice.randint(0, 800, wanted))[dice.permutation(wanted)]
        yield packets(
            count,
            time=np.arange(count) * MINUTE // count,
            kind=TCP,
            source=addresses[np.arange(count) % wanted],
            target=0xC6120001,
            sport=1024 + (np.arange(count) // wanted + dice.randint(0, 64512, wanted)[np.arange(count) % wanted]) % 64512,
            dport=80,
            seq=dice.randint(0, 1 << 31, count),
            flags=SYN,
        )

    return make


def _udp(count: int) -> Iterator[Packets]:
    """Conversations of ten datagrams, every second one an answer."""
    dice = np.random.RandomState(2)
    number = -(-count // 10)
    talks, place = np.repeat(np.arange(number), 10)[:count], np.tile(np.arange(10), number)[:count]
    out = place % 2 == 0
    client, server = clients(dice, number)[talks], servers(dice, number)[talks]
    sport, dport = dice.randint(32768, 61000, number)[talks], np.array([53, 123, 161, 443, 3478, 5060])[dice.randint(0, 6, number)][talks]
    yield packets(
        count,
        time=dice.randint(0, MINUTE - 1_000_000, number)[talks] + place * dice.randint(1_000, 100_000, number)[talks],
        kind=UDP,
        source=np.where(out, client, server),
        target=np.where(out, server, client),
        sport=np.where(out, sport, dport),
        dport=np.where(out, dport, sport),
        size=dice.randint(12, 100, count),
    )


def _mice(number: int) -> Iterator[Packets]:
    dice = np.random.RandomState(3)
    segments = dice.randint(1, 4, number)
    yield talk(dice, segments, begin=dice.randint(0, MINUTE - 1_000_000, number), gap=dice.randint(1_000, 50_000, number))


def _elephants(count: int) -> Iterator[Packets]:
    dice = np.random.RandomState(4)
    number = 12
    each = count // number * 2 // 3 + 1
    gap = np.full(number, MINUTE * number // count)
    yield talk(dice, np.full(number, each), begin=dice.randint(0, 1000, number), gap=gap)[:count]


LOADS = {
    load.name: load
    for load in (
        Load("mixed", "a minute of ordinary traffic, 620 bytes a packet, and 36 scanners", 1_200_000, _mixed, small=400_000),
        Load("synrand", "SYNs, each from a new source", 1_000_000, _syns(None), small=500_000),
        Load("syn1k", "SYNs from 1,000 sources", 1_000_000, _syns(1000)),
        Load("udp", "small datagrams of 100,000 conversations", 1_000_000, _udp),
        Load("mice", "200,000 short TCP connections", 200_000, _mice),
        Load("elephants", "12 connections of full-size packets", 600_000, _elephants),
        Load("mixed1", "a minute of mixed traffic, 96 bytes kept of each packet", 1, _long, snaplen=SHORT),
        Load("mixed10", "ten such minutes, ten times the packets", 10, _long, snaplen=SHORT),
    )
}
