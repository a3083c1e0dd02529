"""TLS: whom the sink trusts, and what it shows of itself; rsyslogd at the other end."""

import socket

import pytest

from iplog_core import IplogError, SinkContext
from iplog_syslog import Settings, Syslog, connections


def test_a_server_of_another_authority_gets_nothing(rsyslog, send, authority):
    daemon = rsyslog("tls")
    daemon.start()
    sink = send(daemon.address, ca_file=authority("stranger").certificate)
    sink.say("secret")
    sink.wait_for_note("its certificate is not trusted (")
    sink.stop(patience=0.1)
    assert (daemon.messages, sink.outlet.drops, len(sink.notes)) == ([], 1, 1)


def test_a_server_that_this_host_does_not_trust_gets_nothing(rsyslog, send):
    daemon = rsyslog("tls")
    daemon.start()
    sink = send(daemon.address, ca_file=None)
    sink.say("secret")
    sink.wait_for_note("its certificate is not trusted (")
    assert daemon.messages == []


def test_a_server_under_another_name_gets_nothing(rsyslog, send):
    daemon = rsyslog("tls")
    daemon.start()
    sink = send(daemon.address.replace("localhost", "127.0.0.2").replace("//127.0.0.2", "//127.1"))
    sink.say("secret")
    sink.wait_for_note("its certificate is not trusted (")
    assert ("mismatch" in sink.notes[0], daemon.messages) == (True, [])


def test_a_server_that_asks_for_a_certificate_gets_ours(rsyslog, send, authority):
    daemon = rsyslog("tls", asks=True)
    daemon.start()
    certificate, key = authority("authority").client
    send(daemon.address, cert_file=certificate, key_file=key).say("line")
    daemon.wait_for(["line"])


def test_a_server_that_asks_for_a_certificate_that_is_not_set_is_told_of(rsyslog, send):
    daemon = rsyslog("tls", asks=True)
    daemon.start()
    sink = send(daemon.address)
    sink.say("line")
    sink.wait_for_note("; lines wait until it is there.")
    assert (len(sink.notes), daemon.messages) == (1, [])


def test_a_server_without_tls_is_told_of(rsyslog, send, authority, monkeypatch):
    monkeypatch.setattr(connections, "ANSWERING", 0.5)
    daemon = rsyslog("tcp")
    daemon.start()
    sink = send(daemon.address.replace("tcp:", "tls:"), ca_file=authority("authority").certificate)
    sink.say("line")
    sink.wait_for_note(f"syslog: {daemon.address.replace('tcp:', 'tls:')}: it does not answer the TLS handshake; lines wait until it is there.")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "it closed the connection"),
        (bytes.fromhex("15030300020100"), "it closed the connection"),
        (bytes.fromhex("15030300020228"), "sslv3 alert handshake failure"),
        (b"220 mail.example ESMTP\r\n", "wrong version number"),
    ],
    ids=["end", "end of TLS", "alert", "another protocol"],
)
def test_why_tls_failed_is_said_without_the_insides_of_python(send, authority, answer, reason):
    certificate = authority("authority").certificate
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = send(f"tls://localhost:{server.getsockname()[1]}", ca_file=certificate)
        sink.say("line")
        client, _ = server.accept()
        with client:
            client.recv(4096)
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            sink.wait_for_note(f": TLS failed ({reason}); lines wait until it is there.")


def test_certificates_are_read_anew_on_hup(rsyslog, send, authority, tmp_path):
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority("stranger").certificate.read_bytes())
    daemon = rsyslog("tls")
    sink = send(daemon.address, ca_file=trusted)
    trusted.write_bytes((tmp_path / "authority" / "ca.pem").read_bytes())
    sink.outlet.reopen()
    daemon.start()
    sink.say("line")
    daemon.wait_for(["line"])


def test_certificates_that_cannot_be_read_on_hup_leave_those_of_before(rsyslog, send, authority, tmp_path):
    daemon = rsyslog("tls")
    daemon.start()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes((tmp_path / "authority" / "ca.pem").read_bytes())
    sink = send(daemon.address, ca_file=trusted)
    trusted.unlink()
    sink.outlet.reopen()
    sink.say("line")
    daemon.wait_for(["line"])
    assert sink.notes == [f"plugins.syslog.ca_file: {trusted}: No such file or directory; expected certificates in PEM. What was read before is kept."]


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"ca_file": "none.pem"}, "ca_file: none.pem: No such file or directory; expected certificates in PEM."),
        ({"ca_file": "rubbish.pem"}, "ca_file: rubbish.pem: it cannot be used; expected certificates in PEM."),
        (
            {"cert_file": "authority/client.pem"},
            "cert_file: authority/client.pem: it cannot be used; expected a certificate in PEM and, there or in key_file, its key without a password.",
        ),
        (
            {"cert_file": "authority/client.pem", "key_file": "authority/server.key"},
            "cert_file: authority/client.pem: it cannot be used; expected a certificate in PEM and, there or in key_file, its key without a password.",
        ),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start_with_one_line(authority, tmp_path, monkeypatch, files, line):
    authority("authority")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rubbish.pem").write_text("rubbish")
    with pytest.raises(IplogError) as error:
        Syslog(Settings.model_validate({"address": "tls://localhost", **files}), SinkContext()).open()
    assert error.value.faults == (f"plugins.syslog.{line}",)
