"""Secrets in settings: fields typed `SecretStr`, given as text or as `{ env = "NAME" }` or `{ file = "NAME" }`."""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from iplog_core.origin import Key

EXPECTED = 'text, { env = "NAME" } or { file = "NAME" }'


def read_secrets(model: Any, value: Any, folder: Callable[[Key], Path], key: Key = ()) -> tuple[Any, dict[Key, str]]:
    """Return `value` with the secrets that its tables point to in their place, and what is wrong by key.

    `folder` tells what the names of files below a key are relative to.
    """
    if isinstance(value, dict) and is_secret(model):
        try:
            return _fetch(value, folder(key)), {}
        except ValueError as error:
            return None, {key: str(error)}
    faults: dict[Key, str] = {}

    def inside(part: str | int, item: Any) -> Any:
        found, wrong = read_secrets(annotation_at(model, (part,)), item, folder, (*key, part))
        faults.update(wrong)
        return found

    if isinstance(value, dict):
        return {part: inside(part, item) for part, item in value.items()}, faults
    if isinstance(value, list):
        return [inside(part, item) for part, item in enumerate(value)], faults
    return value, faults


def secrets_in(model: Any, value: Any) -> Iterator[str]:
    """Yield the secrets that a table holds."""
    if isinstance(value, str) and is_secret(model):
        yield value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, item in parts:
        yield from secrets_in(annotation_at(model, (part,)), item)


def is_secret(annotation: Any) -> bool:
    return any(isinstance(arm, type) and issubclass(arm, SecretStr) for arm in _arms(annotation))


def holds_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type is a secret, or has one somewhere inside."""
    if is_secret(annotation):
        return True
    for arm in _arms(annotation):
        below = _fields(arm) or typing.get_args(arm)
        if arm not in seen and any(holds_secret(inner, seen | {arm}) for inner in below):
            return True
    return False


def annotation_at(annotation: Any, key: Key) -> Any:
    """Return the type of what stands at `key` in a value of the type `annotation`; None where that cannot be told."""
    for part in key:
        annotation = next((inner for arm in _arms(annotation) if (inner := _inside(arm, part)) is not None), None)
    return annotation


def _fetch(table: dict[str, Any], folder: Path) -> str:
    match table:
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"the environment variable {name} is not set.")
            return os.environ[name]
        case {"file": str(name), **rest} if not rest:
            try:
                return (folder / Path(name).expanduser()).read_text().rstrip("\r\n")
            except (OSError, ValueError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or "not readable as text"
                raise ValueError(f"the file {name} cannot be read: {reason}.") from None
    raise ValueError(f"expected {EXPECTED}.")


def _arms(annotation: Any) -> list[Any]:
    """Return the types that a union or an Annotated stands for."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _arms(typing.get_args(annotation)[0])
    if origin in (typing.Union, type(int | str)):
        return [arm for part in typing.get_args(annotation) for arm in _arms(part)]
    return [annotation]


def _fields(arm: Any) -> list[Any]:
    if isinstance(arm, type) and issubclass(arm, BaseModel):
        return [field.annotation for field in arm.model_fields.values()]
    return []


def _inside(arm: Any, part: str | int) -> Any:
    if isinstance(arm, type) and not typing.get_args(arm) and issubclass(arm, BaseModel):
        field = arm.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = typing.get_args(arm)
    return arguments[-1] if arguments and arguments[-1] is not Ellipsis else arguments[0] if arguments else None
