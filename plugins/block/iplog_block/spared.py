"""Who is never blocked: without them this host, or those that look after it, would be cut off."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import Path

from iplog_core.capture.interfaces import own_addresses
from iplog_core.names.resolv_conf import name_servers
from iplog_core.rule_grammar import parse_addresses

Network = IPv4Network | IPv6Network

_RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_ROUTES = Path("/proc/net/route")
_ROUTES6 = Path("/proc/net/ipv6_route")
_IS_GATEWAY = 0x2  # route(8): RTF_GATEWAY
_LOOK_AGAIN = 10.0


def check_network(text: str) -> str:
    """Return the text of an address or a network. Raise ValueError where it is neither."""
    with suppress(ValueError):
        return str(ip_network(text))
    try:
        network = ip_interface(text).network
    except ValueError:
        raise ValueError("expected an address or a network, such as '192.0.2.10' or '192.0.2.0/24'") from None
    raise ValueError(f"expected '{network}', which has no bits after its prefix")


class Spared:
    """Networks that are never blocked. Addresses, routes and name servers are looked at again every few seconds: they change."""

    def __init__(self, never_block: Sequence[str], trusted: Sequence[str], servers: Sequence[str]) -> None:
        self._fixed = [(ip_network(text), "never_block has it") for text in never_block]
        self._fixed += [(network, "trusted_scanners has it") for text in trusted for network in _networks(text)]
        self._fixed += _as_networks(servers, "names.servers has it")
        self._found: list[tuple[Network, str]] = []
        self._looked = -_LOOK_AGAIN

    def why(self, address: IPv4Address | IPv6Address, now: float) -> str | None:
        """Return why an address is never blocked; None where it may be."""
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            return "no host beyond this link has such an address"
        if now - self._looked >= _LOOK_AGAIN:
            self._found, self._looked = list(_found()), now
        return next((why for network, why in [*self._fixed, *self._found] if address in network), None)


def gateways(routes: str, routes6: str) -> Iterator[str]:
    """Yield the next hops of routing tables, as /proc/net/route and /proc/net/ipv6_route have them."""
    for line in routes.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and int(words[3], 16) & _IS_GATEWAY:
            yield str(IPv4Address(struct.pack("=I", int(words[2], 16))))
    for line in routes6.splitlines():
        words = line.split()
        if len(words) > 8 and int(words[8], 16) & _IS_GATEWAY:
            yield str(IPv6Address(bytes.fromhex(words[4])))


def _found() -> Iterator[tuple[Network, str]]:
    yield from _as_networks(own_addresses(), "it is an address of this host")
    yield from _as_networks(gateways(_text(_ROUTES), _text(_ROUTES6)), "it is a gateway of this host")
    yield from _as_networks((server for path in _RESOLV_CONFS for server in name_servers(_text(path))), "it is a name server of this host")


def _as_networks(addresses: Iterable[str], why: str) -> list[tuple[Network, str]]:
    return [(ip_network(ip_address(text.partition("%")[0])), why) for text in addresses]


def _networks(trusted: str) -> Iterator[Network]:
    """Yield the networks of an entry of trusted_scanners, all addresses of a host name."""
    entry = parse_addresses(trusted.strip())
    if entry.network is not None:
        yield entry.network
    elif entry.host is not None:
        with suppress(OSError):  # who trusts a name that cannot be looked up is told when the allow-lists are made
            for *_, address in socket.getaddrinfo(entry.host, None, type=socket.SOCK_STREAM):
                yield ip_network(ip_address(str(address[0]).partition("%")[0]))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
