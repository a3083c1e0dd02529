"""Watch a flood as it comes, iplog and tcpdump in turn: `python -m bench.live`, as root.

A cable between two network namespaces, and tcpreplay that sends on it as fast as it can. Who watches has a core, the sender has another. Nothing leaves the
namespaces, and they are gone afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import which

from bench.loads import LOADS
from bench.measuring import held
from bench.report import CHECKOUT, live, write_documents
from bench.results import record, recorded

sys.path.insert(0, str(CHECKOUT / "tests"))
from namespaces import Host, hosts, join, why_not

RING = 64 << 20
"""Bytes of packets that wait in the kernel until they are read, for each who watches."""
WATCHING_CORE, SENDING_CORE = 0, 1
PATIENCE = 30.0
SENT = {"mixed": 100_000, "synrand": 200_000}
"""How many packets of each load are sent over and over."""


@dataclass(frozen=True)
class Row:
    """How many packets were sent in how many seconds, what a watcher saw of them, what the kernel had no room for, and the CPU seconds it took."""

    name: str
    load: str
    sent: int
    seconds: float
    seen: int
    dropped: int
    cpu: float


@dataclass(frozen=True)
class Watcher:
    """A program that watches eth0 until SIGTERM: what it says when it begins, and what it saw and was dropped when it has ended."""

    name: str
    command: Callable[[Path], list[str]]
    begins: str
    ends: str


def _tcpdump(name: str, output: Callable[[Path], str]) -> Watcher:
    return Watcher(
        name,
        lambda folder: ["tcpdump", "-Z", "root", "-n", "-i", "eth0", "-B", str(RING >> 10), "-w", output(folder)],
        "listening on",
        r"(?s)(\d+) packets captured.*?(\d+) packets dropped by kernel",
    )


def _iplog(name: str, *options: str) -> Watcher:
    watch = [sys.executable, "-m", "iplog_core.cli.main", "-i", "eth0", "--promisc", "*", "--disable-resolver", "--set", f"capture.ring={RING}"]
    return Watcher(
        name,
        lambda folder: [*watch, "--logfile", str(folder / "log"), *options],
        "watching ",
        r"iplog stopped: ([\d,]+) packets.*the kernel dropped ([\d,]+) packets",
    )


WATCHERS = [
    _tcpdump("tcpdump -w FILE", lambda folder: str(folder / "capture")),
    _tcpdump("tcpdump -w /dev/null", lambda folder: os.devnull),
    _iplog("iplog --alerts-only", "--alerts-only"),
    _iplog("iplog, the text log in a file"),
]


def main() -> int:
    options = _options()
    missing = [tool for tool in ("ip", "ethtool", "taskset", "tcpdump", "tcpreplay") if not which(tool)]
    if reason := why_not() or (f"not installed: {', '.join(missing)}" if missing else ""):
        raise SystemExit(reason)
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("the sender and who watches need a core each")
    rows = []
    for load in SENT:
        for watcher in WATCHERS:
            tries = []
            for _ in range(options.rounds):
                with held(options.lock):
                    tries.append(watch(watcher, load, options.seconds))
            # What else the machine does takes time from the sender and from who watches, and never gives any.
            rows.append(asdict(min(tries, key=lambda row: (row.dropped / max(row.sent, 1), -row.sent / row.seconds))))
    print(live(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.record:
        record(live=rows)
        write_documents(recorded())
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description="Send a flood over a cable, and count what iplog and tcpdump see of it.")
    parser.add_argument("--seconds", metavar="N", type=int, default=3, help="how long each flood lasts (3)")
    parser.add_argument("--rounds", metavar="N", type=int, default=2, help="how often each watches each flood; the run with fewest packets dropped counts (2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to a file, too")
    parser.add_argument("--record", action="store_true", help="keep the rows in bench/recorded.json, and bring the documents up to them")
    parser.add_argument("--lock", metavar="FILE", type=Path, help="hold this lock for each run, where others measure on the same machine")
    return parser.parse_args()


def watch(watcher: Watcher, load: str, seconds: int) -> Row:
    """Let a watcher watch while a load is sent over and over."""
    capture = LOADS[load].path(SENT[load])
    memory = Path("/dev/shm")
    with hosts(2) as (here, there), tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        join(here, "eth0", there, "eth0")
        with _watching(here, watcher, Path(folder)) as process:
            before, begin = _sent(there), time.monotonic()
            there(
                "taskset",
                "-c",
                str(SENDING_CORE),
                "tcpreplay",
                "-q",
                "--preload-pcap",
                "--topspeed",
                "--loop=0",
                f"--duration={seconds}",
                "-i",
                "eth0",
                str(capture),
            )
            took, sent = time.monotonic() - begin, _sent(there) - before
            _wait_until_idle(process.pid)
            process.terminate()
            used = os.wait4(process.pid, 0)[2]
            process.returncode = 0
        told = "".join(_end_of(Path(folder, name)) for name in ("log", "stderr"))
    if not (counts := re.search(watcher.ends, told)):
        raise RuntimeError(f"{watcher.name} does not tell what it saw: {told[-300:]}")
    seen, dropped = (int(count.replace(",", "")) for count in counts.groups())
    return Row(watcher.name, load, sent, round(took, 2), seen, dropped, round(used.ru_utime + used.ru_stime, 2))


@contextlib.contextmanager
def _watching(host: Host, watcher: Watcher, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = host.command("taskset", "-c", str(WATCHING_CORE), *watcher.command(folder))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IPLOG")}
    errors = folder / "stderr"
    with errors.open("wb") as told:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told, env=environment, cwd=CHECKOUT)
    try:
        end = time.monotonic() + PATIENCE
        while watcher.begins not in errors.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{watcher.name} does not begin: {errors.read_text()[-300:]}")
            time.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def _end_of(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().decode(errors="replace")


def _sent(host: Host) -> int:
    return int(json.loads(host("ip", "-s", "-j", "link", "show", "dev", "eth0"))[0]["stats64"]["tx"]["packets"])


def _wait_until_idle(pid: int) -> None:
    """Until it has read what waits for it in the ring, and uses no time any more to speak of."""
    end, before = time.monotonic() + PATIENCE, -1.0
    while (now := _cpu(pid)) - before > 0.02 and time.monotonic() < end:
        before = now
        time.sleep(0.5)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
