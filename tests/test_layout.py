"""Every bundled plugin looks like its siblings: the same files, the same README, what it says of its settings and alerts is true."""

import re
import tomllib
from pathlib import Path

import pytest

from iplog_core import API_VERSION
from iplog_core.describe import settings_of
from iplog_core.detector import Detector
from iplog_core.installed import Installed, installed
from iplog_core.loader import load_plugin
from iplog_core.policy import Policy
from iplog_core.settings import DetectorSettings, named_tables
from iplog_core.sink import Sink

CHECKOUT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(path.parent.name for path in (CHECKOUT / "plugins").glob("*/pyproject.toml"))
DETECTOR_HEADINGS = ["What it reports", "How it decides", "Settings", "What it does not see", "Try it"]
SINK_HEADINGS = ["What it writes", "How it decides", "Settings", "What it does not do", "Try it"]
POLICY_HEADINGS = ["What it does", "How it decides", "Settings", "What it does not do", "Try it"]
HEADINGS = {Detector: DETECTOR_HEADINGS, Sink: SINK_HEADINGS, Policy: POLICY_HEADINGS}

RUN_WHEN_INSTALLED = "iplog"
RUN_WHEN_NAMED = "iplog.optional"

every_plugin = pytest.mark.parametrize("name", PLUGINS)


def folder(name):
    return CHECKOUT / "plugins" / name


def project(name):
    return tomllib.loads((folder(name) / "pyproject.toml").read_text())


def group(name):
    """The group of its entry point."""
    (found,) = (group for group in project(name)["project"]["entry-points"] if group.startswith("iplog"))
    return found


def loaded(name):
    """The plugin, as iplog imports it."""
    (found,) = (entry for entry in installed() if entry.name == name)
    assert isinstance(found, Installed)
    (plugin,) = load_plugin(found)
    return plugin


def sections(name):
    """The README's text by heading, in order."""
    _, *parts = re.split(r"^## ", (folder(name) / "README.md").read_text(), flags=re.MULTILINE)
    return {heading: text.strip("\n") for heading, _, text in (part.partition("\n") for part in parts)}


def settings_table(name):
    """What stands under `Settings`, from the model itself, without what every detector has; with what each table in it may have."""
    model = loaded(name).model
    own = [it for it in settings_of(model) if it.name not in DetectorSettings.model_fields]
    if table := named_tables(model):
        own += settings_of(table)
    rows = [f"| `{it.name}` | {it.type} | {it.default or 'none'} | {it.meaning} |" for it in own]
    return "\n".join(["| setting | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def alerts_table(name):
    """Kind and severity of each alert in the table under `What it reports`."""
    return dict(re.findall(r"^\| `(\w+)` \| (info|low|medium|high) \|", sections(name)["What it reports"], re.MULTILINE))


@every_plugin
def test_folder_distribution_package_and_entry_point_share_the_name(name):
    data = project(name)
    assert data["project"]["name"] == f"iplog-plugin-{name.replace('_', '-')}"
    assert data["project"]["entry-points"][group(name)] == {name: f"iplog_{name}"}
    assert data["tool"]["setuptools"]["packages"] == [f"iplog_{name}"]


@every_plugin
def test_every_file_is_there(name):
    files = ["pyproject.toml", "README.md", "LICENSE", f"iplog_{name}/__init__.py", f"iplog_{name}/py.typed"]
    assert [file for file in files if not (folder(name) / file).is_file()] == []


@every_plugin
def test_it_has_tests_of_its_own(name):
    assert list((folder(name) / "tests").glob(f"test_{name}*.py"))


@every_plugin
def test_it_passes_the_conformance_suite_of_its_kind(name):
    (base,) = (base for base in HEADINGS if issubclass(loaded(name).cls, base))
    tests = "".join(path.read_text() for path in (folder(name) / "tests").glob("test_*.py"))
    assert f"class TestConformance({base.__name__}Conformance):" in tests


@every_plugin
def test_its_licence_is_that_of_iplog(name):
    assert (folder(name) / "LICENSE").read_text() == (CHECKOUT / "LICENSE").read_text()


@every_plugin
def test_all_share_the_version_and_requirements(name):
    core = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    own = project(name)["project"]
    shared = ("version", "requires-python", "license", "authors")
    assert {key: own[key] for key in shared} == {key: core[key] for key in shared}
    assert f"{own['name']}=={own['version']}" in core["optional-dependencies"]["all"]


@every_plugin
def test_it_gives_one_class_with_a_settings_model_and_the_version_of_the_interface(name):
    plugin = loaded(name)
    assert plugin.module.iplog_api == API_VERSION
    assert plugin.model is plugin.module.Settings
    assert issubclass(plugin.cls, tuple(HEADINGS))


@every_plugin
def test_a_detector_runs_when_it_is_installed_and_others_when_they_are_named(name):
    assert group(name) == (RUN_WHEN_INSTALLED if issubclass(loaded(name).cls, Detector) else RUN_WHEN_NAMED)


@every_plugin
def test_every_setting_says_what_it_means(name):
    assert [setting.name for setting in settings_of(loaded(name).model) if not setting.meaning] == []


@every_plugin
def test_its_readme_has_the_headings_of_its_siblings(name):
    (expected,) = (headings for base, headings in HEADINGS.items() if issubclass(loaded(name).cls, base))
    assert list(sections(name)) == expected


@every_plugin
def test_its_readme_has_the_table_of_its_settings(name):
    table = settings_table(name)
    assert table in sections(name)["Settings"], f"{name}/README.md: under Settings should stand:\n\n{table}\n"


@pytest.mark.parametrize("name", [name for name in PLUGINS if group(name) == RUN_WHEN_INSTALLED])
def test_its_readme_names_each_kind_of_alert_with_its_severity(name):
    assert alerts_table(name) == {kind: alert.severity for kind, alert in loaded(name).cls.kinds.items()}


@every_plugin
def test_the_command_to_try_it_works_as_it_stands(name, iplog):
    (command,) = re.findall(r"^    iplog (.+)$", sections(name)["Try it"], re.MULTILINE)
    (iplog.folder / "tests").symlink_to(CHECKOUT / "tests")
    answer = iplog(*command.split())
    assert (answer.status, answer.errors, bool(answer.output)) == (0, "", True)
