"""What the tests of several modules need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Host, hosts, join, why_not
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


@pytest.fixture
def sensor_and_peer() -> Iterator[tuple[Host, Host]]:
    """Two hosts of their own on one cable, eth0 at both ends: 198.18.0.1 and 2001:db8::1, and 198.18.0.66 and 2001:db8::66."""
    if reason := why_not():
        pytest.skip(reason)
    with hosts(2) as (sensor, peer):
        join(sensor, "eth0", peer, "eth0")
        sensor.address("eth0", "198.18.0.1/24", "2001:db8::1/64")
        peer.address("eth0", "198.18.0.66/24", "2001:db8::66/64")
        yield sensor, peer


@pytest.fixture
def sensor(sensor_and_peer: tuple[Host, Host]) -> Host:
    return sensor_and_peer[0]


@pytest.fixture
def peer(sensor_and_peer: tuple[Host, Host]) -> Host:
    return sensor_and_peer[1]
