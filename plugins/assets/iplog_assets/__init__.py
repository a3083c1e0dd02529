"""Adds what the site calls its hosts and networks to alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from iplog_assets.table import Assets, read_assets
from iplog_core import Alert, Policy, PolicySettings, hookimpl

iplog_api = 2


class Settings(PolicySettings):
    """The `[plugins.assets]` table."""

    file: Path = Field(description="CSV file of hosts and networks; its first line names the columns, of which 'network' and 'name' are read.")


class AssetNames(Policy[Settings]):
    """Add the names of hosts and networks to alerts, from a file of the site's own."""

    name = "assets"

    def start(self) -> None:
        self._assets: Assets = read_assets(self.settings.file.expanduser())

    def fields(self, alert: Alert) -> dict[str, Any]:
        ends = {"src_asset": alert.src_ip, "dest_asset": alert.dest_ip}
        return {field: name for field, host in ends.items() if host and (name := self._assets.name(host))}


@hookimpl
def iplog_policies() -> list[type[Policy[Any]]]:
    return [AssetNames]
