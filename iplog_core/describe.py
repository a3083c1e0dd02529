"""Settings in words: each field's type, default and meaning, as `iplog plugins show` and `iplog config init` print them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from iplog_core.secrets import EXPECTED as SECRET
from iplog_core.secrets import is_secret
from iplog_core.settings import DetectorSettings, duration_text, is_duration
from iplog_core.toml import dump_value

_DURATION = 'seconds, or text such as "90s" or "4h"'
_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "a table",
    "null": "",
}
_LIMITS = {
    "minimum": "{} or more",
    "exclusiveMinimum": "more than {}",
    "maximum": "{} or less",
    "exclusiveMaximum": "less than {}",
}


@dataclass(frozen=True)
class Setting:
    """A setting: its default is TOML, None where it has none; `required`: it must be set."""

    name: str
    type: str
    default: str | None
    required: bool
    meaning: str


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """Describe the fields of a model, in order; what every detector has comes last."""
    schema = model.model_json_schema()
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] in DetectorSettings.model_fields):
        default = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
        type_ = _type(schema["properties"][field.alias or name], schema.get("$defs", {}))
        if is_secret(field.annotation):
            type_, default = SECRET, None
        elif is_duration(field):
            type_, default = _DURATION, duration_text(default) if isinstance(default, float) else default
        yield Setting(
            name=field.alias or name,
            type=type_,
            default=None if default is None or default is PydanticUndefined else dump_default(default),
            required=field.is_required(),
            meaning=" ".join((field.description or "").split()),
        )


def dump_default(value: Any) -> str:
    return dump_value(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Put a field's JSON Schema into words, such as `a whole number, 1 or more`."""
    if reference := schema.get("$ref"):
        schema = {**definitions.get(reference.rpartition("/")[2], {}), **schema}
    if choices := schema.get("enum"):
        return " or ".join(dump_value(choice) for choice in choices)
    if "const" in schema:
        return dump_value(schema["const"])
    if arms := schema.get("anyOf"):
        limits = [template.format(schema[key]) for key, template in _LIMITS.items() if key in schema]
        return ", ".join([" or ".join(dict.fromkeys(filter(None, (_type(arm, definitions) for arm in arms)))), *limits])
    kind = schema.get("type", "")
    if kind == "array":
        inner = _type(schema.get("items", {}), definitions)
        return f"an array, each {inner}" if inner else "an array"
    words = [_NAMES.get(kind, ""), *(template.format(schema[key]) for key, template in _LIMITS.items() if key in schema)]
    return ", ".join(word for word in words if word)
