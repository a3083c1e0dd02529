"""Names from real name servers, honest ones and others, on a network of its own."""

import threading
import time
from contextlib import contextmanager

import dns.message
import dns.rcode
import pytest
from nameserver import ADDRESS, dnsmasq, scripted

from iplog_core.names import Names
from iplog_core.settings import NameSettings

INTRUDER = "198.18.0.99"
POINTER = "99.0.18.198.in-addr.arpa."
NAMED = (f"{POINTER} 3600 IN PTR intruder.example.", f"intruder.example. 3600 IN A {INTRUDER}")
TEXT = {INTRUDER: f"intruder.example ({INTRUDER})"}
LONG = ".".join(["x" * 63] * 3)


@pytest.fixture
def hosts(sensor_and_peer):
    return sensor_and_peer


@contextmanager
def started(sensor, *, patient=True, notes=None, **settings):
    """Names as `sensor` looks them up at the peer."""
    names = Names(NameSettings(servers=[ADDRESS], **settings), patient=patient)
    with sensor.inside():
        names.start((notes if notes is not None else []).append)
    try:
        yield names
    finally:
        names.close()


def texts(names, *hosts):
    return names.texts(hosts, time.monotonic())


def eventually(condition):
    """Wait until a condition holds; return whether it came to that."""
    end = time.monotonic() + 20
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds


def test_a_host_of_either_family_has_its_name_and_its_address_beside_it(hosts, tmp_path):
    sensor, peer = hosts
    with dnsmasq(peer, tmp_path, f"--host-record=intruder.example,{INTRUDER},2001:db8::99"), started(sensor) as names:
        assert texts(names, INTRUDER, "2001:db8::99") == TEXT | {"2001:db8::99": "intruder.example (2001:db8::99)"}


def test_a_host_without_a_name_has_none(hosts, tmp_path):
    sensor, peer = hosts
    with dnsmasq(peer, tmp_path), started(sensor) as names:
        assert texts(names, INTRUDER) == {}


def test_a_name_that_its_holder_does_not_confirm_is_not_written(hosts, tmp_path):
    sensor, peer = hosts
    options = (f"--ptr-record={POINTER[:-1]},bank.example", "--host-record=bank.example,198.18.0.5")
    with dnsmasq(peer, tmp_path, *options), started(sensor) as names:
        assert texts(names, INTRUDER) == {}


def test_thousands_of_hosts_are_named_where_lines_may_wait(hosts, tmp_path):
    sensor, peer = hosts
    many = {f"10.9.{third}.{fourth}": f"h{third}-{fourth}.example" for third in range(10) for fourth in range(200)}
    (tmp_path / "hosts").write_text("".join(f"{host} {name}\n" for host, name in many.items()))
    with dnsmasq(peer, tmp_path), started(sensor) as names:
        assert texts(names, *many) == {host: f"{name} ({host})" for host, name in many.items()}


def test_a_name_holds_as_long_as_its_record_says(hosts, tmp_path):
    sensor, peer = hosts
    known = tmp_path / "hosts"
    known.write_text(f"{INTRUDER} before.example\n")
    with dnsmasq(peer, tmp_path, "--local-ttl=1") as server, started(sensor) as names:
        before = texts(names, INTRUDER)
        known.write_text(f"{INTRUDER} after.example\n")
        server.send_signal(1)
        assert before == {INTRUDER: f"before.example ({INTRUDER})"}
        assert eventually(lambda: texts(names, INTRUDER) == {INTRUDER: f"after.example ({INTRUDER})"})


@pytest.mark.parametrize(("minimum", "times"), [(3600, 1), (0, 2)])
def test_that_there_is_no_name_holds_as_long_as_the_zone_says(hosts, minimum, times):
    sensor, peer = hosts
    with scripted(peer) as server, started(sensor) as names:
        server.minimum = minimum
        texts(names, INTRUDER)
        time.sleep(1.1)
        texts(names, INTRUDER)
        assert len(server.questions("PTR")) == times


def test_a_name_that_is_known_is_not_asked_for_again(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor) as names:
        assert [texts(names, INTRUDER), texts(names, INTRUDER)] == [TEXT, TEXT]
        assert server.asked == [(POINTER, "PTR"), ("intruder.example.", "A")]


def test_nothing_is_remembered_without_a_cache_beyond_the_line_that_waits_for_it(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor, cache=False, wait=0.1) as names:
        first = texts(names, INTRUDER)
        time.sleep(0.2)
        assert [first, texts(names, INTRUDER)] == [TEXT, TEXT]
        assert len(server.questions("PTR")) == 2


def test_the_ends_of_the_questions_are_remembered_in_any_case_so_that_no_question_leads_to_the_next(hosts):
    sensor, peer = hosts
    with scripted(peer) as server, started(sensor, cache=False) as names:
        server.minimum = 0
        for _ in range(3):
            texts(names, "198.18.0.1", ADDRESS)
        assert sorted(server.questions("PTR")) == ["1.0.18.198.in-addr.arpa.", "66.0.18.198.in-addr.arpa."]


def test_the_cache_is_bounded(hosts):
    sensor, peer = hosts
    many = [f"10.9.0.{number}" for number in range(8)]
    with scripted(peer) as server, started(sensor, capacity=4) as names:
        for host in many:
            texts(names, host)
        texts(names, *many[4:])
        assert len(server.asked) == 8
        texts(names, many[0])
        assert len(server.asked) == 9


def test_two_who_ask_at_once_are_answered_by_one_question(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor) as names:
        server.delay = 0.3
        answers = []
        askers = [threading.Thread(target=lambda: answers.append(texts(names, INTRUDER))) for _ in range(2)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert (answers, len(server.questions("PTR"))) == ([TEXT, TEXT], 1)


@pytest.mark.parametrize("host", ["224.0.0.251", "ff02::fb", "0.0.0.0", "::", "255.255.255.255", "no address"])
def test_what_is_no_single_host_is_never_asked_for(hosts, host):
    sensor, peer = hosts
    with scripted(peer) as server, started(sensor) as names:
        assert (texts(names, host), server.asked) == ({}, [])


def test_a_name_through_an_alias_of_its_zone_is_found(hosts):
    sensor, peer = hosts
    with scripted(peer, NAMED[1]) as server, started(sensor) as names:
        alias = "99.0-127.0.18.198.in-addr.arpa."
        server.records[(POINTER, "PTR")] = [f"{POINTER} 3600 IN CNAME {alias}", f"{alias} 3600 IN PTR intruder.example."]
        assert texts(names, INTRUDER) == TEXT


def test_of_several_names_the_first_of_the_alphabet_that_is_confirmed_is_written(hosts):
    sensor, peer = hosts
    pointers = [f"{POINTER} 3600 IN PTR {name}.example." for name in ("zebra", "intruder", "bank")]
    with scripted(peer, *pointers, NAMED[1], f"zebra.example. 3600 IN A {INTRUDER}") as server, started(sensor) as names:
        assert texts(names, INTRUDER) == TEXT
        assert server.questions("A") == ["bank.example.", "intruder.example."]


@pytest.mark.parametrize(
    "name",
    [r"evil\010Jan\03216\032root:\032all\032is\032well.example.", r"\027[2Jevil.example.", "198.18.0.1.", "a_b.example.", r"b\195\188cher.example.", "."],
)
def test_a_name_that_no_host_can_have_is_not_even_asked_about(hosts, name):
    sensor, peer = hosts
    with scripted(peer, f"{POINTER} 3600 IN PTR {name}", f"{name} 3600 IN A {INTRUDER}") as server, started(sensor) as names:
        assert (texts(names, INTRUDER), server.questions("A")) == ({}, [])


def test_a_name_as_long_as_names_may_be_is_written(hosts):
    sensor, peer = hosts
    with scripted(peer, f"{POINTER} 3600 IN PTR {LONG}.", f"{LONG}. 3600 IN A {INTRUDER}"), started(sensor) as names:
        assert texts(names, INTRUDER) == {INTRUDER: f"{LONG} ({INTRUDER})"}


def test_of_very_many_names_a_few_are_tried(hosts):
    sensor, peer = hosts
    with scripted(peer, *(f"{POINTER} 3600 IN PTR n{number}." for number in range(100))) as server, started(sensor) as names:
        assert (texts(names, INTRUDER), len(server.questions("A"))) == ({}, 4)


def refused(query):
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response


def looping(query):
    response = dns.message.make_response(query)
    owner = query.question[0].name.to_text()
    response.answer.append(dns.rrset.from_text(owner, 1, "IN", "CNAME", owner))
    return response


@pytest.mark.parametrize(
    "answer",
    [refused, looping, lambda query: query.to_wire()[:2] + b"\x81\x80" + b"\xff" * 40, lambda query: dns.message.make_response(query).to_wire()[:7]],
    ids=["failure", "loop", "nonsense", "cut short"],
)
def test_an_answer_that_is_none_is_like_no_name_and_holds_for_a_while(hosts, answer):
    sensor, peer = hosts
    with scripted(peer) as server, started(sensor, timeout=1) as names:
        server.answer = answer
        first = texts(names, INTRUDER)
        asked = len(server.questions("PTR"))
        assert (first, texts(names, INTRUDER), len(server.questions("PTR"))) == ({}, {}, asked)


def test_a_line_waits_no_longer_than_it_may_and_later_ones_have_the_name(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor, patient=False, wait=0.05) as names:
        server.delay = 0.5
        assert texts(names, INTRUDER) == {}
        assert eventually(lambda: texts(names, INTRUDER) == TEXT)
        assert len(server.questions("PTR")) == 1


def test_a_host_that_was_waited_for_is_not_waited_for_again(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor, patient=False, wait=0.5, timeout=60) as names:
        server.answer = lambda query: None
        before = texts(names, INTRUDER)
        server.asked.clear()
        # As many lines as there would be no time for, had each to wait.
        assert (before, [texts(names, INTRUDER) for _ in range(1000)]) == ({}, [{}] * 1000)


def test_a_flood_of_hosts_is_neither_asked_for_nor_waited_for(hosts):
    sensor, peer = hosts
    flood = [f"10.{number >> 8}.{number & 255}.1" for number in range(20000)]
    with scripted(peer) as server, started(sensor, patient=False, wait=60) as names:
        server.answer = lambda query: None
        assert texts(names, *flood) == {}
        assert len(server.asked) < 1000


def test_servers_that_are_silent_are_told_of_once_and_hold_up_nothing_until_they_answer(hosts, monkeypatch):
    sensor, peer = hosts
    notes: list[str] = []
    monkeypatch.setattr("iplog_core.names.lookups._TRY_AGAIN", 0.2)
    with scripted(peer, *NAMED) as server, started(sensor, notes=notes, timeout=0.3) as names:
        server.silent = True
        many = [f"10.9.0.{number}" for number in range(100)]
        assert texts(names, *many) == {}
        assert eventually(lambda: notes == [f"names: no answer from {ADDRESS}; hosts are written as addresses until there is one."])
        assert texts(names, *(f"10.9.1.{number}" for number in range(100))) == {}
        server.silent = False
        assert eventually(lambda: notes[1:] == [f"names: there are answers from {ADDRESS} again."])
        assert texts(names, INTRUDER) == TEXT


def test_an_answer_counts_however_late_within_the_timeout_it_comes(hosts):
    sensor, peer = hosts
    notes: list[str] = []
    with scripted(peer, *NAMED) as server, started(sensor, notes=notes, timeout=2) as names:
        server.delay = 1.1
        assert (texts(names, INTRUDER), notes) == (TEXT, [])


def test_a_question_that_got_lost_is_asked_again(hosts):
    sensor, peer = hosts
    with scripted(peer, *NAMED) as server, started(sensor, timeout=1) as names:
        server.answer = lambda query: None if len(server.asked) == 1 else server.from_records(query)
        assert (texts(names, INTRUDER), len(server.questions("PTR"))) == (TEXT, 2)


def test_a_server_that_is_slow_and_behind_one_that_is_silent_is_heard(hosts):
    sensor, peer = hosts
    notes: list[str] = []
    names = Names(NameSettings(servers=["198.18.0.200", ADDRESS], timeout=2), patient=True)
    with scripted(peer, *NAMED) as server, sensor.inside():
        server.delay = 1.1
        names.start(notes.append)
        found = texts(names, INTRUDER)
        names.close()
    assert (found, notes) == (TEXT, [])


def test_servers_that_answer_again_are_noticed_however_late_within_the_timeout_they_do(hosts, monkeypatch):
    sensor, peer = hosts
    notes: list[str] = []
    monkeypatch.setattr("iplog_core.names.lookups._TRY_AGAIN", 0.2)
    with scripted(peer, *NAMED) as server, started(sensor, notes=notes, timeout=1) as names:
        server.silent = True
        texts(names, INTRUDER)
        assert eventually(lambda: len(notes) == 1)
        server.delay, server.silent = 0.7, False
        assert eventually(lambda: notes[1:] == [f"names: there are answers from {ADDRESS} again."])


def test_one_host_whose_name_server_is_silent_is_no_reason_for_a_line(hosts):
    sensor, peer = hosts
    notes: list[str] = []
    with scripted(peer, *NAMED) as server, started(sensor, notes=notes, timeout=0.3) as names:
        server.answer = lambda query: None if "1.9.10" in query.question[0].name.to_text() else server.from_records(query)
        assert texts(names, "10.9.1.1") == {}
        assert eventually(lambda: (".", "NS") in server.asked)
        assert (texts(names, INTRUDER), notes) == (TEXT, [])


def test_the_end_of_iplog_waits_for_no_name(hosts):
    sensor, peer = hosts
    with scripted(peer) as server, started(sensor, timeout=60) as names:
        server.silent = True
        answers = []
        asker = threading.Thread(target=lambda: answers.append(texts(names, INTRUDER)))
        asker.start()
        assert eventually(lambda: server.asked)
        names.close()
        asker.join(20)
        assert answers == [{}]


def test_the_servers_are_those_that_resolv_conf_names_now(hosts, tmp_path, monkeypatch):
    sensor, peer = hosts
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 198.18.0.200\n")
    monkeypatch.setattr("iplog_core.names.lookups._RESOLV_CONF", resolv_conf)
    monkeypatch.setattr("iplog_core.names.lookups._TRY_AGAIN", 0.2)
    notes: list[str] = []
    names = Names(NameSettings(timeout=0.3), patient=True)
    with scripted(peer, *NAMED), sensor.inside():
        names.start(notes.append)
        before = texts(names, "10.0.0.1")
        assert eventually(lambda: len(notes) == 1)
        resolv_conf.write_text(f"nameserver {ADDRESS}\n")
        assert eventually(lambda: len(notes) == 2)
        after = texts(names, INTRUDER)
        names.close()
    assert (before, after) == ({}, TEXT)
    assert notes == [
        "names: no answer from 198.18.0.200; hosts are written as addresses until there is one.",
        f"names: there are answers from {ADDRESS} again.",
    ]
