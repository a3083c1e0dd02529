"""Name servers for tests: dnsmasq, and one that answers what no honest server would."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from namespaces import Host

ADDRESS = "198.18.0.66"
"""Where both listen: at the address of the peer."""

SOA = "ns.example. root.example. 1 3600 600 86400"

Answer = dns.message.Message | bytes | None
Records = dict[tuple[str, str], list[str]]


class Scripted:
    """A name server in this process that answers from `records`, or as `answer` says, `delay` seconds late; `asked` has every question.

    Records stand by name and type, each `NAME TTL IN TYPE DATA`; without any the answer is that there is no such name, for `minimum` seconds. While it is
    `silent` it says nothing.
    """

    def __init__(self, records: Records, host: Host) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []
        self.answer: Callable[[dns.message.Message], Answer] = self.from_records
        self.delay = 0.0
        self.minimum = 3600
        self.silent = False
        self._ends = threading.Event()
        self._timers: list[threading.Timer] = []
        with host.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.05)
        self._socket.bind((ADDRESS, 53))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def questions(self, kind: str) -> list[str]:
        """The names that were asked about, in order."""
        return [name for name, asked in self.asked if asked == kind]

    def from_records(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        question = query.question[0]
        found = self.records.get((question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)))
        for line in found or ():
            owner, ttl, _, kind, data = line.split(maxsplit=4)
            response.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            response.authority.append(dns.rrset.from_text(".", self.minimum, "IN", "SOA", f"{SOA} {self.minimum}"))
        return response

    def close(self) -> None:
        self._ends.set()
        self._thread.join()
        for timer in self._timers:
            timer.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ends.is_set():
            try:
                wire, client = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            query = dns.message.from_wire(wire)
            self.asked.append((query.question[0].name.to_text().lower(), dns.rdatatype.to_text(query.question[0].rdtype)))
            if self.silent:
                continue
            answer = self.answer(query)
            if answer is None:
                continue
            timer = threading.Timer(self.delay, self._send, (answer if isinstance(answer, bytes) else answer.to_wire(), client))
            self._timers.append(timer)
            timer.start()

    def _send(self, wire: bytes, client: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(wire, client)


@contextlib.contextmanager
def scripted(host: Host, *records: str) -> Iterator[Scripted]:
    """A scripted server at the peer with some records, `NAME TTL IN TYPE DATA`; a chain of CNAME records is given with its beginning."""
    by_question: Records = {}
    for record in records:
        owner, _, _, kind, _ = record.split(maxsplit=4)
        by_question.setdefault((owner.lower(), kind), []).append(record)
    server = Scripted(by_question, host)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def dnsmasq(host: Host, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A dnsmasq at the peer that knows what `options` and the file `hosts` in the folder say, and asks nobody."""
    if not (program := shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")):
        pytest.skip("dnsmasq is not installed")
    known = folder / "hosts"
    known.touch()
    command = host.command(
        program, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--addn-hosts={known}", "--pid-file=", "--user=root",
        f"--listen-address={ADDRESS}", "--bind-interfaces", "--local=/arpa/", "--local=/example/", *options,
    )  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(host, process)
            yield process
        finally:
            process.terminate()


def _wait_until_it_answers(host: Host, process: subprocess.Popen[bytes]) -> None:
    query = dns.message.make_query("ready.example.", "A").to_wire()
    with host.inside():
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with probe:
        probe.settimeout(0.1)
        for _ in range(100):
            assert process.poll() is None, "dnsmasq ended"
            probe.sendto(query, (ADDRESS, 53))
            with contextlib.suppress(OSError):
                probe.recv(512)
                return
            time.sleep(0.05)
    raise TimeoutError("dnsmasq does not answer")
