"""`iplog config`: check, show, schema, init."""

from __future__ import annotations

import json
import tomllib

import pytest

SECRETIVE = """
from pydantic import BaseModel, Field, SecretStr
from iplog_core import Detector, DetectorSettings, Duration, hookimpl

iplog_api = 1

class Account(BaseModel):
    user: str = "me"

class Settings(DetectorSettings):
    password: SecretStr | None = Field(None, description="What opens the door.")
    account: Account = Account()
    wait: Duration = Field("5m", description="How long to wait.")
    ports: list[int] = Field([22, 23], max_length=3, description="Doors.")

class Secretive(Detector[Settings]):
    \"\"\"Keeps a secret.\"\"\"

    name = "NAME"

    def on_batch(self, batch):
        pass

@hookimpl
def iplog_detectors():
    return [Secretive]
"""


def test_a_right_configuration_is_said_to_be_right(site, bare_iplog, tmp_path):
    site.install("ash")
    (tmp_path / "iplog.toml").write_text("rules = ['ignore tcp']\n[plugins.ash]\nports = 9")
    answer = bare_iplog("config", "check", "--config", "iplog.toml")
    assert (answer.status, answer.output, answer.errors) == (0, "iplog.toml: all is right; enabled: ash.\n", "")


def test_all_that_is_wrong_is_told_at_once(site, bare_iplog, tmp_path):
    site.install("ash")
    (tmp_path / "iplog.toml").write_text(
        "batch_size = 0\nenable = ['ash', 'elm']\nrules = ['ignore tcp', 'ignore tcp dprt 80']\n[plugins.ash]\nprts = 9\n[plugins.ahs]"
    )
    answer = bare_iplog("config", "check", "--config", "iplog.toml", "--rule", "ignroe tcp", IPLOG__NOPE="1")
    assert (answer.status, answer.output) == (2, "")
    assert [line.partition(": ")[0] for line in answer.faults] == [
        "iplog.toml, batch_size",
        "IPLOG__NOPE",
        "iplog.toml, enable[1]",
        "iplog.toml",
        "iplog.toml",
        "iplog.toml, rules[1]",
        "--rule",
    ]


def test_a_user_and_a_group_that_do_not_exist_are_faults(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text("user = 'nobdoy'")
    answer = iplog("config", "check", "--config", "iplog.toml", IPLOG__GROUP="daemno")
    assert (answer.status, answer.faults) == (
        2,
        ["iplog.toml, user: there is no user 'nobdoy'. Did you mean nobody?", "IPLOG__GROUP: there is no group 'daemno'. Did you mean daemon?"],
    )


def test_networks_to_watch_that_are_wrong_are_faults(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text("promisc = ['192.0.2.0/24', '!192.0.2.7', 'no.such.host.invalid']\nrules = ['ignore tcp dprt 80']")
    answer = iplog("config", "check", "--config", "iplog.toml")
    assert (answer.status, [line.split(": ")[:2] for line in answer.faults]) == (
        2,
        [
            ["iplog.toml, rules[0]", '"ignore tcp dprt 80"'],
            ["iplog.toml, promisc[1]", '"!192.0.2.7"'],
            ["iplog.toml, promisc[2]", '"no.such.host.invalid"'],
        ],
    )


def test_a_user_a_group_and_networks_that_are_right_are_no_faults(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text("user = 'nobody'\ngroup = '0'\npromisc = ['192.0.2.0/24', 'localhost']")
    answer = iplog("config", "check", "--config", "iplog.toml")
    assert (answer.status, answer.faults) == (0, [])


def test_the_settings_in_force_are_shown_with_where_they_come_from(site, bare_iplog, tmp_path):
    site.install("ash")
    (tmp_path / "iplog.toml").write_text("rules = ['ignore tcp']\n[plugins.ash]\nports = 9")
    output = bare_iplog("config", "show", "--config", "iplog.toml", "--set", "queue_size=8", "--rule", "log tcp", IPLOG__BATCH_SIZE="7").output.splitlines()
    expected = [
        'enable = ["ash"]  # default',
        "batch_size = 7  # environment",
        "queue_size = 8  # command line",
        'rules = ["ignore tcp", "log tcp"]  # iplog.toml, command line',
        "capacity = 16384  # default",
        "ports = 9  # iplog.toml",
    ]
    assert [line for line in expected if line not in output] == []


def test_what_is_shown_is_a_configuration_with_the_same_settings(site, bare_iplog, tmp_path):
    site.install("ash", SECRETIVE)
    site.install("elm")
    shown = bare_iplog("config", "show", "--disable", "elm", "--set", "plugins.ash.wait=2h").output
    (tmp_path / "shown.toml").write_text(shown)
    again = bare_iplog("config", "show", "--config", "shown.toml").output
    assert tomllib.loads(again) == tomllib.loads(shown)


def test_a_secret_is_masked(site, bare_iplog):
    site.install("ash", SECRETIVE)
    answer = bare_iplog("config", "show", "--set", "plugins.ash.password={env='SECRET'}", SECRET="hunter2")
    assert ("hunter2" in answer.output, 'password = "**********"  # command line' in answer.output) == (False, True)


def test_the_file_to_begin_with_is_right_as_it_stands(site, bare_iplog, tmp_path):
    site.install("ash", SECRETIVE)
    site.install("elm", group="iplog.optional")
    (tmp_path / "init.toml").write_text(bare_iplog("config", "init").output)
    assert bare_iplog("config", "check", "--config", "init.toml").output == "init.toml: all is right; enabled: ash.\n"


def test_the_file_to_begin_with_has_each_setting_commented_out_with_its_default_and_meaning(site, bare_iplog):
    site.install("ash", SECRETIVE)
    output = bare_iplog("config", "init").output
    assert '# How long to wait. (seconds, or text such as "90s" or "4h")\n#wait = "5m"\n' in output


def test_the_defaults_in_the_file_to_begin_with_may_be_uncommented(site, bare_iplog, tmp_path):
    site.install("ash", SECRETIVE)
    lines = bare_iplog("config", "init").output.splitlines()
    bare = [line.removeprefix("#") for line in lines if not line.startswith("# ") and not line.endswith(" =")]
    (tmp_path / "init.toml").write_text("\n".join(bare))
    assert bare_iplog("config", "check", "--config", "init.toml").output == "init.toml: all is right; enabled: ash.\n"


def test_the_file_to_begin_with_has_a_table_for_every_installed_plugin(site, bare_iplog):
    site.install("ash")
    site.install("elm", group="iplog.optional")
    tables = tomllib.loads(bare_iplog("config", "init").output)
    assert list(tables["plugins"]) == ["ash", "elm"]


def test_a_broken_configuration_does_not_keep_from_beginning_another(site, bare_iplog):
    site.install("ash")
    site.install("elm", "raise RuntimeError", group="iplog.optional")
    answer = bare_iplog("config", "init", IPLOG__NONSENSE="1")
    assert (answer.status, "# elm has no table here" in answer.output) == (0, True)


@pytest.fixture
def schema(site, bare_iplog):
    site.install("ash", SECRETIVE)
    return json.loads(bare_iplog("config", "schema").output)


def test_the_schema_has_the_settings_of_iplog(schema):
    assert schema["properties"]["batch_size"]["maximum"] == 65536


def test_the_schema_has_the_settings_of_plugins(schema):
    reference = schema["properties"]["plugins"]["properties"]["ash"]["$ref"].rpartition("/")[2]
    assert list(schema["$defs"][reference]["properties"]) == ["allow", "password", "account", "wait", "ports"]


def test_the_schema_lets_a_secret_be_a_table(schema):
    reference = schema["properties"]["plugins"]["properties"]["ash"]["$ref"].rpartition("/")[2]
    password = json.dumps(schema["$defs"][reference]["properties"]["password"])
    assert ('"env"' in password, '"file"' in password) == (True, True)


def test_every_reference_in_the_schema_leads_somewhere(schema):
    references = set(json.dumps(schema).split('"$ref": "#/$defs/')[1:])
    assert {reference.partition('"')[0] for reference in references} <= set(schema["$defs"])
