"""Where each setting comes from, and how a message names it so that the user finds it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
DEFAULT = "default"
PREFIX = "IPLOG__"

Key = tuple[str | int, ...]


class Place(NamedTuple):
    """Where one setting or rule stands: `source` is a file's name, "environment" or "command line", `subject` how a message names the place in it,
    such as `iplog.conf, line 12` or `--log-ip`."""

    source: str
    subject: str

    @property
    def origin(self) -> str:
        """What `Origins` has for a setting of this place: a line where it is known."""
        return self.source if self.source == COMMAND_LINE else self.subject


class Origins(dict[str, str]):
    """Dotted key of each setting that somebody set, and by what: "command line", "environment", the name of a file or a line of it."""

    def __init__(self) -> None:
        super().__init__()
        self._empty: set[str] = set()
        self._subjects: dict[str, str] = {}

    def add(self, table: dict[str, Any], origin: str) -> None:
        """Note that `table` was merged over what there was."""
        for key, value in _leaves(table):
            name = dotted(key)
            replaced = [] if value == {} else [old for old in self if old.startswith(f"{name}.") or name.startswith(f"{old}.")]
            for old in (*replaced, name):
                self.discard(old)
            self[name] = origin
            (self._empty.add if value == {} else self._empty.discard)(name)

    def set_subject(self, key: Key, subject: str) -> None:
        """Let messages about a setting name the place where it stands, instead of its file and key."""
        self._subjects[dotted(key)] = subject

    def discard(self, name: str) -> None:
        """Forget a dotted key."""
        self.pop(name, None)
        self._subjects.pop(name, None)

    def of(self, key: Key) -> str:
        """Return the origin of a setting: its own, else that of a value where a table should be, else of what stands in it."""
        parts = tuple(takewhile(lambda part: isinstance(part, str), key))
        for end in range(len(parts), 0, -1):
            name = dotted(parts[:end])
            if name in self and (end == len(parts) or name not in self._empty):
                return self[name]
        inside = f"{dotted(parts)}."
        return next((origin for name, origin in self.items() if name.startswith(inside)), DEFAULT)

    def subject(self, key: Key, origin: str | None = None) -> str:
        """Name a setting as the subject of a message: `iplog.toml, rules[2]`, `iplog.toml: [flows] capacity`, `--set batch_size`."""
        if origin is None and (subject := self._subjects.get(dotted(tuple(takewhile(lambda part: isinstance(part, str), key))))):
            return subject
        origin = origin or self.of(key)
        if origin == ENVIRONMENT:
            return PREFIX + dotted(key).upper().replace(".", "__")
        if origin == COMMAND_LINE:
            return f"--set {dotted(key)}"
        if len(key) == 1 or not isinstance(key[1], str):
            return dotted(key) if origin == DEFAULT else f"{origin}, {dotted(key)}"
        depth = self._depth(key) if key[0] == "plugins" else 1
        table = f"[{dotted(key[:depth])}] {dotted(key[depth:])}".rstrip()
        return table if origin == DEFAULT else f"{origin}: {table}"

    def _depth(self, key: Key) -> int:
        """Return how much of a key of a plugin's settings is the name of a table."""
        parts = tuple(takewhile(lambda part: isinstance(part, str), key))
        name = dotted(parts)
        is_table = name in self._empty or any(known.startswith(f"{name}.") for known in self)
        return max(2, len(parts) if is_table else len(parts) - 1)

    def spelled(self, key: Key, like: Key) -> str:
        """Spell a known key the way its neighbour `like` was given."""
        return self.subject(key, ENVIRONMENT) if self.of(like) == ENVIRONMENT else str(key[-1])


def dotted(key: Key) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _leaves(table: dict[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in table.items():
        key = (*prefix, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, key)
        else:
            yield key, value
