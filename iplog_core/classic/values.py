"""The values of the classic program's directives, from their text. Each function raises ValueError with what would be right."""

from __future__ import annotations

from collections.abc import Sequence

from iplog_core.errors import did_you_mean
from iplog_core.rule_grammar import parse_addresses, quoted

FACILITIES = (
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_OTHER_NAMES = {"security": "auth", "panic": "emerg", "error": "err", "warn": "warning"}
"""Names that syslog(3) has beside those."""


def name(text: str) -> str:
    """The name of a user, a group or a file."""
    if not text:
        raise ValueError("expected a name.")
    return text


def interfaces(text: str) -> list[str]:
    """Names of interfaces between commas."""
    return _items(text, "names of interfaces between commas, such as eth0,eth1")


def networks(text: str) -> list[str]:
    """Networks between commas, in the grammar of rules, or `*`."""
    items = _items(text, "networks between commas, such as 192.0.2.0/24,198.18/15, or *")
    for item in items:
        if item.startswith("!"):
            raise ValueError(f"{quoted(item)} is negated; expected a network to watch, and an ignore rule to leave hosts out.")
        parse_addresses(item)
    return items


def facility(text: str) -> str:
    """The facility of syslog(3)."""
    return _syslog(text, FACILITIES, "facility")


def priority(text: str) -> str:
    """The priority of syslog(3), that is its level."""
    return _syslog(text, PRIORITIES, "priority")


def _items(text: str, expected: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items) or any(len(item.split()) > 1 for item in items):
        raise ValueError(f"expected {expected}, not {quoted(text)}." if text else f"expected {expected}.")
    return items


def _syslog(text: str, known: Sequence[str], kind: str) -> str:
    name = text.lower().removeprefix("log_")
    name = _OTHER_NAMES.get(name, name)
    if name not in known:
        raise ValueError(f"{quoted(text)} is no {kind}; expected {', '.join(known[:-1])} or {known[-1]}.{did_you_mean(name, known)}")
    return name
