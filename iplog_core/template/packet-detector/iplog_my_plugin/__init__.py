"""Connection attempts to a port that nobody here offers: who knocks is worth a line.

This works as it stands. Make it yours: change what `on_packet` looks for, and the names
and the severity of the alert in `kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from iplog_core import (
    AlertKind,
    Detector,
    DetectorSettings,
    Packet,
    PacketDetector,
    hookimpl,
)
from pydantic import Field

iplog_api = 2


class Settings(DetectorSettings):
    """The `[plugins.my_plugin]` table."""

    port: int = Field(
        23, ge=1, le=65535, description="The TCP port that nobody here offers."
    )


class MyPlugin(PacketDetector[Settings]):
    """Report connection attempts to a port that nobody here offers."""

    name = "my_plugin"
    kinds: ClassVar = {"my_plugin": AlertKind("TCP: knock", "low")}

    def on_packet(self, packet: Packet) -> None:
        """Look at a packet. What a source does to a target again is the same alert."""
        if packet.is_syn and packet.dport == self.settings.port:
            self.alert("my_plugin", packet)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [MyPlugin]
