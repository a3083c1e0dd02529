"""`iplog interfaces`: what could be watched."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from iplog_core.errors import EXIT_OK

if TYPE_CHECKING:
    from iplog_core.capture.interfaces import Interface

_EXAMPLES = """\
examples:
  iplog interfaces
  iplog interfaces --json
  sudo iplog -i eth0,wlan0        watch two of them
"""


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add(
        "interfaces",
        usage="iplog interfaces [--json] [OPTIONS]",
        description="List the interfaces of this host: whether they are up, their addresses, and which are watched where none is named.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from iplog_core.capture.interfaces import interfaces

    there = interfaces()
    if options.json:
        print(json.dumps([_as_json(interface) for interface in there], indent=2))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _table(there))
    return EXIT_OK


def _table(there: Sequence[Interface]) -> Iterator[str]:
    """Columns; a line ends where the terminal does."""
    heading = ("NAME", "STATE", "BY DEFAULT", "ADDRESSES")
    rows = [
        (interface.name, "up" if interface.up else "down", "watched" if interface.watched_by_default else "", ", ".join(interface.addresses))
        for interface in there
    ]
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in (heading, *rows):
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()[:limit]


def _as_json(interface: Interface) -> dict[str, object]:
    return {
        "name": interface.name,
        "up": interface.up,
        "loopback": interface.loopback,
        "addresses": list(interface.addresses),
        "watched_by_default": interface.watched_by_default,
    }
