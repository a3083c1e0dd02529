"""The script that writes what is made of the code, as a module."""

from __future__ import annotations

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest


@cache
def generate() -> ModuleType:
    pytest.importorskip("shtab")
    spec = spec_from_file_location("generate", Path(__file__).resolve().parents[1] / "tools" / "generate.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
