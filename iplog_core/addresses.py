"""Addresses as two 64-bit halves, the form that columns have: IPv4 stands as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2)."""

from __future__ import annotations

from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAPPED = 0xFFFF << 32
_LOW = (1 << 64) - 1


@lru_cache(maxsize=65536)
def address(hi: int, lo: int) -> str:
    """Return the text of an address (RFC 5952 for IPv6)."""
    if hi == 0 and lo >> 32 == 0xFFFF:
        return f"{lo >> 24 & 255}.{lo >> 16 & 255}.{lo >> 8 & 255}.{lo & 255}"
    return inet_ntop(AF_INET6, hi.to_bytes(8, "big") + lo.to_bytes(8, "big"))


def addresses(hi: NDArray[Any], lo: NDArray[Any]) -> list[str]:
    """Return the texts of a column of addresses: what `address` gives, faster, and without filling its cache."""
    import numpy as np

    is_v4 = (hi == 0) & (lo >> np.uint64(32) == 0xFFFF)
    if is_v4.all():
        upper, lower = (lo >> np.uint64(16) & np.uint64(0xFFFF)).tolist(), (lo & np.uint64(0xFFFF)).tolist()
        return [f"{_OCTETS[first]}.{_OCTETS[second]}" for first, second in zip(upper, lower, strict=True)]
    texts = np.empty(len(lo), object)
    texts[is_v4] = addresses(hi[is_v4], lo[is_v4])
    wide = np.column_stack((hi[~is_v4], lo[~is_v4])).astype(">u8")
    texts[~is_v4] = list(map(partial(inet_ntop, AF_INET6), wide.view("V16")[:, 0].tolist()))
    column: list[str] = texts.tolist()
    return column


def halves(text: str | IPv4Address | IPv6Address) -> tuple[int, int]:
    """Return an address as its upper and lower 64 bits. Raise ValueError for what is no address."""
    parsed = ip_address(text)
    if isinstance(parsed, IPv4Address):
        return 0, MAPPED | int(parsed)
    return int(parsed) >> 64, int(parsed) & _LOW


class _Octets(dict[int, str]):
    """Two octets of an IPv4 address as text: 65536 at the most."""

    def __missing__(self, two: int) -> str:
        text = self[two] = f"{two >> 8}.{two & 255}"
        return text


_OCTETS = _Octets()
