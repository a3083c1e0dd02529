"""What a command is given of an alert: arguments, environment, JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence

from iplog_core import Alert
from iplog_core.lines.hosts import printable
from iplog_core.plain import plain
from iplog_core.timestamps import timestamp

FIELDS = (
    "id", "plugin", "kind", "state", "severity", "signature", "time", "first_seen", "last_seen", "packets", "bytes", "suppressed", "src_ip", "src_port",
    "dest_ip", "dest_port", "proto", "icmp_type", "icmp_code", "in_iface", "community_id",
)  # fmt: skip

_TIMES = ("time", "first_seen", "last_seen")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LONGEST = 1024
_HANDED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Of iplog's own environment; the rest may hold secrets."""


def unknown_fields(command: Sequence[str]) -> list[str]:
    return [name for part in command for name in _PLACEHOLDER.findall(part) if name not in FIELDS]


def fields_of(alert: Alert) -> dict[str, str]:
    """Return each field as text on one line, what is not printable escaped, empty where the alert has none."""
    texts = {}
    for name in FIELDS:
        value = getattr(alert, name)
        texts[name] = "" if value is None else printable(timestamp(value) if name in _TIMES else str(value))[:_LONGEST]
    return texts


def arguments(command: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """Put the fields into the arguments. One that begins with a field begins with no dash: it shall be no option."""
    return [command[0], *(_filled(part, fields) for part in command[1:])]


def environment(fields: Mapping[str, str]) -> dict[str, str]:
    own = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    return own | {f"IPLOG_ALERT_{name.upper()}": text for name, text in fields.items()}


def json_of(alert: Alert) -> bytes:
    """Return the alert as an object on one line: its fields, `evidence`, and `extra` with what plugins added."""
    told = {name: getattr(alert, name) for name in FIELDS}
    times = {name: timestamp(told[name]) for name in _TIMES}
    return json.dumps(plain({**told, **times, "evidence": alert.evidence.model_dump(), "extra": alert.extra})).encode() + b"\n"


def _filled(part: str, fields: Mapping[str, str]) -> str:
    text = _PLACEHOLDER.sub(lambda found: fields[found[1]], part)
    return f"\\x2d{text[1:]}" if part.startswith("{") and text.startswith("-") else text
