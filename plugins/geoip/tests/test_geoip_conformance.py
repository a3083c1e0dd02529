"""It keeps to what every policy must."""

from __future__ import annotations

from pathlib import Path

import pytest
from databases import COUNTRIES, write

from iplog_core import Alert
from iplog_core.testing import alert
from iplog_core.testing.conformance import PolicyConformance
from iplog_geoip import Geoip


class TestConformance(PolicyConformance):
    policy = Geoip

    @pytest.fixture(autouse=True)
    def _located(self, tmp_path: Path) -> None:
        type(self).settings = {"country": write(tmp_path / "country.mmdb", "GeoLite2-Country", COUNTRIES)}

    def alerts(self) -> list[Alert]:
        return [alert(src_ip="198.18.0.66")]
