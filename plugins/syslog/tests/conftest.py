"""A real rsyslogd over any transport, and the sink behind its queue."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from iplog_core import Notice, SinkContext
from iplog_core.outlet import Outlet
from iplog_syslog import Settings, Syslog

RSYSLOGD = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for a condition; fail with what did not come true."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} seconds: {what}"
        time.sleep(0.01)


class Rsyslog:
    """rsyslogd with one input, writing what comes to a file: priority, host, tag, message id, message."""

    def __init__(self, folder: Path, transport: str, authority: Authority | None = None, *, asks: bool = False, listens_at: str = "127.0.0.1") -> None:
        self.transport = transport
        self._host = listens_at
        self.path = folder / "log"
        self.port = _free_port(socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        self.address = str(self.path) if transport == "local" else f"{transport}://{'localhost' if listens_at == '127.0.0.1' else listens_at}:{self.port}"
        self._folder = folder
        self._output = folder / "received"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rsyslog.conf").write_text(self._configuration(authority, asks))

    def start(self) -> None:
        assert RSYSLOGD
        command = [RSYSLOGD, "-n", "-f", str(self._folder / "rsyslog.conf"), "-i", str(self._folder / "pid")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens, "rsyslogd listens")

    def kill(self) -> None:
        """End it at once, with what it has in memory and has not read. rsyslogd leaves its socket behind."""
        self.signal(signal.SIGKILL)
        assert self._process
        self._process.wait()
        self._process = None
        (self._folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it in good order."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            tasks = Path(f"/proc/{self._process.pid}/task")
            wait_until(lambda: all(" T " in (task / "stat").read_text() for task in tasks.iterdir()), "all threads stand still")

    @property
    def received(self) -> list[str]:
        """What came, a line each."""
        return self._output.read_text(errors="replace").splitlines() if self._output.exists() else []

    @property
    def messages(self) -> list[str]:
        return [line.partition(" #")[2].strip() for line in self.received]

    def wait_for(self, messages: Iterable[str]) -> None:
        """Wait until all of some messages have come, whatever else has."""
        wanted = set(messages)
        wait_until(lambda: wanted <= set(self.messages), f"all of {len(wanted)} messages come")

    def _listens(self) -> bool:
        assert self._process
        assert self._process.poll() is None, "rsyslogd ended"
        kind = {"local": "unix", "udp": "udp"}.get(self.transport, "tcp")
        address = socket.inet_aton(self._host)[::-1].hex().upper()
        mark = f" {self.path}\n" if self.transport == "local" else f" {address}:{self.port:04X} "
        return any(mark in line and self._owns(line) for line in Path(f"/proc/{self._process.pid}/net/{kind}").read_text().splitlines(keepends=True))

    def _owns(self, line: str) -> bool:
        """Tell whether a line of /proc/net speaks of a socket of this process, and not of what a killed one left behind."""
        assert self._process
        with contextlib.suppress(OSError):
            links = {file.readlink().name for file in Path(f"/proc/{self._process.pid}/fd").iterdir()}
            return any(f"socket:[{word}]" in links for word in line.split())
        return False

    def _configuration(self, authority: Authority | None, asks: bool) -> str:
        common = f'address="{self._host}" port="{self.port}"'
        inputs = {
            "local": f'module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" Socket="{self.path}" RateLimit.Interval="0")',
            "udp": f'module(load="imudp") input(type="imudp" rcvbufSize="4m" {common})',
            "tcp": f'module(load="imtcp") input(type="imtcp" {common})',
            "tls": 'module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" '
            f'StreamDriver.AuthMode="{"x509/certvalid" if asks else "anon"}") input(type="imtcp" {common})',
        }
        keys = ""
        if self.transport == "tls":
            assert authority
            keys = (
                f'global(DefaultNetstreamDriverCAFile="{authority.certificate}" DefaultNetstreamDriverCertFile="{authority.server[0]}" '
                f'DefaultNetstreamDriverKeyFile="{authority.server[1]}")\n'
            )
        return (
            f'global(workDirectory="{self._folder}" parser.escapeControlCharactersOnReceive="off")\n{keys}{inputs[self.transport]}\n'
            'template(name="all" type="string" string="%pri% %hostname% %syslogtag% %msgid% %timestamp:::date-rfc3339% #%msg%\\n")\n'
            f'action(type="omfile" file="{self._output}" template="all")\n'
        )


class Authority:
    """A certification authority, and certificates from it for `localhost` and for a client: pairs of certificate and key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.certificate = folder / "ca.pem"
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", str(folder / "ca.key"), "-out", str(self.certificate), "-subj", f"/CN={folder.name}", "-days", "2")
        self.server = self.issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:198.18.0.2")
        self.client = self.issue("client", "subjectAltName=DNS:sensor")

    def issue(self, name: str, extension: str) -> tuple[Path, Path]:
        certificate, key, request = (self._folder / f"{name}.{ending}" for ending in ("pem", "key", "csr"))
        _openssl("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        (self._folder / "extension").write_text(extension)
        signed_by = ("-CA", str(self.certificate), "-CAkey", str(self._folder / "ca.key"), "-CAcreateserial")
        _openssl("x509", "-req", "-in", str(request), "-out", str(certificate), *signed_by, "-days", "2", "-extfile", str(self._folder / "extension"))
        return certificate, key


class Running:
    """The sink on its thread, with a queue like the engine's; `notes` are its lines about itself."""

    def __init__(self, settings: Settings) -> None:
        self.notes: list[str] = []
        self.faults: list[str] = []
        context = SinkContext(mode="watch", hostname="matrix", pid=19624, note=self.notes.append)
        self.outlet = Outlet(Syslog(settings, context), 100_000, "drop", self.faults.append, self.notes.append)
        self.outlet.start()

    def say(self, *messages: str) -> None:
        self.outlet.put([Notice(time=time.time_ns(), message=message) for message in messages])

    def wait_for_note(self, part: str) -> None:
        """Wait until one of the notes has a text in it."""
        wait_until(lambda: any(part in note for note in self.notes), f"a note says {part!r}; there are {self.notes}")

    def stop(self, patience: float = 20) -> None:
        """Let it write what waits, and end."""
        self.outlet.stop(patience)


@pytest.fixture
def authority(tmp_path: Path) -> Callable[[str], Authority]:
    """A function that makes a certification authority; "authority" is that of rsyslogd's own certificate."""
    return cache(lambda name: Authority(tmp_path / name))


@pytest.fixture
def rsyslog(tmp_path: Path, authority: Callable[[str], Authority]) -> Iterator[Callable[..., Rsyslog]]:
    """A function that makes a rsyslogd for a transport; it is not started yet."""
    if RSYSLOGD is None:
        pytest.skip("rsyslogd is not installed")
    made: list[Rsyslog] = []

    def make(transport: str, **options: Any) -> Rsyslog:
        made.append(Rsyslog(tmp_path, transport, authority("authority") if transport == "tls" else None, **options))
        return made[-1]

    yield make
    for daemon in made:
        daemon.stop()


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A function that runs the sink with an address; over TLS it trusts the test's own authority."""
    running: list[Running] = []

    def start(address: str, **settings: object) -> Running:
        if address.startswith("tls:"):
            settings.setdefault("ca_file", tmp_path / "authority" / "ca.pem")
        running.append(Running(Settings.model_validate({"address": address, **settings})))
        return running[-1]

    yield start
    for sink in running:
        sink.stop(0.1)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
