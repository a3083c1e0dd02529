"""The settings of the core and the base classes of the plugins' own, validated by pydantic."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

MINUTE = 60.0
HOUR = 60 * MINUTE
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, "d": 24 * HOUR}


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(ms|s|m|h|d|)\s*", value)
    if not found:
        raise ValueError("expected seconds, or a number with ms, s, m, h or d, such as 90 or '4h'")
    return float(found[1]) * _UNITS[found[2]]


Duration = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0, le=10 * 365 * 86400),
]
"""A time span: a number of seconds, or text such as `"90s"`, `"5m"`, `"4h"`, `"1d"`. Validated to seconds."""


def is_duration(field: FieldInfo) -> bool:
    """Tell whether a field is a Duration."""
    return any(isinstance(item, BeforeValidator) and item.func is _seconds for item in field.metadata)


def duration_text(seconds: float) -> str:
    """Write a time span as a Duration may be written, such as `4h`."""
    unit = next((unit for unit in "dhm" if seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class PluginSettings(_Table):
    """Base of every plugin's settings. Unknown keys are an error; give each field a description."""


class DetectorSettings(PluginSettings):
    """Base of a detector's settings."""


class SinkSettings(PluginSettings):
    """Base of a sink's settings."""


class FlowSettings(_Table):
    """The `[flows]` table: when a flow's outcome is decided, and how many are kept."""

    silent_timeout: Duration = Field(5.0, description="Seconds without an answer that make a flow silent.")
    half_open_timeout: Duration = Field(5.0, description="Seconds after a SYN-ACK without the initiator's ACK that make a flow half open.")
    tcp_idle: Duration = Field(900.0, description="Seconds without a packet after which an open TCP connection is forgotten.")
    udp_idle: Duration = Field(120.0, description="Seconds without a packet that end a UDP conversation, an ICMP exchange or a failed attempt.")
    closed_idle: Duration = Field(10.0, description="Seconds that a closed TCP connection is remembered.")
    capacity: int = Field(131072, ge=1, le=16_777_216, description="Flows kept at the most; the coldest go first.")
    contacts: int = Field(131072, ge=1, le=16_777_216, description="First contacts remembered at the most.")
    datagrams: int = Field(2048, ge=1, le=1_048_576, description="Fragmented datagrams under way at the most.")
    fragment_timeout: Duration = Field(30.0, description="Seconds that a datagram's fragments are waited for.")


class Settings(_Table):
    """The settings of iplog itself: the top level of iplog.toml."""

    enable: list[str] | None = Field(None, description="Plugins to run, in this order; default: every installed one of the group `iplog`.")
    disable: list[str] = Field(default_factory=list, description="Plugins not to run.")
    interfaces: list[str] = Field(default_factory=list, description="Interfaces to watch; default: all that are up, loopback apart.")
    rules: list[str] = Field(default_factory=list, description="Rules, such as 'ignore udp sport 53'.")
    plugin_paths: list[Path] = Field(default_factory=list, description="Single-file plugins to load.")
    batch_size: int = Field(8192, ge=1, le=65536, description="Packets handled at a time; changes the speed, never the output.")
    queue_size: int = Field(64, ge=1, le=65536, description="Batches of events that may wait for a sink.")
    when_full: Literal["block", "drop"] | None = Field(None, description="What a full sink queue does; default: block for captures, drop live.")
    flows: FlowSettings = Field(default_factory=FlowSettings, description="When a flow's outcome is decided.")
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict, description="A table for each plugin's own settings.")
