"""The interfaces of this host, and which of them to watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fcntl import ioctl
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, socket
from struct import pack, unpack

from iplog_core.errors import CaptureError

ANY = "any"
"""The name by which libpcap captures from all interfaces at once, those that come later too."""

_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1  # netdevice(7)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as it is now. `addresses` are its IPv4 and IPv6 addresses, without zones; `up` says that it is switched on, cable or not."""

    name: str
    up: bool
    loopback: bool
    addresses: tuple[str, ...]

    @property
    def watched_by_default(self) -> bool:
        return self.up and not self.loopback


def interfaces() -> list[Interface]:
    """Return the interfaces of this host in order of their names, loopback last."""
    import psutil

    addresses: dict[str, list[str]] = {}
    for label, found in psutil.net_if_addrs().items():
        # An IPv4 address may have a label of its own, such as eth0:1.
        of_it = addresses.setdefault(label.partition(":")[0], [])
        of_it += [entry.address.partition("%")[0] for entry in found if entry.family in (AF_INET, AF_INET6)]
    there = []
    for name, status in psutil.net_if_stats().items():
        flags = status.flags.split(",")
        there.append(Interface(name, "up" in flags, "loopback" in flags, tuple(dict.fromkeys(addresses.get(name, ())))))
    return sorted(there, key=lambda interface: (interface.loopback, interface.name))


def to_watch(names: Sequence[str], watched: Sequence[str] = ()) -> list[str]:
    """Return the names of the interfaces to watch: those given, each once, or, where none is, all that are up, loopback apart, and those of `watched`.

    What is watched already may be down, or gone for a while. Raise CaptureError with one line for each other name that no interface has, for `any` beside
    others, or where nothing is left to watch.
    """
    there = interfaces()
    if not names:
        return _default(there, watched)
    known = {interface.name for interface in there} | {ANY, *watched}
    faults = [f"{name}: no such interface. {_there_are(there)}" for name in dict.fromkeys(names) if name not in known]
    if ANY in names and len(set(names)) > 1:
        faults.append(f"{ANY}: it stands for all interfaces, and packets would come twice; name it alone, or leave it out.")
    if faults:
        raise CaptureError(*faults)
    return list(dict.fromkeys(names))


def is_up(name: str) -> bool:
    """Whether an interface is switched on. `any` always is; one that is not there is not."""
    if name == ANY:
        return True
    with socket(AF_UNIX, SOCK_DGRAM) as any_socket:
        try:
            answer = ioctl(any_socket, _SIOCGIFFLAGS, pack("16sh14x", name.encode(), 0))
        except OSError:
            return False
    flags: int = unpack("16xh14x", answer)[0]
    return bool(flags & _IFF_UP)


def own_addresses() -> list[str]:
    """Return the addresses that packets to this host bear: its own, and those of broadcasts on its networks."""
    import psutil

    entries = [entry for found in psutil.net_if_addrs().values() for entry in found if entry.family in (AF_INET, AF_INET6)]
    addresses = [entry.address.partition("%")[0] for entry in entries]
    broadcasts = [entry.broadcast for entry in entries if entry.family == AF_INET and entry.broadcast]
    return list(dict.fromkeys([*addresses, *broadcasts]))


def _default(there: Sequence[Interface], watched: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys([*watched, *(interface.name for interface in there if interface.watched_by_default)]))
    if not names:
        raise CaptureError(f"no interface is up but loopback; bring one up, or name one with -i. {_there_are(there)}")
    return names


def _there_are(there: Sequence[Interface]) -> str:
    return f"There are: {', '.join(interface.name for interface in there)}." if there else "There is none."
