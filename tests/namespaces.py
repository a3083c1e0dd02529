"""Network namespaces for one test: hosts on this machine that reach each other and nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


def why_not() -> str:
    """Why no namespace can be made here; an empty string where one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        return "this machine allows no network namespaces"
    return ""


class Host:
    """A network namespace, named for this process so that runs beside each other do not meet."""

    def __init__(self) -> None:
        self.name = f"iplog-{os.getpid()}-{next(_numbers)}"
        _run("ip", "netns", "add", self.name)
        self("ip", "link", "set", "lo", "up")

    def __call__(self, *command: str, timeout: float = 60, check: bool = True) -> str:
        """Run a command there; return what it wrote to standard output."""
        return _run(*self.command(*command), timeout=timeout, check=check)

    def command(self, *command: str) -> list[str]:
        """What runs a command there, for `subprocess`."""
        return ["ip", "netns", "exec", self.name, *command]

    def address(self, interface: str, *addresses: str) -> None:
        """Give an interface addresses, such as 198.18.0.1/24 or 2001:db8::1/64."""
        for address in addresses:
            self("ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread, and what it opens, there for a while."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def remove(self) -> None:
        _run("ip", "netns", "del", self.name, check=False)


def join(left: Host, left_name: str, right: Host, right_name: str) -> None:
    """Lay a cable between two hosts: a veth pair, up at both ends, with nothing left to offloading."""
    _run("ip", "link", "add", left_name, "netns", left.name, "type", "veth", "peer", "name", right_name, "netns", right.name)
    for host, name in ((left, left_name), (right, right_name)):
        host("ethtool", "-K", name, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off", check=False)
        host("ip", "link", "set", name, "up")


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Some hosts with nothing between them yet, gone afterwards; processes that still run there are killed."""
    made: list[Host] = []
    try:
        for _ in range(count):
            made.append(Host())
        yield made
    finally:
        for host in made:
            _kill(_run("ip", "netns", "pids", host.name, check=False).split())
            host.remove()


def _kill(pids: Sequence[str]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)


def _run(*command: str, timeout: float = 60, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
