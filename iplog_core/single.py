"""Plugins that are a single file of the site's own, named in `plugin_paths`."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from iplog_core.errors import PluginError
from iplog_core.hookspec import API_VERSION


class SingleFile(NamedTuple):
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
            _loaded.pop(self.path, None)
            what = "a folder" if self.path.is_dir() else "no such file"
            raise PluginError(f"{what}; expected a Python file")
        about = self.path.stat()
        version = (about.st_mtime_ns, about.st_size, about.st_ino)
        if self.path in _loaded and _loaded[self.path][0] == version:
            return _loaded[self.path][1]
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
        _loaded[self.path] = (version, module)
        return module


_loaded: dict[Path, tuple[tuple[int, int, int], ModuleType]] = {}
"""Modules by their files, each with the version of the file that it is of: a configuration that is read again finds the same classes again."""
