"""What the kernel leaves out is what nobody would have seen."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import frames_of
from reading import plugins

from iplog_core import Alert, Records, SinkContext, SinkSettings
from iplog_core.capture.merge import merge
from iplog_core.capture.savefile import open_savefile
from iplog_core.engine import Engine
from iplog_core.kernel_filter import LENGTH, kernel_filter
from iplog_core.rules import compile_rules
from iplog_core.testing import EPOCH, Frame, Kept, Link, arp, fragments, icmp, tcp, udp, write_pcap

CAPTURES = Path(__file__).parent / "captures"

needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")

RULES = {
    "udp off": ["ignore udp"],
    "tcp off": ["ignore tcp"],
    "all but icmp off": ["ignore tcp", "ignore udp"],
    "dns both ways": ["ignore udp sport 53", "ignore udp dport 53"],
    "one port, several rules": ["ignore tcp sport 80", "ignore tcp dport 80:443", "ignore tcp sport 443"],
    "inside a network": ["ignore udp from 198.18.0.0/15", "ignore tcp from 198.18/15"],
    "two hosts": ["ignore tcp from 198.18.0.66 to 198.18.1.1", "ignore tcp from 198.18.1.1 to 198.18.0.66"],
    "all hosts but one": ["ignore tcp from !198.18.0.66", "ignore tcp to !198.18.0.66"],
    "all ports but one": ["ignore tcp dport !80", "ignore tcp sport !80"],
    "high ports": ["ignore tcp dport 1024:", "ignore udp dport 1024:"],
    "a range and its outside": ["ignore tcp dport !20:1023", "ignore tcp sport 1024:"],
    "ipv6": ["ignore tcp from 2001:db8::/32 to 2001:db8::/32", "ignore udp from 2001:db8::/127", "ignore udp to 2001:db8::/127"],
}


@needs_tcpdump
@pytest.mark.parametrize("name", RULES)
def test_the_events_are_the_same_without_what_the_kernel_leaves_out(name: str, tmp_path: Path) -> None:
    rules = RULES[name]
    expression = kernel_filter(compile_rules(rules), None)
    assert expression
    whole = [unpacked(capture, tmp_path) for capture in sorted([*CAPTURES.glob("*.pcap"), *CAPTURES.glob("*.pcap.gz")])]
    filtered = [select(capture, tmp_path / f"filtered_{capture.name}", expression) for capture in whole]
    end = end_of(whole, tmp_path / "end.pcap")
    assert sum(file.stat().st_size for file in filtered) < sum(file.stat().st_size for file in whole)
    assert events([*filtered, end], rules) == events([*whole, end], rules)


@needs_tcpdump
@pytest.mark.parametrize("link", [Link.ETHERNET, Link.SLL, Link.SLL2, Link.RAW, Link.NULL, Link.PPP])
def test_the_kernel_leaves_out_what_is_hidden_whatever_the_link_type(link: Link, tmp_path: Path) -> None:
    kept = [udp(dport=54, payload=bytes(40), link=link), icmp(link=link), tcp(dport=53, link=link)]
    hidden = [udp(sport=53, dport=9, payload=bytes(40), link=link), udp(dport=53, payload=bytes(40), link=link)]
    assert passed([*hidden, *kept], RULES["dns both ways"], tmp_path) == kept


@needs_tcpdump
@pytest.mark.parametrize("src", ["198.18.0.66", "2001:db8::66"])
def test_fragments_are_never_torn_apart(src: str, tmp_path: Path) -> None:
    pieces = fragments(udp(src, dport=53, payload=bytes(100)), 48)
    assert passed(pieces, [*RULES["dns both ways"], "ignore udp"], tmp_path) == pieces


@needs_tcpdump
@pytest.mark.parametrize("frame", [udp(dport=53, payload=bytes(40)), udp("2001:db8::66", dport=53, payload=bytes(40)), tcp(options=bytes(12))])
def test_a_packet_cut_short_is_not_taken_for_a_hidden_one(frame: Frame, tmp_path: Path) -> None:
    whole_header = 14 + (40 if frame.data[14] >> 4 == 6 else 20) + 8
    cut = [Frame(frame.time, frame.data[:length], frame.link) for length in range(14, whole_header)]
    assert passed(cut, ["ignore udp", "ignore tcp"], tmp_path) == cut


@needs_tcpdump
def test_rules_without_end_make_a_filter_that_libpcap_takes(tmp_path: Path) -> None:
    rules = [f"ignore {proto} {side} 10.{number}.0.0/16" for number in range(250) for proto in ("tcp", "udp") for side in ("from", "to")]
    expression = kernel_filter(compile_rules(rules), "not host 192.0.2.1")
    assert expression
    assert len(expression) < 2 * LENGTH
    frames = [udp("10.0.0.1", dport=9, payload=bytes(40)), udp("11.0.0.1", dport=9, payload=bytes(40))]
    assert passed(frames, rules, tmp_path) == frames[1:]


@pytest.mark.parametrize(
    "rules",
    [
        [],
        ["ignore icmp"],
        ["ignore icmp type echo"],
        ["log udp"],
        ["ignore udp", "log udp dport 53"],
        ["ignore udp", "log udp"],
        ["log tcp dport 1045:1055 sport ftp-data", "ignore tcp dport 1024: sport 20", "ignore tcp sport 1024: dport 20"],
    ],
)
def test_what_has_to_be_seen_is_not_filtered(rules: list[str]) -> None:
    assert kernel_filter(compile_rules(rules), None) is None


@needs_tcpdump
def test_a_rule_for_any_address_is_as_good_as_a_switch(tmp_path: Path) -> None:
    frames = [udp(dport=53, payload=bytes(40)), udp("2001:db8::66", payload=bytes(40)), tcp()]
    assert passed(frames, ["ignore udp from *"], tmp_path) == frames[2:]


def test_without_rules_the_users_filter_stands_as_it_is() -> None:
    assert kernel_filter(None, "port 80 or port 443") == "port 80 or port 443"


@needs_tcpdump
def test_a_filter_of_the_user_holds_beside_what_is_hidden(tmp_path: Path) -> None:
    frames = [tcp(dport=80), tcp(dport=81), udp(dport=80, payload=bytes(40))]
    assert passed(frames, ["ignore udp"], tmp_path, "port 80 or vlan 7") == frames[:1]


def passed(frames: Sequence[Frame], rules: Sequence[str], folder: Path, user_filter: str | None = None) -> list[Frame]:
    """The frames that the filter lets pass, through libpcap."""
    expression = kernel_filter(compile_rules(rules), user_filter)
    assert expression
    numbered = [Frame(EPOCH + number * 1_000_000_000, frame.data, frame.link) for number, frame in enumerate(frames)]
    write_pcap(folder / "in.pcap", numbered)
    left = frames_of(select(folder / "in.pcap", folder / "out.pcap", expression))
    return [frames[(frame.time - EPOCH) // 1_000_000_000] for frame in left]


def select(whole: Path, filtered: Path, expression: str) -> Path:
    with filtered.open("wb") as file:
        subprocess.run(["tcpdump", "--time-stamp-precision=nano", "-r", str(whole), "-w", "-", expression], stdout=file, stderr=subprocess.PIPE, check=True)
    return filtered


def unpacked(capture: Path, folder: Path) -> Path:
    if capture.suffix != ".gz":
        return capture
    copy = folder / capture.stem
    copy.write_bytes(gzip.decompress(capture.read_bytes()))
    return copy


def end_of(captures: Sequence[Path], file: Path) -> Path:
    """A capture of one packet, after the last of the others: so that time passes as far without them."""
    last = max(int(batch.time.max()) for capture in captures for batch in open_savefile(str(capture), 65536))
    write_pcap(file, [Frame(last + 1_000_000_000, arp().data)])
    return file


def events(files: Sequence[Path], rules: Sequence[str]) -> list[dict[str, Any]]:
    """All that sinks are given, but for the numbers of packets."""
    kept = Kept(SinkSettings(), SinkContext())
    source = merge([open_savefile(str(file), 4096) for file in files])
    report = Engine(plugins(), source, [kept], compile_rules(rules), log=print).run()
    assert not report.faults
    told: list[dict[str, Any]] = []
    for event in kept.events:
        if isinstance(event, Alert):
            told.append(event.model_dump())
        elif isinstance(event, Records):
            names = [name for name in event.rows.dtype.names or () if name != "index"]
            told += [dict(zip(names, row, strict=True)) for row in event.rows[names].tolist()]
    return told
