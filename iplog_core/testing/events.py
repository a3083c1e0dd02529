"""Events made to order, for tests of sinks and policies: `alert(src_ip="192.0.2.9")` is an alert, `records(dport=22)` a run of traffic records."""

from __future__ import annotations

from typing import Any

import numpy as np

from iplog_core.addresses import halves
from iplog_core.batch import Kind, Malformed
from iplog_core.events import NO_OUTCOME, RECORD_DTYPE, Alert, Event, Evidence, InterfaceStats, Notice, RecordKind, Records, Stats, TableStats
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, nanoseconds

HOSTILE = {
    "a newline": "one\ntwo\r\nthree\v\f\x1c\x85\u2028end",
    "escape sequences": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "lone surrogates": "\ud800 \udcff",
    "a NUL": "one\0two",
    "quotes": "\"'`$(id)\\",
    "right to left": "\u202egpj.exe",
    "nothing": "",
    "a long text": "x" * 100_000,
}
"""Texts that an alert may hold, such as a name that a stranger chose, by what is wrong with them."""

_IPV4, _IPV6 = 4, 6


def alert(kind: str = "port_scan", *, at: float = 0.0, state: str = "start", **fields: Any) -> Alert:
    """Return an alert, decided `at` seconds after EPOCH: CLIENT scans ports of SERVER. `fields` are those of `Alert`; what none of them is is evidence.

    Example::

        alert("udp_scan", src_ip="192.0.2.9", dest_ports=[53, 123])
    """
    evidence = {name: fields.pop(name) for name in list(fields) if name not in Alert.model_fields}
    time = nanoseconds(at)
    given: dict[str, Any] = {
        "id": "5e0c2d7a91b3f648",
        "plugin": "tcp_scan",
        "severity": "high",
        "signature": f"TCP: {kind.replace('_', ' ')}",
        "first_seen": time,
        "last_seen": time,
        "packets": 5,
        "bytes": 220,
        "src_ip": CLIENT,
        "dest_ip": SERVER,
        "proto": "TCP",
        "evidence": Evidence(**evidence),
    }
    return Alert(kind=kind, state=state, time=time, **{**given, **fields})


def records(
    count: int = 1, *, src: str = CLIENT, dst: str = SERVER, sport: int = 40000, dport: int = 80, at: float = 0.0, gap: float = 1.0, **fields: Any
) -> Records:
    """Return `count` traffic records, `gap` seconds apart: connection attempts, each from the source port after that of the one before.

    `fields` are columns of RECORD_DTYPE; addresses (`src`, `dst`, `about`, `route`) are texts. The interface is eth0.
    """
    rows = np.zeros(count, RECORD_DTYPE)
    rows["time"] = rows["clock"] = [nanoseconds(at + number * gap) for number in range(count)]
    rows["end"], rows["index"] = rows["time"], np.arange(count)
    rows["sport"], rows["dport"] = (sport + np.arange(count)) % 65536, dport
    rows["record"], rows["kind"], rows["proto"] = RecordKind.CONNECTION_ATTEMPT, Kind.TCP, 6
    rows["version"] = _IPV6 if ":" in src else _IPV4
    rows["bytes"], rows["phase"], rows["outcome"] = 60, 1, NO_OUTCOME
    about: dict[str, str] = {side: fields.pop(side) for side in ("about", "route") if side in fields}
    for side, host in {"src": src, "dst": dst, **about}.items():
        rows[f"{side}_hi"], rows[f"{side}_lo"] = halves(host)
    for name, value in fields.items():
        rows[name] = value
    return Records(rows, ["eth0"])


def every_alert() -> dict[str, Alert]:
    """Return alerts of every form, by what they are: of each state and family, with nothing in them that may be left out, with hostile texts."""
    nothing: dict[str, Any] = {"src_ip": None, "dest_ip": None, "proto": None}
    deep = {"list": [1, [2, {"three": None}]], "number": float("nan"), "bytes": b"\xff", "numpy": np.uint64(2**64 - 1), "set": {1}}
    alerts = {
        "a start": alert(dest_ports=[22, 23], dest_port_count=2, src_ports=[40000], refused=2),
        "an update": alert(state="update", at=1, packets=10, bytes=440),
        "an end": alert(state="end", at=2, packets=12, bytes=500),
        "one with ports": alert("bogus_flags", src_port=40000, dest_port=80, in_iface="eth0", community_id="1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        "one of IPv6": alert("ping_sweep", src_ip=CLIENT6, dest_ip=None, proto="IPv6-ICMP", icmp_type=128, icmp_code=0, dest_ips=[SERVER6], dest_ip_count=1),
        "one with a template": alert("backscatter", line="{proto} from {src}:{sport} to {dst}:{dport}{to}, {nothing}"),
        "one that blames nobody": alert("syn_flood", src_ip=None, severity="info"),
        "one that blames a set": alert(src_ip=None, sources=[f"192.0.2.{n}" for n in range(1, 100)], source_count=5000),
        "one in which every field that may be None is None": alert(**nothing),
        "the end of one in which every field that may be None is None": alert(state="end", **nothing),
        "one with large numbers": alert(packets=2**64, bytes=2**70, suppressed=2**40, first_seen=0, last_seen=2**62),
        "one with unusual values in its added fields": alert(extra=deep),
        "one with unusual values in its evidence": alert(evidence=Evidence(**deep)),
    }
    for what, text in HOSTILE.items():
        alerts[f"one with {what} in its added fields"] = alert(extra={"asset": text, text or "asset": [text, {text: text}]})
        alerts[f"one with {what} in its signature, interface and evidence"] = alert(signature=text, in_iface=text, said=text, line=text)
    return alerts


def every_event() -> dict[str, Event]:
    """Return events of every kind, by what they are: `every_alert`, traffic records of each kind and family, statistics, notices with hostile texts."""
    events: dict[str, Event] = {
        "a connection attempt": records(),
        "connection attempts of IPv6": records(3, src=CLIENT6, dst=SERVER6, outcome=3),
        "a datagram": records(record=RecordKind.DATAGRAM, kind=Kind.UDP, proto=17, payload=12),
        "an ICMP message": records(record=RecordKind.ICMP, kind=Kind.ICMP, proto=1, icmp_type=3, icmp_code=3, about=CLIENT, about_proto=17, about_dport=53),
        "an ICMPv6 message": records(record=RecordKind.ICMP, kind=Kind.ICMP6, proto=58, icmp_type=135, about=SERVER6, src=CLIENT6, dst=SERVER6),
        "the end of a flow": records(record=RecordKind.FLOW, packets=4, reply_packets=3, reply_bytes=900, outcome=1),
        "a malformed packet": records(record=RecordKind.MALFORMED, kind=Kind.NONE, version=0, malformed=Malformed.BAD_LINK),
        "a record whose fields are as large as they can be": _largest(),
        "a record of an interface without a name": Records(records().rows, [""]),
        "no records": records(0),
        "statistics": Stats(
            time=nanoseconds(9),
            packets=12,
            malformed={"truncated": 1},
            plugin_errors={"telnet": 1},
            interfaces={"eth0": InterfaceStats(packets=12)},
            tables={"flows": TableStats(entries=1, capacity=64)},
        ),
        "statistics of nothing": Stats(),
        "a notice": Notice(time=nanoseconds(10), message="iplog started."),
    }
    for what, text in HOSTILE.items():
        events[f"a notice with {what}"] = Notice(time=nanoseconds(10), message=text)
    return {**events, **{f"an alert: {what}": it for what, it in every_alert().items()}}


def _largest() -> Records:
    rows = np.zeros(1, RECORD_DTYPE)
    for name in RECORD_DTYPE.names or ():
        rows[name] = np.iinfo(RECORD_DTYPE[name]).max
    # Times, and what has a few values only, are never anything else.
    rows["time"] = rows["clock"] = rows["end"] = nanoseconds(0)
    rows["record"], rows["kind"], rows["outcome"], rows["phase"], rows["malformed"], rows["version"] = RecordKind.ICMP, Kind.ICMP, NO_OUTCOME, 1, 0, _IPV4
    return Records(rows, ["eth0"])
