"""iplog.conf: what each line does to the settings, and what is said of a bad one."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.classic.conf import lines
from iplog_core.classic.effects import Detector
from iplog_core.classic.nameservers import name_servers
from iplog_core.classic.words import DIRECTIVES, FLAGS, KEYWORDS, Directive
from iplog_core.config import Config, load
from iplog_core.rules import parse_rule

Conf = Callable[[str], Config]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conf:
    """Load a text as iplog.conf of the folder in which the test then stands."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str) -> Config:
        Path("iplog.conf").write_bytes(text.encode(errors="surrogateescape"))
        return load("iplog.conf", environ={})

    return loaded


def setting(config: Config, key: str) -> Any:
    value: Any = config.settings.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if value is not None else None
    return value


def assert_right(config: Config) -> None:
    assert (config.skipped, config.notes, config.faults) == ([], (), ())


# The grammar


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        ("\n \t\n# a comment\n", []),
        ("set tcp", [(1, "set tcp")]),
        ("\n\n  set\ttcp  true \n", [(3, "set tcp true")]),
        ("set tcp\r\nset udp\r\n", [(1, "set tcp"), (2, "set udp")]),
        ("set tcp # why\nset udp# so\n", [(1, "set tcp"), (2, "set udp")]),
        ("/* one */ set tcp /* two */", [(1, "set tcp")]),
        ("set/**/tcp", [(1, "set tcp")]),
        ("/* several\nlines # and\nmore */ set tcp\nset udp", [(3, "set tcp"), (4, "set udp")]),
        ("ignore tcp /* a rule that\ngoes on */ dport 25\nset udp", [(1, "ignore tcp dport 25"), (3, "set udp")]),
        ("# /*\nset tcp\n# */", [(2, "set tcp")]),
        ("/* // ** / /* */ set tcp", [(1, "set tcp")]),
        ("logfile /var/log/iplog", [(1, "logfile /var/log/iplog")]),
        ("set tcp\nset udp /* no end\nset icmp", [(1, "set tcp"), (2, "set udp"), (2, "/*")]),
        ("/*/ set tcp", [(1, "/*")]),
    ],
)
def test_a_line_is_what_stands_between_comments(text, said):
    assert [(line.number, line.text) for line in lines(text)] == said


@pytest.mark.parametrize("line", ["set log_ip", "SET LOG_IP", "Set Log_Ip TRUE", "set\tlog_ip\ttrue"])
def test_words_may_be_in_any_case(conf, line):
    assert conf(line).settings.names.log_ip


def test_a_mark_of_the_byte_order_is_no_text(conf):
    assert_right(conf("\ufeffset log_ip"))


def test_a_comment_may_be_in_any_encoding(conf):
    assert_right(conf("# gr\udcfcn\nset log_ip"))


# What lines mean


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("set log_ip", "names.log_ip", True),
        ("set log_ip false", "names.log_ip", False),
        ("set log_dest", "log_dest", True),
        ("set log_dest false", "log_dest", False),
        ("set dns_cache false", "names.cache", False),
        ("set tcp_resolve false", "names.tcp", False),
        ("set udp_resolve false", "names.udp", False),
        ("set icmp_resolve false", "names.icmp", False),
        ("set disable_resolver", "names.resolve", False),
        ("set disable_resolver false", "names.resolve", None),
        ("set scans_only", "alerts_only", True),
        ("set no_fork", "daemon", False),
        ("set no_fork false", "daemon", True),
        ("set verbose", "plugins.traffic.malformed", True),
        ("set stdout", "plugins.text.path", "-"),
        ("set tcp", "rules", []),
        ("set tcp false", "rules", ["ignore tcp"]),
        ("set udp false", "rules", ["ignore udp"]),
        ("set icmp false", "rules", ["ignore icmp"]),
        ("set icmp false\nset icmp", "rules", ["ignore icmp", "log icmp"]),
        ("set ignore_dns", "rules", [f"ignore udp from {server} sport 53" for server in name_servers()]),
        ("set ignore_dns\nset ignore_dns false", "rules", []),
        ("set fin_scan false", "mute", ["fin_scan"]),
        ("set null_scan false", "mute", ["null_scan"]),
        ("set xmas_scan false", "mute", ["xmas_scan"]),
        ("set portscan false", "mute", []),
        ("set syn_scan false", "mute", []),
        ("set portscan false\nset syn_scan false", "mute", ["port_scan", "port_sweep", "distributed_scan"]),
        ("set syn_scan false\nset portscan false\nset syn_scan", "mute", []),
        ("set udp_scan false", "mute", ["udp_scan", "udp_sweep"]),
        ("set syn_flood false", "mute", ["syn_flood"]),
        ("set ping_flood false", "mute", ["ping_flood"]),
        ("set smurf false", "mute", ["smurf", "fraggle"]),
        ("set frag false", "mute", ["fragment_overlap", "fragment_oversized", "fragment_duplicate", "fragment_tiny", "fragment_flood"]),
        ("set bogus false", "mute", ["bogus_flags", "os_fingerprint"]),
        ("set traceroute false", "mute", ["traceroute"]),
        ("set traceroute false\nset traceroute", "mute", []),
        ("interface eth0", "interfaces", ["eth0"]),
        ("interface eth0,eth1", "interfaces", ["eth0", "eth1"]),
        ("interface eth0, eth1 , eth2", "interfaces", ["eth0", "eth1", "eth2"]),
        ("interface eth0\ninterface eth1", "interfaces", ["eth0", "eth1"]),
        ("promisc 192.0.2.0/24,198.18/15", "promisc", ["192.0.2.0/24", "198.18/15"]),
        ("promisc *", "promisc", ["*"]),
        ("user nobody", "user", "nobody"),
        ("group nogroup", "group", "nogroup"),
        ("pid-file /run/x.pid", "pid_file", "/run/x.pid"),
        ("logfile /var/log/Iplog", "plugins.text.path", "/var/log/Iplog"),
        ("logfile /a\nlogfile /b", "plugins.text.path", "/b"),
        ("logfile /a\nset stdout", "plugins.text.path", "-"),
        ("set stdout\nlogfile /a", "plugins.text.path", "/a"),
        ("logfile /a\nset stdout\nset stdout false", "plugins.text.path", "/a"),
        ("set stdout\nset stdout false", "plugins.text.path", None),
        ("facility local0", "plugins.syslog.facility", "local0"),
        ("facility LOG_LOCAL0", "plugins.syslog.facility", "local0"),
        ("facility security", "plugins.syslog.facility", "auth"),
        ("priority log_info", "plugins.syslog.priority", "info"),
        ("PRIORITY Warn", "plugins.syslog.priority", "warning"),
        ("", "plugins.traffic.udp", "datagram"),
    ],
)
def test_each_line_sets_what_it_says(conf, line, key, value):
    config = conf(line)
    assert_right(config)
    assert setting(config, key) == value


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_keyword_of_set_may_stand_alone_or_with_a_value(conf, keyword):
    text = f"set {keyword}\nset {keyword} true\nset {keyword} false"
    assert (conf(text).skipped, conf(text).faults) == ([], ())


def test_only_a_log_file_or_standard_output_enables_a_sink(conf):
    everything_else = "facility local0\npriority info\nset verbose\nset scans_only"
    assert conf(everything_else).settings.enable is None


@pytest.mark.parametrize("line", ["logfile /a", "set stdout"])
def test_a_log_file_or_standard_output_adds_the_text_sink_to_what_runs_by_default(conf, line):
    assert conf(line).settings.enable == [*_run_by_default(), "text"]


def test_standard_output_that_is_turned_off_leaves_no_sink(conf):
    assert conf("set stdout\nset stdout false").settings.enable == _run_by_default()


def _run_by_default() -> list[str]:
    from iplog_core.installed import installed

    return [plugin.name for plugin in installed() if plugin.runs_by_default]


@pytest.mark.parametrize(
    "rule",
    [
        "ignore tcp sport 25",
        "ignore tcp dport 25",
        "ignore udp sport 53",
        "ignore udp dport 53",
        "ignore udp from 192.168.0.0/16",
        "ignore icmp",
        "log tcp dport 1045:1055 sport ftp-data",
        "ignore tcp dport 1024: sport 20",
        "ignore icmp type !echo",
        "ignore udp from 127.1.2/255.255.255.0",
        "log tcp",
        "ignore tcp dport !80",
        "IGNORE TCP DPORT 80",
        "ignore icmp type ICMP_ECHO from * to 198.18.0.66/24",
    ],
)
def test_each_rule_stands_in_the_settings_as_it_is_written(conf, rule):
    config = conf(f"{rule}   # a comment")
    assert_right(config)
    assert config.settings.rules == [rule]


def test_a_negated_port_stays_negated(conf):
    (rule,) = map(parse_rule, conf("ignore tcp dport !80").settings.rules)
    assert rule.dport is not None
    assert rule.dport.negated


def test_each_setting_and_rule_knows_its_line(conf):
    config = conf("set log_ip\n\nfacility mail\nignore tcp\nset udp false\n")
    settings = [config.origin.of(key) for key in (("names", "log_ip"), ("plugins", "syslog", "facility"), ("plugins", "traffic", "udp"))]
    assert settings == ["iplog.conf, line 1", "iplog.conf, line 3", "iplog.conf"]
    assert [place.subject for place in config.rules] == ["iplog.conf, line 4", "iplog.conf, line 5"]


def test_a_list_that_grows_knows_each_of_its_lines(conf):
    config = conf("interface eth0\nset fin_scan false\nset traceroute false\ninterface eth1")
    assert [config.origin.of((name,)) for name in ("interfaces", "mute")] == ["iplog.conf, line 1, line 4", "iplog.conf, line 2, line 3"]


def test_the_environment_wins_over_the_file(tmp_path):
    file = tmp_path / "iplog.conf"
    file.write_text("set log_ip\ninterface eth0")
    config = load(str(file), environ={"IPLOG__NAMES__LOG_IP": "false"})
    assert (config.settings.names.log_ip, config.settings.interfaces) == (False, ["eth0"])


# What is said of bad lines

RULE_WORDS = "a port number, a service name, a range such as 1024:2047 or 1024:, or *"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("setting tcp", "'setting' is no directive; expected set, interface, promisc, user, group, pid-file, logfile, facility, priority, log or ignore."),
        ("tcp false", "'tcp' is no directive; expected set tcp."),
        ("log_ip = true", "'log_ip' is no directive; expected set log_ip."),
        ("set", "the keyword is missing; expected one of tcp, udp, icmp, "),
        ("set fin_scna", "'fin_scna' is no keyword of set; expected one of tcp, udp, icmp, "),
        ("set user nobody", "'user' stands without set; expected user and its value."),
        ("set tcp maybe", "'maybe' is neither true nor false."),
        ("set tcp true true", "'true true' is neither true nor false."),
        ("interface", "expected names of interfaces between commas, such as eth0,eth1."),
        ("interface eth0,,eth1", "expected names of interfaces between commas, such as eth0,eth1, not 'eth0,,eth1'."),
        ("interface eth0 eth1", "'eth0 eth1' is more than one value; expected interface A,B."),
        ("promisc 192.0.2.0/33", "'33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0."),
        ("promisc !192.0.2.0/24", "'!192.0.2.0/24' is negated; expected a network to watch, and an ignore rule to leave hosts out."),
        ("user", "expected a name."),
        ("user two names", "'two names' is more than one value; expected user USER."),
        ("pid-file", "expected a name."),
        ("logfile /var/log/a b", "'/var/log/a b' is more than one value; expected logfile FILE."),
        ("facility locl0", "'locl0' is no facility; expected auth, authpriv, cron, "),
        ("priority loud", "'loud' is no priority; expected emerg, alert, crit, err, warning, notice, info or debug."),
        ("ignore", "the protocol is missing; expected tcp, udp or icmp."),
        ("ignore tcp dprt 80", "'dprt' is no clause; expected from, sport, to or dport."),
        ("ignore tcp dport 90:80", "'90:80' is a reversed range; expected the lower port first: 80:90."),
        ("ignore icmp type eccho", "'eccho' is no ICMP type; "),
        ("logfile /var/\udcff", "this is not UTF-8 text."),
        ("logfile a\0b", "this is not UTF-8 text."),
        ("/* and so on", "the comment that begins here does not end, so that all behind it is left out; expected */."),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_with_its_number_and_what_would_be_right(conf, line, said):
    (fault,) = conf(f"set log_ip\n\n{line}").skipped
    place, shown, what = fault.split(": ", 2)
    assert (place, shown[0], what[: len(said)]) == ("iplog.conf, line 3", '"', said)


def test_bad_lines_are_skipped_and_the_others_count(conf):
    config = conf("sett tcp\nset log_ip\nignore tcp dport 90:80\nignore tcp dport 80\nset scans_only yes")
    assert (len(config.skipped), config.faults) == (3, ())
    assert (config.settings.names.log_ip, config.settings.rules, config.settings.alerts_only) == (True, ["ignore tcp dport 80"], False)


def test_all_protocols_off_is_a_fault(conf):
    (fault,) = conf("set tcp false\nset udp false\nignore icmp").faults
    assert fault == (
        "iplog.conf, line 3: tcp, udp and icmp are all off, so that nothing would be logged; leave one on, or add a rule such as 'log tcp dport 22'."
    )


@pytest.mark.parametrize("line", ["log tcp dport 22", "log udp", "set icmp"])
def test_all_protocols_off_is_none_where_something_is_logged_all_the_same(conf, line):
    assert conf(f"ignore tcp\nignore udp\nignore icmp\n{line}").faults == ()


@pytest.mark.parametrize("keyword", ["get_ident", "fool_nmap"])
def test_what_takes_a_plugin_that_is_not_installed_is_answered_with_one_line(conf, keyword):
    config = conf(f"set {keyword}")
    assert (config.notes, config.skipped, config.faults) == ((f"iplog.conf, line 1: the plugin {keyword} is not installed.",), [], ())


def test_what_takes_a_plugin_is_no_word_where_it_is_off(conf):
    assert_right(conf("set get_ident false"))


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "iplog.conf").write_text(text)
        return tmp_path / "iplog.conf"

    return write


def test_where_a_bundled_plugin_is_not_installed_its_words_are_left_out_with_one_line_each(site, bare_iplog, files):
    site.install("ash")
    answer = bare_iplog("config", "check", "--config", files("logfile /a\nfacility mail\nset verbose\nset stdout"))
    assert answer.status == 0
    assert [line.partition(", ")[2] for line in answer.faults] == [
        f"line {number}: the plugin {name} is not installed; pip install 'iplog[all]' brings it."
        for number, name in enumerate(("text", "syslog", "traffic", "text"), 1)
    ]


def test_an_installed_plugin_that_a_word_takes_runs(site, bare_iplog, files):
    site.install("get_ident", group="iplog.optional")
    assert bare_iplog("config", "check", "--config", files("set get_ident")).output.endswith("enabled: get_ident.\n")


def test_a_rule_whose_host_cannot_be_looked_up_is_named_and_skipped(iplog, files, captures):
    answer = iplog("config", "check", "--config", files("ignore udp\nignore tcp from no.such.host.invalid\n"))
    assert answer.status == 1
    (fault,) = answer.faults
    assert "iplog.conf, line 2: \"ignore tcp from no.such.host.invalid\": 'no.such.host.invalid' cannot be looked up (" in fault


def test_check_names_bad_lines_and_says_that_the_rest_is_right(iplog, files):
    answer = iplog("config", "check", "--config", files("set log_ip\nsett tcp"))
    assert (answer.status, ": the rest is right; enabled: " in answer.output, len(answer.faults)) == (1, True, 1)


def test_show_tells_the_line_of_each_setting(iplog, files):
    file = files("set log_ip\nignore tcp dport 25\nset udp false")
    output = iplog("config", "show", "--config", file, "--rule", "ignore icmp type echo").output.splitlines()
    expected = [f"log_ip = true  # {file}, line 1", f"]  # {file}, command line", f'udp = "datagram"  # {file}', "wait = 0.5  # default"]
    assert [line for line in expected if line not in output] == []


def test_check_names_the_line_of_a_user_a_group_and_a_network_that_are_wrong(iplog, files):
    file = files("set log_ip\nuser nobdoy\ngroup daemno\npromisc no.such.host.invalid")
    answer = iplog("config", "check", "--config", file)
    assert answer.status == 2
    assert answer.faults[:2] == [
        f"{file}, line 2: there is no user 'nobdoy'. Did you mean nobody?",
        f"{file}, line 3: there is no group 'daemno'. Did you mean daemon?",
    ]
    assert answer.faults[2].startswith(f"{file}, line 4: \"no.such.host.invalid\": 'no.such.host.invalid' cannot be looked up (")


def test_check_names_bad_lines_beside_faults(iplog, files):
    file = files("sett tcp\nuser nobdoy\nignore tcp from no.such.host.invalid")
    answer = iplog("config", "check", "--config", file)
    assert (answer.status, [line.removeprefix(f"{file}, ").partition(":")[0] for line in answer.faults]) == (2, ["line 1", "line 3", "line 2"])


def test_show_leaves_out_a_rule_that_was_skipped(iplog, files):
    file = files("ignore tcp from no.such.host.invalid\nignore tcp dport 25")
    answer = iplog("config", "show", "--config", file)
    assert (answer.status, tomllib.loads(answer.output)["rules"]) == (1, ["ignore tcp dport 25"])


def test_show_has_no_rules_where_all_were_skipped(iplog, files):
    file = files("ignore tcp from no.such.host.invalid")
    assert f"rules = []  # {file}" in iplog("config", "show", "--config", file).output.splitlines()


# What is logged under a configuration

SIX_LINES = """\
ignore tcp sport 25
ignore tcp dport 25
ignore udp sport 53
ignore udp dport 53
ignore udp from 192.168.0.0/16
ignore icmp
"""


def six_lines_ignore(event: dict[str, Any]) -> bool:
    ports = {event.get("src_port"), event.get("dest_port")}
    match event["proto"]:
        case "TCP":
            return 25 in ports
        case "UDP":
            return 53 in ports or event["src_ip"].startswith("192.168.")
    return str(event["proto"]).endswith(("ICMP", "ICMPV6"))


def test_the_six_lines_leave_out_exactly_what_they_say(iplog, files, captures, tmp_path):
    def traffic(text: str) -> list[dict[str, Any]]:
        answer = iplog("read", "--config", files(text), "--format", "json", *sorted(captures.glob("*.pcap")))
        events = map(json.loads, answer.output.splitlines())
        return [event for event in events if event["event_type"] == "traffic"]

    everything, left = traffic(""), traffic(SIX_LINES)
    assert 0 < len(left) < len(everything)
    assert left == [event for event in everything if not six_lines_ignore(event)]


# Whatever is written

PIECES = st.sampled_from(
    ["set", "log", "ignore", "tcp", "udp", "icmp", "from", "!", "*", "/*", "*/", "#", "\n", "\r\n", "\t", " ", "true", "false", ",", "10/8", "::1", "\0"]
    + [directive.keyword for directive in DIRECTIVES]
    + [*KEYWORDS]
)


@given(st.binary(max_size=80) | st.lists(PIECES | st.text(max_size=5), max_size=20).map(lambda words: " ".join(words).encode(errors="ignore")))
def test_any_file_gives_settings_and_a_line_for_each_bad_one(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.conf"
    file.write_bytes(content)
    config = load(str(file), environ={})
    assert [line for line in config.skipped if not line.startswith(f"{file}, line ") or not line.isprintable()] == []
    assert [fault for fault in config.faults if "are all off" not in fault] == []


# What is written about it

MANUAL = (Path(__file__).resolve().parents[1] / "docs" / "classic.md").read_text()


@pytest.mark.parametrize("word", [*FLAGS, *DIRECTIVES], ids=lambda word: word.keyword)
def test_the_manual_names_every_word(word):
    (row,) = (line for line in MANUAL.splitlines() if re.match(rf"\|[^|]*`{word.keyword}[ `]", line))
    assert word.options[0] in row or isinstance(word, Directive)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if isinstance(flag.effect, Detector)], ids=lambda flag: flag.keyword)
def test_the_manual_names_the_alerts_that_a_switch_mutes(flag):
    (row,) = (line for line in MANUAL.splitlines() if re.match(rf"\|[^|]*`{flag.keyword}[ `]", line))
    assert "the kind of this name" in row or all(f"`{kind}`" in row.rpartition(": ")[2] for kind in flag.effect.kinds)


def test_the_example_of_the_manual_is_right(conf):
    (example,) = re.findall(r"^```\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
    config = conf(example)
    assert_right(config)
    assert len(config.settings.rules) == 3 + len(name_servers())
