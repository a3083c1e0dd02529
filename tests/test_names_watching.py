"""`iplog` as it is, with the hosts and the name servers of its own host's files."""

import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from nameserver import ADDRESS, dnsmasq, scripted
from watching import watching

PEER = "--host-record=intruder.example,198.18.0.66,2001:db8::66"
KNOCK = "import socket, sys\nfor port in range(20): socket.socket().connect_ex(('198.18.0.1', int(sys.argv[1]) + port))"


@pytest.fixture
def hosts(sensor_and_peer):
    """The sensor, which knows its own name and where the name server is, and the peer."""
    sensor, peer = sensor_and_peer
    folder = Path("/etc/netns", sensor.name)
    folder.mkdir(parents=True)
    (folder / "hosts").write_text("127.0.0.1 localhost\n198.18.0.1 matrix\n")
    (folder / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
    yield sensor, peer
    shutil.rmtree(folder)


@contextmanager
def running(sensor, folder, *options):
    with watching(sensor, folder, "-i", "eth0", "--stdout", "--log-dest", *options) as watch:
        yield watch
        assert watch.end() == 0


def knock(peer, first=4000):
    peer(sys.executable, "-c", KNOCK, str(first))


def test_a_watch_names_our_host_by_its_file_and_a_stranger_by_the_dns(hosts, tmp_path):
    sensor, peer = hosts
    with dnsmasq(peer, tmp_path, PEER), running(sensor, tmp_path) as watch:
        knock(peer)
        watch.wait_for_line("TCP: port 4019 connection attempt to matrix from intruder.example (198.18.0.66):")
        watch.wait_for_line("TCP: port scan detected to matrix [ports 4000,4001,", "from intruder.example (198.18.0.66) [ports ")


@pytest.mark.parametrize("options", [(), ("--dns-cache=false",)], ids=["cache", "no cache"])
def test_the_questions_of_iplog_are_no_reason_for_more(hosts, tmp_path, options):
    sensor, peer = hosts
    Path("/etc/netns", sensor.name, "hosts").write_text("127.0.0.1 localhost\n")
    with scripted(peer) as server, running(sensor, tmp_path, *options) as watch:
        server.minimum = 0
        knock(peer)
        watch.wait_for_line("port 4019 connection attempt to 198.18.0.1 from 198.18.0.66:")
        time.sleep(1.5)  # longer than anything is remembered that need not be
        knock(peer, 5000)
        watch.wait_for_line("port 5019 connection attempt to 198.18.0.1 from 198.18.0.66:")
    assert [server.questions("PTR").count(name) for name in ("66.0.18.198.in-addr.arpa.", "1.0.18.198.in-addr.arpa.")] == [1, 1]


def test_nobody_is_asked_where_names_are_off(hosts, tmp_path):
    sensor, peer = hosts
    with scripted(peer) as server, running(sensor, tmp_path, "--disable-resolver") as watch:
        knock(peer)
        watch.wait_for_line("port 4019 connection attempt to 198.18.0.1 from 198.18.0.66:")
    assert server.asked == []


def test_a_silent_name_server_is_told_of_once_and_the_lines_come_with_addresses(hosts, tmp_path):
    sensor, peer = hosts
    with scripted(peer) as server, running(sensor, tmp_path, "--set", "names.timeout=0.5") as watch:
        server.silent = True
        knock(peer)
        watch.wait_for_line("port 4019 connection attempt to matrix from 198.18.0.66:")
        watch.wait_for_line(f"iplog[{watch.process.pid}]: names: no answer from {ADDRESS}; hosts are written as addresses until there is one.")
    assert watch.told.count("names: no answer") == 1
