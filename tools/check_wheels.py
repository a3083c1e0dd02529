"""Install what is in dist/ as its users will, and try it: tools/check_wheels.py PYTHON...

For each Python that is there: the wheel of the core (built from its sdist, where dist/ has none for that Python) and those of all plugins go into an
environment of their own, by `iplog[all]`; the end-to-end tests run against them, from a copy outside the checkout. With the first Python each plugin is then
installed alone beside the core, too, and passes its own tests. Only what others publish comes from the package index; what is ours comes from dist/ alone.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

CHECKOUT = Path(__file__).resolve().parents[1]
DIST = CHECKOUT / "dist"
PLUGINS = sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))
TESTS = ("test_cli_read.py", "test_cli_plugins.py", "test_real_captures.py", "test_new_plugin_installed.py")
SHARED = ("man/man8/iplog.8", "man/man5/iplog.toml.5", "bash-completion/completions/iplog", "zsh/site-functions/_iplog")


def main(pythons: list[str]) -> int:
    if not list(DIST.glob("iplog-*.tar.gz")):
        sys.exit("dist/ has no sdist of iplog; make wheels builds it.")
    check_sdists()
    there = [path for python in pythons if (path := path_of(python))]
    with TemporaryDirectory(prefix="iplog-wheels-") as folder:
        for python in there:
            environment = Environment(python, Path(folder))
            environment.check_all()
            if python == there[0]:
                environment.check_each_alone()
    print("All is well.")
    return 0


def check_sdists() -> None:
    """Each sdist has its licence, and that of the core what its kernel is built from and what `iplog plugins new` copies."""
    for sdist in sorted(DIST.glob("*.tar.gz")):
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        expected = {"LICENSE", "README.md", "pyproject.toml"}
        if sdist.name.startswith("iplog-"):
            kernel = (path for pattern in ("*.pyx", "*.pxd", "*.pyi") for path in CHECKOUT.glob(f"iplog_core/kernel/{pattern}"))
            expected |= {"setup.py", *(str(path.relative_to(CHECKOUT)) for path in (*kernel, *templates()))}
        if missing := sorted(expected - names):
            sys.exit(f"{sdist.name} lacks {', '.join(missing)}.")


def templates() -> Iterator[Path]:
    """Give the files that `iplog plugins new` copies."""
    for path in CHECKOUT.glob("iplog_core/template/*/**/*"):
        if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(path.parts):
            yield path


def path_of(python: str) -> str | None:
    """Return where a Python is, None where it is not there, or cannot make environments."""
    path = shutil.which(python)
    if path and subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0:
        return str(Path(path).absolute())
    print(f"{python}: not there, left out")
    return None


class Environment:
    """A Python to install for, in a folder of its own."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.tag = said([python, "-c", "import sys; print('cp{}{}'.format(*sys.version_info))"]).strip()
        self.folder = folder / self.tag
        self.wheelhouse = self.folder / "wheelhouse"
        self.wheelhouse.mkdir(parents=True)

    def check_all(self) -> None:
        """`iplog[all]` passes the end-to-end tests."""
        venv = self.venv("all")
        print(f"{self.python}: the wheels of all that is needed")
        if not list(DIST.glob(f"iplog-*-{self.tag}-*.whl")):
            (sdist,) = DIST.glob("iplog-[0-9]*.tar.gz")
            said([*pip(venv), "wheel", "--no-deps", "--wheel-dir", self.wheelhouse, sdist])
        said([*pip(venv), "wheel", "--wheel-dir", self.wheelhouse, *needed()])
        self.install(venv, "iplog[all,dev]")
        if missing := [name for name in SHARED if not (venv / "share" / name).is_file()]:
            sys.exit(f"{self.python}: share/ lacks {', '.join(missing)}.")
        plugins = {plugin["name"]: plugin["faults"] for plugin in json.loads(said([venv / "bin" / "iplog", "plugins", "--json"]))}
        if plugins != {name: [] for name in PLUGINS}:
            sys.exit(f"{self.python}: iplog plugins tells of {plugins}, expected {', '.join(PLUGINS)}.")
        print(f"{self.python}: iplog[all] passes the tests")
        self.test(venv, *(f"tests/{name}" for name in TESTS))

    def check_each_alone(self) -> None:
        """Each plugin is there, and passes its own tests, with nothing of ours but the core beside it."""
        for name in PLUGINS:
            print(f"{self.python}: {name} alone")
            venv = self.venv(name)
            self.install(venv, f"iplog-plugin-{name.replace('_', '-')}", "iplog[dev]")
            (plugin,) = json.loads(said([venv / "bin" / "iplog", "plugins", "--json"]))
            if (plugin["name"], plugin["faults"]) != (name, []):
                sys.exit(f"{name}: iplog plugins tells of {plugin}.")
            self.test(venv, f"plugins/{name}/tests")
            shutil.rmtree(venv)

    def test(self, venv: Path, *tests: str) -> None:
        """Run tests, from a copy in which none of our code is but the tests themselves."""
        copy = self.folder / "copy"
        if not copy.exists():
            for folder in ("tests", "plugins"):
                shutil.copytree(CHECKOUT / folder, copy / folder, ignore=shutil.ignore_patterns("iplog_*", "build", "*.egg-info", "__pycache__"))
            for file in ("conftest.py", "pyproject.toml"):
                shutil.copy(CHECKOUT / file, copy)
        print(said([venv / "bin" / "pytest", "-q", "-p", "no:cacheprovider", *tests], copy).splitlines()[-1])

    def venv(self, name: str) -> Path:
        said([self.python, "-m", "venv", self.folder / name])
        return self.folder / name

    def install(self, venv: Path, *what: str) -> None:
        said([*pip(venv), "install", "--no-index", "--find-links", DIST, "--find-links", self.wheelhouse, "--only-binary", ":all:", *what])


def needed() -> list[str]:
    """What the wheels in dist/ ask for that is not in dist/, with the conditions of each; the tools of the tests, too."""
    asked: set[str] = set()
    for wheel in DIST.glob("*.whl"):
        with ZipFile(wheel) as archive:
            (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            asked.update(Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or [])
    return sorted(re.sub(r'( and|;) extra == "dev"$', "", line) for line in asked if not line.startswith("iplog"))


def pip(venv: Path) -> list[str]:
    return [str(venv / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]


def said(command: list[str | Path], folder: Path | None = None) -> str:
    """Run a command, by default outside the checkout; return its output. End with all that it said where it fails."""
    done = subprocess.run(list(map(str, command)), cwd=folder or "/", capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
