"""The scripts that write what is made of the code, as modules."""

from __future__ import annotations

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest


@cache
def generate() -> ModuleType:
    pytest.importorskip("shtab")
    return _script("generate")


@cache
def reference() -> ModuleType:
    return _script("reference")


def _script(name: str) -> ModuleType:
    spec = spec_from_file_location(name, Path(__file__).resolve().parents[1] / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
