"""The line of the statistics."""

from __future__ import annotations

from collections.abc import Mapping

from iplog_core.events import InterfaceStats, Stats
from iplog_core.lines.hosts import printable


def statistics_line(stats: Stats) -> str:
    """Return the counters of a run as one line: what every run has, what did not go by itself, and what the capture of each interface counts."""
    usual = f"{stats.packets} packets ({stats.bytes} bytes), {stats.flows} flows, {stats.alerts} alerts"
    rare = {
        "suppressed": stats.suppressed,
        "dropped by the kernel": stats.kernel_drops,
        "dropped by queues": stats.queue_drops,
        "evicted": stats.evicted,
        "ignored": stats.ignored,
        "unsupported": stats.unsupported,
        "malformed": sum(stats.malformed.values()),
        "plugin errors": sum(stats.plugin_errors.values()),
    }
    interfaces = [f"; {printable(name)}: {_interface(counted)}" for name, counted in stats.interfaces.items()]
    return "".join([f"statistics: {usual}", *_happened(rare), *interfaces])


def _interface(counted: InterfaceStats) -> str:
    rare = {"dropped by the kernel": counted.kernel_drops, "dropped by the interface": counted.interface_drops}
    return "".join([f"{counted.packets} packets ({counted.rate:.0f}/s)", *_happened(rare), f", a ring of {counted.ring} bytes"])


def _happened(counts: Mapping[str, int]) -> list[str]:
    return [f", {count} {name}" for name, count in counts.items() if count]
