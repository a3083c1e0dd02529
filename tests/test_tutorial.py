"""The tutorial, pasted into a fresh environment: what its page shows is what comes."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from pages import as_shown, blocks, pasted

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "tutorial" / "first-detector.md"
SESSION = [block for block in blocks(PAGE) if block.file or block.language in ("sh", "console")]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block prints: all are pasted into one shell, one after another, and files are saved where it stands."""
    folder = tmp_path_factory.mktemp("tutorial")
    return pasted(SESSION, folder, fresh(folder))


def fresh(folder: Path) -> dict[str, str]:
    """The variables of a shell in which nothing is installed yet, and what the page installs needs no network: it is what this environment has.

    `evening`, which the page makes anew, sees the packages of this environment, so that pip finds there what it shall fetch, and has its commands.
    """
    environment = folder / "evening"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    packages.mkdir(parents=True)
    here = sysconfig.get_path("purelib")
    (packages / "index.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    commands = environment / "bin"
    commands.mkdir()
    for name in ("iplog", "pip"):
        (script,) = entry_points(group="console_scripts", name=name)
        (commands / name).write_text(f"#!{commands}/python\nimport sys\nfrom {script.module} import {script.attr}\nsys.exit({script.attr}())\n")
        (commands / name).chmod(0o755)
    python = folder / "python"
    python.mkdir()
    (python / "python3").symlink_to(Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IPLOG", "PYTHON", "PIP", "VIRTUAL_ENV"))}
    settings = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**kept, **settings, "PATH": f"{python}{os.pathsep}{kept['PATH']}", "HOME": str(folder)}


@pytest.mark.parametrize("number", range(len(SESSION)), ids=lambda number: f"line {SESSION[number].line}")
def test_what_the_page_shows_is_what_comes(printed, number):
    assert as_shown(SESSION[number].shown, printed[number]), printed[number]


def test_the_page_comes_to_its_end(printed):
    assert len(printed) == len(SESSION)


def test_the_alert_is_raised_by_what_was_built(printed):
    assert "TCP: failed ssh detected to 192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4 from 198.51.100.7" in printed[-1]
