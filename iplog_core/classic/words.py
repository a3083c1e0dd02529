"""The vocabulary of the classic program: one for iplog.conf and for the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from iplog_core.classic import values
from iplog_core.classic.effects import (
    AnswersOfNameServers,
    Detector,
    Effect,
    LogDest,
    NoNames,
    Plugin,
    Setting,
    SettingOfPlugin,
    StandardOutput,
    State,
    Switch,
    log_to_file,
    set_of_syslog,
)
from iplog_core.origin import Place


@dataclass(frozen=True)
class Flag:
    """A word that is on or off: `keyword` after `set` in iplog.conf, `options` on the command line. `help` says what it does, and that it does by default."""

    keyword: str
    options: tuple[str, ...]
    help: str
    effect: Effect


@dataclass(frozen=True)
class Directive:
    """A word with a value: `keyword` in iplog.conf, `options` on the command line.

    `parse` turns the text of the value into what is set; its ValueError says what would be right. `set` sets it. Several in one place add up where the value
    is a list, else the last counts.
    """

    keyword: str
    options: tuple[str, ...]
    metavar: str
    help: str
    parse: Callable[[str], Any]
    set: Callable[[Any, State, Place], None]


def _put(*key: str) -> Callable[[Any, State, Place], None]:
    return lambda value, state, place: state.layers.put(key, value, place)


def _detector(keyword: str, option: str, short: str, what: str, *kinds: str, partner: str | None = None) -> Flag:
    return Flag(keyword, (short, f"--detect-{option}", f"--log-{option}"), f"report {what} (on)", Detector(keyword, kinds, partner))


_PORT_SCAN = ("port_scan", "port_sweep", "distributed_scan")
_FRAGMENTS = ("fragment_overlap", "fragment_oversized", "fragment_duplicate", "fragment_tiny", "fragment_flood")

FLAGS = (
    Flag("tcp", ("--tcp",), "log TCP (on)", Switch("tcp")),
    Flag("udp", ("--udp",), "log UDP (on)", Switch("udp")),
    Flag("icmp", ("--icmp",), "log ICMP (on)", Switch("icmp")),
    Flag("ignore_dns", ("-d", "--ignore"), "ignore answers of the name servers in /etc/resolv.conf", AnswersOfNameServers()),
    Flag("log_ip", ("-w", "--log-ip"), "write addresses behind names", Setting(("names", "log_ip"))),
    Flag("log_dest", ("-D", "--log-dest"), "name the destination in each line", LogDest()),
    Flag("dns_cache", ("-c", "--dns-cache"), "remember names of hosts (on)", Setting(("names", "cache"))),
    Flag("tcp_resolve", ("-T", "--tcp-resolve"), "look up names for TCP (on)", Setting(("names", "tcp"))),
    Flag("udp_resolve", ("-U", "--udp-resolve"), "look up names for UDP (on)", Setting(("names", "udp"))),
    Flag("icmp_resolve", ("-I", "--icmp-resolve"), "look up names for ICMP (on)", Setting(("names", "icmp"))),
    Flag("disable_resolver", ("-N", "--disable-resolver"), "look up no names", NoNames()),
    Flag("scans_only", ("-m", "--scans-only"), "write no traffic, only alerts", Setting(("alerts_only",))),
    Flag("verbose", ("-V", "--verbose"), "log malformed packets, too", SettingOfPlugin("traffic", "malformed")),
    Flag("stdout", ("-L", "--stdout"), "write lines to standard output", StandardOutput()),
    Flag("no_fork", ("-o", "--no-fork"), "stay in the foreground (on)", Setting(("daemon",), inverted=True)),
    Flag("get_ident", ("-e", "--get-ident"), "tell who owns a connection; takes the plugin get_ident", Plugin("get_ident")),
    Flag("fool_nmap", ("-z", "--fool-nmap"), "confuse the OS detection of nmap; takes the plugin fool_nmap", Plugin("fool_nmap")),
    _detector("portscan", "portscan", "-p", "port scans, with syn_scan", *_PORT_SCAN, partner="syn_scan"),
    _detector("syn_scan", "syn-scan", "-q", "port scans, with portscan", *_PORT_SCAN, partner="portscan"),
    _detector("fin_scan", "fin-scan", "-f", "FIN scans", "fin_scan"),
    _detector("null_scan", "null-scan", "-n", "null scans", "null_scan"),
    _detector("xmas_scan", "xmas-scan", "-x", "Xmas scans", "xmas_scan"),
    _detector("udp_scan", "udp-scan", "-F", "UDP scans", "udp_scan", "udp_sweep"),
    _detector("syn_flood", "syn-flood", "-s", "SYN floods", "syn_flood"),
    _detector("ping_flood", "ping-flood", "-P", "ping floods", "ping_flood"),
    _detector("smurf", "smurf", "-S", "smurf attacks", "smurf", "fraggle"),
    _detector("frag", "frag", "-y", "fragment attacks", *_FRAGMENTS),
    _detector("bogus", "bogus", "-b", "bogus TCP flags", "bogus_flags", "os_fingerprint"),
    _detector("traceroute", "traceroute", "-t", "traceroutes", "traceroute"),
)
KINDS = frozenset(kind for flag in FLAGS if isinstance(flag.effect, Detector) for kind in flag.effect.kinds)
"""The kinds of alerts that these may mute."""

DAEMON = Flag("daemon", ("--daemon",), "watch in the background", Setting(("daemon",)))
"""An option that the classic program did not need: its own place was the background."""

DIRECTIVES = (
    Directive("interface", ("-i", "--interface"), "A,B", "watch these interfaces", values.interfaces, _put("interfaces")),
    Directive("promisc", ("-a", "--promisc"), "NET,NET", "watch what is sent to these networks, too; * is all", values.networks, _put("promisc")),
    Directive("user", ("-u", "--user"), "USER", "become this user once the interfaces are open", values.name, _put("user")),
    Directive("group", ("-g", "--group"), "GROUP", "become this group once the interfaces are open", values.name, _put("group")),
    Directive("pid-file", ("--pid-file",), "FILE", "write the process number to this file", values.name, _put("pid_file")),
    Directive("logfile", ("-l", "--logfile"), "FILE", "add lines to this file", values.name, log_to_file),
    Directive("facility", ("--facility",), "NAME", "syslog facility (daemon)", values.facility, partial(set_of_syslog, "facility")),
    Directive("priority", ("--priority",), "NAME", "syslog priority (notice)", values.priority, partial(set_of_syslog, "priority")),
)

KEYWORDS = {flag.keyword: flag for flag in FLAGS}
"""What may stand after `set` in iplog.conf."""

BY_OPTION: dict[str, Flag | Directive] = {option: word for word in (*FLAGS, DAEMON, *DIRECTIVES) for option in word.options}
