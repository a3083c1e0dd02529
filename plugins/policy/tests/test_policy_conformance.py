"""It keeps to what every policy must."""

from __future__ import annotations

from iplog_core import Alert
from iplog_core.testing import alert
from iplog_core.testing.conformance import PolicyConformance
from iplog_policy import RulesPolicy


class TestConformance(PolicyConformance):
    policy = RulesPolicy
    settings = {"rules": [{"from": "198.51.100.7", "action": "drop"}, {"kind": "udp_scan", "action": "low"}]}

    def alerts(self) -> list[Alert]:
        return [alert(), alert("udp_scan", src_ip="198.51.100.8")]
