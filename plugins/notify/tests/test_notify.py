"""What is sent for which alert, over a real mail server and a real web server, and what is said where that fails."""

import email
import email.policy
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from pydantic import ValidationError

from iplog_core import IplogError, SinkContext
from iplog_core.testing import alert, records
from iplog_core.testing.conformance import SinkConformance
from iplog_notify import Notify, Settings, lane

# Apprise loads all its services, some of which load what Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PATIENCE = 10.0


class Web:
    """A web server: `told` has what was posted to it; `status` is what it answers."""

    def __init__(self):
        self.told: list[tuple[str, str]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.status
                if status == 200:
                    outer.told.append((body["title"], body["message"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"json://user:hunter2@127.0.0.1:{self.server.server_port}/hook"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


class Mailbox:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


@pytest.fixture
def mail():
    """A mail server; `handler.mails` has what it took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def notes() -> list[str]:
    """What the sink says of itself."""
    return []


@pytest.fixture
def opened(notes):
    """A function that opens the sink. Those still open are closed at the end."""
    made = []

    def make(*urls, **settings):
        sink = Notify(Settings(urls=list(urls), **settings), SinkContext(note=notes.append))
        sink.open()
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.give_up()
        for each in sink._lanes:
            each.give_up()
            each._thread.join(PATIENCE)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# What is sent


def test_a_web_service_gets_title_and_body(web, opened):
    sink = opened(web.url)
    sink.write([alert(src_ip="192.0.2.1", dest_ip="198.51.100.1", packets=5)])
    sink.close()
    ((title, body),) = web.told
    assert title == "iplog: TCP: port scan from 192.0.2.1"
    assert body.startswith("TCP: port scan from 192.0.2.1 to 198.51.100.1, 5 packets since ")


def test_a_mail_gets_through(mail, opened):
    sink = opened(f"mailto://localhost:{mail.port}?smtp=127.0.0.1&from=iplog@example.net&to=ops@example.net&mode=insecure&format=text")
    sink.write([alert(src_ip="192.0.2.1")])
    sink.close()
    ((receivers, message),) = mail.handler.mails
    assert (receivers, message["Subject"]) == (["ops@example.net"], "iplog: TCP: port scan from 192.0.2.1")
    assert "TCP: port scan from 192.0.2.1 to" in message.get_content()


def test_templates_are_the_sites_own(web, opened):
    sink = opened(web.url, title="{kind}", body="{severity}\n{src}\n{dest}\n{src_port}")
    sink.write([alert(src_ip=None, dest_ip=None, sources=["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"], source_count=70, severity="high")])
    sink.close()
    assert web.told == [("port_scan", "high\n192.0.2.1, 192.0.2.2, 192.0.2.3 and 67 more\nunknown\nunknown")]


def test_nothing_in_an_alert_is_markup_or_a_line_of_its_own(web, opened):
    sink = opened(web.url, title="{signature}", body="{in_iface}")
    sink.write([alert(signature="<b>@everyone\r\nBcc: x", in_iface="[a](http://x) `y` \x1b[2J")])
    sink.close()
    assert web.told == [("?b??everyone??Bcc: x", "?a?(http:??x) ?y? ??2J")]


@pytest.mark.parametrize(
    ("settings", "given", "is_sent"),
    [
        ({}, {"severity": "medium"}, True),
        ({}, {"severity": "low"}, False),
        ({}, {"state": "end"}, False),
        ({"states": ["start", "end"]}, {"state": "end"}, True),
        ({"kinds": ["udp_scan"]}, {}, False),
    ],
)
def test_what_the_settings_name_is_sent(settings, given, is_sent, web, opened):
    sink = opened(web.url, **settings)
    sink.write([records(2), alert(**given)])
    sink.close()
    assert len(web.told) == is_sent


def test_what_is_too_much_for_a_minute_is_told_in_one_message(web, opened):
    sink = opened(web.url, per_minute=2, title="{src}")
    sink.write([alert(src_ip=f"192.0.2.{n}") for n in (1, 2, 3, 4, 4)])
    sink.close()
    assert web.told == [
        ("192.0.2.1", web.told[0][1]),
        ("192.0.2.2", web.told[1][1]),
        ("iplog: and 3 more alerts", "and 3 more alerts:\n2 TCP: port scan from 192.0.2.4\n1 TCP: port scan from 192.0.2.3"),
    ]


def test_what_was_held_back_is_sent_when_the_minute_is_over(web, opened, monkeypatch):
    monkeypatch.setattr(lane, "_MINUTE", 0.5)
    sink = opened(web.url, per_minute=1, title="{src}")
    sink.write([alert(src_ip=f"192.0.2.{n}") for n in (1, 2, 3)])
    wait_for(lambda: len(web.told) == 2)
    assert [title for title, _ in web.told] == ["192.0.2.1", "iplog: and 2 more alerts"]


# What goes wrong


def test_what_was_not_delivered_is_sent_again_in_order(web, opened, notes):
    web.status = 503
    sink = opened(web.url, title="{src}")
    sink.write([alert(src_ip=f"192.0.2.{n}") for n in (1, 2)])
    wait_for(lambda: notes)
    web.status = 200
    wait_for(lambda: len(web.told) == 2)
    assert [title for title, _ in web.told] == ["192.0.2.1", "192.0.2.2"]
    assert notes[0] == "notify: urls[0] (JSON): it answered with status 503; it is tried again, and what follows waits."
    assert notes[1].startswith("notify: urls[0] (JSON): it takes messages again, after ")


def test_one_service_that_is_gone_does_not_keep_another_waiting(web, opened):
    sink = opened("json://127.0.0.1:9/", web.url)
    sink.write([alert()])
    wait_for(lambda: web.told)
    assert len(web.told) == 1


def test_what_is_not_delivered_at_the_end_is_counted(opened):
    sink = opened("json://127.0.0.1:9/")
    sink.write([alert(), alert()])
    sink.give_up()
    with pytest.raises(OSError, match="2 alerts were not delivered"):
        sink.close()


def test_what_waits_for_too_long_is_lost_and_counted(web, opened, notes):
    web.status = 500
    sink = opened(web.url, retry_for=0.2)
    sink.write([alert()])
    wait_for(lambda: sink._lanes[0]._lost == 1)
    web.status = 200
    sink.write([alert()])
    wait_for(lambda: len(notes) == 2)
    assert notes[1].endswith("; 1 alert was lost.")


def test_no_message_shows_a_password(web, opened, capfd, notes):
    web.status = 401
    sink = opened(web.url)
    sink.write([alert()])
    wait_for(lambda: notes)
    assert "hunter2" not in "".join([*notes, *capfd.readouterr(), repr(sink.settings)])


def test_apprise_itself_writes_nothing(web, opened, capfd, notes):
    web.status = 401
    sink = opened(web.url)
    sink.write([alert()])
    wait_for(lambda: notes)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["nonsense", "xyz://hunter2@example.net", "mailto://"])
def test_an_address_that_apprise_does_not_know_stops_the_start_and_is_not_shown(url, opened):
    with pytest.raises(IplogError, match=r"notify: urls\[0\]: Apprise knows no such address") as failure:
        opened(url)
    assert url not in str(failure.value)


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"urls": []}, "at least 1 item"), ({"title": "{scr}"}, r"no \{scr\}; expected one of src, dest"), ({"title": "a\nb"}, "expected one line")],
)
def test_settings_that_cannot_be_meant_are_refused(settings, what):
    with pytest.raises(ValidationError, match=what):
        Settings(**{"urls": ["json://127.0.0.1/"], **settings})


class TestConformance(SinkConformance):
    sink = Notify

    @pytest.fixture(autouse=True)
    def _served(self, web):
        type(self).settings = {"urls": [web.url]}
