"""Validate a table against its model, and say what is wrong in words for the one who wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from iplog_core.annotations import annotation_at
from iplog_core.errors import did_you_mean
from iplog_core.origin import COMMAND_LINE, ENVIRONMENT, Key, Origins
from iplog_core.secrets import EXPECTED as SECRET
from iplog_core.secrets import holds_secret, is_secret, read_secrets, secrets_in
from iplog_core.toml import dump_value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

_MASK = "**********"
_LONGEST_VALUE = 60
_ARRAY = 'an array, such as ["a", "b"]'
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": _ARRAY,
    "tuple": _ARRAY,
    "set": _ARRAY,
    "dict": "a table",
    "model": "a table",
    "path": "the name of a file",
}
_LIMITS = {
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "too_short": "{min_length} or more of them",
    "too_long": "{max_length} of them or fewer",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "finite_number": "a finite number",
}


class Faults(Exception):  # noqa: N818
    """What is wrong with a table: a line for each fault, under its key."""

    def __init__(self, lines: list[tuple[Key, str]]) -> None:
        super().__init__("\n".join(line for _, line in lines))
        self.keys = {key[0] for key, _ in lines if key}
        self.lines = [line for _, line in lines]


def validate(model: type[M], table: dict[str, Any], origins: Origins, prefix: Key = (), folder: Path | None = None) -> M:
    """Return the settings that `table` holds. Raise Faults.

    `prefix` is where the table stands, `folder` what the names in a file's `{ file = ... }` are relative to. TOML says what is a number and
    what is text, so nothing is turned from one into the other.
    """

    def base(key: Key) -> Path:
        return folder if folder and origins.of((*prefix, *key)) not in (COMMAND_LINE, ENVIRONMENT) else Path()

    read, unread = read_secrets(model, table, base)
    if unread:
        raise Faults([(key, f"{origins.subject((*prefix, *key))}: {what}") for key, what in unread.items()])
    try:
        return model.model_validate_json(_json(read), strict=True)
    except ValidationError as error:
        hidden = sorted({secret for secret in secrets_in(model, read) if secret}, key=len, reverse=True)
        raise Faults(list(_lines(error.errors(include_url=False), model, read, origins, prefix, hidden))) from None


def _json(table: dict[str, Any]) -> str:
    if not table:
        return "{}"  # as for most plugins
    import json  # here, since a run without a configuration needs it nowhere

    return json.dumps(table, default=str)


def _lines(
    errors: list[ErrorDetails], model: type[BaseModel], table: dict[str, Any], origins: Origins, prefix: Key, hidden: list[str]
) -> Iterator[tuple[Key, str]]:
    by_key: dict[Key, list[ErrorDetails]] = {}
    for error in errors:
        by_key.setdefault(_key(error, table), []).append(error)
    for key, same in by_key.items():
        full = (*prefix, *key)
        # What is not set has no origin; the table that it should stand in may have one.
        origin = origins.of(full[:-1]) if same[0]["type"] == "missing" and len(full) > 1 else None
        subject = origins.subject(full, origin) if full else "settings"
        if same[0]["type"] == "extra_forbidden":
            yield key, f"{subject}: {_unknown(model, origins, prefix, key)}"
        else:
            yield key, f"{subject}: {_what(same, annotation_at(model, key), hidden)}"


def _key(error: ErrorDetails, table: dict[str, Any]) -> Key:
    """Return where in the table an error lies: pydantic's place without the names of a union's arms."""
    key: Key = ()
    here: Any = table
    for part in error["loc"]:
        try:
            here = here[part]
        except (LookupError, TypeError):
            return (*key, part) if error["type"] == "missing" else key
        key = (*key, part)
    return key


def _unknown(model: type[BaseModel], origins: Origins, prefix: Key, key: Key) -> str:
    owner = annotation_at(model, key[:-1])
    known = sorted(field.alias or name for name, field in getattr(owner, "model_fields", {}).items())
    if not known:
        return "no such setting; there are none."
    full = (*prefix, *key)
    near = did_you_mean(str(key[-1]), known, lambda name: origins.spelled((*full[:-1], name), like=full))
    return f"no such setting.{near} There are: {', '.join(known)}."


def _what(errors: list[ErrorDetails], annotation: Any, hidden: list[str]) -> str:
    first = errors[0]
    if first["type"] == "missing":
        return "must be set; it has no default."
    if is_secret(annotation) and first["type"] == "string_type":
        return f"expected {SECRET}."
    if first["type"] in ("value_error", "assertion_error"):
        said = str(first["ctx"]["error"])
        for secret in hidden:
            said = said.replace(secret, _MASK)
        if not said.startswith("expected "):
            return f"{said.rstrip('.')}."
        expected = said.removeprefix("expected ").rstrip(".")
    else:
        expected = " or ".join(dict.fromkeys(_expected(error) for error in errors))
    value = "" if holds_secret(annotation) else f", not {_shown(first['input'])}"
    near = did_you_mean(str(first["input"]), [choice for error in errors for choice in _choices(error)])
    return f"expected {expected}{value}.{near}"


def _expected(error: ErrorDetails) -> str:
    kind = error["type"]
    if template := _LIMITS.get(kind):
        return template.format(**error["ctx"])
    if (found := _TYPES.get(kind.split("_")[0])) and kind.endswith(("_type", "_parsing", "_from_float")):
        return found
    return error["msg"].replace("Input should be ", "").rstrip(".")


def _choices(error: ErrorDetails) -> list[str]:
    if error["type"] not in ("literal_error", "enum"):
        return []
    return [choice.strip("'") for choice in str(error["ctx"]["expected"]).replace(" or ", ", ").split(", ")]


def _shown(value: Any) -> str:
    text = dump_value(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
