"""Secrets in settings: fields typed `SecretStr`, given as text or as `{ env = "NAME" }` or `{ file = "NAME" }`."""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from iplog_core.annotations import annotation_at, arms, texts_in
from iplog_core.origin import Key
from iplog_core.settings import named_tables

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
    return (text for _, text in texts_in(model, value, is_secret))


def is_secret(annotation: Any) -> bool:
    return any(isinstance(arm, type) and issubclass(arm, SecretStr) for arm in arms(annotation))


def holds_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type is a secret, or has one somewhere inside."""
    if is_secret(annotation):
        return True
    for arm in arms(annotation):
        below = _fields(arm) or typing.get_args(arm)
        if arm not in seen and any(holds_secret(inner, seen | {arm}) for inner in below):
            return True
    return False


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


def _fields(arm: Any) -> list[Any]:
    if isinstance(arm, type) and issubclass(arm, BaseModel):
        return [*(field.annotation for field in arm.model_fields.values()), *filter(None, [named_tables(arm)])]
    return []
