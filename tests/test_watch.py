"""`iplog` by itself, as root, on interfaces of its own: real probes are told as they come, and how it starts, changes and ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from namespaces import Host, hosts, join, why_not
from watching import PATIENCE, Watching, wait_for, watching

NUMBERS = ("--disable-resolver",)
"""Without names: nobody answers in these networks."""


def needs(*commands: str) -> pytest.MarkDecorator:
    missing = [command for command in commands if not shutil.which(command)]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def attempts(watch: Watching, port: str) -> list[str]:
    return [line for line in watch.lines if f"TCP: {port} connection attempt from 198.18.0.66:" in line]


def knock(peer: Host, ports: Sequence[int] = (4000,)) -> None:
    """One connection attempt to each port of the sensor."""
    code = "import socket, sys\nfor port in sys.argv[1:]: socket.socket().connect_ex(('198.18.0.1', int(port)))"
    peer(sys.executable, "-c", code, *map(str, ports))


# What it tells


@needs("nmap")
def test_a_scan_by_nmap_is_written_down_attempt_by_attempt_and_told(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        peer("nmap", "-n", "-Pn", "-sS", "-T4", "-p", "1-100", "198.18.0.1")
        watch.wait_for_line("TCP: port scan detected [ports ", "from 198.18.0.66")
        watch.wait_for_line("TCP: ssh connection attempt from 198.18.0.66:")
        assert watch.end() == 0
    assert sum("connection attempt from 198.18.0.66" in line for line in watch.lines) == 100


@needs("ping")
def test_a_line_begins_as_the_system_log_begins_one(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        peer("ping", "-c", "1", "198.18.0.1")
        line = watch.wait_for_line("ICMP: echo from 198.18.0.66 (64 bytes)")
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ iplog\[\d+\]: ICMP: echo from 198\.18\.0\.66 \(64 bytes\)", line)


def test_each_datagram_of_a_classic_watch_has_its_line(sensor: Host, peer: Host, tmp_path: Path) -> None:
    (tmp_path / "iplog.conf").write_text("set stdout\nset disable_resolver\n")
    with watching(sensor, tmp_path, "--config", "iplog.conf") as watch:
        # Not by hping3, which sends one more than it was asked for where it is slow to see that it has to stop.
        with peer.inside(), socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.bind(("198.18.0.66", 53))
            for _ in range(2):
                sender.sendto(bytes(245), ("198.18.0.1", 1025))
        watch.wait_for_line("UDP: dgram to port 1025 from 198.18.0.66:53 (245 data bytes)")
        assert watch.end() == 0
    # Between them may stand what becomes of them, and one line be that of both.
    own = [before for before, line in pairwise(["", *watch.lines]) if "UDP: dgram" in (before if "last message repeated 1 times" in line else line)]
    assert len(own) == 2


@needs("nmap", "tcpdump")
def test_what_it_tells_live_is_what_the_file_that_tcpdump_wrote_tells(sensor: Host, peer: Host, tmp_path: Path) -> None:
    capture = tmp_path / "beside.pcap"
    tcpdump = subprocess.Popen(
        sensor.command("tcpdump", "-i", "eth0", "-p", "-U", "--immediate-mode", "-w", str(capture), "-Z", "root"), stderr=subprocess.PIPE, text=True
    )
    try:
        assert tcpdump.stderr is not None
        assert any("listening on" in line for line in tcpdump.stderr)
        with watching(sensor, tmp_path, "--format", "json", *NUMBERS) as watch:
            knock(peer)
            watch.wait_for_line('"dest_port":4000')
            for options in (["-sS", "-p", "1-60"], ["-sF", "-p", "1-40"], ["-sU", "-p", "1-12", "--max-retries", "0"], ["-sX", "-p", "1-20", "-f"]):
                peer("nmap", "-n", "-Pn", *options, "198.18.0.1")
            peer("ping", "-c", "2", "198.18.0.1")
            watch.wait_for_line('"icmp_type":0')
            assert watch.end() == 0
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.wait(PATIENCE)
    finally:
        tcpdump.kill()
        tcpdump.communicate()
    iplog = [sys.executable, "-m", "iplog_core.cli.main", "read", "--format", "json", str(capture)]
    read = subprocess.run(iplog, capture_output=True, text=True, check=True).stdout.splitlines()
    assert list(filter(None, map(shape, watch.lines))) == list(filter(None, map(shape, read)))


def shape(line: str) -> object:
    """What a line of JSON tells of the probes, but when: the kernel looks at its clock once more for each who captures, and ends are those of the run."""
    event = json.loads(line)
    alert = event.get("alert", {})
    if event["event_type"] == "engine" or alert.get("state") == "end" or event["src_ip"] == "::" or event["src_ip"].startswith("fe80:"):
        return None
    for name in ("timestamp", "in_iface"):
        event.pop(name, None)
    for name in ("id", "first_seen", "last_seen"):
        alert.pop(name, None)
    return event


def test_two_interfaces_are_watched_at_once(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with hosts(3) as (sensor, left, right):
        for number, (peer, name) in enumerate(((left, "left0"), (right, "right0"))):
            join(sensor, name, peer, "eth0")
            sensor.address(name, f"198.18.{number}.1/24")
            peer.address("eth0", f"198.18.{number}.66/24")
        with watching(sensor, tmp_path, "--format", "json", *NUMBERS) as watch:
            left("ping", "-c", "1", "198.18.0.1")
            right("ping", "-c", "1", "198.18.1.1")
            watch.wait_for_line('"in_iface":"left0"', '"src_ip":"198.18.0.66"')
            watch.wait_for_line('"in_iface":"right0"', '"src_ip":"198.18.1.66"')


def test_one_interface_of_two_may_be_chosen(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "-i", "lo", "--stdout", *NUMBERS) as watch:
        knock(peer, [4001])
        sensor(sys.executable, "-c", "import socket; socket.socket().connect_ex(('127.0.0.1', 4002))")
        watch.wait_for_line("port 4002")
        assert not attempts(watch, "port 4001")


def test_in_promiscuous_mode_what_others_in_the_network_are_sent_is_told_with_its_destination(sensor: Host, peer: Host, tmp_path: Path) -> None:
    for other in ("198.18.0.99", "192.0.2.99"):
        peer("ip", "route", "replace", f"{other}/32", "dev", "eth0")
        peer("ip", "neighbour", "add", other, "lladdr", "02:00:00:00:00:99", "dev", "eth0")
    with watching(sensor, tmp_path, "--promisc", "198.18.0.64/26", "--stdout", *NUMBERS) as watch:
        assert "watching eth0 in promiscuous mode;" in watch.told
        for target in ("192.0.2.99", "198.18.0.99", "198.18.0.1"):
            code = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ({target!r}, 4000))"
            peer(sys.executable, "-c", code)
        watch.wait_for_line("UDP: dgram to 198.18.0.99:port 4000 from 198.18.0.66:")
        watch.wait_for_line("UDP: dgram to 198.18.0.1:port 4000 from 198.18.0.66:")


def test_what_is_between_hosts_outside_the_promiscuous_networks_is_not_told(sensor: Host, peer: Host, tmp_path: Path) -> None:
    peer.address("eth0", "192.0.2.66/24")
    peer("ip", "neighbour", "add", "192.0.2.99", "lladdr", "02:00:00:00:00:99", "dev", "eth0")
    with watching(sensor, tmp_path, "--promisc", "203.0.113.0/24", "--stdout", *NUMBERS) as watch:
        for target, port in (("192.0.2.99", 4000), ("198.18.0.1", 4001)):
            peer(sys.executable, "-c", f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ({target!r}, {port}))")
        watch.wait_for_line("UDP: dgram to 198.18.0.1:port 4001")
    assert not any("192.0.2.99" in line for line in watch.lines)


@needs("hping3", "nmap")
def test_in_a_flood_the_scan_is_told_and_what_the_kernel_dropped_is_counted(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--alerts-only", "--stats", "--format", "json", "--set", "capture.ring=65536", *NUMBERS) as watch:
        flood = subprocess.Popen(
            peer.command("timeout", "5", "hping3", "--flood", "--rand-source", "-S", "-p", "80", "198.18.0.1"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        watch.wait_for_line('"kind":"syn_flood"')
        watch.send(signal.SIGSTOP)  # a machine may be fast enough for the flood, but not while it stands still
        time.sleep(0.5)
        watch.send(signal.SIGCONT)
        peer("nmap", "-n", "-Pn", "-sF", "--max-retries", "2", "--min-rate", "400", "-p", "1-2000", "198.18.0.1", check=False)
        watch.wait_for_line('"kind":"fin_scan"', '"src_ip":"198.18.0.66"')
        flood.wait(PATIENCE)
        assert watch.end() == 0
    stats = json.loads(watch.wait_for_line('"event_type":"stats"'))["stats"]
    assert stats["kernel_drops"] == stats["interfaces"]["eth0"]["kernel_drops"] > 0


# How it starts


def test_it_says_what_it_watches(sensor: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", "--rule", "ignore udp", *NUMBERS) as watch:
        watch.wait_for_told("watching eth0; configuration: the defaults; plugins: ")


def test_quiet_it_says_nothing(sensor: Host, peer: Host, tmp_path: Path) -> None:
    watch = Watching(sensor, tmp_path, "--stdout", "--quiet", *NUMBERS)
    try:
        watch.wait_for_line("iplog started.")
        assert watch.end() == 0
    finally:
        watch.kill()
    assert watch.told == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("-i", "eth7"), "eth7: no such interface. There are: eth0, lo."),
        (("-l", "pipe"), "pipe: nobody reads this pipe; a sink needs a file that it may write to."),
        (("-a", "198.18.0.0/33"), "-a: '33' is no prefix length; "),
        (("--user", "nobdy"), "--user: there is no user 'nobdy'. Did you mean nobody?"),
        (("--set", "capture.filter='tpc'"), "the filter 'tpc' is none: "),
        (("-l", "/nowhere/iplog.log"), "/nowhere/iplog.log: No such file or directory; a sink needs a file that it may write to."),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_one_line(sensor: Host, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    watch = Watching(sensor, tmp_path, "--stdout" if arguments[0] != "-l" else "-o", *NUMBERS, *arguments)
    assert watch.process.wait(PATIENCE) == 2
    assert (watch.told.startswith(line), watch.told.count("\n")) == (True, 1)


@needs("setpriv")
def test_without_permission_it_says_what_it_needs(sensor: Host, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    watch = Watching(sensor, tmp_path, "--stdout", *NUMBERS, before=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
    assert watch.process.wait(PATIENCE) == 2
    assert watch.told == "eth0: no permission to capture; run iplog as root, or with the capability CAP_NET_RAW.\n"


def test_with_nothing_left_to_log_it_does_not_start(sensor: Host, tmp_path: Path) -> None:
    watch = Watching(sensor, tmp_path, "--stdout", "--tcp=no", "--udp=no", "--icmp=no")
    assert watch.process.wait(PATIENCE) == 2
    assert "nothing" in watch.told


def test_a_bad_line_of_a_classic_file_is_told_and_the_status_remembers_it(sensor: Host, tmp_path: Path) -> None:
    (tmp_path / "iplog.conf").write_text("set stdout\nignore tcp dprt 80\n")
    with watching(sensor, tmp_path, "--config", "iplog.conf", *NUMBERS) as watch:
        watch.wait_for_told("iplog.conf, line 2: ")
        assert watch.end() == 1


def test_it_becomes_another_user_once_all_is_open(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--user", "nobody", "-l", "iplog.log", *NUMBERS) as watch:
        log = tmp_path / "iplog.log"
        assert log.stat().st_uid == 65534
        knock(peer, [4000])
        wait_for(lambda: "port 4000 connection attempt" in log.read_text(), log.read_text)
        status = Path(f"/proc/{watch.process.pid}/status").read_text()
        tmp_path.chmod(0o777)
        log.rename(tmp_path / "iplog.log.1")
        watch.send(signal.SIGHUP)
        wait_for(log.exists, lambda: watch.told)
    assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)


# How it changes


KNOCK = """
from iplog_core import AlertKind, Detector, DetectorSettings, hookimpl

iplog_api = 2
stopped = False

class Knock(Detector[DetectorSettings]):
    name = "knock"
    kinds = {"knock": AlertKind("TCP: knock", "low")}

    def setup(self):
        self.count = self.tracker(key="pair", threshold=1, memory=60, expiry=600)

    def on_batch(self, batch):
        for episode in self.count.update(batch, where=batch.dport == 4000):
            self.alert("knock", episode)

@hookimpl
def iplog_detectors():
    return [Knock]

@hookimpl
def iplog_alert(alert):
    if stopped:
        raise ValueError("asked after it was stopped")

@hookimpl
def iplog_stop():
    global stopped
    stopped = True
"""
"""A plugin of one file that finds who knocks at port 4000, and that knows when it was stopped."""


def test_hup_reads_the_configuration_again(sensor: Host, peer: Host, tmp_path: Path) -> None:
    file = tmp_path / "iplog.toml"
    file.write_text("")
    with watching(sensor, tmp_path, "--config", "iplog.toml", "--stdout", *NUMBERS) as watch:
        knock(peer, [4000])
        watch.wait_for_line("port 4000")
        file.write_text("rules = ['ignore tcp dport 4001']")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        knock(peer, [4001, 4002])
        watch.wait_for_line("port 4002")
        assert not attempts(watch, "port 4001")


def test_hup_takes_a_table_of_thresholds_that_was_changed(sensor: Host, peer: Host, tmp_path: Path) -> None:
    file, table = tmp_path / "iplog.toml", "[plugins.threshold.knock]\nmatch = 'tcp dport {}'\n"
    file.write_text(table.format(4000))
    with watching(sensor, tmp_path, "--config", "iplog.toml", "--stdout", *NUMBERS) as watch:
        knock(peer, [4000])
        watch.wait_for_line("TCP: knock detected [port 4000]")
        file.write_text(table.format(4001))
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        knock(peer, [4001])
        watch.wait_for_line("TCP: knock detected [port 4001]")


def test_plugins_stop_after_the_last_alert_of_the_configuration_before(sensor: Host, peer: Host, tmp_path: Path) -> None:
    plugin = tmp_path / "knock.py"
    plugin.write_text(KNOCK)
    with watching(sensor, tmp_path, "--set", "plugin_paths=['knock.py']", "--stdout", *NUMBERS) as watch:
        knock(peer, [4000])
        watch.wait_for_line("knock detected")
        plugin.write_text(KNOCK.replace("Knock", "Other").replace('"knock"', '"other"'))
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        assert watch.end() == 0
    assert watch.told.count("asked after it was stopped") == 0


def test_a_plugin_that_is_broken_at_hup_is_told_and_the_one_before_stays(sensor: Host, peer: Host, tmp_path: Path) -> None:
    plugin = tmp_path / "knock.py"
    plugin.write_text(KNOCK)
    with watching(sensor, tmp_path, "--set", "plugin_paths=['knock.py']", "--stdout", *NUMBERS) as watch:
        plugin.write_text(KNOCK.replace("def setup(self)", "wants_ends = True\n    def setup(self)"))
        watch.send(signal.SIGHUP)
        watch.wait_for_line("knock.py: what it reports could not be asked: TypeError")
        watch.wait_for_line("the configuration was not changed; the one in force stays.")
        knock(peer, [4000])
        watch.wait_for_line("knock detected")


def test_a_configuration_that_is_wrong_at_hup_is_told_and_the_one_before_stays(sensor: Host, peer: Host, tmp_path: Path) -> None:
    file = tmp_path / "iplog.toml"
    file.write_text("rules = ['ignore tcp dport 4001']")
    with watching(sensor, tmp_path, "--config", "iplog.toml", "--stdout", *NUMBERS) as watch:
        file.write_text("rules = ['ignore tcp dprt 4001']")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("iplog.toml, rules[0]: ", "'dprt' is no clause")
        watch.wait_for_line("the configuration was not changed; the one in force stays.")
        knock(peer, [4001, 4002])
        watch.wait_for_line("port 4002")
        assert not attempts(watch, "port 4001")
        assert watch.end() == 1


def test_a_filter_that_is_wrong_at_hup_leaves_everything_as_it_is(sensor: Host, peer: Host, tmp_path: Path) -> None:
    file = tmp_path / "iplog.toml"
    file.write_text("rules = ['ignore tcp dport 4001']")
    with watching(sensor, tmp_path, "--config", "iplog.toml", "--stdout", *NUMBERS) as watch:
        file.write_text("[capture]\nfilter = 'bogus ('")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was not changed; the one in force stays.")
        knock(peer, [4001, 4002])
        watch.wait_for_line("port 4002")
        assert not attempts(watch, "port 4001")


@pytest.mark.parametrize("named", [(), ("-i", "eth0,lo")], ids=["default", "named"])
def test_hup_keeps_an_interface_that_is_down_just_then(sensor: Host, peer: Host, tmp_path: Path, named: tuple[str, ...]) -> None:
    with watching(sensor, tmp_path, "--stdout", *named, *NUMBERS) as watch:
        sensor("ip", "link", "set", "eth0", "down")
        watch.wait_for_line("eth0: the interface went down.")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        sensor("ip", "link", "set", "eth0", "up")
        watch.wait_for_line("eth0: the interface is up again.")
        knock(peer, [4005])
        watch.wait_for_line("port 4005")


def test_a_detector_of_a_file_goes_on_over_hup_as_long_as_the_file_is_the_same(sensor: Host, peer: Host, tmp_path: Path) -> None:
    (tmp_path / "telnet.py").write_text(TELNET)
    with watching(sensor, tmp_path, "--stdout", "--set", 'plugin_paths=["telnet.py"]', *NUMBERS) as watch:
        knock(peer, [23])
        watch.wait_for_line("telnet knock detected")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        knock(peer, [23, 4000])
        watch.wait_for_line("port 4000")
    assert sum("telnet knock" in line for line in watch.lines) == 1


TELNET = """
from iplog_core import AlertKind, DetectorSettings, PacketDetector

class Telnet(PacketDetector[DetectorSettings]):
    name = "telnet"
    kinds = {"telnet": AlertKind("TCP: telnet knock", "low")}

    def on_packet(self, packet):
        if packet.is_syn and packet.dport == 23:
            self.alert("telnet", packet)
"""


def test_what_breaks_at_hup_in_an_unforeseen_way_does_not_end_the_watch(sensor: Host, peer: Host, tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(TELNET)
    with watching(sensor, tmp_path, "--stdout", "--set", 'plugin_paths=["plugin.py"]', *NUMBERS) as watch:
        file.write_text("import iplog_core.cli.setup\niplog_core.cli.setup.compiled_rules = None\n" + TELNET)
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was not changed; the one in force stays.")
        knock(peer, [4000])
        watch.wait_for_line("port 4000")


def test_a_log_that_is_rotated_under_traffic_loses_no_line(sensor: Host, peer: Host, tmp_path: Path) -> None:
    log = tmp_path / "iplog.log"
    with watching(sensor, tmp_path, "--rule", "ignore icmp", "--alerts-only=no", "-l", str(log), *NUMBERS) as watch:
        code = "import socket, time\nfor port in range(3000, 3400): socket.socket().connect_ex(('198.18.0.1', port)); time.sleep(0.002)"
        traffic = subprocess.Popen(peer.command(sys.executable, "-c", code))
        for number in range(3):
            wait_for(lambda: log.exists() and log.read_text().count("connection attempt") > 20, lambda: "lines")
            log.rename(tmp_path / f"iplog.log.{number}")
            watch.send(signal.SIGHUP)
        traffic.wait(PATIENCE)
        assert watch.end() == 0
    text = "".join(path.read_text() for path in sorted(tmp_path.glob("iplog.log*")))
    ports = re.findall(r"TCP: .* connection attempt from 198\.18\.0\.66:", text)
    assert (len(ports), text.endswith("\n")) == (400, True)


def test_an_interface_that_goes_down_and_comes_up_is_told_and_watched_again(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        sensor("ip", "link", "set", "eth0", "down")
        watch.wait_for_line("eth0: the interface went down.")
        sensor("ip", "link", "set", "eth0", "up")
        watch.wait_for_line("eth0: the interface is up again.")
        sensor.address("eth0", "2001:db8::1/64")
        knock(peer, [4005])
        watch.wait_for_line("port 4005")


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_with_a_summary(sensor: Host, peer: Host, tmp_path: Path, number: signal.Signals) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        knock(peer)
        watch.wait_for_line("port 4000")
        assert watch.end(number) == 0
    assert watch.lines[0].endswith(": iplog started.")
    assert re.search(r": iplog stopped: \d+ packets, 0 alerts; the kernel dropped 0 packets, the sinks 0 events\.$", watch.lines[-1])
    assert re.search(r"^eth0 +\d+  received; the kernel dropped 0, the interface 0; ring 16\.8 MB", watch.told, re.MULTILINE)


@needs("hping3")
def test_ctrl_c_pressed_twice_in_a_flood_ends_it_cleanly(sensor: Host, peer: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        flood = subprocess.Popen(
            peer.command("timeout", "3", "hping3", "--flood", "-S", "-p", "80", "198.18.0.1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        watch.wait_for_line("SYN flood detected")
        watch.send(signal.SIGINT)
        assert watch.end(signal.SIGINT) in (0, 1)
        flood.wait(PATIENCE)
    assert "Traceback" not in watch.told


def test_signals_that_come_while_it_ends_change_nothing(sensor: Host, tmp_path: Path) -> None:
    with watching(sensor, tmp_path, "--stdout", *NUMBERS) as watch:
        watch.send(signal.SIGTERM)
        while watch.process.poll() is None:
            watch.send(signal.SIGHUP)
    assert (watch.process.returncode, "packets" in watch.told) == (0, True)


def test_in_the_background_it_is_known_by_its_pid_file(sensor: Host, peer: Host, tmp_path: Path) -> None:
    pid_file, log = tmp_path / "iplog.pid", tmp_path / "iplog.log"
    arguments = ("--pid-file", str(pid_file), "-l", str(log), *NUMBERS)
    start = Watching(sensor, tmp_path, "--daemon", *arguments)
    assert start.process.wait(PATIENCE) == 0
    try:
        knock(peer)
        wait_for(lambda: "port 4000 connection attempt" in log.read_text(), log.read_text)
        second = Watching(sensor, tmp_path, "--daemon", *arguments)
        assert second.process.wait(PATIENCE) == 2
        assert f"{pid_file}: iplog is already running (process {pid_file.read_text().strip()})" in second.told
        log.rename(tmp_path / "iplog.log.1")
        assert Watching(sensor, tmp_path, "--restart", "--pid-file", str(pid_file)).process.wait(PATIENCE) == 0
        wait_for(log.exists, lambda: "a new log")
    finally:
        ended = Watching(sensor, tmp_path, "--kill", "--pid-file", str(pid_file)).process.wait(PATIENCE)
    assert (ended, pid_file.exists(), "iplog stopped" in log.read_text()) == (0, False, True)


def test_a_background_that_cannot_start_says_why_where_it_was_asked_for(sensor: Host, tmp_path: Path) -> None:
    start = Watching(sensor, tmp_path, "--daemon", "-i", "eth7", "--pid-file", str(tmp_path / "pid"), "-l", str(tmp_path / "log"))
    assert start.process.wait(PATIENCE) == 2
    assert "eth7: no such interface." in start.told


# As the classic program was started: by root, without arguments, its output going nowhere

SIX_LINES = """\
ignore tcp sport 25
ignore tcp dport 25
ignore udp sport 53
ignore udp dport 53
ignore udp from 198.18.0.0/16
ignore icmp
"""


class SystemLog:
    """A syslog daemon with a socket of its own, which stands as /dev/log to what `before` runs, beside an /etc and a /run of their own."""

    def __init__(self, folder: Path) -> None:
        self._socket, self._log = folder / "log.socket", folder / "syslog"
        self._conf = folder / "rsyslog.conf"
        self._conf.write_text(
            f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{self._socket}" CreatePath="off")\n'
            f'$FileOwner root\n$PrivDropToUser root\ndaemon.=notice action(type="omfile" file="{self._log}")\n'
        )
        self.etc = folder / "etc"
        self.etc.mkdir()
        self._script = folder / "own.sh"
        self._script.write_text(
            "set -e\n"
            f"for entry in /etc/*; do [ -e {self.etc}/${{entry##*/}} ] || cp -a $entry {self.etc}/; done 2>/dev/null\n"
            f"mount --bind {self.etc} /etc\n"
            "devices=$(mktemp -d)\nmount -t tmpfs -o mode=755 tmpfs $devices\n"
            "for node in null zero random urandom; do touch $devices/$node; mount --bind /dev/$node $devices/$node; done\n"
            f"ln -s {self._socket} $devices/log\nmount --rbind $devices /dev\nrmdir $devices 2>/dev/null || true\n"
            'exec "$@" >/dev/null\n'
        )
        self.before = ("unshare", "--mount", "--propagation", "private", "sh", str(self._script))
        self._daemon = subprocess.Popen(["rsyslogd", "-n", "-f", str(self._conf), "-i", "NONE"], stderr=subprocess.DEVNULL)
        wait_for(self._socket.exists, lambda: "the socket of the syslog daemon")

    @property
    def lines(self) -> list[str]:
        """The messages logged, from the program's name on."""
        text = self._log.read_text() if self._log.exists() else ""
        return [re.sub(r"^.*? (iplog\[)\d+(\]: )", r"\1\2", line) for line in text.splitlines()]

    def wait_for(self, part: str) -> None:
        wait_for(lambda: any(part in line for line in self.lines), lambda: f"{part} in {self.lines}")

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(PATIENCE)


@pytest.fixture
def system_log(tmp_path: Path) -> Iterator[SystemLog]:
    if reason := why_not():
        pytest.skip(reason)
    if not shutil.which("rsyslogd"):
        pytest.skip("rsyslogd is not installed")
    log = SystemLog(tmp_path)
    try:
        yield log
    finally:
        log.close()


def contacts(peer: Host) -> None:
    """A mail, a web and an unknown port, a datagram from a name server, one to it, one from elsewhere, and a ping; at last a port that nobody ignores."""
    knock(peer, [25, 80, 3455])
    peer.address("eth0", "192.0.2.9/24")
    for source, sport, dport, size in (
        ("198.18.0.66", 53, 1025, 245),
        ("198.18.0.66", 1026, 53, 30),
        ("198.18.0.66", 1027, 1028, 10),
        ("192.0.2.9", 1029, 1030, 20),
    ):
        code = f"import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(({source!r}, {sport}))\ns.sendto(bytes({size}), ('198.18.0.1', {dport}))"
        peer(sys.executable, "-c", code)
    peer("ping", "-c", "1", "-s", "0", "198.18.0.1")
    knock(peer, [4999])


@needs("ping")
def test_started_without_arguments_it_writes_every_contact_to_the_system_log(sensor: Host, peer: Host, tmp_path: Path, system_log: SystemLog) -> None:
    with watching(sensor, tmp_path, before=system_log.before) as watch:
        contacts(peer)
        system_log.wait_for("port 4999")
        assert watch.end() == 0
    assert system_log.lines[0] == "iplog[]: iplog started."
    mine = [re.sub(r"(66:)\d{5}", r"\1...", line) for line in system_log.lines if ("from 198.18.0.66" in line or "from 192.0.2.9" in line)]
    assert [line for line in mine if "reply" not in line] == [
        "iplog[]: TCP: smtp connection attempt from 198.18.0.66:...",
        "iplog[]: TCP: http connection attempt from 198.18.0.66:...",
        "iplog[]: TCP: port 3455 connection attempt from 198.18.0.66:...",
        "iplog[]: UDP: dgram to port 1025 from 198.18.0.66:53 (245 data bytes)",
        "iplog[]: UDP: dgram to domain from 198.18.0.66:1026 (30 data bytes)",
        "iplog[]: UDP: dgram to port 1028 from 198.18.0.66:1027 (10 data bytes)",
        "iplog[]: UDP: dgram to port 1030 from 192.0.2.9:1029 (20 data bytes)",
        "iplog[]: ICMP: echo from 198.18.0.66 (8 bytes)",
        "iplog[]: TCP: port 4999 connection attempt from 198.18.0.66:...",
    ]
    assert system_log.lines[-1].startswith("iplog[]: iplog stopped: ")


@needs("ping")
def test_what_a_classic_file_ignores_is_missing_and_nothing_else(sensor: Host, peer: Host, tmp_path: Path, system_log: SystemLog) -> None:
    (system_log.etc / "iplog.conf").write_text(SIX_LINES)
    with watching(sensor, tmp_path, before=system_log.before) as watch:
        contacts(peer)
        system_log.wait_for("port 4999")
        assert watch.end() == 0
    told = [line for line in system_log.lines if re.match(r"iplog\[\]: (TCP|UDP|ICMP):", line)]
    assert [re.sub(r"(66:)\d{5}", r"\1...", line) for line in told] == [
        "iplog[]: TCP: http connection attempt from 198.18.0.66:...",
        "iplog[]: TCP: port 3455 connection attempt from 198.18.0.66:...",
        "iplog[]: UDP: dgram to port 1030 from 192.0.2.9:1029 (20 data bytes)",
        "iplog[]: TCP: port 4999 connection attempt from 198.18.0.66:...",
    ]
    assert "/etc/iplog.conf" in watch.told


@needs("nmap")
def test_a_scan_is_told_to_the_system_log(sensor: Host, peer: Host, tmp_path: Path, system_log: SystemLog) -> None:
    with watching(sensor, tmp_path, before=system_log.before):
        peer("nmap", "-n", "-Pn", "-sS", "-p", "1-30", "198.18.0.1")
        system_log.wait_for("TCP: port scan detected [ports ")
