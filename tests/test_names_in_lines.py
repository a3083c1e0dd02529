"""Names from a slow name server in the lines of a sink, as a watch queues them."""

import re
import time

import dns.message
import dns.rrset
import numpy as np
import pytest
from nameserver import ADDRESS, scripted

from iplog_core import RECORD_DTYPE, Kind, Notice, RecordKind, Records, SinkContext
from iplog_core.addresses import halves
from iplog_core.events import NO_OUTCOME
from iplog_core.names import Names
from iplog_core.outlet import Outlet
from iplog_core.settings import NameSettings

text = pytest.importorskip("iplog_text", reason="the plugin text is not installed")

HOSTS = [f"10.1.0.{number}" for number in range(60)]


def attempt(source):
    row = np.zeros(1, RECORD_DTYPE)
    row["outcome"] = NO_OUTCOME
    row["record"], row["kind"], row["sport"], row["dport"] = RecordKind.CONNECTION_ATTEMPT, Kind.TCP, 40000, 65000
    row["src_hi"], row["src_lo"] = halves(source)
    return Records(row, [""])


def all_named(query):
    """The answer of a server that calls 10.1.0.7 h-10-1-0-7.example, and the other way round."""
    response = dns.message.make_response(query)
    name = query.question[0].name.to_text().lower()
    if name.endswith(".in-addr.arpa."):
        host = "-".join(reversed(name.split(".")[:4]))
        response.answer.append(dns.rrset.from_text(name, 3600, "IN", "PTR", f"h-{host}.example."))
    elif found := re.match(r"h-(\d+)-(\d+)-(\d+)-(\d+)\.", name):
        response.answer.append(dns.rrset.from_text(name, 3600, "IN", "A", ".".join(found.groups())))
    return response


@pytest.fixture
def log(sensor_and_peer, tmp_path):
    """A function that brings events to a file at a rate, with names from a server that takes a while to answer; it returns the lines."""
    sensor, peer = sensor_and_peer

    def write(calls, *, delay=0.0, every=0.0, silent=False, mode="watch", **settings):
        path = tmp_path / "iplog.log"
        told: list[str] = []
        with scripted(peer) as server:
            server.answer, server.delay, server.silent = all_named, delay, silent
            names = Names(NameSettings(servers=[ADDRESS], **settings), patient=mode == "read")
            with sensor.inside():
                names.start(told.append)
            outlet = Outlet(
                text.Text(text.Settings(path=str(path)), SinkContext(mode=mode, log_dest=False, names=names)), 65536, "block", told.append, told.append
            )
            outlet.start()
            for events in calls:
                outlet.put(events)
                time.sleep(every)
            outlet.stop()
            names.close()
        return path.read_text().splitlines()

    return write


def line(host):
    return f"TCP: port 65000 connection attempt from h-{host.replace('.', '-')}.example ({host}):40000"


def test_hosts_that_come_faster_than_their_names_have_names_all_the_same(log):
    lines = log([[attempt(host)] for host in HOSTS], delay=0.1, every=0.01, wait=5)
    assert [written.partition("]: ")[2] for written in lines] == [line(host) for host in HOSTS]


def test_a_capture_waits_for_every_name(log):
    lines = log([[attempt(host) for host in HOSTS]], delay=0.7, mode="read", wait=0.05)
    assert [written.partition(" ")[2] for written in lines] == [line(host) for host in HOSTS]


def test_lines_are_written_without_names_where_the_server_is_silent(log):
    lines = log([[attempt(host)] for host in HOSTS], silent=True, wait=0.2, timeout=60)
    assert [written.partition("]: ")[2] for written in lines] == [f"TCP: port 65000 connection attempt from {host}:40000" for host in HOSTS]


def test_a_line_without_hosts_waits_for_none(log):
    assert log([[Notice(time=0, message="iplog started.")]], silent=True, wait=60)[0].endswith("]: iplog started.")
