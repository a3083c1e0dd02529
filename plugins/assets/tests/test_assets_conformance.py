"""It keeps to what every policy must."""

from __future__ import annotations

from pathlib import Path

import pytest

from iplog_assets import AssetNames
from iplog_core import Alert
from iplog_core.testing import alert
from iplog_core.testing.conformance import PolicyConformance


class TestConformance(PolicyConformance):
    policy = AssetNames

    @pytest.fixture(autouse=True)
    def _listed(self, tmp_path: Path) -> None:
        (tmp_path / "assets.csv").write_text("network,name\n192.0.2.0/24,servers\n")
        type(self).settings = {"file": tmp_path / "assets.csv"}

    def alerts(self) -> list[Alert]:
        return [alert(dest_ip="192.0.2.1")]
