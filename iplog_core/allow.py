"""Allow-lists: what a detector does not look at, `trusted_scanners` for all of them and `allow` for each.

An entry speaks of flows: `from` is who began one, `to` who was addressed, and what comes back goes with it. What belongs to no flow is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from iplog_core.batch import FlowRows, Mask, PacketBatch
from iplog_core.detector import Detector, PacketDetector
from iplog_core.errors import ConfigError
from iplog_core.matcher import Entry
from iplog_core.origin import Key, dotted
from iplog_core.rule_grammar import Addresses, Allowed, parse_addresses, parse_allowed, quoted
from iplog_core.rules import Condition, Initiators, View, look_up, right_or_fault

AllowList = tuple[Entry, ...]


class AllowLists:
    """The allow-lists of all detectors. Equal lists are one, so that what they hide is found once a batch."""

    def __init__(self, trusted: AllowList = (), lists: Mapping[str, AllowList] | None = None) -> None:
        shared: dict[Condition, Condition] = {}
        self._trusted = _with_shared_conditions(trusted, shared)
        self._lists = {name: _with_shared_conditions(entries, shared) for name, entries in (lists or {}).items()}
        self._known: dict[AllowList, AllowList] = {}

    def of(self, detector: type[Detector[Any]], settings: Any) -> AllowList:
        """What a detector does not look at. Trusted scanners are hidden from those that raise alerts: one without kinds of alerts is a log."""
        raises_alerts = bool(detector.kinds_of(settings)) or issubclass(detector, PacketDetector)
        entries = (*(self._trusted if raises_alerts else ()), *self._lists.get(detector.name, ()))
        return self._known.setdefault(entries, entries)


def compile_allow_lists(trusted: Sequence[str], lists: Mapping[str, Sequence[str]], subject: Callable[[Key], str] = dotted) -> AllowLists:
    """Compile `trusted_scanners`, and the `allow` of each detector by its name; host names are looked up now, once.

    Raise ConfigError with one line for each entry that is wrong; it begins with what `subject` returns for its key.
    """
    texts: dict[Key, str] = {("trusted_scanners", index): text for index, text in enumerate(trusted)}
    parsed: dict[Key, Allowed | ValueError] = {key: right_or_fault(_parse_trusted, text) for key, text in texts.items()}
    for name, entries in lists.items():
        for index, text in enumerate(entries):
            place = ("plugins", name, "allow", index)
            texts[place] = text
            parsed[place] = right_or_fault(parse_allowed, text)
    right = [entry for entry in parsed.values() if isinstance(entry, Allowed)]
    hosts = look_up(side for entry in right for side in (entry.source, entry.destination) if side is not None)

    done: dict[Key, Entry] = {}
    faults: list[str] = []
    for key, entry in parsed.items():
        result = entry if isinstance(entry, ValueError) else right_or_fault(partial(Entry.compiled, hosts=hosts), entry)
        if isinstance(result, ValueError):
            shown = quoted(texts[key].strip(), '"')
            faults.append(f"{subject(key)}: {shown}: {result}")
        else:
            done[key] = result
    if faults:
        raise ConfigError(*faults)
    return AllowLists(
        tuple(entry for key, entry in done.items() if key[0] == "trusted_scanners"),
        {name: tuple(entry for key, entry in done.items() if key[:2] == ("plugins", name)) for name in lists},
    )


def _parse_trusted(text: str) -> Allowed:
    word = text.strip()
    if word.lower().startswith("not "):
        word = f"!{word[4:].strip()}"
    source: Addresses = parse_addresses("*" if word.lower() == "any" else word)
    if source.negated:
        raise ValueError(f"who is trusted cannot be negated; expected an address, a network or a host name. A detector's allow takes 'from {source}'.")
    if source.host is None and source.network is None:
        raise ValueError("this is everybody; --disable turns a detector off.")
    return Allowed(None, source=source)


class Seen:
    """What detectors see of one batch: all of it but what their allow-lists have."""

    def __init__(self, batch: PacketBatch) -> None:
        self._batch = batch
        self._by_list: dict[int, PacketBatch] = {}  # by identity: hashing what an entry holds would cost more than small masks do

    def by(self, allowed: AllowList) -> PacketBatch:
        """Return the batch without what is allowed; the batch itself where that is nothing."""
        if not allowed:
            return self._batch
        seen = self._by_list.get(id(allowed))
        if seen is None:
            seen = self._by_list[id(allowed)] = self._without(allowed)
        return seen

    def _without(self, allowed: AllowList) -> PacketBatch:
        batch = self._batch
        packets, decided, ended = (_any_of(allowed, view) for view in self._views)
        if packets is None and decided is None and ended is None:
            return batch
        kept = np.ones(len(batch), np.bool_) if packets is None else ~packets
        return batch.where(kept, _leave(batch.decided, decided), _leave(batch.ended, ended))

    @cached_property
    def _views(self) -> tuple[View, View, View]:
        return View(Initiators(self._batch)), View(self._batch.decided), View(self._batch.ended)


def _any_of(entries: AllowList, view: View) -> Mask | None:
    """Which rows any entry has; None where there are none."""
    if not len(view.rows):
        return None
    mask = np.zeros(len(view.rows), np.bool_)
    for entry in entries:
        mask |= entry.mask(view)
    return mask if mask.any() else None


def _leave(flows: FlowRows, allowed: Mask | None) -> FlowRows:
    return flows if allowed is None else flows.where(~allowed)


def _with_shared_conditions(entries: AllowList, shared: dict[Condition, Condition]) -> AllowList:
    """The entries, with conditions that are one object where they are equal: a batch's view then makes one mask for them."""
    return tuple(Entry(entry.proto, entry.needs_header, tuple(shared.setdefault(each, each) for each in entry.conditions)) for entry in entries)
