"""A source that scans a watched host is cut off by nftables, and let in again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Host, hosts, join, why_not
from watching import Watching, wait_for, watching

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
OPEN = 80
SCANNED = 443
"""Two open ports: one that is asked whether the host can be reached, and one that only a scan finds."""


@pytest.fixture(scope="module")
def sensor_and_peer() -> Iterator[tuple[Host, Host]]:
    """A sensor with 198.18.0.1 and 2001:db8::1, where two ports are open, and a peer with 198.18.0.66, 198.18.0.67 and 2001:db8::66."""
    if reason := why_not() or ("" if NFT else "there is no nft"):
        pytest.skip(reason)
    for other in ("iplog_tcp_scan", "iplog_text"):
        pytest.importorskip(other)
    with hosts(2) as (sensor, peer):
        join(sensor, "eth0", peer, "eth0")
        sensor.address("eth0", "198.18.0.1/24", "2001:db8::1/64")
        peer.address("eth0", "198.18.0.66/24", "198.18.0.67/24", "2001:db8::66/64")
        with sensor.inside():
            servers = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in (OPEN, SCANNED)]
        threads = [threading.Thread(target=_serve, args=(server,), daemon=True) for server in servers]
        for thread in threads:
            thread.start()
        yield sensor, peer
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            server.close()


def _serve(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


@pytest.fixture
def peer(sensor_and_peer: tuple[Host, Host]) -> Host:
    return sensor_and_peer[1]


@pytest.fixture
def sensor(sensor_and_peer: tuple[Host, Host]) -> Iterator[Host]:
    yield sensor_and_peer[0]
    sensor_and_peer[0]("nft", "flush", "ruleset")


@contextlib.contextmanager
def blocking(sensor: Host, folder: Path, *settings: str, dry_run: bool = False) -> Iterator[Watching]:
    assignments = [f"plugins.block.{setting}" for setting in (f"dry_run={'true' if dry_run else 'false'}", *settings)]
    enabled = [word for plugin in ("tcp_scan", "text", "block") for word in ("--enable", plugin)]
    with watching(sensor, folder, "-i", "eth0", "--set", "names.resolve=false", *enabled, *(word for each in assignments for word in ("--set", each))) as watch:
        yield watch


def connects(peer: Host, port: int, source: str = "198.18.0.66") -> bool:
    """Whether a connection comes about within half a second."""
    target = "2001:db8::1" if ":" in source else "198.18.0.1"
    with peer.inside(), socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET) as client:
        client.settimeout(0.5)
        client.bind((source, 0))
        try:
            client.connect((target, port))
        except OSError:
            return False
        return True


def scan(peer: Host, source: str = "198.18.0.66") -> None:
    """Try ports by connect(), the open one among them: enough for an update of the alert."""
    for port in [*range(1, 11), SCANNED, *range(11, 60)]:
        connects(peer, port, source)
        if not port % 20:
            time.sleep(0.2)  # for what is known by then to be told


def in_sets(sensor: Host) -> str:
    return sensor("nft", "list", "table", "inet", "iplog", check=False)


@pytest.mark.parametrize("source", ["198.18.0.66", "2001:db8::66"])
def test_a_scanner_cannot_reach_the_host_until_its_time_is_over(source: str, sensor: Host, peer: Host, tmp_path: Path) -> None:
    with blocking(sensor, tmp_path, "timeout=3") as watch:
        assert connects(peer, OPEN, source)
        scan(peer, source)
        watch.wait_for_told(f"block: {source} is blocked for 3s: port_scan, alert ")
        assert not connects(peer, OPEN, source)
        wait_for(lambda: connects(peer, OPEN, source), lambda: in_sets(sensor))
        assert watch.end() == 0


def test_others_still_reach_it_and_flush_lets_the_scanner_go(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with blocking(sensor, tmp_path) as watch:
        scan(peer)
        watch.wait_for_told("block: 198.18.0.66 is blocked for 1h")
        assert (connects(peer, OPEN), connects(peer, OPEN, "198.18.0.67")) == (False, True)
    # It stays blocked when iplog has ended.
    assert _block(sensor, tmp_path, "list").startswith("198.18.0.66 35")
    _block(sensor, tmp_path, "flush")
    assert connects(peer, OPEN)


def _block(sensor: Host, folder: Path, what: str) -> str:
    watch = Watching(sensor, folder, "block", "--enable", "block", what)
    assert watch.process.wait(20) == 0, watch.told
    return watch.output.read_text().splitlines()[-1] if what == "list" else ""


def test_never_block_holds(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with blocking(sensor, tmp_path, 'never_block=["198.18.0.64/29"]') as watch:
        scan(peer)
        watch.wait_for_told("block: 198.18.0.66 is never blocked: never_block has it.")
        assert connects(peer, OPEN)


def test_a_gateway_is_never_blocked(sensor: Host, peer: Host, tmp_path: Path) -> None:
    sensor("ip", "route", "add", "default", "via", "198.18.0.66")
    try:
        with blocking(sensor, tmp_path) as watch:
            scan(peer)
            watch.wait_for_told("block: 198.18.0.66 is never blocked: it is a gateway of this host.")
            assert connects(peer, OPEN)
    finally:
        sensor("ip", "route", "del", "default")


def test_a_dry_run_changes_nothing(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with blocking(sensor, tmp_path, dry_run=True) as watch:
        scan(peer)
        watch.wait_for_told("block: 198.18.0.66 would be blocked (dry run) for 1h: port_scan")
    assert "iplog" not in sensor("nft", "list", "ruleset")


def test_other_tables_stay_as_they_are(sensor: Host, tmp_path: Path) -> None:
    sensor("nft", "add", "table", "inet", "mine")
    with blocking(sensor, tmp_path):
        assert "table inet mine" in sensor("nft", "list", "ruleset")


def test_without_the_table_that_it_was_told_of_it_does_not_start(sensor: Host, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="block: nft refuses: there is no table inet iplog with sets v4 and v6"),
        blocking(sensor, tmp_path, "create=false"),
    ):
        pass


def test_what_nftables_refuse_is_told_and_the_watch_goes_on(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with blocking(sensor, tmp_path) as watch:
        sensor("nft", "delete", "table", "inet", "iplog")
        scan(peer)
        watch.wait_for_told("block: it could not write: nft refuses: there is no table inet iplog")
        assert watch.process.poll() is None
        assert watch.end() == 1
