"""What the traffic log is made of: a record for each flow that opens, and what is asked for besides."""

from dataclasses import replace

import pytest

from iplog_core import NO_OUTCOME, Malformed, Outcome, RecordKind
from iplog_core.addresses import address
from iplog_core.testing import (
    arp,
    connection,
    half_open,
    handshake,
    icmp,
    icmp6,
    ping,
    refused,
    sctp,
    silent,
    tcp,
    udp,
    udp_exchange,
    udp_refused,
    unreachable,
)
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, nanoseconds
from iplog_traffic import Traffic

ATTEMPT, DATAGRAM, ICMP, FLOW = "connection_attempt", "datagram", "icmp", "flow"
FAMILIES = pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])


def kinds(records):
    return [RecordKind(record["record"]).name.lower() for record in records]


def outcomes(records):
    return [Outcome(record["outcome"]).name.lower() for record in records]


def ends(record):
    return address(int(record["src_hi"]), int(record["src_lo"])), address(int(record["dst_hi"]), int(record["dst_lo"]))


@FAMILIES
@pytest.mark.parametrize(("flow", "kind"), [(connection, ATTEMPT), (refused, ATTEMPT), (half_open, ATTEMPT), (silent, ATTEMPT), (udp_exchange, DATAGRAM)])
def test_a_flow_is_one_record_of_who_opened_it(run_detector, flow, kind, source, target):
    (record,) = run_detector(Traffic).records(flow(source, target, sport=4321, dport=25))
    assert (kinds([record]), ends(record), record["sport"], record["dport"]) == ([kind], (source, target), 4321, 25)


def test_a_retransmitted_syn_does_not_repeat_it(run_detector):
    assert len(run_detector(Traffic).records(silent(retries=5))) == 1


def test_another_connection_on_the_same_ports_is_another_record(run_detector):
    assert len(run_detector(Traffic).records([connection(), tcp(seq=77, at=60)])) == 2


def test_what_belongs_to_no_connection_is_no_attempt(run_detector):
    strays = [tcp(dport=port, flags=flags) for port, flags in enumerate(["A", "SA", "R", "F", "", "FPU"], 1)]
    assert len(run_detector(Traffic).records(strays)) == 0


@FAMILIES
def test_a_conversation_is_one_record_whichever_side_speaks(run_detector, source, target):
    talk = [udp_exchange(source, target, at=n) for n in range(10)]
    assert len(run_detector(Traffic).records(talk)) == 1


def test_a_conversation_that_was_quiet_is_told_anew(run_detector):
    assert len(run_detector(Traffic).records([udp_exchange(at=at) for at in (0, 300)])) == 2


def test_each_datagram_is_a_record_where_that_is_asked_for(run_detector):
    records = run_detector(Traffic, udp="datagram").records([udp_exchange(at=0), udp_exchange(at=1)])
    assert [ends(record) for record in records] == [(CLIENT, SERVER), (SERVER, CLIENT)] * 2


@pytest.mark.parametrize(("count", "message"), [(2, ping()), (2, ping(CLIENT6, SERVER6)), (1, [icmp(type=13)]), (1, [icmp(type=9)]), (1, [icmp6(type=135)])])
def test_each_icmp_message_is_a_record(run_detector, count, message):
    assert kinds(run_detector(Traffic).records(message)) == [ICMP] * count


def test_other_protocols_leave_no_record(run_detector):
    assert len(run_detector(Traffic).records([arp(), sctp()])) == 0


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"tcp": False}, {DATAGRAM, ICMP}),
        ({"udp": False}, {ATTEMPT, ICMP}),
        ({"icmp": False}, {ATTEMPT, DATAGRAM}),
        ({"tcp": False, "udp": False}, {ICMP}),
    ],
)
@pytest.mark.parametrize("more", [{}, {"outcome": True}])
def test_each_protocol_can_be_switched_off(run_detector, settings, left, more):
    packets = [connection(), udp_exchange(), ping(), udp_refused(dport=99)]
    assert set(kinds(run_detector(Traffic, **settings, **more).records(packets))) == left


def test_a_record_has_the_packets_own_time_and_size(run_detector):
    (record,) = run_detector(Traffic).records([udp(payload=bytes(245), at=1.5)])
    assert (record["time"], record["bytes"], record["payload"]) == (nanoseconds(1.5), 273, 245)


def test_an_icmp_error_tells_of_the_packet_that_it_quotes(run_detector):
    probe = udp(sport=3000, dport=33434)
    error = run_detector(Traffic).records([probe, unreachable(probe, at=1)])[1]
    assert (error["icmp_type"], error["icmp_code"], error["about_proto"], error["about_sport"], error["about_dport"]) == (3, 3, 17, 3000, 33434)


def test_an_icmpv6_error_tells_of_the_packet_that_it_quotes(run_detector):
    probe = tcp(CLIENT6, SERVER6, sport=3000, dport=80)
    error = run_detector(Traffic).records([probe, unreachable(probe, at=1)])[1]
    assert (error["icmp_type"], error["icmp_code"], error["about_proto"], error["about_sport"], error["about_dport"]) == (1, 4, 6, 3000, 80)


def test_no_record_tells_an_outcome_unless_asked(run_detector):
    assert set(run_detector(Traffic).records([connection(), refused(dport=81), udp_exchange(), ping()])["outcome"]) == {NO_OUTCOME}


def test_with_outcomes_each_attempt_waits_for_its_own_and_keeps_its_time(run_detector):
    attempts = [silent(dport=1, at=0), half_open(dport=2, at=1), refused(dport=3, at=2), handshake(dport=4, at=3), tcp(dport=5, at=30)]
    records = run_detector(Traffic, outcome=True).records(attempts)
    assert outcomes(records) == ["half_open", "refused", "answered", "silent", "pending"]
    assert list(records["time"]) == [nanoseconds(at) for at in (1, 2, 3, 0, 30)]


@pytest.mark.parametrize(("flow", "told"), [(udp_exchange(), "answered"), (udp_refused(), "refused"), (ping(), "answered")])
def test_datagrams_and_requests_have_outcomes_too(run_detector, flow, told):
    assert outcomes(run_detector(Traffic, outcome=True).records(flow)[:1]) == [told]


def test_with_outcomes_an_error_stands_behind_the_attempt_that_it_decides(run_detector):
    probe = udp(sport=3000, dport=33434)
    refusal, error = run_detector(Traffic, outcome=True).records([probe, unreachable(probe, at=1)])
    assert (outcomes([refusal]), error["outcome"]) == (["refused"], NO_OUTCOME)


def test_an_answer_that_comes_late_does_not_tell_an_attempt_twice(run_detector):
    late = [udp(at=0), udp(SERVER, CLIENT, sport=53, dport=40000, at=9)]
    assert outcomes(run_detector(Traffic, outcome=True).records(late)) == ["silent"]


def test_with_flows_the_end_of_each_tells_what_went_each_way(run_detector):
    opening, end = run_detector(Traffic, flows=True).records(connection(request=bytes(100), response=bytes(1000)))
    assert kinds([opening, end]) == [ATTEMPT, FLOW]
    assert (end["packets"], end["reply_packets"], end["bytes"], end["reply_bytes"]) == (5, 3, 5 * 40 + 100, 3 * 40 + 1000)


def test_the_end_of_a_flow_has_its_first_and_last_time_and_its_outcome(run_detector):
    (end,) = run_detector(Traffic, flows=True).records(udp_exchange(at=2))[1:]
    assert (end["time"], end["end"], outcomes([end])) == (nanoseconds(2), nanoseconds(2.001), ["answered"])


def test_with_flows_strays_have_no_end(run_detector):
    assert len(run_detector(Traffic, flows=True).records([tcp(flags="A"), tcp(dport=81, flags="SA")])) == 0


def cut(frame, kept):
    """The packet as its sender cut it: `kept` bytes behind Ethernet's header."""
    return replace(frame, data=frame.data[: 14 + kept], wire_length=None)


def faults(records):
    return [Malformed(record["malformed"]).name.lower() for record in records]


def test_malformed_packets_leave_no_record_unless_asked(run_detector):
    assert len(run_detector(Traffic).records([cut(tcp(), 30), cut(udp(), 24)])) == 0


@FAMILIES
def test_a_malformed_packet_is_a_record_of_what_is_wrong_and_whose_it_was(run_detector, source, target):
    header = 40 if ":" in source else 20
    (record,) = run_detector(Traffic, malformed=True).records([cut(tcp(source, target, at=1.5), header + 10)])
    assert (kinds([record]), faults([record]), ends(record), record["proto"]) == (["malformed"], ["truncated"], (source, target), 6)
    assert (record["time"], record["bytes"], record["version"]) == (nanoseconds(1.5), header + 20, 6 if ":" in source else 4)


def test_a_packet_without_a_readable_ip_header_is_a_record_without_addresses(run_detector):
    (record,) = run_detector(Traffic, malformed=True).records([cut(tcp(), 12)])
    assert (faults([record]), record["version"], record["bytes"]) == (["truncated"], 0, 26)


def test_a_packet_that_the_capture_cut_short_is_not_malformed(run_detector):
    assert len(run_detector(Traffic, malformed=True).records([replace(cut(tcp(), 30), wire_length=54)])) == 0


def test_malformed_packets_stand_among_the_others_in_order(run_detector):
    packets = [udp(dport=1, at=0), cut(udp(dport=2, at=1), 24), udp(dport=3, at=2)]
    assert kinds(run_detector(Traffic, malformed=True).records(packets)) == [DATAGRAM, "malformed", DATAGRAM]


@pytest.mark.parametrize(("rule", "left"), [("ignore tcp from 198.51.100.0/24", 0), ("ignore udp", 1), ("ignore tcp dport 80", 1)])
def test_a_rule_hides_malformed_packets_as_far_as_they_could_be_read(run_detector, rule, left):
    assert len(run_detector(Traffic, malformed=True).records([cut(tcp(dport=80), 30)], rules=[rule])) == left


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("settings", [{}, {"outcome": True}, {"flows": True}, {"udp": "datagram", "outcome": True, "flows": True, "malformed": True}])
def test_the_records_do_not_depend_on_the_batches(run_detector, settings, batch_size):
    packets = [
        [
            connection(dport=port, at=port / 10),
            cut(tcp(dport=port, at=port / 10 + 0.01), 30),
            refused(dport=port + 100, at=port / 9),
            udp_exchange(dport=port, at=port),
        ]
        for port in range(1, 60)
    ]
    run = run_detector(Traffic, **settings)
    assert run.records(packets, batch_size).tolist() == run.records(packets, 8192).tolist()


def test_what_a_rule_ignores_leaves_no_record(run_detector):
    packets = [connection(dport=25), connection(dport=80), udp_exchange(dport=53)]
    records = run_detector(Traffic).records(packets, rules=["ignore tcp dport 25", "ignore udp dport 53"])
    assert list(records["dport"]) == [80]


def test_it_raises_no_alerts(run_detector):
    assert run_detector(Traffic).feed([refused(dport=port) for port in range(1, 100)]) == []
