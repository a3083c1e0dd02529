"""What is wrong with a table is told in a line, with its place."""

import pytest

from iplog_core.config import load
from iplog_core.host import Host

SETTINGS = (
    "allow, count, distinct, expiry, flags, key, kind, line, match, min_size, outcome, severity, signature, threshold, window. (iplog-plugin-threshold 0.1.0)"
)
OF_PLUGIN = " (iplog-plugin-threshold 0.1.0)"


def faults(text, tmp_path, environ=None, assignments=()):
    file = tmp_path / "iplog.toml"
    file.write_text(f'enable = ["threshold"]\n{text}')
    host = Host.load(load(str(file), environ=environ or {}, assignments=assignments))
    return [fault.replace(str(file), "iplog.toml") for fault in host.faults]


def table(tmp_path, line, name="telnet"):
    """What is wrong with a table that matches tcp and has one more line."""
    return faults(f'[plugins.threshold.{name}]\nmatch = "tcp"\n{line}\n', tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("threshhold = 3", f"threshhold: no such setting. Did you mean threshold? There are: {SETTINGS}"),
        ("threshold = 0", f"threshold: expected 1 or more, not 0.{OF_PLUGIN}"),
        ('threshold = "3"', f'threshold: expected a whole number, not "3".{OF_PLUGIN}'),
        (
            'key = "pairs"',
            f"key: expected 'source', 'target', 'pair', 'source_port' or 'target_port', not \"pairs\". Did you mean pair?{OF_PLUGIN}",
        ),
        ('flags = "sin"', f"flags: 'sin' is no TCP flag; there are: fin, syn, rst, psh, ack, urg, ece, cwr, ae, each also behind a !.{OF_PLUGIN}"),
        ('flags = "syn !syn"', f"flags: 'syn' stands twice; each flag may stand once.{OF_PLUGIN}"),
        ('window = "soon"', f"window: expected seconds, or a number with ms, s, m, h or d, such as 90 or '4h', not \"soon\".{OF_PLUGIN}"),
        ('kind = "Telnet!"', f'kind: expected a lower-case letter, then letters, digits and _, such as telnet_touched, not "Telnet!".{OF_PLUGIN}'),
        ('line = "{who} knocked"', f"line: {{who}} is no field of a line; there are: {{proto}}, {{src}}, {{sport}}, {{dst}}, {{dport}}, {{to}}.{OF_PLUGIN}"),
        ('allow = ["from 10/33"]', f"allow: \"from 10/33\": '33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0.{OF_PLUGIN}"),
    ],
)
def test_a_fault_is_told_with_its_table_and_key(tmp_path, line, told):
    assert table(tmp_path, line) == [f"iplog.toml: [plugins.threshold.telnet] {told}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"tcp dprt 23"', "\"tcp dprt 23\": 'dprt' is no clause; expected from, sport, to or dport."),
        ('["udp", "ignore tcp"]', "\"ignore tcp\": 'ignore' is the action of a rule, and no part of this: leave it away."),
        ('""', "expected something to match, such as 'tcp dport 23', not \"\"."),
        ("[]", "expected something to match, such as 'tcp dport 23', not []."),
        ("23", "expected text or an array, such as [\"a\", \"b\"], not 23."),
        ('"# telnet"', '"# telnet": there is nothing to match; expected tcp, udp, icmp, from or to.'),
    ],
)  # fmt: skip
def test_a_match_that_cannot_be_read_is_told(tmp_path, text, told):
    assert faults(f"[plugins.threshold.telnet]\nmatch = {text}\n", tmp_path) == [f"iplog.toml: [plugins.threshold.telnet] match: {told}{OF_PLUGIN}"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('outcome = "refused"\ncount = "packets"', "flows have an outcome, packets have none; expected count = 'openings' or 'contacts' beside it."),
        ('distinct = "source"', "key = 'source' has one source only; expected another distinct, or another key."),
        ('key = "pair"\ndistinct = "dest"', "key = 'pair' has one dest only; expected another distinct, or another key."),
    ],
)
def test_settings_that_do_not_go_together_are_told(tmp_path, line, told):
    assert table(tmp_path, line) == [f"iplog.toml: [plugins.threshold.telnet]: {told}{OF_PLUGIN}"]


def test_flags_of_what_has_none_are_told(tmp_path):
    text = '[plugins.threshold.telnet]\nmatch = ["tcp", "udp"]\nflags = "syn"\n'
    told = "flags are those of TCP; expected a match that begins with tcp."
    assert faults(text, tmp_path) == [f"iplog.toml: [plugins.threshold.telnet]: {told}{OF_PLUGIN}"]


def test_a_table_must_match_something(tmp_path):
    told = f"iplog.toml: [plugins.threshold.telnet] match: must be set; it has no default.{OF_PLUGIN}"
    assert faults("[plugins.threshold.telnet]\nthreshold = 3\n", tmp_path) == [told]


def test_a_key_that_is_no_table_is_told(tmp_path):
    assert faults("[plugins.threshold]\ntelnet = 3\n", tmp_path) == [f"iplog.toml: [plugins.threshold] telnet: expected a table, not 3.{OF_PLUGIN}"]


def test_a_name_that_cannot_be_a_kind_is_told(tmp_path):
    told = "'tel-net' is no name of a table; expected a lower-case letter, then letters, digits and _, such as telnet_touched."
    assert table(tmp_path, "", name="tel-net") == [f"iplog.toml: [plugins.threshold]: {told}{OF_PLUGIN}"]


def test_two_tables_of_one_kind_are_told(tmp_path):
    text = '[plugins.threshold.a]\nmatch = "tcp"\nkind = "b"\n[plugins.threshold.b]\nmatch = "tcp"\n'
    assert faults(text, tmp_path) == [f"iplog.toml: [plugins.threshold]: a and b have one kind, b; expected a kind for each.{OF_PLUGIN}"]


def test_all_faults_of_all_tables_are_told_at_once(tmp_path):
    assert len(faults('[plugins.threshold.a]\nmatch = "tpc"\nkey = "x"\n[plugins.threshold.b]\nwindow = 0\n', tmp_path)) == 4


def test_a_fault_on_the_command_line_is_told_as_it_was_given(tmp_path):
    text = '[plugins.threshold.telnet]\nmatch = "tcp"\n'
    told = faults(text, tmp_path, assignments=["plugins.threshold.telnet.threshold=x"])
    assert told == [f'--set plugins.threshold.telnet.threshold: expected a whole number, not "x".{OF_PLUGIN}']


def test_a_fault_in_the_environment_is_told_as_it_was_given(tmp_path):
    text = '[plugins.threshold.telnet]\nmatch = "tcp"\n'
    (told,) = faults(text, tmp_path, environ={"IPLOG__PLUGINS__THRESHOLD__TELNET__WINDO": "3"})
    name = "IPLOG__PLUGINS__THRESHOLD__TELNET__WINDO"
    assert told.startswith(f"{name}: no such setting. Did you mean {name}W?")
