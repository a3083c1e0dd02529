"""Everything that a plugin may contribute, in one file.

Hooks are called at start-up, at shutdown and for each alert, never for a packet: packets reach a detector through the typed methods of `Detector`, events
a sink through those of `Sink`. Alerts on their way reach a policy through those of `Policy`;
a plugin that needs no settings may do with the hooks for alerts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from inspect import isroutine
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from iplog_core.capture.source import Source
    from iplog_core.detector import Detector
    from iplog_core.events import Alert, Severity
    from iplog_core.policy import Policy
    from iplog_core.settings import Settings
    from iplog_core.sink import Sink

API_VERSION = 2
"""The version of this interface. A plugin says which it was written for by `iplog_api = 2` in its module."""

OLDEST_API = 1
"""The oldest version that is understood: a plugin written for it works as it is. What is deprecated goes with the last version that had it."""

hookspec = pluggy.HookspecMarker("iplog")
hookimpl = pluggy.HookimplMarker("iplog")


class HookManager(pluggy.PluginManager):
    """Knows the hooks of this file, and looks for those of a plugin among its functions only.

    pluggy itself examines every name of a module in ways that no module needs, four times as long.
    """

    def __init__(self) -> None:
        super().__init__("iplog")
        self.add_hookspecs(sys.modules[__name__])

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if isroutine(getattr(plugin, name, None)) else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        return super().parse_hookspec_opts(module_or_class, name) if isroutine(getattr(module_or_class, name, None)) else None


@hookspec
def iplog_detectors() -> Iterable[type[Detector[Any]]]:  # type: ignore[empty-body]
    """Contribute detector classes.

    Called once, before settings are validated; must open nothing. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_detectors():
            return [TcpScan]
    """


@hookspec
def iplog_sinks() -> Iterable[type[Sink[Any]]]:  # type: ignore[empty-body]
    """Contribute sink classes.

    Called once, before settings are validated; must open nothing. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_sinks():
            return [Text]
    """


@hookspec
def iplog_policies() -> Iterable[type[Policy[Any]]]:  # type: ignore[empty-body]
    """Contribute policy classes: what drops, grades or adds to alerts, with settings of its own.

    Called once, before settings are validated; must open nothing. Policies are asked in the order of the `enable` list, together with `iplog_keep_alert`,
    `iplog_grade_alert` and `iplog_alert_fields` of other plugins. Added in API 2.

    Example::

        class Settings(PolicySettings):
            host: str = Field("192.0.2.1", description="The host that matters most.")

        class Precious(Policy[Settings]):
            \"\"\"Grade every alert on one host as high.\"\"\"

            name = "precious"

            def grade(self, alert):
                return "high" if alert.dest_ip == self.settings.host else None

        @iplog_core.hookimpl
        def iplog_policies():
            return [Precious]
    """


@hookspec(firstresult=True)
def iplog_source(name: str, batch_size: int) -> Source | None:
    """Open a kind of capture that the core does not know.

    `name` is what stood on the command line; the first plugin that answers reads it. None leaves it to the next, in the end to the core,
    which takes it for a file. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_source(name, batch_size):
            if name.startswith("s3://"):
                return BucketSource(name, batch_size)
    """


@hookspec
def iplog_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Contribute subcommands of `iplog`.

    `add` is argparse's `add_parser`; set the default `run` to a function that takes the parsed arguments and returns the exit status.
    Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_commands(add):
            parser = add("inventory", help="list the hosts seen")
            parser.set_defaults(run=list_hosts)
    """


@hookspec
def iplog_check_config(settings: Settings) -> Iterable[str]:  # type: ignore[empty-body]
    """Check what no single table can tell: return one line for each fault, none where all is well.

    Called once all tables are valid. Any fault stops the start. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_check_config(settings):
            if settings.interfaces == ["any"] and "arp_watch" in (settings.enable or ()):
                yield 'arp_watch needs a named interface: "any" shows no ARP. Set interfaces.'
    """


@hookspec
def iplog_start(settings: Settings) -> None:
    """Get ready: called after every check and before the first packet; while watching, again after each `iplog_stop` when the configuration was read again.

    Watching, iplog has become its `user` by then. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_start(settings):
            assets.load("/etc/iplog/assets.csv")
    """


@hookspec
def iplog_stop() -> None:
    """Let go of what `iplog_start` took: called after the last event was written, and, while watching, when the configuration was read again. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_stop():
            assets.close()
    """


@hookspec(firstresult=True)
def iplog_keep_alert(alert: Alert) -> bool | None:
    """Decide whether an alert reaches the sinks.

    False drops it, True keeps it, None leaves it to the next plugin. With no answer it is kept. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_keep_alert(alert):
            if alert.src_ip == "192.0.2.10":
                return False
    """


@hookspec(firstresult=True)
def iplog_grade_alert(alert: Alert) -> Severity | None:
    """Give an alert another severity: `info`, `low`, `medium` or `high`.

    The first answer wins; None leaves it to the next plugin, in the end as it is. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_grade_alert(alert):
            if alert.dest_ip == "198.51.100.1":
                return "high"
    """


@hookspec
def iplog_alert_fields(alert: Alert) -> dict[str, Any]:  # type: ignore[empty-body]
    """Add fields to an alert, beside those it has; the plugin enabled first wins where two give the same. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_alert_fields(alert):
            return {"asset": assets.name(alert.dest_ip)}
    """


@hookspec
def iplog_alert(alert: Alert) -> None:
    """Observe an alert on its way to the sinks. It cannot be changed any more. Added in API 1.

    Example::

        @iplog_core.hookimpl
        def iplog_alert(alert):
            counter[alert.kind] += 1
    """
