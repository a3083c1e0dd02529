"""Lines reach a real rsyslogd over every transport, also one that is not there yet, ends, hangs or comes back."""

import re
import signal
import socket
import threading
import time

import pytest
from namespaces import hosts, join, why_not

from iplog_syslog import connections

every_transport = pytest.mark.parametrize("transport", ["local", "udp", "tcp", "tls"])


def numbered(first, last):
    return [f"line {number}" for number in range(first, last)]


@every_transport
def test_a_line_arrives_with_its_priority_and_its_origin(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    send(daemon.address, facility="local3", priority="warning").say("iplog started.")
    daemon.wait_for(["iplog started."])
    (line,) = daemon.received
    assert (line.split()[0], "iplog[19624]" in line) == ("156", True)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_server_learns_host_name_and_kind_of_a_line(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    send(daemon.address).say("iplog started.")
    daemon.wait_for(["iplog started."])
    assert daemon.received[0].startswith("29 matrix iplog[19624] engine ")


@every_transport
def test_lines_arrive_in_order_and_once(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    for first in range(0, 2000, 50):
        sink.say(*numbered(first, first + 50))
        time.sleep(0.001)
    sink.stop()
    daemon.wait_for(numbered(0, 2000))
    assert daemon.messages == numbered(0, 2000)


@every_transport
def test_lines_wait_for_a_daemon_that_is_not_there_yet(rsyslog, send, transport):
    daemon = rsyslog(transport)
    sink = send(daemon.address)
    sink.say(*numbered(0, 100))
    sink.wait_for_note("lines wait until it is there")
    daemon.start()
    sink.wait_for_note("the lines that waited follow")
    daemon.wait_for(numbered(0, 100))
    reason = "no such file or directory" if transport == "local" else "connection refused"
    assert sink.notes[0] == f"syslog: {daemon.address}: {reason}; lines wait until it is there."
    assert (len(sink.notes), sink.faults, sink.outlet.drops) == (2, [], 0)


@every_transport
def test_nothing_is_lost_while_the_daemon_is_killed_and_started_again(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    sink.say(*numbered(0, 100))
    daemon.wait_for(numbered(0, 100))
    daemon.kill()
    for first in range(100, 400, 10):
        sink.say(*numbered(first, first + 10))
    sink.wait_for_note("lines wait until it is there")
    sink.say(*numbered(400, 500))
    daemon.start()
    daemon.wait_for(numbered(0, 500))
    sink.say(*numbered(500, 600))
    daemon.wait_for(numbered(500, 600))
    assert [note.rpartition("; ")[2] for note in sink.notes] == ["lines wait until it is there.", "the lines that waited follow."]
    assert (sink.faults, sink.outlet.drops) == ([], 0)


@every_transport
def test_nothing_is_lost_while_the_daemon_is_restarted_again_and_again_under_traffic(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    ended = threading.Event()
    said = 0

    def talk():
        nonlocal said
        while not ended.is_set():
            sink.say(f"line {said}")
            said += 1
            time.sleep(0.001)

    talking = threading.Thread(target=talk)
    talking.start()
    for _ in range(3):
        time.sleep(0.3)
        daemon.stop()
        time.sleep(0.2)
        daemon.start()
    ended.set()
    talking.join()
    sink.stop()
    daemon.wait_for(numbered(0, said))
    assert (sink.faults, sink.outlet.drops) == ([], 0)


@pytest.mark.parametrize("transport", ["local", "tcp", "tls"])
def test_what_a_daemon_had_not_read_when_it_was_killed_is_sent_again(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    sink.say("first")
    daemon.wait_for(["first"])
    daemon.signal(signal.SIGSTOP)
    sink.say("its kernel has it, nobody has read it")
    time.sleep(0.3)
    daemon.kill()
    daemon.start()
    sink.say("last")
    daemon.wait_for(["its kernel has it, nobody has read it", "last"])


@every_transport
def test_a_daemon_that_stands_still_for_a_while_gets_each_line_once(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    sink.say("first")
    daemon.wait_for(["first"])
    daemon.signal(signal.SIGSTOP)
    sink.say(*numbered(0, 200))
    time.sleep(0.5)
    daemon.signal(signal.SIGCONT)
    sink.stop()
    daemon.wait_for(numbered(0, 200))
    assert daemon.messages == ["first", *numbered(0, 200)]
    assert sink.notes == []


@every_transport
def test_a_new_connection_on_hup_loses_and_repeats_nothing(rsyslog, send, transport):
    daemon = rsyslog(transport)
    daemon.start()
    sink = send(daemon.address)
    for first in range(0, 1000, 100):
        sink.say(*numbered(first, first + 100))
        sink.outlet.reopen()
    sink.stop()
    daemon.wait_for(numbered(0, 1000))
    assert daemon.messages == numbered(0, 1000)


@every_transport
def test_what_still_waits_at_the_end_is_lost_and_counted(rsyslog, send, transport):
    sink = send(rsyslog(transport).address)
    sink.say(*numbered(0, 10))
    sink.wait_for_note("lines wait until it is there")
    sink.say(*numbered(10, 25))
    sink.stop(patience=0.1)
    reason = "no such file or directory" if transport == "local" else "connection refused"
    assert sink.outlet.drops == 25
    assert sink.faults == [f"syslog: it could not write: {reason}; what is lost is counted."]


@pytest.fixture
def hanging(send, monkeypatch):
    """A server that reads nothing yet, and the sink, which has more for it than all buffers hold: 6,000 lines of 1,500 bytes."""
    monkeypatch.setattr(connections, "ANSWERING", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sink = send(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        sink.say(*(f"line {number} {'x' * 1500}" for number in range(6000)))
        with listener.accept()[0] as server:
            yield server, sink


def test_a_server_that_does_not_read_for_a_while_gets_each_line_once(hanging):
    server, sink = hanging
    time.sleep(1)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: server.recv(65536), b"")))
    reader.start()
    sink.stop()
    reader.join(20)
    assert re.findall(rb"line (\d+) ", b"".join(received)) == [b"%d" % number for number in range(6000)]
    assert (sink.notes, sink.outlet.drops) == ([], 0)


def test_a_server_that_does_not_read_does_not_hold_up_the_end(hanging):
    _, sink = hanging
    sink.stop(patience=0.1)
    assert sink.outlet.drops == 6000
    assert sink.faults == ["syslog: it could not write: it has not answered yet; what is lost is counted."]


def test_a_server_that_accepts_and_closes_at_once_is_not_there_yet(send):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = send(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        sink.say("line")
        listener.accept()[0].close()
        sink.wait_for_note("it closed the connection; lines wait until it is there.")
        with listener.accept()[0] as server:
            server.settimeout(20)
            assert b" line" in server.recv(4096)
            sink.stop()
    assert sink.outlet.drops == 0


def test_a_host_name_that_is_unknown_is_told_and_asked_again(send):
    sink = send("udp://nowhere.invalid")
    sink.say("line")
    sink.wait_for_note("; lines wait until it is there.")
    assert sink.notes[0].startswith("syslog: udp://nowhere.invalid: ")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_server_whose_host_is_cut_off_for_a_while_gets_every_line(rsyslog, send, monkeypatch, transport):
    if reason := why_not():
        pytest.skip(reason)
    monkeypatch.setattr(connections, "ANSWERING", 0.5)
    monkeypatch.setattr(connections, "CONNECTING", 0.5)
    with hosts(2) as (sensor, server):
        join(sensor, "eth0", server, "eth0")
        sensor.address("eth0", "198.18.0.1/24")
        server.address("eth0", "198.18.0.2/24")
        daemon = rsyslog(transport, listens_at="198.18.0.2")
        with server.inside():
            daemon.start()
        with sensor.inside():
            sink = send(daemon.address)
        sink.say("first")
        daemon.wait_for(["first"])
        server("ip", "link", "set", "eth0", "down")
        sink.say(*numbered(0, 100))
        sink.wait_for_note("lines wait until it is there")
        server("ip", "link", "set", "eth0", "up")
        daemon.wait_for(numbered(0, 100))
        sink.stop()
        daemon.stop()
    assert (sink.faults, sink.outlet.drops) == ([], 0)
