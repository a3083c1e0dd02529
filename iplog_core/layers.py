"""The table of settings while it is put together, layer over layer, with where each setting and each rule comes from."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from iplog_core.origin import COMMAND_LINE, Origins, Place


class Layers:
    """The merged table so far.

    `origin` tells where its settings come from, `rules` the places of the items of its `rules`; `rules` is empty where these are no array.
    """

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self.origin = Origins()
        self.rules: list[Place] = []

    def add(self, table: dict[str, Any], source: str) -> None:
        """Put a whole table above what there is: tables are merged key by key, anything else replaces what is below."""
        self.origin.add(table, source)
        self.table = merged(self.table, table)
        if "rules" in table:
            self.rules = [Place(source, self.origin.subject(("rules", index))) for index, _ in enumerate(self._list("rules"))]

    def get(self, *key: str) -> Any:
        """Return a setting; None where it is not set."""
        value: Any = self.table
        for part in key:
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value

    def put(self, key: tuple[str, ...], value: Any, place: Place) -> None:
        """Set one setting. A list may grow line by line; it then stands at all of them."""
        before = self.origin.of(key)
        if isinstance(value, list) and before.startswith(f"{place.source}, "):
            place = Place(place.source, before + place.subject.removeprefix(place.source))
        for part in reversed(key):
            value = {part: value}
        self.table = merged(self.table, value)
        self.origin.add(value, place.origin)
        self.origin.set_subject(key, place.subject)

    def drop(self, *key: str) -> None:
        """Unset one setting, so that it has its default. A table that is empty then goes, too."""
        *tables, name = key
        table = self.get(*tables) if tables else self.table
        if isinstance(table, dict) and name in table:
            del table[name]
            self.origin.discard(".".join(key))
            if not table and tables:
                self.drop(*tables)

    def add_rule(self, text: str, place: Place) -> None:
        """Add a rule behind the others."""
        if isinstance(self.get("rules"), list | None):
            self.table["rules"] = [*self._list("rules"), text]
            self.rules.append(place)
            if place.source != COMMAND_LINE:
                self.origin["rules"] = place.source

    def remove_rules(self, texts: Container[str]) -> None:
        """Take away the rules that read exactly like one of `texts`."""
        kept = [(text, place) for text, place in zip(self._list("rules"), self.rules, strict=True) if text not in texts]
        if len(kept) < len(self.rules):
            self.table["rules"] = [text for text, _ in kept]
            self.rules = [place for _, place in kept]

    def _list(self, name: str) -> list[Any]:
        value = self.table.get(name)
        return value if isinstance(value, list) else []


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two tables as one; what stands above wins."""
    both = dict(below)
    for key, value in above.items():
        older = both.get(key)
        both[key] = merged(older, value) if isinstance(older, dict) and isinstance(value, dict) else value
    return both
