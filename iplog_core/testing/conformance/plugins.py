"""What holds for plugins of every kind: a name, and settings that say what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel, ValidationError

from iplog_core.describe import settings_of
from iplog_core.errors import IplogError
from iplog_core.events import Alert, Event, Records
from iplog_core.installed import installed
from iplog_core.loader import load_plugin, settings_model
from iplog_core.settings import PluginSettings, named_tables


def fail(what: str, right: str) -> NoReturn:
    """Fail a test with what is wrong and what would be right, and without a traceback through the suite."""
    pytest.fail(f"{what}\n\nExpected: {right}", pytrace=False)


class PluginConformance:
    """Checks of the settings and of the name. `settings` are those to test with, as in the plugin's table; a fixture may set them, where they name a file."""

    settings: dict[str, Any] = {}

    # Not abstract: pytest passes over an abstract class without a word.

    @property
    def _plugin(self) -> type[Any]:
        """The class under test."""
        raise NotImplementedError

    @property
    def _base(self) -> type[PluginSettings]:
        """What its settings derive from."""
        raise NotImplementedError

    def test_each_setting_says_what_it_means(self) -> None:
        if silent := [f"{model.__name__}.{name}" for model in self._models for name, field in model.model_fields.items() if not field.description]:
            fail(f"Settings without a description: {', '.join(silent)}.", 'Field(..., description="What it means, with its unit.") for each.')

    def test_each_default_is_a_value_that_would_be_taken(self) -> None:
        model = self._model
        for name, field in model.model_fields.items():
            if field.is_required():
                continue
            default = field.get_default(call_default_factory=True)
            try:
                made = getattr(model.model_validate({**self.settings, name: default}), name)
            except ValidationError as error:
                places = ((name,),) if name in self.settings else ((name,), ())
                wrong = "; ".join(fault["msg"] for fault in error.errors() if fault["loc"][:1] in places)
                if wrong:
                    fail(f"Setting {name}: its default {default!r} is none that it takes: {wrong}.", "a default of the field's own type, within its limits.")
                continue  # it does not go with the settings of this test, which is no fault of the default
            if made != default and name not in self.settings:
                fail(f"Setting {name}: its default is {default!r}, and the same value in a file is {made!r}.", f"the default as it is validated: {made!r}.")

    def test_a_setting_that_it_does_not_have_is_an_error(self) -> None:
        model = self._model
        if model.model_config.get("extra") != "forbid" and named_tables(model) is None:
            fail(f"{model.__name__} takes settings of any name, so that a misspelt one is never noticed.", f"a model that derives from {self._base.__name__}.")

    def test_its_settings_have_a_json_schema(self) -> None:
        model = self._model
        try:
            json.dumps(model.model_json_schema())
            list(settings_of(model))
        except Exception as error:
            fail(
                f"{model.__name__} has no JSON schema, which `iplog config schema` and `iplog plugins show` need: {type(error).__name__}: {error}",
                "fields of types that JSON knows, or with `json_schema_input_type` in their validator.",
            )

    def test_its_settings_derive_from_those_of_its_kind(self) -> None:
        if not issubclass(self._model, self._base):
            fail(f"{self._plugin.__name__} takes {self._model.__name__}.", f"a model that derives from iplog_core.{self._base.__name__}.")

    def test_its_name_is_that_of_its_entry_point(self) -> None:
        plugin = self._plugin
        name = getattr(plugin, "name", None)
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            fail(f"{plugin.__name__} has the name {name!r}.", 'name = "..." of small letters, digits and underscores: it is that of a table in iplog.toml.')
        for entry in installed():
            module = entry.entry_point.value.partition(":")[0]
            if plugin.__module__ == module or plugin.__module__.startswith(f"{module}."):
                if entry.name != name:
                    fail(f"{plugin.__name__} has the name {name}, its entry point in {entry.distribution} is {entry.name}.", "the same name in both.")
                try:
                    load_plugin(entry)
                except IplogError as error:
                    fail(f"iplog cannot load it: {error}", "a module that iplog loads.")

    @property
    def _model(self) -> type[PluginSettings]:
        return settings_model(self._plugin)

    @property
    def _models(self) -> list[type[BaseModel]]:
        """Its settings, and the tables that users name in them."""
        table = named_tables(self._model)
        return [self._model, *([table] if table else [])]

    def _validated(self, given: dict[str, Any]) -> Any:
        try:
            return self._model(**given)
        except ValidationError as error:
            fail(f"The settings to test with are not valid: {error}", "settings = {...} as they would stand in its table.")


def difference(right: Sequence[Event], found: Sequence[Event]) -> str | None:
    """Say where events differ first; None where they are the same."""
    first, second = _each(right), _each(found)
    for number, (one, other) in enumerate(zip(first, second, strict=False), 1):
        if one != other:
            fields = [f"{name}: {one.get(name)!r} there, {other.get(name)!r} here" for name in one | other if one.get(name) != other.get(name)]
            return f"event {number} ({_brief(one)}) is another one:\n  " + "\n  ".join(fields)
    if len(first) != len(second):
        more, where = (first, "there") if len(first) > len(second) else (second, "here")
        return f"{len(first)} events there, {len(second)} here; only {where}: {_brief(more[min(len(first), len(second))])}."
    return None


def _each(events: Sequence[Event]) -> list[dict[str, str]]:
    """Alerts, and records one by one, as texts by the names of their fields: values of any type can be compared so."""
    found: list[dict[str, str]] = []
    for event in events:
        if isinstance(event, Records):
            names = event.rows.dtype.names or ()
            found += [{"event": "record", **dict(zip(names, map(repr, row), strict=True))} for row in event.rows.tolist()]
        elif isinstance(event, Alert):
            found.append({"event": "alert", **{name: repr(value) for name, value in event.model_dump().items()}})
    return found


def _brief(event: dict[str, str]) -> str:
    return " ".join([event["event"], *(event[name] for name in ("kind", "state", "src_ip", "dest_ip", "time") if name in event)])
