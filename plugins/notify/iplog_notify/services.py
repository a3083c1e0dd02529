"""The services that Apprise knows, each behind a function that sends one message."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import apprise

from iplog_core import IplogError

_STATUS = re.compile(r"\berror=(\d{3})\b")


@dataclass(frozen=True)
class Service:
    """A URL by its place, and what it stands for. Nothing here shows the URL: there may be a password in it."""

    subject: str
    _server: apprise.NotifyBase

    def send(self, title: str, body: str) -> str | None:
        """Send a message; return why it was not delivered, None where it was."""
        _STATUSES.forget()
        try:
            if self._server.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT, notify_type=apprise.NotifyType.WARNING):
                return None
        except Exception as error:  # a service of Apprise may raise anything; its text may have the URL in it
            return f"{type(error).__name__} in Apprise"
        status = _STATUSES.last()
        return f"it answered with status {status}" if status else "it cannot be reached, or took no message"


class _Statuses(logging.Handler):
    """Takes what Apprise logs, which may have secrets in it and goes nowhere, and keeps the last HTTP status of each thread."""

    def __init__(self) -> None:
        super().__init__()
        self._of = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if found := _STATUS.search(record.getMessage()):
            self._of.status = found[1]

    def forget(self) -> None:
        self._of.status = None

    def last(self) -> str | None:
        return getattr(self._of, "status", None)


_STATUSES = _Statuses()


def services(urls: Sequence[str]) -> list[Service]:
    """Return the services of URLs. Raise IplogError where Apprise does not know one."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if _STATUSES not in logger.handlers:
        logger.addHandler(_STATUSES)
    asset = apprise.AppriseAsset(app_id="iplog", app_desc="iplog", async_mode=False, secure_logging=True)
    made = []
    for number, url in enumerate(urls):
        server = apprise.Apprise.instantiate(url, asset=asset)
        if server is None:
            raise IplogError(f"notify: urls[{number}]: Apprise knows no such address, or something is missing in it; expected one as in its list of services.")
        made.append(Service(f"urls[{number}] ({server.service_name or 'service'})", server))
    return made
