"""MaxMind databases (maxmind.github.io/MaxMind-DB, version 2.0): what they know of an address."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb

from iplog_core import IplogError

_TYPES = {"country": ("country", "city", "enterprise"), "asn": ("asn", "isp", "enterprise")}
"""What the type of a database has in it, so that one in the other's place is noticed."""


def open_all(**paths: Path | None) -> list[Database]:
    """Open the databases that are named. Raise IplogError with a line for each that cannot be."""
    opened: list[Database] = []
    faults: list[str] = []
    for setting, path in paths.items():
        if path is None:
            continue
        try:
            opened.append(Database(setting, path.expanduser()))
        except IplogError as error:
            faults += error.faults
    if faults:
        for database in opened:
            database.close()
        raise IplogError(*faults)
    return opened


class Database:
    """An open database, of what a setting names."""

    def __init__(self, setting: str, path: Path) -> None:
        self._path = path
        self._fields = _FIELDS[setting]
        try:
            # As a copy: a mapped file that somebody writes over ends the process that reads it.
            self._reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except OSError as error:
            raise IplogError(f"{setting}: {path}: {error.strerror or 'cannot be read'}; expected a MaxMind database (.mmdb).") from None
        except (maxminddb.InvalidDatabaseError, ValueError, LookupError, TypeError, struct.error):
            raise IplogError(f"{setting}: {path}: no MaxMind database, or a damaged one; expected an .mmdb file as it was downloaded.") from None
        about = self._reader.metadata()
        self._has_ipv6 = about.ip_version == 6
        if not any(word in about.database_type.lower() for word in _TYPES[setting]):
            self.close()
            raise IplogError(f"{setting}: {path}: a database of the type {about.database_type}; expected one with {' or '.join(_TYPES[setting])} in its type.")

    def of(self, host: str) -> dict[str, Any]:
        """Return what is known of an address, by the names of its fields without their side."""
        if ":" in host and not self._has_ipv6:
            return {}
        try:
            record = self._reader.get(host)
        except (maxminddb.InvalidDatabaseError, ValueError, LookupError, TypeError, struct.error):
            raise IplogError(f"{self._path}: damaged; replace it") from None
        return {field: value for field, value in self._fields(record).items() if value} if isinstance(record, dict) else {}

    def close(self) -> None:
        self._reader.close()


def _country(record: dict[str, Any]) -> dict[str, Any]:
    # Of an anycast or a satellite address only the country of registration may be known.
    country = record.get("country") or record.get("registered_country")
    return {"country": country.get("iso_code")} if isinstance(country, dict) else {}


def _asn(record: dict[str, Any]) -> dict[str, Any]:
    return {"asn": record.get("autonomous_system_number"), "as_org": record.get("autonomous_system_organization")}


_FIELDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"country": _country, "asn": _asn}
