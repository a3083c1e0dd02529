"""Which rule decides about an alert."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from iplog_core import testing
from iplog_core.describe import settings_of
from iplog_policy import RulesPolicy, Settings
from iplog_policy.rules import Rule


def at(text, zone="UTC"):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def alert(when="2026-05-28T12:00", **fields):
    time = at(when) if isinstance(when, str) else when
    return testing.alert(**{"first_seen": time, "src_ip": "198.18.0.66", "dest_ip": "198.18.1.1", **fields})


def policy(*rules, **settings):
    made = RulesPolicy(Settings(rules=list(rules), **settings))
    made.start()
    return made


def matches(told, **rule):
    return policy({"action": "drop", **rule}).keep(told) is False


# What a rule does


def test_what_no_rule_matches_is_left_as_it_is():
    judge = policy({"kind": "udp_scan", "action": "drop"}, {"kind": "ack_scan", "action": "info"})
    assert (judge.keep(alert()), judge.grade(alert())) == (None, None)


@pytest.mark.parametrize(("action", "kept", "severity"), [("drop", False, None), ("keep", True, None), ("info", None, "info"), ("high", None, "high")])
def test_a_rule_that_matches_does_what_it_says(action, kept, severity):
    judge = policy({"kind": "port_scan", "action": action})
    assert (judge.keep(alert()), judge.grade(alert())) == (kept, severity)


def test_the_first_rule_that_matches_decides():
    judge = policy({"from": "198.18.0.66", "action": "keep"}, {"kind": "port_scan", "action": "drop"})
    assert judge.keep(alert()) is True


def test_each_rule_counts_what_it_decided_and_a_rule_that_never_matched_stands_there():
    judge = policy({"name": "ours", "from": "198.18.0.66", "action": "drop"}, {"kind": "ack_scan", "action": "drop"})
    judge.keep(alert())
    judge.keep(alert(src_ip="192.0.2.1"))
    assert judge.counts == {"ours": 1, "rules[1]": 0}


# What it matches


@pytest.mark.parametrize(
    ("rule", "matching"),
    [
        ({"kind": "port_scan"}, True),
        ({"kind": ["udp_scan", "port_scan"]}, True),
        ({"kind": "udp_scan"}, False),
        ({"plugin": "tcp_scan"}, True),
        ({"plugin": "udp_scan"}, False),
        ({"severity": ["high", "medium"]}, True),
        ({"severity": "low"}, False),
        ({"from": "198.18.0.66"}, True),
        ({"from": ["192.0.2.0/24", "198.18.0.0/16"]}, True),
        ({"from": "198.18.0.67"}, False),
        ({"from": "2001:db8::/32"}, False),
        ({"to": "198.18.1.0/24"}, True),
        ({"to": "198.18.0.66"}, False),
        ({"kind": "port_scan", "to": "192.0.2.1"}, False),
    ],
)
def test_all_that_a_rule_names_must_match(rule, matching):
    assert matches(alert(), **rule) is matching


@pytest.mark.parametrize(
    ("evidence", "rule", "matching"),
    [
        ({"sources": ["192.0.2.1", "192.0.2.2"], "source_count": 2}, {"from": "192.0.2.0/24"}, True),
        ({"sources": ["192.0.2.1", "203.0.113.1"], "source_count": 2}, {"from": "192.0.2.0/24"}, False),
        ({"sources": ["192.0.2.1", "192.0.2.2"], "source_count": 3}, {"from": "192.0.2.0/24"}, False),
        ({}, {"from": "0.0.0.0/0"}, False),
        ({"dest_ips": ["192.0.2.1", "192.0.2.2"], "dest_ip_count": 2}, {"to": "192.0.2.0/24"}, True),
        ({"dest_ips": ["192.0.2.1", "192.0.2.2"], "dest_ip_count": 20}, {"to": "192.0.2.0/24"}, False),
        ({"dest_ports": [22, 23], "dest_port_count": 2}, {"port": [22, 23, 80]}, True),
        ({"dest_ports": [22, 443], "dest_port_count": 2}, {"port": [22, 23, 80]}, False),
    ],
)
def test_of_several_all_must_be_told_and_match(evidence, rule, matching):
    assert matches(alert(src_ip=None, dest_ip=None, evidence=evidence), **rule) is matching


def test_an_alert_on_one_port_is_matched_by_it():
    assert matches(alert(dest_port=22), port=22)


@pytest.mark.parametrize(
    ("when", "days", "hours", "matching"),
    [
        ("2026-05-28T12:00", ["mon-fri"], None, True),  # a Thursday
        ("2026-05-30T12:00", ["mon-fri"], None, False),
        ("2026-05-30T12:00", ["sat", "sunday"], None, True),
        ("2026-06-01T12:00", ["fri-mon"], None, True),
        ("2026-05-28T08:00", None, "08:00-18:00", True),
        ("2026-05-28T17:59:59", None, "08:00-18:00", True),
        ("2026-05-28T18:00", None, "08:00-18:00", False),
        ("2026-05-28T23:59:59", None, "18:00-24:00", True),
        ("2026-05-28T23:00", None, "22:00-06:00", True),
        ("2026-05-28T05:59", None, "22:00-06:00", True),
        ("2026-05-28T06:00", None, "22:00-06:00", False),
        ("2026-05-30T03:00", ["fri"], "22:00-06:00", True),
        ("2026-05-29T03:00", ["fri"], "22:00-06:00", False),
        ("2026-05-29T23:00", ["fri"], "22:00-06:00", True),
    ],
)
def test_days_and_hours_are_those_of_the_first_packet(when, days, hours, matching):
    assert matches(alert(when), **{name: value for name, value in {"days": days, "hours": hours}.items() if value}) is matching


@pytest.mark.parametrize(("day", "matching"), [("2026-01-15", False), ("2026-07-15", True)])
def test_hours_follow_summer_time(day, matching):
    judge = policy({"hours": "08:00-18:00", "action": "drop"}, timezone="Europe/Berlin")
    assert (judge.keep(alert(f"{day}T06:30")) is False) is matching


# What can be no rule


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"action": "drop", "from": "198.18.0.1/16"}, r"expected '198\.18\.0\.0/16', which has no bits after its prefix"),
        ({"action": "drop", "to": "web"}, "expected an address or a network, such as"),
        ({"action": "drop", "days": "mon-fry"}, "expected days of the week"),
        ({"action": "drop", "days": "monkey"}, "expected days of the week"),
        ({"action": "drop", "hours": "8-18"}, "expected a time of day to another"),
        ({"action": "drop", "hours": "08:00-08:00"}, "expected a time of day to another"),
        ({"action": "drop", "hours": "08:00-25:00"}, "expected a time of day to another"),
        ({"action": "drop", "port": 65536}, "less than or equal to 65535"),
        ({"action": "dorp"}, "'drop', 'keep', 'info'"),
    ],
)
def test_a_rule_with_a_fault_is_refused(rule, said):
    with pytest.raises(ValidationError, match=said):
        Settings(rules=[rule])


@pytest.mark.parametrize("zone", ["Berlin", "", "../etc/passwd", "Europe"])
def test_a_time_zone_that_is_none_is_refused(zone):
    with pytest.raises(ValidationError, match="expected the name of a time zone"):
        Settings(timezone=zone)


def test_a_rule_after_one_that_matches_everything_is_refused():
    with pytest.raises(ValidationError, match=r"rules\[0\] matches every alert, so that no rule after it is ever asked"):
        Settings(rules=[{"action": "drop"}, {"action": "keep", "kind": "port_scan"}])


def test_the_last_rule_may_match_everything():
    assert policy({"kind": "port_scan", "action": "keep"}, {"action": "drop"}).keep(alert(kind="ack_scan")) is False


def test_the_readme_has_what_a_rule_may_name(request):
    rows = [f"| `{it.name}` | {it.type} | {it.default or 'none'} | {it.meaning} |" for it in settings_of(Rule)]
    readme = (request.path.parents[1] / "README.md").read_text()
    assert "\n".join(["| setting | type | default | meaning |", "| --- | --- | --- | --- |", *rows]) in readme
