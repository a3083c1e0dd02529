"""Fragment attacks: pieces that do not fit, repeat, reach too far, hide the header, or come in floods and never make a whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import MINUTE, AlertKind, Detector, DetectorSettings, Duration, Fragment, PacketBatch, hookimpl

iplog_api = 2

FAULTS = {
    "fragment_overlap": int(Fragment.OVERLAP),
    "fragment_oversized": int(Fragment.OVERSIZED),
    "fragment_duplicate": int(Fragment.DUPLICATE),
    "fragment_tiny": int(Fragment.TINY),
}
DOUBTFUL, ARRIVED = int(Fragment.DOUBTFUL), int(Fragment.ARRIVED)

CROWD = 5
"""Sources of the same fault to one target that are told as one: they are forged, more likely than not."""


class Settings(DetectorSettings):
    """The `[plugins.frag]` table."""

    rate: float = Field(200.0, gt=0, description="Datagrams a second to one host that stay in pieces and are no flood.")
    burst: float = Field(1000.0, ge=1, description="Datagrams above that rate that make a flood.")
    expiry: Duration = Field(MINUTE, description="How long an attack must be quiet to be over.")


class Frag(Detector[Settings]):
    """Report fragments that no honest sender makes."""

    name = "frag"
    kinds = {
        "fragment_overlap": AlertKind("IP: overlapping fragments", "medium", line="Overlapping IP fragments{to} from {src}"),
        "fragment_oversized": AlertKind("IP: oversized fragment", "high", line="Oversized IP fragment{to} from {src}"),
        "fragment_duplicate": AlertKind("IP: duplicate fragments", "info", line="Duplicate IP fragments{to} from {src}"),
        "fragment_tiny": AlertKind("IP: tiny first fragment", "medium", line="Tiny IP fragments{to} from {src}"),
        "fragment_flood": AlertKind("IP: fragment flood", "high"),
    }

    def setup(self) -> None:
        expiry = self.settings.expiry
        self.faults = {kind: self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry, weight=0.5) for kind in FAULTS}
        self.crowds = {
            kind: self.tracker(key="target", distinct="source", threshold=CROWD, memory=expiry, expiry=expiry, hint=CROWD, weight=0.5) for kind in FAULTS
        }
        self.flood = self.tracker(
            key="target", distinct="source", threshold=self.settings.burst, rate=self.settings.rate, memory=expiry, expiry=expiry, weight=12
        )

    def on_batch(self, batch: PacketBatch) -> None:
        if not batch.fragment.any() and not any(len(tracker) for tracker in [*self.faults.values(), *self.crowds.values(), self.flood]):
            return
        for kind, fault in FAULTS.items():
            found = batch.fragment & fault != 0
            for attack in self.crowds[kind].update(batch, where=found):
                if attack.state != "suspect":
                    self.alert(kind, attack, src_ports=None)
            for attack in self.faults[kind].update(batch, where=found & ~self.crowds[kind].suspects):
                self.alert(kind, attack)
        for flood in self.flood.update(batch, where=batch.fragment & DOUBTFUL != 0, against=batch.fragment & ARRIVED != 0):
            self.alert("fragment_flood", flood, src_ports=None)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Frag]
