"""What the tests of several modules need."""

from __future__ import annotations

from pathlib import Path

import pytest
from sites import Iplog, Site, link_dependencies

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def every_capture() -> list[Path]:
    """All captures of the repository and, where they are there, those of `shared/captures` beside it."""
    folders = [CHECKOUT / "tests" / "captures", CHECKOUT.parent / "shared" / "captures"]
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".pcap", ".pcapng", ".cap")]
    if not found:
        pytest.skip("there are no captures")
    return found


@pytest.fixture(scope="session")
def shared_captures() -> Path:
    """The captures beside the checkout, where they are."""
    folder = CHECKOUT.parent / "shared" / "captures"
    if not folder.is_dir():
        pytest.skip("there is no folder of shared captures")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place for distributions, where nothing is installed yet."""
    return Site(tmp_path / "site")


@pytest.fixture
def iplog(tmp_path: Path, site: Site) -> Iplog:
    """`iplog` as it is installed here, and what is in `site` beside it."""
    return Iplog(tmp_path, CHECKOUT, site.folder)


@pytest.fixture
def bare_iplog(tmp_path: Path, site: Site) -> Iplog:
    """`iplog` with the plugins in `site` and no other."""
    link_dependencies(site.folder)
    return Iplog(tmp_path, site.folder, options=("-S",))


@pytest.fixture(scope="session")
def captures() -> Path:
    """The captures of the repository."""
    return CHECKOUT / "tests" / "captures"
