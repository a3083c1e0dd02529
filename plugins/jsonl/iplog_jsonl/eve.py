"""Events as JSON lines in the shape of Suricata's EVE (docs.suricata.io, "Eve JSON Format")."""

from __future__ import annotations

import json
from typing import Any

from iplog_core import Alert, Notice, Stats
from iplog_core.plain import plain
from iplog_core.timestamps import timestamp
from iplog_jsonl.community import community_id

Object = dict[str, Any]


def eve_line(event: Alert | Notice | Stats) -> str:
    """Return the line of an event. An alert that speaks of one flow has its Community ID."""
    if isinstance(event, Alert):
        return _line(_alert(event))
    return _line(_notice(event) if isinstance(event, Notice) else _stats(event))


def _alert(alert: Alert) -> Object:
    is_icmp = alert.icmp_type is not None
    pair = (alert.icmp_type, alert.icmp_code) if is_icmp else (alert.src_port, alert.dest_port)
    fields = {
        "id": alert.id,
        "plugin": alert.plugin,
        "kind": alert.kind,
        "state": alert.state,
        "severity": alert.severity,
        "signature": alert.signature,
        "first_seen": timestamp(alert.first_seen),
        "last_seen": timestamp(alert.last_seen),
        "packets": alert.packets,
        "bytes": alert.bytes,
        "suppressed": alert.suppressed,
        "evidence": alert.evidence.model_dump(),
    }
    return {
        "timestamp": timestamp(alert.time),
        "event_type": "alert",
        "in_iface": alert.in_iface,
        "src_ip": alert.src_ip,
        "src_port": alert.src_port,
        "dest_ip": alert.dest_ip,
        "dest_port": alert.dest_port,
        "proto": alert.proto,
        "icmp_type": alert.icmp_type,
        "icmp_code": alert.icmp_code,
        "community_id": alert.community_id or community_id(alert.proto, alert.src_ip, alert.dest_ip, *pair),
        "alert": fields | {name: value for name, value in alert.extra.items() if name not in fields},
    }


def _stats(stats: Stats) -> Object:
    return {"timestamp": timestamp(stats.time), "event_type": "stats", "stats": stats.model_dump(exclude={"time"})}


def _notice(notice: Notice) -> Object:
    return {"timestamp": timestamp(notice.time), "event_type": "engine", "engine": {"message": notice.message}}


def _line(fields: Object) -> str:
    return json.dumps(plain(fields), separators=(",", ":"))
