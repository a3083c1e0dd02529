"""What plugins say of the alerts: their policies, and beside them the hooks for alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from iplog_core.authors import reason
from iplog_core.errors import IplogError, PluginError
from iplog_core.events import Severity
from iplog_core.loader import label
from iplog_core.policy import AnyPolicy, questions
from iplog_core.turns import Turns

if TYPE_CHECKING:
    from iplog_core.events import Alert
    from iplog_core.host import Host

_HOOKS = {"keep": "iplog_keep_alert", "grade": "iplog_grade_alert", "fields": "iplog_alert_fields", "observe": "iplog_alert"}
"""The hook that is asked what a policy's method is asked."""

_SEVERITIES = get_args(Severity)

REMEMBERED = 65_536
"""Of how many open episodes it is remembered what was said when they started."""


@dataclass
class _Running:
    """A policy, and how often it raised."""

    policy: AnyPolicy
    started: bool = False
    failures: int = 0


@dataclass(frozen=True)
class _Speaker:
    """Who is asked one question: a policy, or a module's hook."""

    name: str
    what: str
    ask: Callable[[Alert], Any]
    running: _Running | None = None


class Verdicts:
    """The policies of a run, and what they and the hooks say of an alert, in the order of the `enable` list.

    What a policy says of an episode's start is remembered until its end, of 65,536 episodes at once. Of an episode of which nothing is remembered no policy
    is asked any more: it goes its way. `failed` is called with the name of a plugin, what it was asked and what it raised;
    `tell` with a line about a policy that raised `allowed` times and is set aside. What each takes of the time is noted in `turns`.
    """

    def __init__(
        self,
        host: Host,
        failed: Callable[[str, str, BaseException], None],
        tell: Callable[[str], None],
        allowed: int,
        turns: Turns | None = None,
    ) -> None:
        self._known = host.known
        self._turns = turns or Turns()
        self._failed = failed
        self._tell = tell
        self._allowed = allowed
        self._said: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._running = [_Running(self._made(cls, settings)) for cls, settings in host.policies]
        self._speakers = self._all_speakers(host)

    def start(self) -> None:
        """Start the policies. Raise PluginError with a line for each that cannot."""
        faults: list[str] = []
        for running in self._running:
            faults += self._start(running)
        if faults:
            self.stop()
            raise PluginError(*faults)

    def stop(self) -> list[str]:
        """Stop the policies. Return a line for each that fails."""
        return [fault for running in self._running for fault in self._stop(running)]

    def change(self, host: Host) -> list[str]:
        """Go on with other plugins. Return a line for each policy that cannot be started: the one before it stays, where there is one."""
        self._known = {**self._known, **host.known}
        before = {running.policy.name: running for running in self._running}
        faults: list[str] = []
        self._running = []
        for cls, settings in host.policies:
            try:
                running = _Running(self._made(cls, settings))
                wrong = self._start(running)
            except PluginError as error:
                wrong = [*error.faults]
            old = before.get(cls.name)
            if wrong and old:
                faults += [*wrong, f"{cls.name}: it goes on with what it knew before."]
                self._running.append(before.pop(cls.name))
            elif wrong:
                faults += wrong
            else:
                self._running.append(running)
        self._speakers = self._all_speakers(host)
        return [*faults, *(fault for old in before.values() for fault in self._stop(old))]

    def judge(self, alert: Alert) -> bool:
        """Give an alert the severity and the fields that plugins want. Return whether it is kept."""
        answer = self._answer("keep", alert, _check_kept)
        kept = answer is None or bool(answer)
        if kept:
            self._answer("grade", alert, _set_severity)
            for speaker in self._speakers["fields"]:
                self._ask(speaker, alert, _add_fields)
        if alert.state == "end":
            self._said.pop(alert.id, None)
        return kept

    def observe(self, alert: Alert) -> None:
        """Show an alert to those who asked for it, as it goes to the sinks."""
        for speaker in self._speakers["observe"]:
            self._ask(speaker, alert)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return what each policy has counted in this run."""
        total = {name: Counter(counted) for name, counted in self._counts.items()}
        for running in self._running:
            self._add(total, running.policy)
        return {name: dict(counted) for name, counted in total.items()}

    def save(self) -> dict[str, Any] | None:
        """Return what is to be known in the next run as plain values; None where that is nothing."""
        return {"said": self._said} if self._said else None

    def restore(self, saved: dict[str, Any], detectors: Iterable[str]) -> None:
        """Go on from what `save` returned, as far as detectors that run may end it. Raise ValueError where this cannot be what it returned."""
        run = set(detectors)
        for said in saved["said"].values():
            if said.get("keep") not in (None, True, False) or said.get("grade") not in (None, *_SEVERITIES):
                raise ValueError(f"{said} is nothing that a policy says")
        self._said = {alert: said for alert, said in saved["said"].items() if said["plugin"] in run}

    def _answer(self, question: str, alert: Alert, take: Callable[[Alert, Any], None] | None = None) -> Any:
        """Return what a policy said when the episode started, else the first answer: policies are asked when it starts, hooks always."""
        said = self._said.get(alert.id, {})
        if question in said:
            if take:
                take(alert, said[question])
            return said[question]
        for speaker in self._speakers[question]:
            if speaker.running and alert.state != "start":
                continue
            if (answer := self._ask(speaker, alert, take)) is not None:
                if speaker.running:
                    self._remember(alert, question, answer)
                return answer
        return None

    def _ask(self, speaker: _Speaker, alert: Alert, take: Callable[[Alert, Any], None] | None = None) -> Any:
        """Return an answer that `take` took; None where there is none, or it was none."""
        running = speaker.running
        if running and running.failures >= self._allowed:
            return None
        self._turns.begin(speaker.name)
        try:
            answer = speaker.ask(alert)
            if answer is not None and take:
                take(alert, answer)
        except (Exception, SystemExit) as error:
            self._failed(speaker.name, speaker.what, error)
        else:
            return answer
        finally:
            self._turns.end()
        if running:
            running.failures += 1
            if running.failures == self._allowed:
                self._tell(f"{label(self._known, speaker.name)}: it failed {self._allowed} times and was set aside; alerts go their way without it.")
        return None

    def _remember(self, alert: Alert, question: str, answer: Any) -> None:
        self._said.setdefault(alert.id, {"plugin": alert.plugin})[question] = answer if question == "grade" else bool(answer)
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]

    def _all_speakers(self, host: Host) -> dict[str, list[_Speaker]]:
        return {question: [speaker for _, speaker in sorted(self._placed(host, question), key=lambda placed: placed[0])] for question in _HOOKS}

    def _placed(self, host: Host, question: str) -> Iterator[tuple[float, _Speaker]]:
        """Those who are asked a question, each with its place; at the same place the order is that in which they are given."""
        for running in self._running:
            policy = running.policy
            if question in questions(type(policy)):
                yield host.places.get(policy.name, 0), _Speaker(policy.name, question, getattr(policy, question), running)
        hook = _HOOKS[question]
        for implementation in reversed(getattr(host.hook, hook).get_hookimpls()):
            place = -inf if implementation.tryfirst else inf if implementation.trylast else host.places.get(implementation.plugin, 0)
            yield place, _Speaker(self._name_of(implementation), hook, _calling(implementation.function, len(implementation.argnames)))

    def _name_of(self, implementation: Any) -> str:
        """Return the name of the plugin whose hook this is; of a file of several the first."""
        names = (name for name, plugin in self._known.items() if plugin.module is implementation.plugin)
        return next(names, implementation.plugin_name)

    def _made(self, cls: type[AnyPolicy], settings: Any) -> AnyPolicy:
        try:
            return cls(settings)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{label(self._known, cls.name)}: it could not be set up: {reason(error)}.") from error

    def _start(self, running: _Running) -> list[str]:
        """Start a policy. Return a line for each fault."""
        name = running.policy.name
        self._turns.begin(name)
        try:
            running.policy.start()
        except IplogError as error:
            return [f"{name}: {fault}" for fault in error.faults or (f"{reason(error)}.",)]
        except (Exception, SystemExit) as error:
            return [f"{label(self._known, name)}: it could not be started: {reason(error)}."]
        finally:
            self._turns.end()
        running.started = True
        return []

    def _stop(self, running: _Running) -> list[str]:
        self._add(self._counts, running.policy)
        running.policy.counts = Counter()
        if not running.started:
            return []
        running.started = False
        self._turns.begin(running.policy.name)
        try:
            running.policy.stop()
        except (Exception, SystemExit) as error:
            return [f"{label(self._known, running.policy.name)}: it could not be stopped: {reason(error)}."]
        finally:
            self._turns.end()
        return []

    def _add(self, total: dict[str, Counter[str]], policy: AnyPolicy) -> None:
        """Add what a policy counted: what it filled in itself may be no count."""
        try:
            counted = Counter({str(what): int(count) for what, count in policy.counts.items()})
        except Exception as error:
            self._failed(policy.name, "counts", error)
            return
        if counted:
            total.setdefault(policy.name, Counter()).update(counted)


def _calling(function: Callable[..., Any], arguments: int) -> Callable[[Alert], Any]:
    """A hook may leave out the argument that it does not need."""
    return lambda alert: function(*[alert][:arguments])


def _check_kept(_: Alert, kept: Any) -> None:
    if not isinstance(kept, bool | np.bool_):
        raise ValueError(f"{kept!r} is no answer; expected True, False or None")


def _set_severity(alert: Alert, severity: Severity) -> None:
    if severity not in _SEVERITIES:
        raise ValueError(f"{severity!r} is no severity; expected {', '.join(_SEVERITIES)} or None")
    alert.severity = severity


def _add_fields(alert: Alert, fields: dict[str, Any]) -> None:
    if not (isinstance(fields, dict) and all(isinstance(name, str) for name in fields)):
        raise ValueError(f"{fields!r} are no fields; expected a dict of names and values")
    alert.extra = {**fields, **alert.extra}
