"""What a plugin raises: a line with its name, its version and its distribution, and of the traceback what its author wrote."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from sites import Iplog, Site

CHECKOUT = Path(__file__).resolve().parents[1]

HEAD = """
import json
from iplog_core import *
from iplog_core import Alert, Detector, DetectorSettings, Policy, PolicySettings, Sink, SinkSettings, hookimpl
from iplog_core.testing import MemorySource, tcp

iplog_api = 2

def read(text):
    return json.loads(text)
"""
DETECTOR = (
    HEAD
    + """
class Ash(Detector[DetectorSettings]):
    name = "ash"
    def on_batch(self, batch):
        read("{")

@hookimpl
def iplog_detectors():
    return [Ash]
"""
)
HOOK = (
    HEAD
    + """
@hookimpl
def iplog_alert(alert):
    read("{")
"""
)
POLICY = (
    HEAD
    + """
class Ash(Policy[PolicySettings]):
    name = "ash"
    def keep(self, alert):
        read("{")

@hookimpl
def iplog_policies():
    return [Ash]
"""
)
SINK = (
    HEAD
    + """
class Ash(Sink[SinkSettings]):
    name = "ash"
    def write(self, events):
        read("{")

@hookimpl
def iplog_sinks():
    return [Ash]
"""
)
SOURCE = (
    HEAD
    + """
class Breaking(MemorySource):
    def __iter__(self):
        yield next(super().__iter__())
        read("{")

@hookimpl
def iplog_source(name, batch_size):
    return Breaking([tcp(dport=25)], batch_size) if name == "ash:" else None
"""
)
COMMAND = (
    HEAD
    + """
def run(options):
    read("{")

@hookimpl
def iplog_commands(add):
    add("grow").set_defaults(run=run)
"""
)
WHO = "ash 0.3.0 (iplog-plugin-ash)"
RAISED = "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (iplog_ash.py, line 10)"
TOLD = {
    "detector": (DETECTOR, f"it failed on a batch: {RAISED}; what it would have found there is lost."),
    "hook": (HOOK, f"iplog_alert failed: {RAISED}; the alerts were written all the same."),
    "policy": (POLICY, f"keep failed: {RAISED}; the alerts were written all the same."),
    "sink": (SINK, f"it could not write: {RAISED}; what is lost is counted."),
    "source": (SOURCE, f"its source failed: {RAISED}; what comes after is not read."),
    "command": (COMMAND, f"iplog grow failed: {RAISED}."),
}

every_kind = pytest.mark.parametrize("kind", TOLD)


@pytest.fixture(scope="module")
def errors(tmp_path_factory, captures):
    """What is told of a plugin that raises."""

    @cache
    def run(kind: str) -> list[str]:
        site = Site(tmp_path_factory.mktemp(kind) / "site")
        site.install("ash", TOLD[kind][0], version="0.3.0")
        arguments = {"source": ["read", "ash:"], "command": ["grow"]}.get(kind, ["read", captures / "syn_scan.pcap"])
        return Iplog(site.folder.parent, CHECKOUT, site.folder)(*arguments, "--enable", "ash").faults

    return run


@every_kind
def test_the_line_names_the_plugin_its_version_its_distribution_and_the_place(kind, errors):
    assert f"{WHO}: {TOLD[kind][1]}" in errors(kind)


@every_kind
def test_the_traceback_has_the_frames_of_the_author_and_no_other(kind, errors):
    lines = errors(kind)
    assert "Traceback (most recent call last):" in "\n".join(lines)
    assert {line.partition("/iplog_ash.py")[1] for line in lines if line.startswith("  File ")} == {"/iplog_ash.py"}


def test_an_exception_that_cannot_tell_itself_is_told_by_its_name(site, iplog, captures):
    unspeakable = "class Unspeakable(Exception):\n    def __str__(self):\n        return 1\n"
    site.install("ash", POLICY.replace('read("{")', "raise Unspeakable").replace("@hookimpl", f"{unspeakable}@hookimpl"))
    answer = iplog("read", "--enable", "ash", captures / "syn_scan.pcap")
    assert any(line.startswith("ash 1.0 (iplog-plugin-ash): keep failed: Unspeakable (iplog_ash.py, line ") for line in answer.faults)


@pytest.mark.parametrize(("code", "status", "told"), [("0", 0, []), ("3", 3, []), ("'no such tree'", 1, ["no such tree"])])
def test_the_exit_of_a_command_is_that_of_iplog(code, status, told, site, iplog):
    site.install("ash", COMMAND.replace('read("{")', f"raise SystemExit({code})"))
    answer = iplog("grow", "--enable", "ash")
    assert (answer.status, answer.faults) == (status, told)


def test_a_source_that_exits_is_told(site, iplog):
    site.install("ash", SOURCE.replace('read("{")', "raise SystemExit(0)"))
    answer = iplog("read", "ash:")
    assert (answer.status, "its source failed: SystemExit: 0" in answer.errors) == (1, True)


def test_a_source_that_gives_no_batch_or_cannot_be_closed_is_told(site, iplog):
    site.install("ash", SOURCE.replace('read("{")', "yield b'packets'\n    def close(self):\n        read('{')"))
    answer = iplog("read", "ash:")
    assert (answer.status, answer.output.count("smtp connection attempt")) == (1, 1)
    assert "the source gives bytes; expected a RawBatch; what comes after is not read." in answer.faults
    assert any("it could not be closed: JSONDecodeError" in line for line in answer.faults)


def test_the_owner_is_known_by_its_entry_point_whatever_that_names(site, iplog):
    site.install("ash", SOURCE + "\nclass Both:\n    iplog_api = 2\n    iplog_source = staticmethod(iplog_source)\n", attribute="Both")
    assert any("(iplog-plugin-ash): its source failed" in line for line in iplog("read", "ash:").faults)


def test_what_came_before_a_source_broke_is_read(site, iplog):
    site.install("ash", SOURCE)
    answer = iplog("read", "ash:")
    assert (answer.status, answer.output.count("smtp connection attempt")) == (1, 1)


def test_a_command_that_raises_ends_with_status_2(site, iplog):
    site.install("ash", COMMAND)
    assert iplog("grow").status == 2


def test_a_plugin_that_cannot_add_its_command_is_told(site, iplog):
    site.install("ash", HEAD + "@hookimpl\ndef iplog_commands(add):\n    read('{')", version="0.3.0")
    assert iplog("grow").faults == [f"{WHO}: iplog_commands failed: {RAISED}."]


def test_a_full_disk_is_nothing_to_a_sinks_author(site, iplog, captures):
    site.install("ash", SINK.replace('read("{")', "raise OSError(28, 'No space left on device')"))
    assert iplog("read", captures / "syn_scan.pcap", "--enable", "ash").faults == ["ash: it could not write: No space left on device; what is lost is counted."]
