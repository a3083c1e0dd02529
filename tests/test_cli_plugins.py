"""`iplog plugins`: what is installed, whether it runs, and why not."""

from __future__ import annotations

import json

from sites import DETECTOR

ALLOW = "What it does not look at, as in a rule: 'from 192.0.2.10', 'tcp dport 8080 to 10.1.2.3'."


def test_exactly_what_is_installed_is_listed(site, bare_iplog):
    site.install("ash")
    site.install("elm", group="iplog.optional", version="2.1")
    answer = bare_iplog("plugins")
    assert (answer.status, answer.errors) == (0, "")
    assert answer.output.splitlines() == [
        "NAME  STATUS   FROM                  WHAT IT DOES",
        "ash   enabled  iplog-plugin-ash 1.0  Finds nothing.",
        "elm   off      iplog-plugin-elm 2.1  Finds nothing.",
    ]


def test_with_nothing_installed_it_says_what_to_install(bare_iplog):
    answer = bare_iplog("plugins")
    assert (answer.status, answer.output) == (0, "")
    assert answer.faults == ["no plugin is installed; pip install 'iplog[all]' installs those that come with iplog."]


def test_a_broken_plugin_that_is_not_enabled_is_told_and_breaks_nothing(site, bare_iplog):
    site.install("ash")
    site.install("elm", "raise SystemExit('no')", group="iplog.optional")
    answer = bare_iplog("plugins")
    assert (answer.status, answer.errors) == (0, "")
    assert answer.output.splitlines()[2:] == [
        "elm   failed   iplog-plugin-elm 1.0",
        "  elm 1.0 (iplog-plugin-elm): cannot be imported: SystemExit: no (iplog_elm.py, line 1); reinstall iplog-plugin-elm, or run with --disable elm.",
    ]


def test_a_broken_plugin_that_is_enabled_gives_a_partial_status(site, bare_iplog):
    site.install("ash", "import nonexistent_module")
    answer = bare_iplog("plugins")
    assert (answer.status, answer.faults[0].split(":")[0]) == (1, "ash 1.0 (iplog-plugin-ash)")


def test_both_givers_of_a_name_are_listed(site, bare_iplog):
    site.install("ash")
    site.install("ash", distribution="acme-ash", group="iplog.optional")
    lines = [line for line in bare_iplog("plugins").output.splitlines() if line.startswith("ash ")]
    assert [line.split()[1:4] for line in lines] == [["failed", "acme-ash", "1.0"], ["failed", "iplog-plugin-ash", "1.0"]]


def test_a_plugin_is_shown_with_its_alerts_and_settings(site, bare_iplog):
    site.install("ash")
    assert bare_iplog("plugins", "show", "ash").output.splitlines() == [
        "ash 1.0 (iplog-plugin-ash): enabled",
        "Finds nothing.",
        "Written for plugin API 2.",
        "",
        "Alerts",
        "  nothing  low     TCP: nothing",
        "",
        "Settings, in [plugins.ash]",
        "  ports: a whole number; default 5",
        "  allow: an array, each text; default []",
        f"      {ALLOW}",
    ]


def test_a_plugin_that_is_not_installed_cannot_be_shown(site, bare_iplog):
    site.install("chestnut")
    answer = bare_iplog("plugins", "show", "chesnut")
    assert (answer.status, answer.errors) == (
        2,
        "chesnut: no plugin of that name is installed. Did you mean chestnut? Installed: chestnut.\n",
    )


def test_the_list_comes_as_json_too(site, bare_iplog):
    site.install("ash")
    (described,) = json.loads(bare_iplog("plugins", "--json").output)
    assert described == {
        "name": "ash",
        "status": "enabled",
        "enabled": True,
        "distribution": "iplog-plugin-ash",
        "version": "1.0",
        "file": None,
        "api": 2,
        "faults": [],
        "summary": "Finds nothing.",
        "alerts": [{"kind": "nothing", "severity": "low", "signature": "TCP: nothing"}],
        "policy": [],
        "format": None,
        "settings": [
            {"name": "ports", "type": "a whole number", "default": "5", "required": False, "meaning": ""},
            {"name": "allow", "type": "an array, each text", "default": "[]", "required": False, "meaning": ALLOW},
        ],
        "table_settings": [],
    }


def test_one_plugin_comes_as_json_too(site, bare_iplog):
    site.install("ash")
    assert json.loads(bare_iplog("plugins", "show", "ash", "--json").output)["name"] == "ash"


def test_a_single_file_is_listed_under_the_name_of_its_class(bare_iplog, tmp_path):
    (tmp_path / "site.py").write_text(
        "from iplog_core import Detector\nclass Own(Detector):\n    'Ours.'\n    name = 'own'\n    def on_batch(self, batch): pass"
    )
    answer = bare_iplog("plugins", "--set", "plugin_paths=['site.py']")
    assert answer.output.splitlines()[1] == "own   enabled  site.py  Ours."


def test_wrong_settings_are_told_beside_the_list(site, bare_iplog):
    site.install("ash", DETECTOR)
    answer = bare_iplog("plugins", "--set", "plugins.ash.prts=1")
    assert (answer.status, answer.output.splitlines()[1].split()[:2]) == (1, ["ash", "enabled"])
    assert answer.faults == ["--set plugins.ash.prts: no such setting. Did you mean ports? There are: allow, ports. (iplog-plugin-ash 1.0)"]
