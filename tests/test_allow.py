"""What a detector does not look at: trusted scanners, and each detector's own allow-list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import batches_with_flows
from reading import plugins
from sites import Iplog

from iplog_core import ConfigError, Detector, DetectorSettings, Packet, PacketBatch, PacketDetector
from iplog_core.allow import Seen, compile_allow_lists
from iplog_core.detector import AlertKind
from iplog_core.rule_grammar import parse_allowed
from iplog_core.testing import Frame, arp, connection, icmp, icmp6, ping, refused, run_detector, sctp, silent, tcp, udp, udp_exchange

SCANNER, OTHER, TARGET = "192.0.2.10", "203.0.113.9", "198.18.0.1"


class Looks(Detector[DetectorSettings]):
    """Notes the packets and the flows that it sees."""

    name = "looks"
    kinds = {"looked": AlertKind("Looked", "info")}
    seen: list[tuple[int, int]]

    def on_batch(self, batch: PacketBatch) -> None:
        Looks.seen.append((len(batch), len(batch.decided)))


class Writes(Looks):
    """The same, with no kinds of alerts: a log."""

    name = "writes"
    kinds = {}


class Knock(PacketDetector[DetectorSettings]):
    """A detector that declares no kinds, and raises alerts all the same."""

    name = "knock"

    def on_packet(self, packet: Packet) -> None:
        self.alert("knock", packet)


def seen(packets: list[Any], *allow: str, trusted: tuple[str, ...] = (), cls: type[Looks] = Looks) -> tuple[int, int]:
    """How many packets and decided flows a detector sees of these."""
    Looks.seen = []
    run_detector(cls, allow=list(allow)).events(packets, trusted=trusted)
    packets_seen, flows_seen = zip(*Looks.seen, strict=True)
    return sum(packets_seen), sum(flows_seen)


def faults(trusted: tuple[str, ...] = (), **lists: list[str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as told:
        compile_allow_lists(trusted, lists)
    return told.value.faults


@pytest.mark.parametrize(
    "conversation",
    [
        refused(SCANNER, TARGET),
        silent(SCANNER, TARGET),
        connection(SCANNER, TARGET),
        udp_exchange(SCANNER, TARGET),
        ping(SCANNER, TARGET),
        [arp(SCANNER, TARGET), arp(TARGET, SCANNER, reply=True, at=0.1)],
        [sctp(SCANNER, TARGET)],
        [tcp(SCANNER, TARGET, flags="FPU")],
    ],
    ids=["refused", "silent", "connection", "udp", "ping", "arp", "sctp", "xmas"],
)
def test_what_a_trusted_scanner_begins_is_not_seen_nor_what_comes_back(conversation: list[Frame]) -> None:
    assert seen(conversation, trusted=(SCANNER,)) == (0, 0)


def test_what_others_begin_with_a_trusted_scanner_is_seen_with_its_answers() -> None:
    conversation = connection(OTHER, SCANNER)
    assert seen(conversation, trusted=(SCANNER,)) == (len(conversation), 1)


def test_a_trusted_scanner_may_be_a_network_of_either_family() -> None:
    assert seen([silent("192.0.2.99", TARGET), silent("2001:db8:9::1", "2001:db8::1")], trusted=("192.0.2.0/24", "2001:db8:9::/48")) == (0, 0)


def test_an_ipv6_packet_that_pretends_to_be_mapped_is_no_trusted_scanner() -> None:
    assert seen([tcp(f"::ffff:{SCANNER}", "2001:db8::1")], trusted=(SCANNER,)) == (1, 1)


def test_a_log_writes_what_a_trusted_scanner_does() -> None:
    assert seen(refused(SCANNER, TARGET), trusted=(SCANNER,), cls=Writes) == (2, 1)


def test_a_detector_of_packets_that_declares_no_kinds_is_no_log() -> None:
    assert run_detector(Knock).feed(refused(SCANNER, TARGET), trusted=(SCANNER,)) == []


def test_a_log_leaves_out_what_its_own_list_allows() -> None:
    assert seen(refused(SCANNER, TARGET), f"from {SCANNER}", cls=Writes) == (0, 0)


@pytest.mark.parametrize(
    "allow",
    [
        f"from {SCANNER}",
        "from 192.0.2.0/24 to 198.18.0.0/15",
        "to 198.18.0.1",
        "from !203.0.113.0/24",
        "tcp",
        "tcp dport 8080",
        "TCP DPORT 8000:8100 TO 198.18.0.1  # the balancer's checks",
        "tcp sport 40000 from 192.0.2.10",
    ],
)
def test_an_entry_hides_a_flow_and_its_answers(allow: str) -> None:
    assert seen(refused(SCANNER, TARGET, sport=40000, dport=8080), allow) == (0, 0)


@pytest.mark.parametrize("allow", [f"from {TARGET}", f"to {SCANNER}", "udp", "tcp sport 8080", "tcp dport 40000", "icmp type echo", "from 2001:db8::/32"])
def test_an_entry_that_does_not_match_hides_nothing(allow: str) -> None:
    assert seen(refused(SCANNER, TARGET, sport=40000, dport=8080), allow) == (2, 1)


@pytest.mark.parametrize(
    "pinged",
    [
        [icmp(SCANNER, TARGET, type=8), icmp(TARGET, SCANNER, type=0, at=0.1)],
        [icmp6("2001:db8::9", "2001:db8::1", type=128), icmp6("2001:db8::1", "2001:db8::9", type=129, at=0.1)],
    ],
)
def test_the_answer_to_a_ping_goes_with_it_whatever_its_type(pinged: list[Frame]) -> None:
    assert seen(pinged, "icmp type echo") == (0, 0)


def test_a_host_name_stands_for_its_addresses() -> None:
    assert seen([udp("127.0.0.1", "127.0.0.2")], "from localhost") == (0, 0)


def test_detectors_with_equal_lists_see_the_same_batch_made_once() -> None:
    lists = compile_allow_lists([SCANNER], {"looks": ["tcp"], "knock": ["tcp"]})
    batch = next(batches_with_flows(refused(SCANNER, TARGET), 256))
    looked = Seen(batch)
    assert looked.by(lists.of(Looks, DetectorSettings())) is looked.by(lists.of(Knock, DetectorSettings()))


def test_a_batch_of_which_nothing_is_allowed_is_handed_on_as_it_is() -> None:
    lists = compile_allow_lists([SCANNER], {})
    batch = next(batches_with_flows(refused(OTHER, TARGET), 256))
    assert Seen(batch).by(lists.of(Looks, DetectorSettings())) is batch


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_what_is_hidden_does_not_depend_on_the_batches(batch_size: int) -> None:
    lists = compile_allow_lists([SCANNER], {"looks": ["udp dport 53"]})
    packets = sorted([*connection(SCANNER, TARGET), *udp_exchange(OTHER, TARGET, dport=53), *silent(OTHER, TARGET)], key=lambda frame: frame.time)
    left = [Seen(batch).by(lists.of(Looks, DetectorSettings())) for batch in batches_with_flows(packets, batch_size)]
    assert np.concatenate([batch.dport for batch in left]).tolist() == [80]


def test_each_bundled_detector_takes_an_allow_list() -> None:
    assert [cls.name for cls, settings in plugins().detectors if "allow" not in type(settings).model_fields] == []


# What is wrong, and where it is told


def test_all_faults_are_told_with_their_place() -> None:
    assert faults(("10/33", "192.0.2.1"), tcp_scan=["udp", "ignore tcp", "tcp dprt 80"]) == (
        "trusted_scanners[0]: \"10/33\": '33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0.",
        "plugins.tcp_scan.allow[1]: \"ignore tcp\": 'ignore' is the action of a rule, and no part of this: leave it away.",
        "plugins.tcp_scan.allow[2]: \"tcp dprt 80\": 'dprt' is no clause; expected from, sport, to or dport.",
    )


def test_a_host_name_that_cannot_be_looked_up_is_a_fault() -> None:
    (fault,) = faults(("no-such-host.invalid",))
    assert fault.startswith("trusted_scanners[0]: \"no-such-host.invalid\": 'no-such-host.invalid' cannot be looked up (")


NOT_NEGATED = "who is trusted cannot be negated; expected an address, a network or a host name. A detector's allow takes 'from !"


@pytest.mark.parametrize(
    ("trusted", "reason"),
    [
        ("*", "this is everybody; --disable turns a detector off."),
        ("any", "this is everybody; --disable turns a detector off."),
        ("!10/8", f"{NOT_NEGATED}10.0.0.0/8'."),
        ("not 1.2.3.4", f"{NOT_NEGATED}1.2.3.4'."),
    ],
)
def test_not_everybody_can_be_trusted(trusted: str, reason: str) -> None:
    assert reason in faults((trusted,))[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is nothing to allow; expected tcp, udp, icmp, from or to."),
        ("# nothing", "there is nothing to allow; expected tcp, udp, icmp, from or to."),
        ("192.0.2.10", "'192.0.2.10' is neither a protocol nor a clause; expected tcp, udp, icmp, from or to."),
        ("dport 80", "'dport' needs a protocol before it: tcp or udp."),
        ("type echo", "'type' needs a protocol before it: icmp."),
        ("from 10/8 dport 80", "'dport' is no clause where no protocol stands first; expected from or to."),
        ("from *", "this is everything; --disable turns a detector off."),
        ("from * to *", "this is everything; --disable turns a detector off."),
        ("from any", "'any' is no address; expected * for everybody."),
        ("to !ANY", "'ANY' is no address; expected * for everybody."),
        ("from not 1.2.3.4", "'not' is no address; expected ! and the address in one word, such as !192.0.2.1, for all others."),
        ("from", "'from' has no value; expected an address such as 192.0.2.1, 192.168/16 or 2001:db8::/32, a host name, or *."),
        ("to 10.0.0.1 to 10.0.0.2", "'to' stands twice; each clause may stand once."),
        ("from 10.0.0.1\nudp", "an entry stands on one line; write each as an entry of its own."),
    ],
)
def test_a_wrong_entry_is_told_with_what_would_be_right(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        parse_allowed(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("command", [["config", "check"], ["read", "nothing.pcap"]])
def test_a_fault_stops_the_start_and_names_file_table_and_key(command: list[str], iplog: Iplog) -> None:
    (iplog.folder / "iplog.toml").write_text('trusted_scanners = ["10/33"]\n[plugins.tcp_scan]\nallow = ["tcp", "dport 80"]\n')
    answer = iplog(*command, "--config", "iplog.toml")
    assert answer.status == 2
    assert answer.faults == [
        "iplog.toml, trusted_scanners[0]: \"10/33\": '33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0.",
        "iplog.toml: [plugins.tcp_scan] allow[1]: \"dport 80\": 'dport' needs a protocol before it: tcp or udp.",
    ]


def test_the_scan_of_a_trusted_scanner_is_logged_and_raises_no_alert(iplog: Iplog, pcap: Any) -> None:
    capture = pcap([refused(SCANNER, TARGET, dport=port, at=port / 10) for port in range(1, 41)])
    answer = iplog("read", "--set", f'trusted_scanners=["{SCANNER}"]', str(capture))
    assert len(answer.output.splitlines()) == 40
    assert "scan" not in answer.output


def test_a_list_in_the_environment_may_have_commas(iplog: Iplog) -> None:
    answer = iplog("config", "show", IPLOG__TRUSTED_SCANNERS="192.0.2.10,10.9.0.0/24")
    assert 'trusted_scanners = ["192.0.2.10", "10.9.0.0/24"]  # environment' in answer.output
