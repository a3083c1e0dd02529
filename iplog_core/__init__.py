"""What a plugin imports from iplog: `from iplog_core import Detector, DetectorSettings, hookimpl`.

Each name is fetched from its module when it is first used, so that `iplog --version` loads neither numpy nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iplog_core.batch import Cast as Cast
    from iplog_core.batch import FlowBit as FlowBit
    from iplog_core.batch import FlowRows as FlowRows
    from iplog_core.batch import Fragment as Fragment
    from iplog_core.batch import Kind as Kind
    from iplog_core.batch import Malformed as Malformed
    from iplog_core.batch import Mask as Mask
    from iplog_core.batch import Outcome as Outcome
    from iplog_core.batch import Packet as Packet
    from iplog_core.batch import PacketBatch as PacketBatch
    from iplog_core.batch import PacketRows as PacketRows
    from iplog_core.batch import Phase as Phase
    from iplog_core.batch import RawBatch as RawBatch
    from iplog_core.batch import Rows as Rows
    from iplog_core.batch import TcpFlag as TcpFlag
    from iplog_core.capture.source import Source as Source
    from iplog_core.detector import AlertKind as AlertKind
    from iplog_core.detector import Detector as Detector
    from iplog_core.detector import PacketDetector as PacketDetector
    from iplog_core.errors import CaptureError as CaptureError
    from iplog_core.errors import ConfigError as ConfigError
    from iplog_core.errors import IplogError as IplogError
    from iplog_core.errors import PluginError as PluginError
    from iplog_core.events import NO_OUTCOME as NO_OUTCOME
    from iplog_core.events import RECORD_DTYPE as RECORD_DTYPE
    from iplog_core.events import Alert as Alert
    from iplog_core.events import Event as Event
    from iplog_core.events import Evidence as Evidence
    from iplog_core.events import Notice as Notice
    from iplog_core.events import RecordKind as RecordKind
    from iplog_core.events import Records as Records
    from iplog_core.events import Severity as Severity
    from iplog_core.events import Stats as Stats
    from iplog_core.hookspec import API_VERSION as API_VERSION
    from iplog_core.hookspec import hookimpl as hookimpl
    from iplog_core.matcher import Matcher as Matcher
    from iplog_core.policy import Policy as Policy
    from iplog_core.settings import HOUR as HOUR
    from iplog_core.settings import MINUTE as MINUTE
    from iplog_core.settings import DetectorSettings as DetectorSettings
    from iplog_core.settings import Duration as Duration
    from iplog_core.settings import KindName as KindName
    from iplog_core.settings import PluginSettings as PluginSettings
    from iplog_core.settings import PolicySettings as PolicySettings
    from iplog_core.settings import Settings as Settings
    from iplog_core.settings import SinkSettings as SinkSettings
    from iplog_core.sink import Sink as Sink
    from iplog_core.sink import SinkContext as SinkContext
    from iplog_core.tracker import Doubts as Doubts
    from iplog_core.tracker import Episode as Episode
    from iplog_core.tracker import Key as Key
    from iplog_core.tracker import RandomWalk as RandomWalk
    from iplog_core.tracker import Tracker as Tracker

__version__ = "0.1.0"

_HOME = {
    "batch": (
        "Cast", "FlowBit", "FlowRows", "Fragment", "Kind", "Malformed", "Mask", "Outcome", "Packet", "PacketBatch", "PacketRows", "Phase",
        "RawBatch", "Rows", "TcpFlag",
    ),
    "capture.source": ("Source",),
    "detector": ("AlertKind", "Detector", "PacketDetector"),
    "errors": ("CaptureError", "ConfigError", "IplogError", "PluginError"),
    "events": ("Alert", "Event", "Evidence", "NO_OUTCOME", "Notice", "RECORD_DTYPE", "RecordKind", "Records", "Severity", "Stats"),
    "hookspec": ("API_VERSION", "hookimpl"),
    "matcher": ("Matcher",),
    "policy": ("Policy",),
    "settings": ("DetectorSettings", "Duration", "HOUR", "MINUTE", "KindName", "PluginSettings", "PolicySettings", "Settings", "SinkSettings"),
    "sink": ("Sink", "SinkContext"),
    "tracker": ("Doubts", "Episode", "Key", "RandomWalk", "Tracker"),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE]


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE])
