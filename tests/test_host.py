"""Which plugins are imported and run, and what is said of those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sites import DETECTOR, Site

from iplog_core.config import load
from iplog_core.errors import CaptureError, ConfigError, PluginError
from iplog_core.host import Host
from iplog_core.installed import installed
from iplog_core.settings import DetectorSettings, SinkSettings

HEAD = "from iplog_core import *\nfrom iplog_core import Detector, DetectorSettings, Sink, SinkSettings, hookimpl\niplog_api = 2\n"
SINK = (
    HEAD
    + """
class Settings(SinkSettings):
    path: str | None = None

class Away(Sink[Settings]):
    name = "NAME"
    format = "FORMAT"
    def write(self, events):
        pass

@hookimpl
def iplog_sinks():
    return [Away]
"""
)

NAMES_KINDS = (
    HEAD
    + """
from iplog_core import KindName, PluginSettings

class Rule(PluginSettings):
    kind: KindName

class Settings(SinkSettings):
    kinds: list[KindName] = []
    rule: Rule | None = None

class Log(Sink[Settings]):
    name = "NAME"
    def write(self, events):
        pass

@hookimpl
def iplog_sinks():
    return [Log]
"""
)
"""A sink whose settings name kinds of alerts."""

LoadHost = Callable[..., Host]


@pytest.fixture
def host(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadHost]:
    """Load the plugins of `site` that are named, and no other, with a configuration file of this text."""
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")  # as the command does
    monkeypatch.syspath_prepend(str(site.folder))
    before = set(sys.modules)

    def load_host(*names: str, text: str = "", environ: dict[str, str] | None = None, **options: object) -> Host:
        file = tmp_path / "iplog.toml"
        file.write_text(f"enable = {list(names)}\n{text}")
        monkeypatch.chdir(tmp_path)
        return Host.load(load("iplog.toml", environ=environ or {}, **options))  # type: ignore[arg-type]

    yield load_host
    for name in set(sys.modules) - before:
        del sys.modules[name]


def names(host: Host) -> list[str]:
    assert host.faults == []
    return [cls.name for cls, _ in host.detectors]


# What is enabled


def test_plugins_run_in_the_order_of_the_enable_list(site, host):
    for name in ("ash", "birch", "cedar"):
        site.install(name)
    assert names(host("birch", "cedar", "ash")) == ["birch", "cedar", "ash"]


def test_without_an_enable_list_the_group_iplog_runs_and_the_optional_one_does_not(site, host, tmp_path):
    site.install("ash")
    site.install("birch", group="iplog.optional")
    (tmp_path / "no.toml").write_text("")
    running = Host.load(load(str(tmp_path / "no.toml"), environ={})).settings.enable or []
    assert ("ash" in running, "birch" in running) == (True, False)


def test_the_command_line_adds_to_what_the_file_enables(site, host):
    site.install("ash")
    site.install("birch")
    assert names(host("ash", enable=["birch"])) == ["ash", "birch"]


def test_the_command_line_takes_away_what_the_file_enables(site, host):
    site.install("ash")
    site.install("birch")
    assert names(host("ash", "birch", disable=["ash"])) == ["birch"]


def test_the_file_may_take_away_and_the_command_line_give_back(site, host):
    site.install("ash")
    site.install("birch")
    text = 'disable = ["ash", "birch"]'
    assert names(host("ash", "birch", text=text, enable=["birch"])) == ["birch"]


def test_a_plugin_named_twice_runs_once(site, host):
    site.install("ash")
    assert names(host("ash", "ash", enable=["ash,ash"])) == ["ash"]


def test_only_what_is_enabled_is_imported(site, host):
    site.install("ash")
    site.install("birch", "raise RuntimeError('imported')")
    host("ash")
    assert ("iplog_ash" in sys.modules, "iplog_birch" in sys.modules) == (True, False)


def test_nothing_of_a_disabled_plugin_is_imported(site, host):
    site.install("ash", "raise RuntimeError('imported')")
    assert names(host("ash", disable=["ash"])) == []


def test_listing_what_is_installed_imports_nothing(site, host):
    site.install("ash", "raise RuntimeError('imported')")
    assert [str(plugin) for plugin in installed() if plugin.name == "ash"] == ["ash 1.0 (iplog-plugin-ash)"]


def test_a_distribution_with_broken_metadata_breaks_nothing(site, host):
    site.install("ash")
    site.install("birch")
    (site.folder / "iplog_plugin_birch-1.0.dist-info" / "entry_points.txt").write_bytes(b"[iplog]\nbirch \xff\n[[")
    assert names(host("ash")) == ["ash"]


# What is wrong


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "import nonexistent_module",
            "ash 1.0 (iplog-plugin-ash): cannot be imported: ModuleNotFoundError: No module named 'nonexistent_module' "
            "(iplog_ash.py, line 1); reinstall iplog-plugin-ash, or run with --disable ash.",
        ),
        (
            "raise SystemExit(3)",
            "ash 1.0 (iplog-plugin-ash): cannot be imported: SystemExit: 3 (iplog_ash.py, line 1); reinstall iplog-plugin-ash, or run with --disable ash.",
        ),
        (
            "def x(:\n",
            "ash 1.0 (iplog-plugin-ash): cannot be imported: SyntaxError: invalid syntax (iplog_ash.py, line 1); "
            "reinstall iplog-plugin-ash, or run with --disable ash.",
        ),
        (
            "x = 1",
            "ash 1.0 (iplog-plugin-ash): does not say which plugin API it is written for; expected iplog_api = 2 in its module.",
        ),
        (
            "iplog_api = 3",
            "ash 1.0 (iplog-plugin-ash) is written for plugin API 3, this iplog has 2: upgrade iplog.",
        ),
        (
            "iplog_api = 0",
            "ash 1.0 (iplog-plugin-ash) is written for plugin API 0, the oldest that this iplog understands is 1: upgrade iplog-plugin-ash.",
        ),
        (
            "iplog_api = 1",
            "ash 1.0 (iplog-plugin-ash): contributes nothing; expected a function marked @iplog_core.hookimpl, such as iplog_detectors.",
        ),
        (
            HEAD + "@hookimpl\ndef iplog_detectorz():\n    return []",
            "ash 1.0 (iplog-plugin-ash): iplog_detectorz is no hook. Did you mean iplog_detectors? There are: iplog_detectors, ",
        ),
        (
            HEAD + "@hookimpl\ndef iplog_alert(alarm):\n    pass",
            "ash 1.0 (iplog-plugin-ash): iplog_alert takes 'alarm', which that hook does not give; expected what iplog_core.hookspec shows.",
        ),
        (
            HEAD + "@hookimpl\ndef iplog_detectors():\n    return [dict]",
            "ash 1.0 (iplog-plugin-ash): iplog_detectors gives 'dict', which is no Detector.",
        ),
        (
            HEAD + "@hookimpl\ndef iplog_detectors():\n    return 3",
            "ash 1.0 (iplog-plugin-ash): iplog_detectors failed: TypeError: 'int' object is not iterable; expected a list of classes.",
        ),
        (
            HEAD + "@hookimpl\ndef iplog_sinks():\n    return [Detector]",
            "ash 1.0 (iplog-plugin-ash): iplog_sinks gives 'Detector', which is no Sink.",
        ),
        (
            HEAD + "class Ash(Detector):\n    pass\n@hookimpl\ndef iplog_detectors():\n    return [Ash]",
            'ash 1.0 (iplog-plugin-ash): class Ash has no name; expected name = "ash".',
        ),
        (
            DETECTOR.replace('"NAME"', '"oak"'),
            'ash 1.0 (iplog-plugin-ash): class Quiet has the name "oak"; expected "ash", as its entry point has.',
        ),
        (
            DETECTOR.replace("[Quiet]", "[Quiet, Quiet]"),
            "ash 1.0 (iplog-plugin-ash): two classes have the name ash; expected one.",
        ),
        (
            DETECTOR.replace("Detector[Settings]", "Detector[dict]"),
            "ash 1.0 (iplog-plugin-ash): class Quiet takes dict; expected a model derived from DetectorSettings.",
        ),
    ],
)
def test_an_enabled_plugin_that_cannot_be_loaded_is_one_clear_line(module, said, site, host):
    site.install("ash", module)
    (line,) = host("ash").faults
    assert line.startswith(said)


def test_a_plugin_that_is_not_installed_is_told_with_the_nearest_that_is(site, host):
    site.install("chestnut")
    (line,) = host("chesnut").faults
    assert line.startswith("iplog.toml, enable[0]: no plugin chesnut is installed. Did you mean chestnut? Installed: ")


@pytest.mark.parametrize("option", ["enable", "disable"])
def test_a_name_on_the_command_line_that_is_not_installed_is_told(option, site, host):
    site.install("chestnut")
    (line,) = host(**{option: ["chesnut"]}).faults
    assert line.startswith(f"--{option}: no plugin chesnut is installed. Did you mean chestnut? Installed: ")


def test_two_distributions_that_give_one_name_are_both_told(site, host):
    site.install("ash")
    site.install("ash", distribution="acme-ash", version="2.3")
    assert host("ash").faults == ["ash: both acme-ash 2.3 and iplog-plugin-ash 1.0 give a plugin of this name; uninstall one, or run with --disable ash."]


def test_a_conflict_about_a_plugin_that_is_not_enabled_is_none(site, host):
    site.install("ash")
    site.install("ash", distribution="acme-ash")
    site.install("birch")
    assert names(host("birch")) == ["birch"]


def test_everything_that_is_wrong_is_told_at_once(site, host):
    site.install("ash", "import nonexistent_module")
    site.install("birch", "iplog_api = 7")
    site.install("cedar")
    text = "batch_size = 0\n[plugins.cedar]\nprts = 1\nports = 'x'\n[plugins.ceder]\n"
    assert len(host("ash", "birch", "cedar", "dogwood", text=text).faults) == 7


# Settings


def test_a_plugin_gets_the_settings_of_its_table(site, host):
    site.install("ash")
    ((_, settings),) = host("ash", text="[plugins.ash]\nports = 9").detectors
    assert isinstance(settings, DetectorSettings)
    assert settings.model_dump(exclude={"allow"}) == {"ports": 9}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("prts = 9", "iplog.toml: [plugins.ash] prts: no such setting. Did you mean ports? There are: allow, ports. (iplog-plugin-ash 1.0)"),
        ("ports = 'x'", 'iplog.toml: [plugins.ash] ports: expected a whole number, not "x". (iplog-plugin-ash 1.0)'),
    ],
)
def test_a_wrong_setting_names_the_table_the_key_and_the_distribution(table, said, site, host):
    site.install("ash")
    assert host("ash", text=f"[plugins.ash]\n{table}").faults == [said]


def test_a_wrong_setting_in_the_environment_names_the_variable(site, host):
    site.install("ash")
    (line,) = host("ash", environ={"IPLOG__PLUGINS__ASH__PRTS": "1"}).faults
    assert line.startswith("IPLOG__PLUGINS__ASH__PRTS: no such setting. Did you mean IPLOG__PLUGINS__ASH__PORTS? There are: allow, ports.")


@pytest.mark.parametrize("setting", ["mute = ['nothng']", "[plugins.log]\nkinds = ['nothing', 'nothng']", "[plugins.log]\nrule = {kind = 'nothng'}"])
def test_a_kind_of_alert_that_no_plugin_declares_is_told(setting, site, host):
    site.install("ash")
    site.install("log", NAMES_KINDS)
    (line,) = host("ash", "log", text=setting).notes
    assert line.endswith(": no plugin that is installed declares alerts of the kind 'nothng'. Did you mean nothing?")


def test_where_a_kind_that_no_plugin_declares_stands_is_told(site, host):
    site.install("log", NAMES_KINDS)
    (line,) = host("log", text="[plugins.log]\nkinds = ['other']").notes
    assert line.startswith("iplog.toml: [plugins.log] kinds[0]: ")


def test_a_kind_of_a_detector_that_does_not_run_is_known(site, host):
    site.install("ash")
    assert host(text="mute = ['nothing']").notes == []


def test_a_kind_that_a_classic_configuration_mutes_is_known_without_its_detector(site, host):
    site.install("ash")
    assert host("ash", text="mute = ['port_scan']").notes == []


def test_a_table_of_no_installed_plugin_is_told(site, host):
    site.install("chestnut")
    (line,) = host("chestnut", text="[plugins.chesnut]\nports = 1").faults
    assert line.startswith("iplog.toml: [plugins.chesnut]: no plugin of that name is installed. Did you mean chestnut? Installed: ")


def test_a_table_of_a_plugin_that_is_not_enabled_is_left_unread(site, host):
    site.install("ash")
    site.install("birch")
    assert names(host("ash", text="[plugins.birch]\nnonsense = 1")) == ["ash"]


def test_a_plugin_of_hooks_alone_takes_no_settings(site, host):
    site.install("ash", HEAD + "@hookimpl\ndef iplog_stop():\n    pass")
    assert host("ash", text="[plugins.ash]\nx = 1").faults == ["iplog.toml: [plugins.ash] x: no such setting; there are none. (iplog-plugin-ash 1.0)"]


# Hooks


def hooks(name: str, code: str) -> str:
    return HEAD + f"from iplog_core.errors import ConfigError\n@hookimpl\ndef {name}\n    {code}"


def test_what_a_plugin_finds_in_the_configuration_stops_the_start(site, host):
    site.install("ash", hooks("iplog_check_config(settings):", "yield f'ash: {settings.enable} will not do.'"))
    assert host("ash").faults == ["ash: ['ash'] will not do."]


def test_a_check_that_fails_is_told(site, host):
    site.install("ash", hooks("iplog_check_config():", "return 1 / 0"))
    assert host("ash").faults == ["ash 1.0 (iplog-plugin-ash): iplog_check_config failed: ZeroDivisionError: division by zero (iplog_ash.py, line 7)."]


@pytest.mark.parametrize(("answer", "told"), [("'no'", "no"), ("[3]", "ash 1.0 (iplog-plugin-ash): iplog_check_config gives 3; expected lines of text.")])
def test_a_check_may_give_one_line_and_nothing_but_lines(answer, told, site, host):
    site.install("ash", hooks("iplog_check_config():", f"return {answer}"))
    assert host("ash").faults == [told]


@pytest.mark.parametrize("how", ["wrapper", "hookwrapper"])
def test_a_wrapper_of_hooks_is_no_plugin(how, site, host):
    site.install("ash", HEAD + f"@hookimpl({how}=True)\ndef iplog_keep_alert(alert):\n    yield")
    told = "iplog_keep_alert is a wrapper of other plugins' hooks; expected one that answers for itself."
    assert host("ash").faults == [f"ash 1.0 (iplog-plugin-ash): {told}"]


def test_a_source_of_a_plugin_that_is_none_is_told(site, host):
    site.install("ash", hooks("iplog_source(name):", "return 'packets'"))
    with pytest.raises(CaptureError, match=r"^x: ash 1\.0 \(iplog-plugin-ash\): iplog_source gives 'packets'; expected a Source\.$"):
        host("ash").open_source("x", 256)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("kinds = ['telnet']", "class Ash has the kinds ['telnet']; expected a dict"),
        ("kinds_of = classmethod(lambda cls, settings: {1: 2})", "kinds_of gives {1: 2}; expected a dict of names"),
        ("kinds_of = classmethod(lambda cls, settings: settings.port)", "what it reports could not be asked: AttributeError: "),
        ("wants_ends = True", "what it reports could not be asked: TypeError: 'bool' object is not callable"),
        ("wants_ends = classmethod(lambda cls, settings: {'tcp'})", "wants_ends gives {'tcp'}; expected True, False, or a set of Kind"),
    ],
)
def test_what_a_detector_says_of_itself_is_checked(body, said, site, host):
    site.install("ash", _of("Detector[DetectorSettings]", "detectors", body))
    (line,) = host("ash").faults
    assert said in line.removeprefix("ash 1.0 (iplog-plugin-ash): ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("port: 'Port'", "its settings cannot be made into a model: PydanticUndefinedAnnotation: name 'Port' is not defined"),
        ("port: object = hookimpl\n    model_post_init = lambda self, _: self.port['a']", "its settings could not be checked: TypeError: "),
    ],
)
def test_settings_that_cannot_be_made_or_checked_are_told(settings, said, site, host):
    model = f"class Settings(DetectorSettings):\n    {settings}\n"
    site.install("ash", _of("Detector[Settings]", "detectors", "kinds = {}", before=model))
    (line,) = host("ash").faults
    assert line.startswith(f"ash 1.0 (iplog-plugin-ash): {said}")


@pytest.mark.parametrize("parameter", ["'Settings'", "dict[str, int]"])
def test_what_is_no_model_cannot_be_settings(parameter, site, host):
    site.install("ash", _of(f"Detector[{parameter}]", "detectors", "kinds = {}"))
    (line,) = host("ash").faults
    assert line.endswith("; expected a model derived from DetectorSettings.")


def test_a_policy_that_answers_nothing_is_told(site, host):
    site.install("ash", _of("Policy[PolicySettings]", "policies", "keeps = None"))
    assert host("ash").faults == ["ash 1.0 (iplog-plugin-ash): class Ash has none of keep, grade and fields; expected one of them, or more."]


def _of(base: str, hook: str, body: str, before: str = "") -> str:
    """A plugin of one class."""
    classes = "from iplog_core import Detector, DetectorSettings, Policy, PolicySettings, hookimpl\n"
    return f"{HEAD}{classes}{before}class Ash({base}):\n    name = 'ash'\n    {body}\n@hookimpl\ndef iplog_{hook}():\n    return [Ash]\n"


def test_the_plugin_that_is_enabled_first_answers_first(site, host):
    for name in ("ash", "birch"):
        site.install(name, hooks("iplog_grade_alert(alert):", "return 'high' if __name__ == 'iplog_ash' else 'low'"))
    assert host("birch", "ash").hook.iplog_grade_alert(alert=None) == "low"


def test_a_plugin_that_cannot_start_stops_the_run(site, host):
    site.install("ash", hooks("iplog_start(settings):", "raise OSError('no assets')"))
    with pytest.raises(PluginError, match=r"^ash 1\.0 \(iplog-plugin-ash\): iplog_start failed: OSError: no assets"), host("ash").running([]):
        pytest.fail("it ran")


def test_a_plugin_that_exits_at_the_start_is_told(site, host):
    site.install("ash", hooks("iplog_start(settings):", "raise SystemExit(0)"))
    with pytest.raises(PluginError, match=r"^ash 1\.0 \(iplog-plugin-ash\): iplog_start failed: SystemExit: 0"), host("ash").running([]):
        pytest.fail("it ran")


def test_a_plugin_that_cannot_stop_is_told_at_the_end(site, host):
    site.install("ash", hooks("iplog_stop():", "raise OSError('lost')"))
    faults: list[str] = []
    with host("ash").running(faults):
        assert faults == []
    assert faults == ["ash 1.0 (iplog-plugin-ash): iplog_stop failed: OSError: lost (iplog_ash.py, line 7)."]


# The sink of a format


def test_the_sink_of_a_format_need_not_be_enabled(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    cls, settings = host().sink_for("wood")
    assert (cls.name, isinstance(settings, SinkSettings)) == ("elm", True)


def test_the_sink_of_a_format_has_the_settings_of_its_table(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    _, settings = host(text="[plugins.elm]\npath = 'x'").sink_for("wood")
    assert settings.model_dump() == {"path": "x"}


def test_wrong_settings_of_the_sink_of_a_format_are_told(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    with pytest.raises(ConfigError, match=r"\[plugins\.elm\] pth: no such setting\. Did you mean path\?"):
        host(text="[plugins.elm]\npth = 'x'").sink_for("wood")


def test_a_format_that_no_plugin_has_is_told_with_those_that_there_are(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    with pytest.raises(ConfigError, match=r"^--format wod: no installed plugin writes it\. Did you mean wood\? There are: .*wood"):
        host().sink_for("wod")


def test_a_broken_sink_does_not_keep_another_from_serving_its_format(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    site.install("a_broken_sink", "raise RuntimeError", group="iplog.optional")
    assert host().sink_for("wood")[0].name == "elm"


def test_a_disabled_sink_serves_no_format(site, host):
    site.install("elm", SINK.replace("FORMAT", "wood"), group="iplog.optional")
    with pytest.raises(ConfigError, match=r"^--format wood: no plugin that is not disabled writes it; disabled: elm\."):
        host(disable=["elm"]).sink_for("wood")


# Single files

SINGLE = """
from iplog_core import DetectorSettings, PacketDetector

class Settings(DetectorSettings):
    port: int = 23

class TelnetTouched(PacketDetector[Settings]):
    name = "telnet_touched"

    def on_packet(self, packet):
        pass
"""


def test_a_single_file_in_plugin_paths_runs(host, tmp_path):
    (tmp_path / "telnet.py").write_text(SINGLE)
    assert names(host(text="plugin_paths = ['telnet.py']")) == ["telnet_touched"]


def test_a_single_file_has_its_settings_in_a_table_of_its_class(host, tmp_path):
    (tmp_path / "telnet.py").write_text(SINGLE)
    loaded = host(text="plugin_paths = ['telnet.py']\n[plugins.telnet_touched]\nport = 2323")
    assert [settings.model_dump(exclude={"allow"}) for _, settings in loaded.detectors] == [{"port": 2323}]


def test_a_single_file_runs_where_the_enable_list_names_it(site, host, tmp_path):
    (tmp_path / "telnet.py").write_text(SINGLE)
    site.install("ash")
    assert names(host("telnet_touched", "ash", text="plugin_paths = ['telnet.py']")) == ["telnet_touched", "ash"]


def test_a_detector_of_a_single_file_can_be_disabled(host, tmp_path):
    (tmp_path / "telnet.py").write_text(SINGLE)
    assert names(host(text="plugin_paths = ['telnet.py']", disable=["telnet_touched"])) == []


def test_the_path_of_a_single_file_is_relative_to_the_configuration(host, tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "telnet.py").write_text(SINGLE)
    (tmp_path / "etc" / "iplog.toml").write_text("enable = []\nplugin_paths = ['telnet.py']")
    assert names(Host.load(load(str(tmp_path / "etc" / "iplog.toml"), environ={}))) == ["telnet_touched"]


def test_a_single_file_may_have_hooks(host, tmp_path):
    (tmp_path / "quiet.py").write_text("from iplog_core import hookimpl\n@hookimpl\ndef iplog_keep_alert(alert):\n    return False")
    loaded = host(text="plugin_paths = ['quiet.py']")
    assert (loaded.faults, loaded.hook.iplog_keep_alert(alert=None)) == ([], False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "site.py: no such file; expected a Python file."),
        ("import nonexistent_module", "site.py: cannot be imported: ModuleNotFoundError: No module named 'nonexistent_module' (site.py, line 1); mend"),
        ("def x(:", "site.py: cannot be imported: SyntaxError: invalid syntax (site.py, line 1); mend it, or take it out of plugin_paths."),
        ("x = 1", "site.py: contributes nothing; expected a Detector, a Sink or a Policy."),
        ("from iplog_core import Detector\nclass X(Detector):\n    pass", 'site.py: class X has no name; expected name = "site".'),
    ],
)
def test_a_single_file_that_cannot_be_loaded_is_one_clear_line(content, said, host, tmp_path):
    if content is not None:
        (tmp_path / "site.py").write_text(content)
    (line,) = host(text="plugin_paths = ['site.py']").faults
    assert line.startswith(said)


def test_a_single_file_that_takes_the_name_of_an_enabled_plugin_is_told(site, host, tmp_path):
    site.install("telnet_touched")
    (tmp_path / "telnet.py").write_text(SINGLE)
    assert host("telnet_touched", text="plugin_paths = ['telnet.py']").faults == [
        "telnet_touched: both iplog-plugin-telnet-touched 1.0 and telnet.py give a plugin of this name; uninstall one, or run with --disable telnet_touched."
    ]
