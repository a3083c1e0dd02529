"""What the distributions are made of; `make check-wheels` builds them, installs them as users do, and runs the end-to-end tests over them."""

from __future__ import annotations

import tomllib
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDERS = [CHECKOUT, *sorted(path.parent for path in CHECKOUT.glob("plugins/*/pyproject.toml"))]
BUILT = {".so", ".c", ".pyc", ".html"}

every_distribution = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name if folder != CHECKOUT else "iplog")


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def packages(folder: Path) -> list[str]:
    listed: list[str] = project(folder)["tool"]["setuptools"]["packages"]
    return listed


def carried(folder: Path) -> set[Path]:
    """The files of its packages that are code, or named by package-data as setuptools reads it."""
    data = project(folder)["tool"]["setuptools"]["package-data"]
    places = [folder / name.replace(".", "/") for name in packages(folder)]
    named = [
        Path(path) for name, patterns in data.items() for pattern in patterns for path in glob(f"{folder / name.replace('.', '/')}/{pattern}", recursive=True)
    ]
    return {*named, *(path for place in places for path in place.glob("*.py"))}


@every_distribution
def test_every_package_is_listed(folder):
    top = folder / packages(folder)[0]
    there = {str(path.parent.relative_to(folder)).replace("/", ".") for path in top.rglob("__init__.py") if "template" not in path.parts}
    assert set(packages(folder)) == there


@every_distribution
def test_every_file_of_a_package_is_carried(folder):
    top = folder / packages(folder)[0]
    files = {path for path in top.rglob("*") if path.is_file() and path.suffix not in BUILT and ".ruff_cache" not in path.parts}
    assert files - carried(folder) - {CHECKOUT / "iplog_core" / "template" / "ruff.toml"} == set()


@every_distribution
def test_no_address_is_made_up(folder):
    assert "urls" not in project(folder)["project"]


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: folder.name)
def test_a_plugin_takes_the_core_of_its_tree(folder):
    (core,) = (Requirement(line) for line in project(folder)["project"]["dependencies"] if Requirement(line).name == "iplog")
    assert project(CHECKOUT)["project"]["version"] in core.specifier


def test_every_plugin_is_among_all():
    names = {project(folder)["project"]["name"] for folder in FOLDERS[1:]}
    assert {Requirement(line).name for line in project(CHECKOUT)["project"]["optional-dependencies"]["all"]} == names


@every_distribution
def test_the_licence_is_in_the_folder_that_is_built(folder):
    assert (folder / "LICENSE").is_file()
