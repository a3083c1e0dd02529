"""Names of networks: read from CSV (RFC 4180), found by the longest prefix."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import Path

from iplog_core import IplogError

Network = IPv4Network | IPv6Network

_TOLD = 10
"""Faults that are told of one file."""


class Assets:
    """Names by network."""

    def __init__(self, names: dict[Network, str]) -> None:
        self._names: dict[tuple[int, int], dict[int, str]] = {}
        for network, name in names.items():
            prefix = self._names.setdefault((network.version, network.prefixlen), {})
            prefix[int(network.network_address) >> (network.max_prefixlen - network.prefixlen)] = name
        self._lengths = {version: sorted((length for kind, length in self._names if kind == version), reverse=True) for version in (4, 6)}

    def name(self, host: str) -> str | None:
        """Return the name of the smallest network that has an address; None where none has."""
        address = ip_address(host)
        number = int(address)
        for length in self._lengths[address.version]:
            if name := self._names[address.version, length].get(number >> (address.max_prefixlen - length)):
                return name
        return None


def read_assets(path: Path) -> Assets:
    """Read a file of assets. Raise IplogError with a line for each fault in it."""
    names: dict[Network, str] = {}
    lines: dict[Network, int] = {}
    faults: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, network_text, name in _rows(file, path):
                try:
                    network = _network(network_text)
                    if not name:
                        raise ValueError(f"{network} has no name; expected one in the column 'name'")
                    if names.setdefault(network, name) != name:
                        raise ValueError(f"{network} is {names[network]!r} in line {lines[network]} already; expected one name")
                    lines.setdefault(network, line)
                except ValueError as error:
                    faults.append(f"{path}, line {line}: {error}.")
    except UnicodeDecodeError:
        raise IplogError(f"{path}: not text in UTF-8; save it as CSV in that encoding.") from None
    except OSError as error:
        raise IplogError(f"{path}: {error.strerror}; expected a CSV file that can be read.") from None
    if len(faults) > _TOLD:
        faults[_TOLD:] = [f"{path}: {len(faults) - _TOLD:,} more lines are wrong."]
    if faults:
        raise IplogError(*faults)
    return Assets(names)


def _rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, str, str]]:
    """Give line number, network and name of each row; empty lines and those that begin with # are none. Raise IplogError where it is no such table."""
    reader = csv.reader(file, strict=True)
    columns: tuple[int, int] | None = None
    try:
        for row in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
                continue
            if columns is None:
                columns = _columns(row, f"{path}, line {line}")
                continue
            network, name = (row[column].strip() if column < len(row) else "" for column in columns)
            yield line, network, name
    except csv.Error as error:
        raise IplogError(f"{path}, line {reader.line_num}: no CSV: {error}.") from None
    if columns is None:
        raise IplogError(f"{path}: empty; expected a first line that names the columns, such as network,name.")


def _columns(row: list[str], where: str) -> tuple[int, int]:
    found = [cell.strip().lower() for cell in row]
    if "network" not in found or "name" not in found:
        raise IplogError(f"{where}: {','.join(row)!r} does not name the columns; expected 'network' and 'name' among them, between commas.")
    return found.index("network"), found.index("name")


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_interface(text).network
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network; expected one such as 192.0.2.10 or 192.0.2.0/24") from None
    raise ValueError(f"{text!r} has bits after its prefix; expected {meant}")
