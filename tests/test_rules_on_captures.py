"""Rules from the command line, over a real capture: exactly the right lines go."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from sites import Iplog

Event = dict[str, Any]


def between(event: Event, side: str, network: str) -> bool:
    return ip_address(event[side]) in ip_network(network)


IGNORED: dict[str, Callable[[Event], bool]] = {
    "ignore tcp sport 25": lambda e: e["proto"] == "TCP" and e["src_port"] == 25,
    "ignore tcp dport 25": lambda e: e["proto"] == "TCP" and e["dest_port"] == 25,
    "ignore udp sport 53": lambda e: e["proto"] == "UDP" and e["src_port"] == 53,
    "ignore udp dport 53": lambda e: e["proto"] == "UDP" and e["dest_port"] == 53,
    "ignore udp from 192.168.0.0/16": lambda e: e["proto"] == "UDP" and between(e, "src_ip", "192.168.0.0/16"),
    "ignore icmp": lambda e: e["proto"] == "ICMP",
    "ignore tcp dport 1024: sport 20": lambda e: e["proto"] == "TCP" and e["dest_port"] >= 1024 and e["src_port"] == 20,
    "ignore icmp type !echo": lambda e: e["proto"] == "ICMP" and e["icmp_type"] != 8,
    "ignore udp from 127.1.2/255.255.255.0": lambda e: e["proto"] == "UDP" and between(e, "src_ip", "127.1.2.0/24"),
    "ignore tcp dport !80": lambda e: e["proto"] == "TCP" and e["dest_port"] != 80,
}


@pytest.mark.parametrize("rule", IGNORED)
def test_an_ignore_rule_drops_what_it_names_and_nothing_else(iplog: Iplog, captures: Path, rule: str) -> None:
    everything = traffic(iplog, captures / "rules.pcap")
    assert traffic(iplog, captures / "rules.pcap", rule) == [event for event in everything if not IGNORED[rule](event)]


@pytest.mark.parametrize("rule", IGNORED)
def test_the_capture_has_something_for_each_rule_to_drop_and_to_keep(iplog: Iplog, captures: Path, rule: str) -> None:
    told = [IGNORED[rule](event) for event in traffic(iplog, captures / "rules.pcap")]
    assert {True, False} == set(told)


@pytest.mark.parametrize("turned", [False, True], ids=["log first", "ignore first"])
def test_what_a_log_rule_matches_is_logged_wherever_it_stands(iplog: Iplog, captures: Path, turned: bool) -> None:
    rules = ["log tcp dport 1045:1055 sport ftp-data", "ignore tcp dport 1024: sport 20"]
    kept = traffic(iplog, captures / "rules.pcap", *(reversed(rules) if turned else rules))
    from_ftp_data = sorted(event["dest_port"] for event in kept if event["proto"] == "TCP" and event["src_port"] == 20)
    assert from_ftp_data == [1023, 1045, 1050, 1055]


def test_answers_that_a_rule_hides_make_no_mail_client_a_scanner(iplog: Iplog, captures: Path) -> None:
    assert iplog("read", "--alerts-only", "--rule", "ignore tcp sport 25", str(captures / "mail_client.pcap")).output == ""


def test_what_is_ignored_is_not_counted_by_a_detector(iplog: Iplog, captures: Path) -> None:
    scan = str(captures / "syn_scan.pcap")
    assert iplog("read", "--alerts-only", scan).output != ""
    assert iplog("read", "--alerts-only", "--rule", "ignore tcp from 198.18.0.66", scan).output == ""


def traffic(iplog: Iplog, capture: Path, *rules: str) -> list[Event]:
    options = [word for rule in rules for word in ("--rule", rule)]
    lines = iplog("read", "--format", "json", *options, str(capture)).output.splitlines()
    return [event for event in map(json.loads, lines) if event["event_type"] == "traffic"]
