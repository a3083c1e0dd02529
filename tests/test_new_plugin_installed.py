"""What `iplog plugins new` writes, installed by pip: it is listed, does what its README shows, passes its own tests, mypy --strict and ruff."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from processes import run
from sites import Iplog

from iplog_core.cli.new import KINDS

CHECKOUT = Path(__file__).resolve().parents[1]

every_kind = pytest.mark.parametrize("kind", KINDS)


def name(kind: str) -> str:
    return f"quick_{kind.replace('-', '_')}"


class Bench:
    """The projects, a folder for each kind, and the place where they are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = folder / "installed"

    def project(self, kind: str) -> Path:
        return self.folder / f"iplog-plugin-{name(kind).replace('_', '-')}"

    def iplog(self, folder: Path) -> Iplog:
        return Iplog(folder, CHECKOUT, self.installed)

    def tool(self, kind: str, *command: str) -> str:
        """Run a tool in a project, as its author does; return what it says where it fails."""
        iplog = self.iplog(self.project(kind))
        done = run([sys.executable, "-m", *command], iplog.folder, iplog.environment)
        return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A project of each kind, written by the command and installed by pip without a look at the network."""
    bench = Bench(tmp_path_factory.mktemp("new"))
    for kind in KINDS:
        assert bench.iplog(bench.folder)("plugins", "new", name(kind), "--kind", kind).status == 0
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    done = run([*pip, "--target", str(bench.installed), *(str(bench.project(kind)) for kind in KINDS)], bench.folder)
    assert done.returncode == 0, done.stderr
    return bench


@every_kind
def test_it_passes_its_own_tests(bench, kind):
    assert bench.tool(kind, "pytest", "-q", "-p", "no:cacheprovider") == ""


@every_kind
def test_it_passes_mypy_strict(bench, kind):
    assert bench.tool(kind, "mypy", f"--cache-dir={bench.folder / 'mypy'}") == ""


@every_kind
def test_it_passes_ruff(bench, kind):
    assert bench.tool(kind, "ruff", "check", "--no-cache") == ""


@every_kind
def test_it_is_formatted(bench, kind):
    assert bench.tool(kind, "ruff", "format", "--check", "--no-cache") == ""


def test_each_is_listed_and_works(bench, tmp_path):
    listed = {entry["name"]: entry for entry in json.loads(bench.iplog(tmp_path)("plugins", "--json").output)}
    assert {kind: listed[name(kind)]["faults"] for kind in KINDS} == {kind: [] for kind in KINDS}


def test_what_may_act_runs_only_when_it_is_enabled(bench, tmp_path):
    listed = {entry["name"]: entry["status"] for entry in json.loads(bench.iplog(tmp_path)("plugins", "--json").output)}
    assert [kind for kind in KINDS if listed[name(kind)] == "enabled"] == ["detector", "packet-detector"]


@every_kind
def test_what_its_readme_says_to_try_works_as_it_stands(bench, kind):
    commands = re.findall(r"^    (\S.*)$", (bench.project(kind) / "README.md").read_text().partition("\n## Try it\n")[2], re.MULTILINE)
    (_, *make), (_, *read) = map(shlex.split, commands)
    iplog = bench.iplog(bench.project(kind))
    assert run([sys.executable, *make], iplog.folder, iplog.environment).returncode == 0
    answer = iplog(*read)
    assert (answer.status, answer.errors) == (0, "")
    assert TELLING[kind] in answer.output


TELLING = {
    "detector": "TCP: failed connections of ssh detected to 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4 from 198.51.100.7",
    "packet-detector": "TCP: knock detected to 192.0.2.1 from 198.51.100.7",
    "sink": ",start,high,port_scan,198.51.100.7,192.0.2.1,",
    "policy": '"matters":true',
    "source": "TCP: tcpmux connection attempt to 192.0.2.1 from 198.51.100.7:40000",
}
"""A part of what comes of it."""
