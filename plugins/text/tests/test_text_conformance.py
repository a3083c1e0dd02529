"""It keeps to what every sink must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iplog_core.testing.conformance import SinkConformance
from iplog_text import Text


class TestConformance(SinkConformance):
    sink = Text

    def settings_in(self, folder: Path) -> dict[str, Any]:
        return {"path": str(folder / "written")}

    def unwritable_in(self, folder: Path) -> dict[str, Any]:
        return {"path": "/dev/full"}
