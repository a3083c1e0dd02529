"""The options of the classic program: how they are spelled, and what they do to the settings below them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from iplog_core.classic.nameservers import name_servers
from iplog_core.classic.words import FLAGS
from iplog_core.cli.arguments import Parser, add_common
from iplog_core.cli.classic_options import add_classic
from iplog_core.config import Config, load
from iplog_core.errors import ConfigError


def parsed(*arguments: str) -> Namespace:
    parser = Parser(prog="iplog")
    add_common(parser)
    add_classic(parser)
    return parser.parse_all(arguments, Namespace())


def said(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        parsed(*arguments)
    return raised.value.faults


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A configuration below the command line."""
    return tmp_path / "iplog.toml"


def given(*arguments: str, below: Path | None = None, text: str = "") -> Config:
    """Load what the command line says, over a file."""
    if below is not None:
        below.write_text(text)
    options = parsed(*arguments)
    return load(str(below) if below else None, assignments=options.set, rules=options.rule, classic=options.classic, environ={}, default_files=())


def setting(config: Config, key: str) -> Any:
    value: Any = config.settings.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part)
    return value


# Spelling

WRONG = (("--udp", "''"), ("--tcp", "'0'"))


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.keyword)
def test_every_name_of_a_flag_takes_every_value(flag):
    spellings = [f"{option}{value}" for option in flag.options for value in ("", "=true", "=yes", "=false", "=no", "=toggle")]
    values = [value for _ in flag.options for value in ("true", "true", "yes", "false", "no", "toggle")]
    assert [value for _, value in parsed(*spellings).classic] == values


def test_the_values_of_a_flag_may_be_in_capitals():
    options = parsed("--tcp=TRUE", "-d=No", "--log-ip=Toggle", "--stats=YES")
    assert (options.classic, options.stats) == ([("--tcp", "true"), ("-d", "no"), ("--log-ip", "toggle")], True)


def test_capitals_in_other_values_stay():
    options = parsed("--logfile=TRUE", "--rule=IGNORE", "-u", "ME=TRUE")
    assert (options.classic, options.rule) == ([("--logfile", "TRUE"), ("-u", "ME=TRUE")], ["IGNORE"])


@pytest.mark.parametrize(
    ("arguments", "classic"),
    [
        (["-dTU"], [("-d", "true"), ("-T", "true"), ("-U", "true")]),
        (["-oi", "eth0"], [("-o", "true"), ("-i", "eth0")]),
        (["-i", "eth0", "-leve", "--logfile=x"], [("-i", "eth0"), ("-l", "eve"), ("--logfile", "x")]),
        (["--facility", "mail", "-a", "*"], [("--facility", "mail"), ("-a", "*")]),
        (["-d=no", "--log-portscan=no", "--detect-frag"], [("-d", "no"), ("--log-portscan", "no"), ("--detect-frag", "true")]),
        (["--daemon"], [("--daemon", "true")]),
        ([], []),
    ],
)
def test_options_stand_in_the_order_of_the_command_line(arguments, classic):
    assert parsed(*arguments).classic == classic


@pytest.mark.parametrize(("arguments", "told"), [(["-k"], (True, False)), (["--kill"], (True, False)), (["-R"], (False, True)), (["-oR"], (False, True))])
def test_kill_and_restart_are_flags_of_their_own(arguments, told):
    options = parsed(*arguments)
    assert (options.kill, options.restart) == told


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (["--udp=maybe"], ("--udp: expected true, yes, false, no or toggle, not 'maybe'; see iplog --help.",)),
        (["-d=not"], ("-d: expected true, yes, false, no or toggle, not 'not'; see iplog --help.",)),
        (["--udp=", "--tcp=0"], tuple(f"{name}: expected true, yes, false, no or toggle, not {value}; see iplog --help." for name, value in WRONG)),
        (["--kill=9"], ("--kill: takes no value, not '9'; see iplog --help.",)),
        (["-dJ"], ("-J: no such option of iplog; see iplog --help.",)),
        (["--log_ip"], ("--log_ip: no such option of iplog. Did you mean --log-ip? See iplog --help.",)),
        (["--log-i"], ("--log-i: no such option of iplog. Did you mean --log-ip? See iplog --help.",)),
    ],
)  # fmt: skip
def test_an_option_that_is_wrong_is_told(arguments, faults):
    assert tuple(fault.replace("iplog. See", "iplog; see") for fault in said(*arguments)) == faults


# Meaning


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["-i", "eth0,eth1"], "interfaces", ["eth0", "eth1"]),
        (["-i", "eth0", "--interface=eth1"], "interfaces", ["eth0", "eth1"]),
        (["-a", "10/8"], "promisc", ["10/8"]),
        (["-u", "nobody", "-g", "nogroup"], "user", "nobody"),
        (["-u", "nobody", "-g", "nogroup"], "group", "nogroup"),
        (["--pid-file", "/run/x.pid"], "pid_file", "/run/x.pid"),
        (["-l", "/var/log/my iplog"], "plugins.text.path", "/var/log/my iplog"),
        (["-L"], "plugins.text.path", "-"),
        (["--facility", "LOG_MAIL"], "plugins.syslog.facility", "mail"),
        (["--daemon"], "daemon", True),
        (["--no-fork=false"], "daemon", True),
        (["--daemon", "-o"], "daemon", False),
        (["-w"], "names.log_ip", True),
        (["-D"], "log_dest", True),
        (["-c=no"], "names.cache", False),
        (["-T=no"], "names.tcp", False),
        (["-N"], "names.resolve", False),
        (["-m"], "alerts_only", True),
        (["--tcp=false"], "rules", ["ignore tcp"]),
        (["-d"], "rules", [f"ignore udp from {server} sport 53" for server in name_servers()]),
        (["-F"], "mute", []),
        (["-F=no"], "mute", ["udp_scan", "udp_sweep"]),
        (["--log-portscan=false", "--detect-syn-scan=false"], "mute", ["port_scan", "port_sweep", "distributed_scan"]),
    ],
)
def test_each_option_sets_what_it_says(arguments, key, value):
    config = given(*arguments)
    assert (config.faults, config.skipped, setting(config, key)) == ((), [], value)


@pytest.mark.parametrize(
    ("text", "arguments", "key", "value"),
    [
        ("interfaces = ['eth0']", ["-i", "eth1"], "interfaces", ["eth1"]),
        ("[names]\nlog_ip = true", ["--log-ip=false"], "names.log_ip", False),
        ("[names]\nresolve = false", ["-N=no"], "names.resolve", None),
        ("rules = ['ignore udp', 'ignore tcp dport 25']", ["--udp"], "rules", ["ignore udp", "ignore tcp dport 25", "log udp"]),
        ("rules = ['ignore udp']", ["--udp", "--rule", "ignore icmp"], "rules", ["ignore udp", "log udp", "ignore icmp"]),
        ("mute = ['traceroute', 'smurf']", ["-t"], "mute", ["smurf"]),
        ("mute = ['port_scan', 'port_sweep', 'distributed_scan']", ["-p"], "mute", []),
        ("enable = ['traffic', 'text']", ["--stdout=false"], "enable", ["traffic"]),
        ("enable = ['traffic', 'jsonl']", ["-l", "/a"], "enable", ["traffic", "jsonl", "text"]),
        ("disable = ['text', 'smurf']", ["-L"], "disable", ["smurf"]),
        ("[plugins.text]\npath = '/a'", ["-L"], "plugins.text.path", "-"),
        ("daemon = true", ["-o"], "daemon", False),
    ],
)
def test_the_command_line_wins_over_the_file(below, text, arguments, key, value):
    assert setting(given(*arguments, below=below, text=text), key) == value


@pytest.mark.parametrize(
    ("text", "option", "key", "value"),
    [
        ("", "--tcp", "rules", ["ignore tcp"]),
        ("rules = ['ignore tcp']", "--tcp", "rules", ["ignore tcp", "log tcp"]),
        ("", "-w", "names.log_ip", True),
        ("[names]\nlog_ip = true", "-w", "names.log_ip", False),
        ("", "--dns-cache", "names.cache", False),
        ("", "-D", "log_dest", True),
        ("promisc = ['*']", "-D", "log_dest", False),
        ("", "-N", "names.resolve", False),
        ("[names]\nresolve = false", "-N", "names.resolve", None),
        ("", "-o", "daemon", True),
        ("daemon = true", "-o", "daemon", False),
        ("", "-t", "mute", ["traceroute"]),
        ("mute = ['traceroute']", "-t", "mute", []),
        ("enable = ['text']", "-L", "enable", []),
        ("enable = ['jsonl']", "-L", "enable", ["jsonl", "text"]),
    ],
)
def test_toggle_turns_round_what_is_in_force_below(below, text, option, key, value):
    assert setting(given(f"{option}=toggle", below=below, text=text), key) == value


def test_toggle_twice_is_as_before():
    before = given().settings.model_dump()
    doubled = [f"{flag.options[-1]}=toggle" for flag in FLAGS for _ in range(2) if flag.keyword not in ("get_ident", "fool_nmap")]
    left = given(*doubled).settings.model_dump()
    changed = {key for key in before if before[key] != left[key]}
    assert changed == {"rules", "enable", "plugins", "log_dest"}  # which now say what was the default
    assert left["rules"] == ["ignore tcp", "log tcp", "ignore udp", "log udp", "ignore icmp", "log icmp"]


def test_the_answers_of_name_servers_that_a_classic_file_ignores_are_logged_where_the_command_line_says_so(tmp_path):
    file = tmp_path / "iplog.conf"
    file.write_text("ignore tcp\nset ignore_dns\nignore icmp\nset portscan false")
    config = load(str(file), classic=[("-d", "no"), ("-q", "no")], environ={})
    assert (config.settings.rules, [place.subject[-6:] for place in config.rules]) == (["ignore tcp", "ignore icmp"], ["line 1", "line 3"])
    assert "port_scan" in config.settings.mute


def test_a_log_file_of_a_classic_file_comes_back_where_standard_output_is_turned_off(tmp_path):
    file = tmp_path / "iplog.conf"
    file.write_text("logfile /a\nset stdout")
    assert setting(load(str(file), classic=[("-L", "no")], environ={}), "plugins.text.path") == "/a"


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (["--facility", "locl0"], ["--facility: 'locl0' is no facility; "]),
        (["-i", ""], ["-i: expected names of interfaces between commas, such as eth0,eth1."]),
        (["-a", "x y"], ["-a: expected networks between commas, such as 192.0.2.0/24,198.18/15, or *, not 'x y'."]),
        (["-l", "/\udcff"], ["-l: not UTF-8 text."]),
        (["-u", "", "-g", ""], ["-u: expected a name.", "-g: expected a name."]),
        (["--tcp=no", "--udp=no", "--icmp=no"], ["--icmp: tcp, udp and icmp are all off, so that nothing would be logged; "]),
    ],
)
def test_a_bad_value_is_a_fault_that_names_the_option(arguments, faults):
    told = given(*arguments).faults
    assert [fault[: len(expected)] for fault, expected in zip(told, faults, strict=True)] == faults


def test_a_fault_below_an_option_is_still_told(below):
    faults = given("-t=no", "-d", "-l", "/a", below=below, text="mute = 3\nrules = 'x'\nenable = 7\ndisable = 'y'").faults
    assert [fault.partition(": ")[0].rpartition(", ")[2] for fault in faults] == ["enable", "disable", "rules", "mute"]


def test_a_setting_of_an_option_comes_from_the_command_line():
    config = given("-w", "--tcp=no", "--rule", "ignore icmp")
    assert (config.origin.of(("names", "log_ip")), [place.subject for place in config.rules]) == ("command line", ["--tcp", "--rule"])


def test_a_plugin_that_is_not_installed_is_told_with_the_option():
    assert given("-e", "--fool-nmap").notes == ("-e: the plugin get_ident is not installed.", "--fool-nmap: the plugin fool_nmap is not installed.")


# The name servers


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ["127.0.0.1"]),
        ("search example.com\noptions rotate\n", ["127.0.0.1"]),
        ("nameserver 192.0.2.53\nnameserver\t2001:db8::53 # ours\n", ["192.0.2.53", "2001:db8::53"]),
        ("nameserver fe80::1%eth0\n#nameserver 192.0.2.1\n; nameserver 192.0.2.2", ["fe80::1"]),
        ("nameserver ns.example.com\nnameserver\nnameserver 192.0.2.53\nnameserver 192.0.2.53", ["192.0.2.53"]),
    ],
)
def test_the_name_servers_are_those_of_resolv_conf(tmp_path, text, servers):
    (tmp_path / "resolv.conf").write_text(text)
    assert name_servers(tmp_path / "resolv.conf") == servers


def test_without_resolv_conf_the_name_server_is_this_host(tmp_path):
    assert name_servers(tmp_path / "resolv.conf") == ["127.0.0.1"]
