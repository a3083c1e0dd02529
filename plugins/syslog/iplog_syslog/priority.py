"""The priority of a message: its facility and severity (RFC 5424, section 6.2.1), by the names of syslog(3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

_Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
_Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]

_FACILITIES: dict[str, int] = dict(zip(get_args(_Facility), (*range(12), *range(16, 24)), strict=True))
_SEVERITIES: dict[str, int] = {name: code for code, name in enumerate(get_args(_Severity))}


def _plain(name: Any) -> Any:
    return name.lower().removeprefix("log_") if isinstance(name, str) else name


Facility = Annotated[_Facility, BeforeValidator(_plain)]
"""A facility: `daemon`, in any case, and with `LOG_` in front of it if need be."""

Severity = Annotated[_Severity, BeforeValidator(_plain)]
"""A severity, likewise. syslog(3) calls it a priority."""


def priority(facility: Facility, severity: Severity) -> int:
    """Return the number of a facility and a severity."""
    return 8 * _FACILITIES[facility] + _SEVERITIES[severity]
