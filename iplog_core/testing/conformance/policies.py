"""What every policy must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, get_args

from iplog_core.events import Alert, Severity
from iplog_core.policy import AnyPolicy, questions
from iplog_core.settings import PolicySettings
from iplog_core.testing.conformance.plugins import PluginConformance, fail
from iplog_core.testing.events import every_alert


class PolicyConformance(PluginConformance):
    """Subclass it as `Test...`, and say which `policy`; give `alerts` that it has something to say to."""

    policy: ClassVar[type[AnyPolicy]]

    def alerts(self) -> list[Alert]:
        """Return alerts to at least one of which the policy has an answer."""
        fail(f"{type(self).__name__} has no alerts.", "a method alerts(self) that returns alerts, one of which the policy has an answer to.")

    def test_it_has_something_to_say(self) -> None:
        if not questions(self._plugin):
            fail(f"{self._plugin.name} defines neither keep nor grade nor fields.", "at least one of them.")
        with self._started() as policy:
            if not any(answer not in (None, {}) for alert in self.alerts() for answer in self._asked(policy, alert, "an alert of alerts()").values()):
                fail(f"{self._plugin.name} has no answer to any of alerts().", "alerts, and settings, with which there is one: the other checks look at it.")

    def test_it_survives_every_alert(self) -> None:
        with self._started() as policy:
            for what, alert in every_alert().items():
                self._asked(policy, alert, what)

    def test_its_answers_are_what_is_asked(self) -> None:
        with self._started() as policy:
            for what, alert in self._all().items():
                said = self._asked(policy, alert, what)
                if (kept := said.get("keep")) is not None and not isinstance(kept, bool):
                    fail(f"{self._plugin.name}.keep answers {kept!r} to {what}.", "True, False or None.")
                if (grade := said.get("grade")) is not None and grade not in get_args(Severity):
                    fail(f"{self._plugin.name}.grade answers {grade!r} to {what}.", f"one of {', '.join(get_args(Severity))}, or None.")
                fields = said.get("fields")
                if not (fields is None or (isinstance(fields, dict) and all(isinstance(name, str) for name in fields) and _is_plain(fields))):
                    fail(f"{self._plugin.name}.fields answers {fields!r} to {what}.", "a dict of texts to what JSON has: texts, numbers, lists, tables, None.")

    def test_it_says_the_same_of_the_same_alert(self) -> None:
        alerts = self._all()
        with self._started() as policy, self._started() as another:
            first = {what: self._asked(policy, alert, what) for what, alert in alerts.items()}
            for who, name in ((policy, "asked again"), (another, "another one with the same settings")):
                for what, alert in alerts.items():
                    if (said := self._asked(who, alert, what)) != first[what]:
                        fail(
                            f"{self._plugin.name}, {name}, says {said} to {what}, and said {first[what]}.",
                            "answers that depend on the alert and the settings alone; for the time of day take `alert.time`.",
                        )

    def test_it_leaves_the_alert_as_it_is(self) -> None:
        with self._started() as policy:
            for what, alert in self._all().items():
                before = repr(alert)
                self._asked(policy, alert, what)
                if repr(alert) != before:
                    fail(f"{self._plugin.name} changes {what}.", "answers: what keep, grade and fields return is put into the alert by iplog.")

    def test_it_can_be_started_and_stopped_again(self) -> None:
        policy = self._made()
        for _ in range(2):
            self._start(policy)
            self._stop(policy)

    def test_another_one_starts_before_it_stops(self) -> None:
        old, new = self._made(), self._made()
        self._start(old)
        self._start(new)
        self._stop(old)
        for what, alert in self._all().items():
            self._asked(new, alert, f"{what}, when another object with its settings has been stopped")
        self._stop(new)

    @property
    def _plugin(self) -> type[AnyPolicy]:
        if not hasattr(self, "policy"):
            fail(f"{type(self).__name__} does not say what it tests.", "policy = TheClass")
        return self.policy

    @property
    def _base(self) -> type[PolicySettings]:
        return PolicySettings

    def _all(self) -> dict[str, Alert]:
        return {**{f"alert {number} of alerts()": alert for number, alert in enumerate(self.alerts(), 1)}, **every_alert()}

    def _made(self) -> AnyPolicy:
        try:
            return self._plugin(self._validated(self.settings))
        except (Exception, SystemExit) as error:
            fail(f"{self._plugin.name} cannot be made: {type(error).__name__}: {error}", "what takes files stands in `start`.")

    @contextmanager
    def _started(self) -> Iterator[AnyPolicy]:
        policy = self._made()
        self._start(policy)
        yield policy
        self._stop(policy)

    def _start(self, policy: AnyPolicy) -> None:
        self._step(policy, "start", "a start that succeeds with `settings`, also after a stop.")

    def _stop(self, policy: AnyPolicy) -> None:
        self._step(policy, "stop", "a stop that lets go of what start took, and no more.")

    def _step(self, policy: AnyPolicy, name: str, right: str) -> None:
        try:
            getattr(policy, name)()
        except (Exception, SystemExit) as error:
            fail(f"{self._plugin.name}.{name} raises {type(error).__name__}: {error}", right)

    def _asked(self, policy: AnyPolicy, alert: Alert, what: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for question in questions(type(policy)):
            try:
                said[question] = getattr(policy, question)(alert)
            except (Exception, SystemExit) as error:
                right = "no exception: addresses, ports and protocol of an alert may be None, and texts in it anything."
                fail(f"{self._plugin.name}.{question} raises at {what}: {type(error).__name__}: {error}", right)
        return said


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(inside) for name, inside in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))
