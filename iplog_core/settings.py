"""The settings of the core and the base classes of the plugins' own, validated by pydantic."""

# Without `from __future__ import annotations`: of a model's fields pydantic would compile each annotation from its text, a quarter of what they take.

import re
from inspect import get_annotations
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

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

IS_KIND = "a kind of alert"
KindName = Annotated[str, IS_KIND]
"""A kind of alert, such as `"port_scan"`. One that no plugin declares is told: most likely it is misspelt."""


def is_duration(field: FieldInfo) -> bool:
    """Tell whether a field is a Duration."""
    return any(isinstance(item, BeforeValidator) and item.func is _seconds for item in field.metadata)


def duration_text(seconds: float) -> str:
    """Write a time span as a Duration may be written, such as `4h`."""
    unit = next((unit for unit in "dhm" if seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


class _Table(BaseModel):
    # A model is built when it is first used: those of base classes, and of plugins that only say what they can, never are. A list as a default is
    # copied for each of them; as a `default_factory=list` pydantic would parse the text of its signature for each field.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)


class PluginSettings(_Table):
    """Base of every plugin's settings. Unknown keys are an error; give each field a description."""


def named_tables(model: Any) -> type[BaseModel] | None:
    """Return the model of the tables that a model takes under names of the user's choice; None where it takes none.

    A model takes them whose `model_config` has `extra="allow"` and that annotates `__pydantic_extra__` with `dict[str, Table]`.
    """
    for base in model.__mro__[: model.__mro__.index(BaseModel)]:
        if "__pydantic_extra__" in get_annotations(base):
            _, table = get_args(get_annotations(base, eval_str=True)["__pydantic_extra__"])
            return table if issubclass(table, BaseModel) else None
    return None


class DetectorSettings(PluginSettings):
    """Base of a detector's settings."""

    allow: list[str] = Field([], description="What it does not look at, as in a rule: 'from 192.0.2.10', 'tcp dport 8080 to 10.1.2.3'.")


class SinkSettings(PluginSettings):
    """Base of a sink's settings."""


class PolicySettings(PluginSettings):
    """Base of a policy's settings."""


class FlowSettings(_Table):
    """The `[flows]` table: when a flow's outcome is decided, and what is forgotten when."""

    silent_timeout: Duration = Field(5.0, description="Seconds without an answer that make a flow silent.")
    half_open_timeout: Duration = Field(5.0, description="Seconds after a SYN-ACK without the initiator's ACK that make a flow half open.")
    tcp_idle: Duration = Field(900.0, description="Seconds without a packet after which an open TCP connection is forgotten.")
    udp_idle: Duration = Field(120.0, description="Seconds without a packet that end a UDP conversation, an ICMP exchange or a failed attempt.")
    closed_idle: Duration = Field(10.0, description="Seconds that a closed TCP connection is remembered.")
    fragment_timeout: Duration = Field(30.0, description="Seconds that a datagram's fragments are waited for.")


class CaptureSettings(_Table):
    """The `[capture]` table: how interfaces are watched."""

    snap_length: int = Field(256, ge=96, le=262144, description="Bytes kept of each packet; detectors that look into payloads need more.")
    ring: int = Field(16_777_216, ge=65536, le=1 << 30, description="Bytes of the ring that the kernel puts packets into, for each interface.")
    filter: str | None = Field(None, description="Capture only packets that match this expression (pcap-filter(7)), such as 'not host 192.0.2.1'.")


class NameSettings(_Table):
    """The `[names]` table: whether hosts are written with their names."""

    resolve: bool | None = Field(None, description="Look up the names of hosts; default: when watching, not for captures.")
    tcp: bool = Field(True, description="In lines about TCP.")
    udp: bool = Field(True, description="In lines about UDP.")
    icmp: bool = Field(True, description="In lines about ICMP.")
    log_ip: bool = Field(False, description="Write the address behind every name, those of /etc/hosts too.")
    cache: bool = Field(True, description="Remember names, and that there are none, for as long as the name server says.")
    capacity: int = Field(16384, ge=1, le=1_048_576, description="Names remembered at the most.")
    wait: Duration = Field(0.5, description="How long a line is held back for a name at the most, when watching.")
    timeout: Duration = Field(5.0, description="How long a name server may take to answer.")
    servers: list[IPv4Address | IPv6Address] = Field([], description="Name servers to ask; default: those of /etc/resolv.conf.")


class Settings(_Table):
    """The settings of iplog itself: the top level of iplog.toml."""

    enable: list[str] | None = Field(None, description="Plugins to run, in this order; default: every installed one of the group `iplog`.")
    disable: list[str] = Field([], description="Plugins not to run.")
    interfaces: list[str] = Field([], description="Interfaces to watch; default: all that are up, loopback apart.")
    promisc: list[str] = Field([], description="Watch what is sent to others, too: networks such as '192.0.2.0/24', or '*'.")
    rules: list[str] = Field([], description="Rules, such as 'ignore udp sport 53'.")
    trusted_scanners: list[str] = Field([], description="Hosts and networks whose doings no detector counts, such as '192.0.2.10'.")
    mute: list[KindName] = Field([], description="Kinds of alerts that are not reported, such as 'traceroute'.")
    alerts_only: bool = Field(False, description="Write no traffic, only alerts.")
    log_dest: bool | None = Field(None, description="Name the destination in each line; default: over captures and in promiscuous mode.")
    plugin_paths: list[Path] = Field([], description="Single-file plugins to load.")
    memory: int = Field(52, ge=1, le=65536, description="MB for all tables: flows, and what detectors know. What has no room is forgotten, the coldest first.")
    batch_size: int = Field(16384, ge=1, le=65536, description="Packets handled at a time; changes the speed, never the output.")
    queue_size: int = Field(65536, ge=1, le=16_777_216, description="Events that may wait for a sink.")
    when_full: Literal["block", "drop"] | None = Field(None, description="What a full sink queue does; default: block for captures, drop live.")
    end_timeout: Duration = Field(5.0, description="Seconds that sinks have to write what waits for them when iplog is told to end.")
    user: str | None = Field(None, description="User to become once the interfaces are open.")
    group: str | None = Field(None, description="Group to become once the interfaces are open; default: that of the user.")
    daemon: bool = Field(False, description="Watch in the background.")
    pid_file: Path | None = Field(None, description="File with the process number; default: /run/iplog.pid in the background, else none.")
    state: Path | None = Field(None, description="File that keeps what is known from one run to the next.")
    flows: FlowSettings = Field(default_factory=FlowSettings, description="When a flow's outcome is decided.")
    capture: CaptureSettings = Field(default_factory=CaptureSettings, description="How interfaces are watched.")
    names: NameSettings = Field(default_factory=NameSettings, description="Whether hosts are written with their names.")
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict, description="A table for each plugin's own settings.")
