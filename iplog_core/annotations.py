"""What the annotations of settings say of a value somewhere in a table."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from iplog_core.origin import Key
from iplog_core.settings import named_tables


def annotation_at(annotation: Any, key: Key) -> Any:
    """Return the type of what stands at `key` in a value of the type `annotation`; None where that cannot be told."""
    for part in key:
        annotation = next((inner for arm in arms(annotation) if (inner := _inside(arm, part)) is not None), None)
    return annotation


def arms(annotation: Any) -> list[Any]:
    """Return the types that a union or an Annotated stands for."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return arms(typing.get_args(annotation)[0])
    if origin in (typing.Union, type(int | str)):
        return [arm for part in typing.get_args(annotation) for arm in arms(part)]
    return [annotation]


def texts_in(annotation: Any, value: Any, wanted: Callable[[Any], bool], key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Give the texts in a value of the type `annotation` whose own type is `wanted`, each with its key."""
    if isinstance(value, str) and wanted(annotation):
        yield key, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, item in parts:
        yield from texts_in(annotation_at(annotation, (part,)), item, wanted, (*key, part))


def _inside(arm: Any, part: str | int) -> Any:
    if isinstance(arm, type) and not typing.get_args(arm) and issubclass(arm, BaseModel):
        field = arm.model_fields.get(str(part))
        return _whole(field) if field else named_tables(arm)
    arguments = typing.get_args(arm)
    return arguments[-1] if arguments and arguments[-1] is not Ellipsis else arguments[0] if arguments else None


def _whole(field: FieldInfo) -> Any:
    """Return the annotation of a field as it was written: pydantic keeps apart what stood in an Annotated."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
