"""`iplog config convert`: a classic configuration as TOML that means the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.classic.words import KEYWORDS
from iplog_core.cli.convert import as_toml
from iplog_core.config import load

CLASSIC = """\
# An old friend
set log_ip
set fin_scan false
interface eth0
logfile /var/log/iplog
facility local0
ignore tcp dport 25   # mail
set udp false
"""


@pytest.fixture
def classic(tmp_path: Path) -> Path:
    file = tmp_path / "iplog.conf"
    file.write_text(CLASSIC)
    return file


def test_it_is_toml_in_which_each_setting_has_its_line(iplog, classic):
    output = iplog("config", "convert", "iplog.conf").output.splitlines()
    expected = [
        "# What iplog.conf says.",
        'interfaces = ["eth0"]  # line 4',
        'mute = ["fin_scan"]  # line 3',
        '    "ignore tcp dport 25",  # line 7',
        '    "ignore udp",  # line 8',
        "log_ip = true  # line 2",
        'udp = "datagram"',
        'path = "/var/log/iplog"  # line 5',
        'facility = "local0"  # line 6',
    ]
    assert [line for line in expected if line not in output] == []


def test_what_it_prints_is_a_right_configuration(iplog, classic):
    answer = iplog("config", "convert", "iplog.conf")
    (iplog.folder / "iplog.toml").write_text(answer.output)
    checked = iplog("config", "check", "--config", "iplog.toml")
    assert (answer.status, answer.errors, checked.status, checked.errors) == (0, "", 0, "")


def test_bad_lines_are_comments_and_told(iplog, tmp_path):
    (tmp_path / "iplog.conf").write_text("sett tcp\nset log_ip\nignore tcp from no.such.host.invalid\nset get_ident\n")
    answer = iplog("config", "convert", "iplog.conf")
    comments = [line.removeprefix("# Left out: ") for line in answer.output.splitlines() if line.startswith("# Left out: ")]
    assert (answer.status, sorted(comments)) == (1, sorted(answer.faults))
    assert [line.partition(":")[0] for line in comments] == ["iplog.conf, line 1", "iplog.conf, line 3", "iplog.conf, line 4"]
    assert tomllib.loads(answer.output) == {"names": {"log_ip": True}, "plugins": {"traffic": {"udp": "datagram"}}}


def test_the_file_of_config_is_converted_where_no_other_is_named(iplog, classic):
    assert iplog("config", "convert", "--config", "iplog.conf").output == iplog("config", "convert", "iplog.conf").output


def test_neither_environment_nor_command_line_is_part_of_it(iplog, classic):
    with_more = iplog("config", "convert", "iplog.conf", "--set", "batch_size=7", IPLOG__QUEUE_SIZE="9").output
    assert with_more == iplog("config", "convert", "iplog.conf").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["iplog.toml"], "iplog.toml: not the name of a classic configuration; expected one that ends in .conf."),
        (["nope.conf"], "nope.conf: no such file."),
        (["a.conf", "b.conf"], "iplog config convert a.conf b.conf: expected one of check, show, schema, init, convert."),
    ],
)
def test_what_cannot_be_converted_is_told(iplog, words, said):
    answer = iplog("config", "convert", *words)
    assert (answer.status, answer.output, answer.faults) == (2, "", [said])


LINES = st.one_of(
    st.tuples(st.just("set"), st.sampled_from([*KEYWORDS]), st.sampled_from(["", "true", "false"])).map(" ".join),
    st.sampled_from(
        [
            "interface eth0",
            "interface eth0,eth1",
            "promisc *",
            "promisc 10/8",
            "user nobody",
            "group 0",
            "pid-file /a b",
            'pid-file /run/ä\\"x',
            "logfile /var/log/iplog",
            "facility mail",
            "priority debug",
            "ignore tcp dport !80",
            "log tcp dport 22",
            "ignore icmp type !echo",
            "bad line",
        ]
    ),
)


@given(st.lists(LINES, max_size=12))
def test_the_toml_means_what_the_classic_file_means(tmp_path_factory, lines):
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.conf").write_text("\n".join(lines))
    config = load(str(folder / "any.conf"), environ={})
    (folder / "any.toml").write_text("\n".join(as_toml(config, range(len(config.settings.rules)))))
    assert load(str(folder / "any.toml"), environ={}).settings.model_dump() == config.settings.model_dump()
