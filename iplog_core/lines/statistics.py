"""The lines of the statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iplog_core.events import InterfaceStats, Stats, TableStats
from iplog_core.lines.hosts import printable

_MB = 1 << 20


def statistics_lines(stats: Stats) -> list[str]:
    """Return the counters of a run: what every run has, what did not go by itself, what the capture of each interface counts; then what took
    how long, and the tables, a line each."""
    return [_run(stats), *_times(stats), *_memory(stats)]


def _run(stats: Stats) -> str:
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
    policies = [f"; {printable(name)}: {_counted(counts)}" for name, counts in stats.policies.items()]
    rate = f", {stats.rate:.0f} packets/s" if stats.rate else ""
    return "".join([f"statistics: {usual}", *_happened(rare), rate, *policies, *interfaces])


def _times(stats: Stats) -> Iterator[str]:
    """One line for each plugin, the one that took longest first."""
    for name, took in sorted(stats.plugins.items(), key=lambda item: (-item[1].seconds, item[0])):
        times = f"{took.seconds:.3f} s ({100 * took.share:.1f} %) in {took.calls} calls, the slowest {1000 * took.slowest:.1f} ms"
        yield f"time: {printable(name)}: {times}"


def _memory(stats: Stats) -> Iterator[str]:
    """One line for each table that anything was ever in, the fullest first, and one for all."""
    tables = {name: table for name, table in stats.tables.items() if table.entries or table.evicted}
    for name, table in sorted(tables.items(), key=lambda item: (-_load(item[1]), item[0])):
        load = f"{table.entries} of {table.capacity} entries ({_load(table):.0f} %)"
        forgotten = f", {table.evicted} evicted" if table.evicted else ""
        yield f"memory: {printable(name)}: {load}, {_size(table.used)} of {_size(table.memory)} MB{forgotten}"
    if stats.tables:
        used, most = (sum(getattr(table, field) for table in stats.tables.values()) for field in ("used", "memory"))
        peak = f"; the process had {_size(stats.peak_memory)} MB at the most" if stats.peak_memory else ""
        yield f"memory: all {len(stats.tables)} tables: {_size(used)} of {_size(most)} MB, {stats.evicted} evicted{peak}"


def _load(table: TableStats) -> float:
    return 100 * table.entries / max(table.capacity, 1)


def _size(count: int) -> str:
    return f"{count / _MB:.1f}"


def _interface(counted: InterfaceStats) -> str:
    rare = {"dropped by the kernel": counted.kernel_drops, "dropped by the interface": counted.interface_drops}
    return "".join([f"{counted.packets} packets ({counted.rate:.0f}/s)", *_happened(rare), f", a ring of {counted.ring} bytes"])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{printable(what)} {count}" for what, count in counts.items())


def _happened(counts: Mapping[str, int]) -> list[str]:
    return [f", {count} {name}" for name, count in counts.items() if count]
