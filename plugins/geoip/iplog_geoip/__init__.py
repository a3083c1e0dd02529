"""Adds country and autonomous system of source and destination to alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from iplog_core import Alert, Policy, PolicySettings, hookimpl
from iplog_geoip.database import Database, open_all

iplog_api = 2


class Settings(PolicySettings):
    """The `[plugins.geoip]` table."""

    country: Path | None = Field(None, description="MaxMind database of countries, such as GeoLite2-Country.mmdb; one of cities will do.")
    asn: Path | None = Field(None, description="MaxMind database of autonomous systems, such as GeoLite2-ASN.mmdb.")

    @model_validator(mode="after")
    def _has_a_database(self) -> Settings:
        if self.country is None and self.asn is None:
            raise ValueError("no database is set; expected country, asn or both, the names of files that you have from MaxMind or another.")
        return self


class Geoip(Policy[Settings]):
    """Add country and autonomous system of source and destination to alerts, from MaxMind databases that you have."""

    name = "geoip"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._databases: list[Database] = []

    def start(self) -> None:
        self._databases = open_all(country=self.settings.country, asn=self.settings.asn)

    def fields(self, alert: Alert) -> dict[str, Any]:
        ends = {"src": alert.src_ip, "dest": alert.dest_ip}
        return {f"{end}_{field}": value for end, host in ends.items() if host for database in self._databases for field, value in database.of(host).items()}

    def stop(self) -> None:
        for database in self._databases:
            database.close()


@hookimpl
def iplog_policies() -> list[type[Policy[Any]]]:
    return [Geoip]
