"""How much a detector keeps beside its trackers, and packets from ever new addresses, by which that would grow."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from ipaddress import ip_address
from random import Random
from typing import Any

import numpy as np

from iplog_core.detector import Detector, DetectorContext, PacketDetector
from iplog_core.settings import PluginSettings
from iplog_core.testing.packets import Frame, arp, icmp, nanoseconds, tcp, udp
from iplog_core.tracker import RandomWalk, Tracker

_BETWEEN_ROUNDS = 0.01
_TEXT = 64
"""So many characters of a text count as one entry."""

_CORE = (Detector, PacketDetector)
_NOT_ITS_OWN = (Tracker, RandomWalk, DetectorContext, PluginSettings, type)


def from_ever_new_addresses(frames: Sequence[Frame], rounds: int) -> list[Frame]:
    """Return packets again and again at short intervals, each time between other hosts, and among them a few of other kinds, by the same lot each time."""
    lot = Random(rounds)
    hosts = sorted({host for frame in frames for host in _hosts(frame)})
    made: list[Frame] = []
    for number in range(rounds):
        instead = [(host, _other(host, lot)) for host in hosts]
        later = round(number * _BETWEEN_ROUNDS * 1e9)
        for frame in frames:
            datagram = frame.datagram
            for host, other in instead:
                datagram = datagram.replace(host, other)
            made.append(replace(frame, time=frame.time + later, data=frame.data[: frame.network] + datagram))
        made += _others(lot, later + (frames[0].time if frames else nanoseconds(0)))
    return made


def kept_beside_trackers(detector: Detector[Any]) -> int:
    """Count what is in a detector, and in the module and the classes that it is made of, but for its trackers: entries of tables, rows, stretches of text."""
    own = [cls for cls in type(detector).__mro__ if cls not in _CORE and not issubclass(Detector, cls)]
    modules = [vars(sys.modules[cls.__module__]) for cls in own if cls.__module__ in sys.modules]
    tables = [value for names in (*modules, *(vars(cls) for cls in own)) for value in names.values() if isinstance(value, (dict, list, set, deque))]
    bounded = _OF_THE_CORE | _OF_A_PACKET_DETECTOR if isinstance(detector, PacketDetector) else _OF_THE_CORE
    parts = [value for name, value in vars(detector).items() if name not in bounded]
    return sum(map(_entries(set()), (parts, tables)))


def trackers_of_its_own(detector: Detector[Any]) -> bool:
    """Whether a detector holds a tracker that was not made by `self.tracker` or `self.random_walk`, and so has no share of the memory."""
    known = set(map(id, detector.trackers))
    return any(isinstance(part, (Tracker, RandomWalk)) and id(part) not in known for part in _parts(vars(detector), set()))


_OF_THE_CORE = {"_trackers", "_groups", "_afresh", "_context", "_interfaces", "_kinds", "settings"}
_OF_A_PACKET_DETECTOR = {"_found", "_by_kind", "_open", "_alerts", "_others"}
"""What its trackers bound."""


def _entries(seen: set[int]) -> Any:
    def count(value: Any) -> int:
        total = 0
        for part in _parts(value, seen):
            match part:
                case str() | bytes() | bytearray():
                    total += len(part) // _TEXT
                case np.ndarray():
                    total += part.size
                case Mapping() | Sequence() | Set():
                    total += len(part)
        return total

    return count


def _parts(value: Any, seen: set[int]) -> Iterator[Any]:
    """Give a value and all that is in it, each once."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or part is None or isinstance(part, (int, float)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, (str, bytes, bytearray, np.ndarray, *_NOT_ITS_OWN)):
            continue
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, (Sequence, Set, deque)):
            waiting += part
        else:
            waiting += getattr(part, "__dict__", {}).values()
            waiting += [getattr(part, name, None) for cls in type(part).__mro__ for name in _slots(cls)]


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots) if isinstance(slots, (tuple, list)) else ()


def _hosts(frame: Frame) -> tuple[bytes, ...]:
    data = frame.datagram
    ends = {4: (data[12:16], data[16:20]), 6: (data[8:24], data[24:40])}.get(data[0] >> 4 if data else 0, (data[14:18], data[24:28]))
    return tuple(host for host in ends if len(host) in (4, 16) and _is_one(host))


def _is_one(host: bytes) -> bool:
    """Not a group, nor all, nor none."""
    address = ip_address(host)
    return not (address.is_multicast or address.is_unspecified or address == ip_address("255.255.255.255"))


def _other(host: bytes, lot: Random) -> bytes:
    if len(host) == 4:
        return bytes([lot.randint(11, 126)]) + lot.randbytes(3)
    return host[:4] + lot.randbytes(12)


def _others(lot: Random, time: int) -> list[Frame]:
    source, target = (str(ip_address(_other(bytes(4), lot))) for _ in range(2))
    ports: Any = {"sport": lot.randrange(1, 65536), "dport": lot.randrange(1, 65536)}
    made = [tcp(source, target, **ports), udp(source, target, payload=lot.randbytes(8), **ports), icmp(source, target, ident=lot.randrange(65536))]
    return [replace(frame, time=time) for frame in (*made, tcp(source, target, flags=lot.randrange(4096), **ports), arp(source, target))]
