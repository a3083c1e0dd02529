"""What policies do to alerts: who is asked, when, and what comes of one that fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import pytest
from namespaces import Host
from sites import Iplog, Site
from watching import watching

from iplog_core import Alert, Policy, PolicySettings, hookimpl, hookspec, verdicts
from iplog_core.errors import IplogError, PluginError
from iplog_core.testing import tcp, write_pcap
from iplog_core.verdicts import Verdicts

ALERT = {
    "plugin": "knock",
    "kind": "knock",
    "severity": "low",
    "signature": "TCP: knock",
    "time": 5,
    "first_seen": 1,
    "last_seen": 5,
    "packets": 1,
    "bytes": 40,
}


def alert(state: str = "start", id: str = "a") -> Alert:
    return Alert.model_validate({"id": id, "state": state, **ALERT})


class Saying(Policy[PolicySettings]):
    """Answers what it is told to, and remembers what it was asked."""

    name = "saying"
    kept: Any = None
    severity: Any = None
    more: Any = {}

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__(settings)
        self.asked: list[tuple[str, str]] = []

    def start(self) -> None:
        self.asked.append(("start", ""))

    def stop(self) -> None:
        self.asked.append(("stop", ""))

    def keep(self, alert: Alert) -> Any:
        return self._answer("keep", alert, self.kept)

    def grade(self, alert: Alert) -> Any:
        return self._answer("grade", alert, self.severity)

    def fields(self, alert: Alert) -> Any:
        return self._answer("fields", alert, self.more)

    def _answer(self, question: str, alert: Alert, answer: Any) -> Any:
        self.asked.append((question, alert.state))
        self.counts[question] += 1
        if isinstance(answer, type):
            raise answer("no idea")
        return answer


def saying(called: str = "saying", /, **answers: Any) -> type[Saying]:
    return type(called.title(), (Saying,), {"name": called, **answers})


class Hook:
    """A plugin with one hook."""

    def __init__(self, name: str, answer: Any) -> None:
        def hook(alert: Alert) -> Any:
            return answer

        setattr(self, name, hookimpl(hook))


class Plugins:
    """As much of a plugin host as is looked at: policies and hooks in the order of `enable`."""

    def __init__(self, *plugins: Any) -> None:
        manager = pluggy.PluginManager("iplog")
        manager.add_hookspecs(hookspec)
        for plugin in reversed([plugin for plugin in plugins if not isinstance(plugin, type)]):
            manager.register(plugin)
        self.hook = manager.hook
        self.policies = [(plugin, PolicySettings()) for plugin in plugins if isinstance(plugin, type)]
        self.known: dict[str, Any] = {}
        self.places = {getattr(plugin, "name", plugin): place for place, plugin in enumerate(plugins)}


class Run:
    """Verdicts of these plugins, started."""

    def __init__(self, *plugins: Any) -> None:
        self.failed: list[str] = []
        self.told: list[str] = []
        self.verdicts = Verdicts(Plugins(*plugins), lambda *what: self.failed.append(f"{what[0]}: {what[1]}: {what[2]}"), self.told.append, allowed=3)  # type: ignore[arg-type]
        self.verdicts.start()

    @property
    def policies(self) -> list[Any]:
        return [running.policy for running in self.verdicts._running]

    def judged(self, *alerts: Alert) -> list[tuple[str, str]]:
        """State and severity of those that are kept."""
        return [(each.state, each.severity) for each in alerts if self.verdicts.judge(each)]


EPISODE = ("start", "update", "end")


def episode(id: str = "a") -> list[Alert]:
    return [alert(state, id) for state in EPISODE]


# Who is asked, and when


def test_an_episode_whose_start_is_dropped_tells_neither_updates_nor_its_end():
    assert Run(saying(kept=False)).judged(*episode()) == []


def test_a_policy_is_asked_about_the_start_of_an_episode_only():
    run = Run(saying(kept=True, severity="high"))
    run.judged(*episode())
    assert [asked for asked in run.policies[0].asked if asked[0] in ("keep", "grade")] == [("keep", "start"), ("grade", "start")]


def test_the_grade_of_the_start_holds_until_the_end():
    assert Run(saying(severity="high")).judged(*episode()) == [(state, "high") for state in EPISODE]


def test_fields_are_asked_for_each_time():
    run, alerts = Run(saying(more={"asset": "web"})), episode()
    run.judged(*alerts)
    assert [each.extra for each in alerts] == [{"asset": "web"}] * 3


def test_an_episode_that_began_before_the_policy_goes_its_way():
    assert Run(saying(kept=False, severity="high")).judged(alert("update"), alert("end")) == [("update", "low"), ("end", "low")]


@pytest.mark.parametrize(
    ("plugins", "severity"),
    [((saying("ash", severity="high"), saying("birch", severity="info")), "high"), ((saying("ash"), saying("birch", severity="info")), "info")],
)
def test_the_first_answer_wins(plugins, severity):
    assert Run(*plugins).judged(alert()) == [("start", severity)]


@pytest.mark.parametrize(("hook_first", "severity"), [(True, "info"), (False, "high")])
def test_policies_and_hooks_answer_in_the_order_in_which_they_are_enabled(hook_first, severity):
    plugins = [Hook("iplog_grade_alert", "info"), saying(severity="high")]
    assert Run(*(plugins if hook_first else plugins[::-1])).judged(alert()) == [("start", severity)]


def test_a_policy_that_keeps_an_alert_keeps_it_from_being_dropped_after_it():
    assert Run(saying("ash", kept=True), saying("birch", kept=False)).judged(alert()) == [("start", "low")]


def test_a_hook_is_asked_of_updates_too():
    assert Run(Hook("iplog_keep_alert", False), saying()).judged(alert("update")) == []


def test_of_two_that_give_the_same_field_the_one_enabled_first_wins():
    told = alert()
    Run(saying("ash", more={"asset": "web"}), saying("birch", more={"asset": "db", "owner": "ops"})).judged(told)
    assert told.extra == {"asset": "web", "owner": "ops"}


def test_what_was_said_is_forgotten_with_the_end_of_the_episode():
    run = Run(saying(kept=False))
    run.judged(*episode())
    assert run.verdicts.save() is None


def test_what_was_said_of_the_oldest_episode_is_forgotten_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(verdicts, "REMEMBERED", 2)
    run = Run(saying(kept=False))
    run.judged(*(alert(id=id) for id in "abc"))
    assert run.judged(*(alert("end", id) for id in "abc")) == [("end", "low")]


# Kept from one run to the next


def restored(saved: Any, detectors: tuple[str, ...] = ("knock",)) -> Run:
    run = Run(saying())
    run.verdicts.restore(saved, detectors)
    return run


def test_what_was_dropped_stays_dropped_in_the_next_run():
    before = Run(saying(kept=False))
    before.judged(alert())
    assert restored(before.verdicts.save()).judged(alert("end")) == []


def test_a_grade_stays_in_the_next_run():
    before = Run(saying(severity="high"))
    before.judged(alert())
    assert restored(before.verdicts.save()).judged(alert("end")) == [("end", "high")]


def test_what_no_detector_will_end_is_left_out():
    before = Run(saying(kept=False))
    before.judged(alert())
    assert restored(before.verdicts.save(), detectors=("other",)).verdicts.save() is None


def test_what_no_policy_can_have_said_is_refused():
    with pytest.raises(ValueError, match="nothing that a policy says"):
        restored({"said": {"a": {"plugin": "knock", "grade": "deadly"}}})


# One that fails


@pytest.mark.parametrize("question", ["kept", "severity", "more"])
def test_a_policy_that_raises_costs_its_own_answer_only(question):
    run = Run(saying(**{question: ValueError}))
    assert (run.judged(alert()), len(run.failed)) == ([("start", "low")], 1)


def test_a_severity_that_is_none_is_a_fault_of_the_policy():
    run = Run(saying(severity="deadly"))
    assert run.judged(alert()) == [("start", "low")]
    assert run.failed == ["saying: grade: 'deadly' is no severity; expected info, low, medium, high or None"]


@pytest.mark.parametrize("fields", [7, ["site"], {1: "site"}])
def test_fields_that_are_none_are_a_fault_of_the_policy(fields):
    run = Run(saying(more=fields))
    assert run.judged(alert()) == [("start", "low")]
    assert run.failed == [f"saying: fields: {fields!r} are no fields; expected a dict of names and values"]


@pytest.mark.parametrize("kept", [True, False])
def test_an_answer_of_numpy_is_taken_and_can_be_remembered(kept):
    run = Run(saying(kept=np.bool_(kept)))
    assert run.judged(alert()) == [("start", "low")] * kept
    assert run.verdicts.save() == {"said": {"a": {"plugin": "knock", "keep": kept}}}


@pytest.mark.parametrize("kept", [0, "no", []])
def test_what_is_neither_true_nor_false_decides_nothing(kept):
    run = Run(saying("ash", kept=kept), saying("birch", kept=False))
    assert run.judged(alert()) == []
    assert run.failed == [f"ash: keep: {kept!r} is no answer; expected True, False or None"]


def test_what_a_policy_counts_must_be_numbers():
    run = Run(saying())
    run.policies[0].counts["last"] = "192.0.2.1"
    assert run.verdicts.counts() == {}
    assert run.failed == ["saying: counts: invalid literal for int() with base 10: '192.0.2.1'"]


def test_a_policy_need_not_call_the_init_of_its_base():
    class Own(Saying):
        def __init__(self, settings: PolicySettings) -> None:
            self.asked = []

    run = Run(Own)
    run.judged(alert())
    assert run.verdicts.counts()["saying"]["keep"] == 1


def test_a_policy_that_keeps_failing_is_set_aside():
    run = Run(saying(kept=SystemExit))
    run.judged(*(alert(id=id) for id in "abcdef"))
    assert (len(run.failed), run.told) == (3, ["saying: it failed 3 times and was set aside; alerts go their way without it."])


# Start, stop, and the configuration read again


def test_a_policy_starts_before_it_is_asked_and_stops_once():
    run = Run(saying())
    run.judged(alert())
    run.verdicts.stop()
    run.verdicts.stop()
    assert [asked[0] for asked in run.policies[0].asked] == ["start", "keep", "grade", "fields", "stop"]


def unready(error: Callable[[], BaseException], name: str = "saying") -> type[Saying]:
    def start(self: Saying) -> None:
        raise error()

    return saying(name, start=start)


def test_all_policies_that_cannot_start_are_told_with_what_they_say():
    with pytest.raises(PluginError) as raised:
        Run(unready(lambda: IplogError("hosts.csv, line 3: no address.", "hosts.csv, line 7: no name."), "ash"), unready(lambda: KeyError("x"), "birch"))
    assert raised.value.faults[:2] == ("ash: hosts.csv, line 3: no address.", "ash: hosts.csv, line 7: no name.")
    assert raised.value.faults[2].startswith("birch: it could not be started: KeyError: 'x' (test_policies.py, line ")


def test_a_policy_that_cannot_stop_is_told():
    def stop(self: Saying) -> None:
        raise OSError("stuck")

    (line,) = Run(saying(stop=stop)).verdicts.stop()
    assert line.startswith("saying: it could not be stopped: OSError: stuck")


def test_a_new_object_takes_the_place_of_the_old_one_when_the_configuration_is_read_again():
    run = Run(saying(severity="info"))
    (old,) = run.policies
    assert run.verdicts.change(Plugins(saying(severity="high"))) == []  # type: ignore[arg-type]
    assert (old.asked[-1], run.judged(alert())) == (("stop", ""), [("start", "high")])


def test_the_old_one_stays_where_the_new_one_cannot_start():
    run = Run(saying(severity="info"))
    faults = run.verdicts.change(Plugins(unready(lambda: IplogError("hosts.csv: gone."))))  # type: ignore[arg-type]
    assert faults == ["saying: hosts.csv: gone.", "saying: it goes on with what it knew before."]
    assert run.judged(alert()) == [("start", "info")]


def test_what_was_dropped_stays_dropped_when_its_policy_is_gone():
    run = Run(saying(kept=False))
    run.judged(alert())
    run.verdicts.change(Plugins())  # type: ignore[arg-type]
    assert run.judged(alert("end")) == []


def test_what_was_counted_before_is_counted_with_what_comes_after():
    run = Run(saying())
    run.judged(alert(id="a"))
    run.verdicts.change(Plugins(saying()))  # type: ignore[arg-type]
    run.judged(alert(id="b"))
    run.verdicts.stop()
    assert run.verdicts.counts() == {"saying": {"keep": 2, "grade": 2, "fields": 2}}


# In the whole program

SINGLE = """
from iplog_core import IplogError, Policy, PolicySettings

class Settings(PolicySettings):
    host: str = ""

class Own(Policy[Settings]):
    \"\"\"Drops what one host does.\"\"\"

    name = "own"

    def start(self):
        if not self.settings.host:
            raise IplogError("no host is set; expected an address.")

    def keep(self, alert):
        return alert.src_ip != self.settings.host

    def fields(self, alert):
        return {"seen": 1 / 0}
"""


@pytest.fixture
def own(iplog: Iplog) -> Iplog:
    (iplog.folder / "own.py").write_text(SINGLE)
    (iplog.folder / "iplog.toml").write_text('plugin_paths = ["own.py"]\n[plugins.own]\nhost = "198.18.0.66"\n')
    return iplog


@pytest.fixture
def read(own: Iplog, captures: Path) -> Callable[..., Any]:
    return lambda *options: own("read", "--config", "iplog.toml", "--alerts-only", *options, captures / "syn_scan.pcap")


def test_a_policy_of_a_single_file_drops_whole_episodes(read):
    assert read().output == ""


def test_what_a_policy_raises_is_told_once_with_the_frames_of_its_author(read):
    answer = read("--set", "plugins.own.host=192.0.2.1")
    assert (answer.status, answer.output.count("port scan detected")) == (1, 1)
    (line,) = [line for line in answer.faults if "fields failed" in line]
    assert line.startswith("own (own.py): fields failed: ZeroDivisionError: division by zero (own.py, line ")
    assert "iplog_core" not in answer.errors


def test_a_policy_that_cannot_start_stops_the_run(read):
    answer = read("--set", "plugins.own.host=")
    assert (answer.status, answer.faults) == (2, ["own: no host is set; expected an address."])


def test_what_a_run_dropped_is_not_told_by_the_next(own: Iplog, tmp_path: Path):
    packets = [tcp("198.18.0.66", dport=port, at=port / 100) for port in range(1, 30)]
    write_pcap(tmp_path / "first.pcap", packets)
    write_pcap(tmp_path / "second.pcap", [tcp("192.0.2.7", at=100_000)])
    (tmp_path / "own.py").write_text(SINGLE.replace("1 / 0", "1"))
    command = ("read", "--config", "iplog.toml", "--alerts-only", "--state", "known")
    assert own(*command, "first.pcap").output == ""
    answer = own(*command, "--set", "plugins.own.host=192.0.2.1", "second.pcap")
    assert (answer.status, answer.output) == (0, "")


def test_hup_reads_a_file_again_and_keeps_what_was_known_where_it_has_a_fault(sensor: Host, peer: Host, tmp_path: Path):
    assets = tmp_path / "assets.csv"
    assets.write_text("network,name\n198.18.0.66,first\n")
    options = ("--alerts-only", "--format", "json", "--disable-resolver", "--set", "plugins.tcp_scan.expiry=1", "--set", f"plugins.assets.file={assets}")
    with watching(sensor, tmp_path, "--enable", "assets", *options) as watch:
        scan(peer, 4000)
        watch.wait_for_line('"src_asset":"first"')
        assets.write_text("network,name\n198.18.0.66,second\n")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("the configuration was read again.")
        scan(peer, 5000)
        watch.wait_for_line('"src_asset":"second"')
        assets.write_text("198.18.0.66,third\n")
        watch.send(signal.SIGHUP)
        watch.wait_for_line("assets: it goes on with what it knew before.")
        assert watch.end() == 1
    assert f"assets: {assets}, line 1: '198.18.0.66,third' does not name the columns" in watch.told


def scan(peer: Host, first: int) -> None:
    peer(sys.executable, "-c", f"import socket\nfor port in range({first}, {first + 8}): socket.socket().connect_ex(('198.18.0.1', port))")


def test_what_a_policy_is_asked_stands_on_its_page(own):
    assert "Asked of each alert\n  keep, fields\n" in own("plugins", "show", "own", "--config", "iplog.toml").output


def test_a_class_that_is_no_policy_is_told(site: Site, iplog: Iplog):
    site.install("ash", "from iplog_core import *\nfrom iplog_core import hookimpl\niplog_api = 1\n@hookimpl\ndef iplog_policies():\n    return [dict]")
    answer = iplog("config", "check", "--enable", "ash")
    assert answer.faults == ["ash 1.0 (iplog-plugin-ash): iplog_policies gives 'dict', which is no Policy."]
