"""Which packets and flows are meant, in the words of a rule without its action: `tcp dport 23`, `udp to 192.0.2.0/24`, `from 198.18.0.66`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from iplog_core.batch import FlowRows, Mask, PacketRows
from iplog_core.rule_grammar import Allowed, Protocol, parse_match, quoted
from iplog_core.rules import Condition, Hosts, Initiators, View, conditions_of, look_up, needs_header


@dataclass(frozen=True)
class Entry:
    """A text whose names are looked up. It matches the rows of its protocol, or of any, for which every condition holds."""

    proto: Protocol | None
    needs_header: bool
    conditions: tuple[Condition, ...]

    @classmethod
    def compiled(cls, meant: Allowed, hosts: Hosts) -> Entry:
        """Raise ValueError where a host could not be looked up."""
        return cls(meant.proto, needs_header(meant), conditions_of(meant, hosts))

    def mask(self, view: View) -> Mask:
        mask = self._of_its_protocol(view)
        for condition in self.conditions:
            mask = mask & view.mask(condition)
        return mask

    def _of_its_protocol(self, view: View) -> Mask:
        if self.proto is None:
            return np.ones(len(view.rows), np.bool_)
        return view.with_header(self.proto) if self.needs_header else view.every(self.proto)


class Matcher:
    """A text, or several, for which packets and flows are meant: those that any of them speaks of. Host names are looked up when it is made, once.

    Raise ValueError, with the text and what is wrong with it, for one that is wrong.

    Example::

        ours = Matcher(["udp dport 53", "tcp dport 53"])
        questions = ours.mask(batch)
    """

    def __init__(self, texts: str | Iterable[str]) -> None:
        self._entries: list[Entry] = []
        for text in [texts] if isinstance(texts, str) else texts:
            try:
                meant = parse_match(text)
                self._entries.append(Entry.compiled(meant, look_up(side for side in (meant.source, meant.destination) if side is not None)))
            except ValueError as fault:
                shown = quoted(text.strip(), '"')
                raise ValueError(f"{shown}: {fault}") from None

    @property
    def protocols(self) -> set[Protocol | None]:
        """The protocols that the texts name; None for a text that names none."""
        return {entry.proto for entry in self._entries}

    def mask(self, rows: PacketRows | FlowRows) -> Mask:
        """Which rows are meant: packets as they were sent, flows as they were begun."""
        return self._any(View(rows))

    def begun(self, rows: PacketRows | FlowRows) -> Mask:
        """The same, but for packets of a flow as for the flow: what comes back goes with the question."""
        return self._any(View(Initiators(rows) if isinstance(rows, PacketRows) else rows))

    def _any(self, view: View) -> Mask:
        mask = np.zeros(len(view.rows), np.bool_)
        for entry in self._entries:
            mask |= entry.mask(view)
        return mask
