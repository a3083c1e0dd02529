"""Distributions to install by hand, and the real `iplog` to run over them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

NEEDED = (
    "annotated_types", "communityid", "dpkt", "iplog_core", "numpy", "numpy.libs", "pluggy", "pydantic", "pydantic_core", "tqdm",
    "typing_extensions", "typing_inspection",
)  # fmt: skip

DETECTOR = """
    from iplog_core import AlertKind, Detector, DetectorSettings, hookimpl

    iplog_api = 2

    class Settings(DetectorSettings):
        ports: int = 5

    class Quiet(Detector[Settings]):
        \"\"\"Finds nothing.\"\"\"

        name = "NAME"
        kinds = {"nothing": AlertKind("TCP: nothing", "low")}

        def on_batch(self, batch):
            pass

    @hookimpl
    def iplog_detectors():
        return [Quiet]
"""
"""A plugin in which nothing is wrong."""


class Site:
    """A folder of installed distributions, as pip leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def install(self, name: str, module: str = DETECTOR, *, distribution: str = "", version: str = "1.0", group: str = "iplog", attribute: str = "") -> None:
        """Install a distribution that has the plugin `name`, with `module` as its code; `attribute` is what in it the entry point names."""
        distribution = distribution or f"iplog-plugin-{name.replace('_', '-')}"
        code = f"iplog_{name}" if distribution.startswith("iplog-plugin-") else distribution.replace("-", "_")
        (self.folder / f"{code}.py").write_text(dedent(module).replace("NAME", name))
        metadata = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {code}{attribute and ':'}{attribute}\n")


@dataclass(frozen=True)
class Answer:
    """What a run of `iplog` gave."""

    status: int
    output: str
    errors: str

    @property
    def faults(self) -> list[str]:
        return self.errors.splitlines()


class Iplog:
    """The real command, in a process of its own, in `folder`, without the settings of this environment."""

    def __init__(self, folder: Path, *path: Path, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.command = [sys.executable, *options, "-m", "iplog_core.cli.main"]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("IPLOG", "PYTHON"))}
        self.environment["PYTHONPATH"] = os.pathsep.join(map(str, path))

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", **environment: str) -> Answer:
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def link_dependencies(folder: Path) -> None:
    """Fill a folder with what iplog needs to run, and no plugin: with it and `python -S` nothing else is installed."""
    for name in NEEDED:
        place = _place(name)
        if place is not None:
            (folder / place.name).symlink_to(place)


def _place(name: str) -> Path | None:
    if name == "numpy.libs":
        numpy = find_spec("numpy")
        libraries = Path(str(numpy and numpy.origin)).parents[1] / name
        return libraries if libraries.exists() else None
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin
