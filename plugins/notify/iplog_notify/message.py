"""What a message says of an alert, in plain text that no mail reader and no chat takes for anything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from iplog_core import Alert
from iplog_core.timestamps import timestamp

FIELDS = (
    "src", "dest", "id", "plugin", "kind", "state", "severity", "signature", "time", "first_seen", "last_seen", "packets", "bytes", "src_ip", "src_port",
    "dest_ip", "dest_port", "proto", "in_iface",
)  # fmt: skip

_TIMES = ("time", "first_seen", "last_seen")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MARKUP = frozenset("<>@`*~|[]\\")
"""Characters with which HTML, Markdown or a chat begins a tag, a link, a mention or a format."""

_LONGEST = 200
_SAMPLES = 3
_LINES = 20


@dataclass(frozen=True)
class Message:
    """A message, what stands for it in a summary, and how many alerts it speaks of."""

    title: str
    body: str
    short: str
    alerts: int = 1


def unknown_fields(template: str) -> list[str]:
    return [name for name in _PLACEHOLDER.findall(template) if name not in FIELDS]


def filled(template: str, alert: Alert) -> str:
    return _PLACEHOLDER.sub(lambda found: plain(_text(alert, found[1])), template)


def plain(text: str) -> str:
    """Return a text on one line without markup: with a question mark for each character that is not printable, or that a chat may take for its own."""
    cut = text[:_LONGEST].replace("://", ":??")
    return "".join(c if c.isprintable() and c not in _MARKUP else "?" for c in cut)


def summary(held: Sequence[Message], more: int) -> Message:
    """Return one message for several that were held back, and for `more` that were forgotten."""
    if len(held) == 1 and not more:
        return held[0]
    total = sum(message.alerts for message in held) + more
    counts = Counter(message.short for message in held).most_common()
    lines = [f"{count:,} {short}" for short, count in counts[:_LINES]]
    if rest := total - sum(count for _, count in counts[:_LINES]):
        lines.append(f"{rest:,} others")
    return Message(f"iplog: and {total:,} more alerts", "\n".join([f"and {total:,} more alerts:", *lines]), "", total)


def _text(alert: Alert, name: str) -> str:
    if name == "src":
        return alert.src_ip or _several(alert.evidence.sources, alert.evidence.source_count)
    if name == "dest":
        return alert.dest_ip or _several(alert.evidence.dest_ips, alert.evidence.dest_ip_count)
    value = getattr(alert, name)
    return "unknown" if value is None else timestamp(value) if name in _TIMES else str(value)


def _several(hosts: Sequence[str] | None, count: int | None) -> str:
    if not hosts:
        return "unknown"
    shown = hosts[:_SAMPLES]
    rest = max(count or 0, len(hosts)) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")
