"""The line of the statistics."""

from __future__ import annotations

from iplog_core import Stats


def statistics_line(stats: Stats) -> str:
    """Return the counters of a run as one line: what every run has, then what did not go by itself."""
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
    return ", ".join([f"statistics: {usual}", *(f"{count} {name}" for name, count in rare.items() if count)])
