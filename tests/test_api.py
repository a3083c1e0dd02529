"""The version of the plugin interface: who fits, what the version before had still works, what is old is told, and the changes are written down."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from iplog_core import API_VERSION, hookspec
from iplog_core.hookspec import OLDEST_API

CHECKOUT = Path(__file__).resolve().parents[1]
CHANGES = (CHECKOUT / "docs" / "reference" / "api-changes.md").read_text()
ELDER, OLD_LINES = ((CHECKOUT / "tests" / "api_1" / name).read_text() for name in ("elder.py", "old_lines.py"))
HOOKS = sorted(name for name in vars(hookspec) if name.startswith("iplog_"))
WARNING = "uses tracker(capacity=...), deprecated since plugin API 2: leave it away; the memory is shared out, and weight asks for more of it."


def added(hook: str) -> int:
    """The version that a hook says it was added in."""
    return int(re.findall(r"Added in API (\d+)\.", vars(hookspec)[hook].__doc__)[0])


def changes(version: int) -> str:
    """What the page of changes says of a version."""
    found = re.search(rf"^## API {version}\n(.*?)(?=^## |\Z)", CHANGES, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(params=["distribution", "file"])
def elder(request, site, iplog):
    """`iplog` with the plugin of the version before, in a distribution or as a file; what it is called in a line about it."""
    if request.param == "distribution":
        site.install("elder", ELDER, version="0.3.0")
        return iplog, "elder 0.3.0 (iplog-plugin-elder)"
    (iplog.folder / "elder.py").write_text(ELDER)
    iplog.environment["IPLOG__PLUGIN_PATHS"] = '["elder.py"]'
    return iplog, "elder.py"


# A plugin of the version before


def test_the_version_before_is_understood():
    assert OLDEST_API == API_VERSION - 1


def test_a_detector_and_the_hooks_of_the_version_before_work(elder):
    iplog, _ = elder
    answer = iplog("read", "elder:", "--format", "json", "--alerts-only")
    alerts = [event for event in map(json.loads, answer.output.splitlines()[:-1]) if event["alert"]["kind"] == "refusals"]
    assert [(alert["alert"]["state"], alert["alert"]["severity"], alert["alert"]["elder"]) for alert in alerts] == [
        ("start", "high", True),
        ("end", "high", True),
    ]
    assert (answer.status, answer.output.splitlines()[-1].startswith("elder: {'started': 1, 'start': ")) == (0, True)


def test_a_command_of_the_version_before_works(elder):
    iplog, _ = elder
    assert iplog("elder").output.splitlines()[0] == "hello"


def test_a_sink_of_the_version_before_works(site, iplog):
    site.install("elder", ELDER)
    site.install("old_lines", OLD_LINES, group="iplog.optional")
    answer = iplog("read", "elder:", "--format", "old")
    assert (answer.status, "read: refusals start" in answer.output) == (0, True)


def test_what_is_deprecated_is_told_once_with_who_uses_it_and_what_to_use(elder):
    iplog, owner = elder
    answer = iplog("read", "elder:", "--set", "batch_size=1")
    assert (answer.status, answer.errors) == (0, f"{owner} {WARNING}\n")


def test_a_plugin_that_uses_nothing_deprecated_is_not_told(site, iplog):
    site.install("elder", ELDER.replace('{"capacity": 1024}', "{}"))
    assert iplog("read", "elder:").errors == ""


def test_the_version_of_a_plugin_is_shown(elder):
    iplog, _ = elder
    assert "Written for plugin API 1." in iplog("plugins", "show", "elder").output
    assert json.loads(iplog("plugins", "show", "elder", "--json").output)["api"] == 1


def test_a_file_that_is_too_old_is_told_what_to_do(iplog):
    (iplog.folder / "older.py").write_text("iplog_api = 0")
    answer = iplog("read", "x", "--set", 'plugin_paths = ["older.py"]')
    assert answer.faults == ["older.py is written for plugin API 0, the oldest that this iplog understands is 1: bring it up to date, and set iplog_api = 2."]


# What is written down


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_stands_among_the_changes_where_it_says_it_was_added(hook):
    assert f"`{hook}`" in changes(added(hook)).partition("\nChanged:")[0]


def test_the_changes_of_every_version_are_written_down():
    assert [int(number) for number in re.findall(r"^## API (\d+)$", CHANGES, re.MULTILINE)] == list(range(API_VERSION, 0, -1))


def test_what_is_deprecated_stands_among_the_changes():
    used = [path.read_text() for path in (CHECKOUT / "iplog_core").rglob("*.py")]
    names = [name for text in used for name in re.findall(r'^ +deprecated\("([^"]+)", since=\d+', text, re.MULTILINE)]
    assert [name for name in names if name not in CHANGES] == []


def test_templates_documents_and_bundled_plugins_are_of_this_version():
    texts = [*(CHECKOUT / "plugins").glob("*/iplog_*/__init__.py"), *(CHECKOUT / "iplog_core" / "template").rglob("*.py"), *(CHECKOUT / "docs").rglob("*.md")]
    stated = {path: re.findall(r"\biplog_api = (\d+)", path.read_text()) for path in texts}
    assert {str(path): numbers for path, numbers in stated.items() if set(numbers) - {str(API_VERSION)}} == {}
