"""Plugins that are a single file of the site's own, named in `plugin_paths`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from iplog_core.errors import PluginError
from iplog_core.hookspec import API_VERSION


@dataclass(frozen=True)
class SingleFile:
    """A file of plugins: as `Installed` is, without a distribution. Its classes name themselves."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def __str__(self) -> str:
        return str(self.path)

    @property
    def remedy(self) -> str:
        return "mend it, or take it out of plugin_paths"

    def load(self) -> ModuleType:
        """Import the file. Raise PluginError where there is none, and whatever its code raises."""
        if not self.path.is_file():
            what = "a folder" if self.path.is_dir() else "no such file"
            raise PluginError(f"{what}; expected a Python file")
        name = f"iplog_single_{self.name}"
        while name in sys.modules:
            name += "_"
        spec = spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise PluginError("no Python file; expected a name that ends in .py")
        module = module_from_spec(spec)
        vars(module).setdefault("iplog_api", API_VERSION)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
