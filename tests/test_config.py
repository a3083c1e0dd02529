"""Where settings come from, which of them wins, and what is said of those that are wrong."""

from __future__ import annotations

import re
import tomllib
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from iplog_core.config import Config, load
from iplog_core.errors import ConfigError
from iplog_core.origin import Origins
from iplog_core.settings import DetectorSettings, Duration, Settings
from iplog_core.terminal import tell
from iplog_core.toml import dump_value, parse_value
from iplog_core.validation import Faults, validate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "iplog.toml"


def loaded(text: str = "", file: Path | None = None, environ: dict[str, str] | None = None, *assignments: str) -> Config:
    """Load a configuration of which nothing comes from this machine."""
    if file is not None:
        file.write_text(text)
    return load(str(file) if file else None, environ=environ or {}, assignments=assignments, default_files=())


def fault(text: str, file: Path) -> str:
    """Return the only line about a file, without the folder that it lies in."""
    faults = loaded(text, file).faults
    assert len(faults) == 1
    return faults[0].replace(f"{file.parent}/", "")


def faults_of(file: Path) -> tuple[str, ...]:
    try:
        return load(str(file), environ={}).faults
    except ConfigError as error:
        return error.faults


# What wins


def test_without_a_file_all_is_default():
    config = loaded()
    assert (config.settings, config.faults) == (Settings(), ())


def test_the_file_wins_over_the_default(file):
    assert loaded("batch_size = 7", file).settings.batch_size == 7


def test_the_environment_wins_over_the_file(file):
    assert loaded("batch_size = 7", file, {"IPLOG__BATCH_SIZE": "8"}).settings.batch_size == 8


def test_the_command_line_wins_over_the_environment(file):
    assert loaded("batch_size = 7", file, {"IPLOG__BATCH_SIZE": "8"}, "batch_size=9").settings.batch_size == 9


def test_of_two_assignments_to_a_setting_the_last_wins():
    assert loaded("", None, {}, "batch_size=8", "batch_size=9").settings.batch_size == 9


def test_a_table_is_merged_key_by_key(file):
    text = "[plugins.tcp_scan]\nports = 7\nhosts = 8"
    config = loaded(text, file, {"IPLOG__PLUGINS__TCP_SCAN__HOSTS": "9"}, "plugins.tcp_scan.memory=1h")
    assert config.settings.plugins == {"tcp_scan": {"ports": 7, "hosts": 9, "memory": "1h"}}


def test_an_array_replaces_what_a_lower_origin_says(file):
    assert loaded("interfaces = ['eth0']", file, {"IPLOG__INTERFACES": '["eth1"]'}).settings.interfaces == ["eth1"]


def test_rules_of_the_command_line_come_behind_those_of_the_file(file):
    file.write_text("rules = ['ignore tcp']")
    assert load(str(file), rules=["log tcp"], environ={}).settings.rules == ["ignore tcp", "log tcp"]


def test_the_default_file_is_read_where_it_exists(file):
    file.write_text("batch_size = 7")
    assert load(environ={}, default_files=[file]).settings.batch_size == 7


def test_the_default_file_need_not_exist(file):
    assert load(environ={}, default_files=[file]).file is None


def test_of_two_default_files_the_first_that_exists_is_read(file, tmp_path):
    classic = tmp_path / "iplog.conf"
    classic.write_text("set log_ip")
    before = load(environ={}, default_files=[file, classic])
    file.write_text("")
    after = load(environ={}, default_files=[file, classic])
    assert (before.file, after.file) == (classic, file)


def test_each_setting_knows_where_it_comes_from(file):
    text = "batch_size = 7\nqueue_size = 7\n[names]\ncapacity = 9"
    config = loaded(text, file, {"IPLOG__QUEUE_SIZE": "8"}, "names.wait=9")
    keys = [("batch_size",), ("queue_size",), ("names", "capacity"), ("names", "wait"), ("names", "timeout")]
    assert [config.origin.of(key) for key in keys] == [str(file), "environment", str(file), "command line", "default"]


# Values


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["traffic", "smurf"]', ["traffic", "smurf"]),
        ("traffic,smurf", ["traffic", "smurf"]),
        ("traffic, smurf,", ["traffic", "smurf"]),
        ("traffic", ["traffic"]),
        ("", []),
        ("[]", []),
    ],
)
def test_a_list_in_the_environment_is_toml_or_has_commas(text, names):
    assert loaded(environ={"IPLOG__ENABLE": text}).settings.enable == names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("2.5", 2.5),
        ("true", True),
        ('"20"', "20"),
        ("[1, 2]", [1, 2]),
        ("{ env = 'X' }", {"env": "X"}),
        ("4h", "4h"),
        ("a b", "a b"),
        ("a=b", "a=b"),
        ("1\nenable = []", "1\nenable = []"),
    ],
)
def test_an_assignment_has_a_toml_value_else_text(text, value):
    assert loaded("", None, {}, f"plugins.x.y={text}").settings.plugins == {"x": {"y": value}}


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_a_value(text):
    value = parse_value(text)
    assert value == text or tomllib.loads(f"x = {text}") == {"x": value} or value != value


def json_like() -> st.SearchStrategy[object]:
    scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text() | st.datetimes()
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text(), inner), max_leaves=10)


def text() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"))


@given(json_like())
def test_a_value_that_is_written_as_toml_reads_as_the_same(value):
    assert tomllib.loads(f"x = {dump_value(value)}") == {"x": value}


@given(st.lists(st.text(), max_size=3), st.dictionaries(st.text(max_size=12).map("IPLOG__{}".format), st.text(), max_size=3))
def test_whatever_is_assigned_gives_settings_or_says_what_is_wrong(assignments, environ):
    config = load(assignments=assignments, environ=environ, default_files=())
    assert isinstance(config.settings, Settings)
    with redirect_stderr(StringIO()) as told:
        tell(config.faults)
    assert len(told.getvalue().splitlines()) == len(config.faults)


KEYS = st.sampled_from(["enable", "rules", "batch_size", "flows", "flows.udp_idle", "flows.tcp_idle", "plugins", "plugins.x", "plugins.x.y"])
VALUES = st.sampled_from(["1", "-1", "1e400", "nan", "[]", "[[1]]", "{}", "{a=1}", "true", "x", "1979-05-27", "[" * 300 + "]" * 300]) | st.text()


@given(st.lists(st.tuples(KEYS, VALUES).map("=".join), max_size=4))
def test_whatever_a_setting_is_set_to_it_is_valid_or_a_fault(assignments):
    config = load(assignments=assignments, environ={}, default_files=())
    assert config.faults or Settings.model_validate(config.settings.model_dump()) == config.settings


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="ignore")))
def test_any_file_is_a_configuration_or_one_clear_fault(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    assert [line for line in faults_of(file) if not line.startswith(str(file))] == []


# What is said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("enbale = []", "iplog.toml, enbale: no such setting. Did you mean enable? There are: alerts_only, "),
        ("batch_size = 'many'", 'iplog.toml, batch_size: expected a whole number, not "many".'),
        ("batch_size = '20'", 'iplog.toml, batch_size: expected a whole number, not "20".'),
        ("batch_size = true", "iplog.toml, batch_size: expected a whole number, not true."),
        ("batch_size = 1.5", "iplog.toml, batch_size: expected a whole number, not 1.5."),
        ("batch_size = 0", "iplog.toml, batch_size: expected 1 or more, not 0."),
        ("batch_size = 70000", "iplog.toml, batch_size: expected 65536 or less, not 70000."),
        ("enable = 'text'", "iplog.toml, enable: expected an array, such as [\"a\", \"b\"], not \"text\"."),
        ("enable = ['text', 3]", "iplog.toml, enable[1]: expected text, not 3."),
        ("when_full = 'blok'", "iplog.toml, when_full: expected 'block' or 'drop', not \"blok\". Did you mean block?"),
        ("flows = 3", "iplog.toml, flows: expected a table, not 3."),
        ("[names]\ncapcity = 3", "iplog.toml: [names] capcity: no such setting. Did you mean capacity? There are: "),
        ("[names]\ncapacity = 0", "iplog.toml: [names] capacity: expected 1 or more, not 0."),
        ("[flows]\ntcp_idle = '5 ly'", "iplog.toml: [flows] tcp_idle: expected seconds, or a number with ms, s, m, h or d, such as 90 or '4h', not \"5 ly\"."),
        ("[flow]\nx = 1", "iplog.toml: [flow]: no such table. Did you mean [flows]?"),
        ("[tcp_scan]\nx = 1", "iplog.toml: [tcp_scan]: no such table. A plugin's settings stand in [plugins.tcp_scan]."),
        ("[plugins]\ntcp_scan = 1", "iplog.toml: [plugins.tcp_scan]: expected a table, not 1."),
    ],
)  # fmt: skip
def test_a_fault_names_file_table_and_key_and_what_would_be_right(text, said, file):
    assert fault(text, file).startswith(said)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("IPLOG__ENBLE", "IPLOG__ENBLE: no such setting. Did you mean IPLOG__ENABLE? There are: "),
        ("IPLOG__BATCH_SIZE", 'IPLOG__BATCH_SIZE: expected a whole number, not "x".'),
        ("IPLOG__NAMES__CAPCITY", "IPLOG__NAMES__CAPCITY: no such setting. Did you mean IPLOG__NAMES__CAPACITY? There are: "),
        ("IPLOG__PLUGIN__TCP_SCAN__PORTS", "IPLOG__PLUGIN: no such table. Did you mean IPLOG__PLUGINS?"),
        ("IPLOG__", "IPLOG__: no setting's name; expected one such as IPLOG__ENABLE or "),
        ("IPLOG____X", "IPLOG____X: no setting's name; expected one such as IPLOG__ENABLE or "),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(variable, said):
    (line,) = loaded(environ={variable: "x"}).faults
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("batch_size=x", '--set batch_size: expected a whole number, not "x".'),
        ("names.capacity=0", "--set names.capacity: expected 1 or more, not 0."),
        ("batch_siz=1", "--set batch_siz: no such setting. Did you mean batch_size? There are: "),
        ("batch_size", "--set batch_size: no assignment; expected KEY=VALUE, such as plugins.tcp_scan.ports=20."),
        ("=1", "--set : no assignment; expected KEY=VALUE, such as plugins.tcp_scan.ports=20."),
        ("a..b=1", "--set a..b: no assignment; expected KEY=VALUE, such as plugins.tcp_scan.ports=20."),
    ],
)
def test_a_fault_of_an_assignment_names_it(assignment, said):
    (line,) = loaded("", None, {}, assignment).faults
    assert line.startswith(said)


def test_all_faults_are_told_at_once(file):
    config = loaded("batch_size = 0\nenbale = 1\n[names]\ncapacity = 0", file, {"IPLOG__NOPE": "1"}, "queue_size=x", "nonsense")
    assert len(config.faults) == 6


def test_what_an_empty_table_leaves_out_has_its_default(file):
    assert loaded("[flows]\n", file).origin.of(("flows", "tcp_idle")) == "default"


def test_a_setting_with_a_fault_has_its_default(file):
    config = loaded("batch_size = 0\nqueue_size = 3", file)
    assert (config.settings.batch_size, config.settings.queue_size) == (Settings().batch_size, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = \n", ", line 1, column 5: invalid value."),
        (b"\n\na = 'x", ', line 3, column 7: expected "\'".'),
        (b"a = 1\na = 2\n", ", line 2, column 6: cannot overwrite a value."),
        (b"\n# \xff", ", line 2: not UTF-8 text."),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_line_and_column(content, said, file):
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(str(file), environ={})
    assert raised.value.faults == (f"{file}{said}",)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope.toml", "nope.toml: no such file; iplog config init writes one to standard output."),
        ("nope.conf", "nope.conf: no such file."),
        ("iplog.yaml", "iplog.yaml: not the name of a configuration file; expected one that ends in .toml, or in .conf for the classic form."),
        ("folder.toml", "folder.toml: a folder; expected a configuration file."),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.toml").mkdir()
    with pytest.raises(ConfigError) as raised:
        load(name, environ={})
    assert raised.value.faults == (said,)


class Hosts(BaseModel):
    hosts: list[str] = Field(min_length=1, max_length=2)


@pytest.mark.parametrize(("hosts", "expected"), [([], "1 or more of them, not []"), (["a", "b", "c"], '2 of them or fewer, not ["a", "b", "c"]')])
def test_how_many_there_may_be_is_told(hosts, expected):
    with pytest.raises(Faults, match=re.escape(f"hosts: expected {expected}.")):
        validate(Hosts, {"hosts": hosts}, Origins())


# Secrets


class Account(BaseModel):
    token: SecretStr | None = None


class Mail(DetectorSettings):
    password: SecretStr = Field(min_length=3)
    accounts: list[Account] = Field(default_factory=list)
    retry: Duration = 5.0


def mail(**table: object) -> Mail:
    return validate(Mail, table, Origins(), ("plugins", "mail"))


def said_of_mail(**table: object) -> str:
    with pytest.raises(Faults) as raised:
        mail(**table)
    return "\n".join(raised.value.lines)


def test_a_secret_may_stand_in_the_settings():
    assert mail(password="hunter2").password.get_secret_value() == "hunter2"


def test_a_secret_may_stand_in_the_environment(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    assert mail(password={"env": "MAIL_PASSWORD"}).password.get_secret_value() == "hunter2"


def test_a_secret_may_stand_in_a_file_whose_last_line_end_is_no_part_of_it(tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    assert mail(password={"file": str(tmp_path / "secret")}).password.get_secret_value() == "hunter2"


def test_a_secret_may_stand_deep_inside(monkeypatch):
    monkeypatch.setenv("TOKEN", "t")
    account = mail(password="hunter2", accounts=[{"token": {"env": "TOKEN"}}]).accounts[0]
    assert account.token is not None
    assert account.token.get_secret_value() == "t"


def test_the_file_of_a_secret_is_looked_for_beside_the_configuration(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    origins = Origins()
    origins.add({"plugins": {"mail": {"password": "..."}}}, "iplog.toml")
    settings = validate(Mail, {"password": {"file": "secret"}}, origins, ("plugins", "mail"), tmp_path)
    assert settings.password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"env": "NOT_SET"}, "[plugins.mail] password: the environment variable NOT_SET is not set."),
        ({"file": "/nonexistent"}, "[plugins.mail] password: the file /nonexistent cannot be read: No such file or directory."),
        ({"evn": "X"}, '[plugins.mail] password: expected text, { env = "NAME" } or { file = "NAME" }.'),
        (12345678, '[plugins.mail] password: expected text, { env = "NAME" } or { file = "NAME" }.'),
    ],
)
def test_what_is_wrong_with_a_secret_is_told(value, said):
    assert said_of_mail(password=value) == said


@pytest.mark.parametrize(
    "table",
    [
        {"password": "hx"},
        {"password": ["hunter2"]},
        {"password": 31337},
        {"pasword": "hunter2"},
        {"password": "hunter2", "accounts": "hunter2"},
        {"password": "hunter2", "accounts": [{"token": ["hunter2"]}]},
        {"password": "hunter2", "retry": "x"},
    ],
)
def test_no_message_shows_a_secret(table):
    said = said_of_mail(**table)
    assert not any(secret in said for secret in ("hunter2", "31337", '"hx"'))


def test_a_setting_that_must_be_set_and_is_not_is_told():
    assert said_of_mail() == "[plugins.mail] password: must be set; it has no default."
