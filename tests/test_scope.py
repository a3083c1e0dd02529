"""In promiscuous mode: whose packets are looked at, and whose are hidden like ignored ones."""

from __future__ import annotations

import pytest
from harness import batches_with_flows, decoded

from iplog_core import ConfigError
from iplog_core.rules import Rules, Scope, compile_rules, compile_scope
from iplog_core.testing import Frame, arp, icmp, silent, tcp, udp

OWN = ["198.18.0.1", "198.18.0.255", "2001:db8::1"]


def scope(*networks: str) -> Scope:
    compiled = compile_scope(networks, OWN)
    assert compiled
    return compiled


def hidden(frame: Frame, *networks: str) -> bool:
    ignored = Rules([]).within(scope(*networks)).ignored(decoded([frame]))
    assert ignored is not None
    return bool(ignored[0])


@pytest.mark.parametrize(
    "frame",
    [
        tcp("192.0.2.7", "203.0.113.9"),
        tcp("203.0.113.9", "192.0.2.7"),
        icmp("203.0.113.9", "192.0.2.255"),
        udp("2001:db8:2::7", "2001:db8:9::9"),
        tcp("203.0.113.9", "198.18.0.1"),
        tcp("198.18.0.1", "203.0.113.9"),
        udp("203.0.113.9", "198.18.0.255"),
        tcp("2001:db8:9::9", "2001:db8::1"),
        tcp("127.0.0.1", "127.0.0.53"),
        udp("203.0.113.9", "255.255.255.255"),
        udp("203.0.113.9", "224.0.0.251"),
        udp("2001:db8:9::9", "ff02::1"),
        udp("203.0.113.9", "203.0.113.255", broadcast=True),
        arp("203.0.113.9", "203.0.113.10"),
        arp("203.0.113.9", "203.0.113.10", reply=True),
    ],
)
def test_what_concerns_a_network_this_host_or_everybody_is_seen(frame: Frame) -> None:
    assert not hidden(frame, "192.0.2.0/24", "2001:db8:2::/48")


@pytest.mark.parametrize("frame", [tcp("203.0.113.9", "203.0.113.10"), udp("2001:db8:9::9", "2001:db8:9::10"), icmp("203.0.113.9", "192.0.3.1")])
def test_what_is_between_others_is_hidden(frame: Frame) -> None:
    assert hidden(frame, "192.0.2.0/24", "2001:db8:2::/48")


def test_flows_between_others_are_hidden_like_their_packets() -> None:
    rules = Rules([]).within(scope("192.0.2/24"))
    frames = [*silent("203.0.113.9", "203.0.113.10"), *silent("203.0.113.9", "192.0.2.7")]
    decided = [batch.decided for batch in batches_with_flows(frames, 256) if len(batch.decided)]
    ignored = [bool(one) for flows in decided for one in rules.ignored(flows)]  # type: ignore[union-attr]
    assert sorted(ignored) == [False, True]


def test_rules_hide_within_the_scope_too() -> None:
    rules = compile_rules(["ignore tcp dport 25"]).within(scope("192.0.2.0/24"))
    here = "203.0.113.9", "192.0.2.7"
    ignored = rules.ignored(decoded([tcp(*here, dport=25), tcp(*here, dport=26), tcp("203.0.113.9", "203.0.113.10", dport=26)]))
    assert ignored is not None
    assert ignored.tolist() == [True, False, True]


@pytest.mark.parametrize("everything", ["*", "0.0.0.0/0", "0/0", "::/0"])
def test_everything_is_a_scope_that_hides_nothing(everything: str) -> None:
    assert compile_scope(["192.0.2.0/24", everything], OWN) is None


def test_a_network_may_be_written_as_in_a_rule_host_names_among_them() -> None:
    assert not hidden(tcp("192.168.7.7", "203.0.113.9"), "192.168/16")
    assert not hidden(tcp("192.168.7.7", "203.0.113.9"), "192.168.0.0/255.255.0.0")
    assert not hidden(tcp("127.0.0.1", "203.0.113.9"), "localhost")


def test_all_faults_are_told_with_their_place() -> None:
    with pytest.raises(ConfigError) as told:
        compile_scope(["192.0.2.0/24", "!192.0.2.7", "192.0.2.0/33"], OWN)
    assert told.value.faults == (
        'promisc[1]: "!192.0.2.7": a network to watch cannot be negated; an ignore rule leaves hosts out.',
        "promisc[2]: \"192.0.2.0/33\": '33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0.",
    )
