"""TOML values as text, both ways (https://toml.io/en/v1.0.0); the standard library reads whole documents only."""

from __future__ import annotations

import re
from datetime import date, time
from pathlib import Path
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def parse_value(text: str) -> Any:
    """Return the TOML value that `text` is, else `text` itself."""
    import tomllib

    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def dump_value(value: Any) -> str:
    """Return a value as TOML, in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        pairs = ", ".join(f"{dump_key(key)} = {dump_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return f"[{', '.join(dump_value(item) for item in items)}]"
    import json  # here, since a run without a configuration needs it nowhere

    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def dump_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else dump_value(key)


def read_document(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raise OSError, or ValueError with `, line N, column M: what is wrong.` to put behind the file's name."""
    import tomllib  # here, since most runs read no TOML

    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f", line {content.count(10, 0, error.start) + 1}: not UTF-8 text.") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_syntax_error(str(error), text)) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of nested arrays
        raise ValueError(f": not a configuration: {error}.") from None


def _syntax_error(message: str, text: str) -> str:
    what, _, where = message.partition(" (at ")
    place = re.match(r"line (\d+), column (\d+)", where)
    line, column = place.groups() if place else (text.count("\n") + 1, len(text) - text.rfind("\n"))
    return f", line {line}, column {column}: {what[:1].lower()}{what[1:]}."


def is_text(text: str) -> bool:
    """Tell whether TOML can hold a text: bytes that were not UTF-8 cannot be in it, nor NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
