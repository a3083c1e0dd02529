"""Drops, keeps or grades alerts by rules of the site's own."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from iplog_core import Alert, Policy, PolicySettings, Severity, hookimpl
from iplog_policy.rules import Matching, Rule
from iplog_policy.times import Zone

iplog_api = 2


class Settings(PolicySettings):
    """The `[plugins.policy]` table."""

    timezone: Zone = Field("UTC", description="Where days and hours are told, such as 'Europe/Berlin'.")
    rules: list[Rule] = Field(
        default_factory=list, description="What to do with which alerts, a table [[plugins.policy.rules]] each; the first that matches decides."
    )

    @model_validator(mode="after")
    def _every_rule_may_be_asked(self) -> Settings:
        for number, rule in enumerate(self.rules[:-1]):
            if rule.matches_all:
                raise ValueError(f"rules[{number}] matches every alert, so that no rule after it is ever asked; expected it as the last one, or with a match.")
        return self


class RulesPolicy(Policy[Settings]):
    """Drop, keep or grade alerts by rules: the first that matches decides."""

    name = "policy"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._rules = [Matching(rule, number, settings.timezone) for number, rule in enumerate(settings.rules)]

    def start(self) -> None:
        for rule in self._rules:
            self.counts[rule.name] = 0  # a rule that never matches may have a word wrong

    def keep(self, alert: Alert) -> bool | None:
        rule = self._first(alert)
        if rule is None or rule.action not in ("drop", "keep"):
            return None
        self.counts[rule.name] += 1
        return rule.action == "keep"

    def grade(self, alert: Alert) -> Severity | None:
        rule = self._first(alert)
        if rule is None or rule.action == "drop" or rule.action == "keep":
            return None
        self.counts[rule.name] += 1
        return rule.action

    def _first(self, alert: Alert) -> Matching | None:
        return next((rule for rule in self._rules if rule.matches(alert)), None)


@hookimpl
def iplog_policies() -> list[type[Policy[Any]]]:
    return [RulesPolicy]
