"""Make all scenarios, and print what iplog says of each: `python -m bench.matrix`, as root.

Everything happens in network namespaces that are gone afterwards; nothing is sent out of them. The exit status is 1 where something was missed, called
by a wrong name or blamed on the wrong host, where there was a false alarm, or where the alerts live were not those of the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

from namespaces import why_not

from bench.matrix.catalogue import QUICK, SCENARIOS
from bench.matrix.measure import Row
from bench.matrix.processes import measure_apart
from bench.matrix.scenario import Scenario

GROUPS = {"scan": "scans", "flood": "floods", "anomaly": "anomalies", "benign": "benign"}
COLUMNS = ("scenario", "expected", "found", "blamed", "probes", "alerts", "false", "live", "one direction")


def main() -> int:
    options = _options()
    chosen = [scenario for scenario in SCENARIOS.values() if _is_chosen(scenario, options)]
    if options.list:
        for scenario in chosen:
            print(f"{scenario.name:34}{'|'.join(scenario.kinds) or '-':28}{scenario.how}")
        return 0
    if not chosen:
        raise SystemExit(f"{options.only}: no scenario has such a name; --list names them.")
    if reason := why_not():
        raise SystemExit(reason)
    rows = list(_made(chosen, options))
    print(_totals(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.good for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", description="Make every scan, flood, anomaly and benign scenario, and judge iplog by them.")
    parser.add_argument("--only", metavar="PATTERN", action="append", help="make only scenarios of that name, such as 'udp*', or of that group, such as benign")
    parser.add_argument("--quick", action="store_true", help="make the fast subset")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to a file, too")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the captures there, with a table of what is right for each in truth.tsv")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="how many scenarios are made at the same time, each in a network of its own (2)")
    return parser.parse_args()


def _is_chosen(scenario: Scenario, options: argparse.Namespace) -> bool:
    named = not options.only or any(fnmatch(scenario.name, pattern) or scenario.group == pattern for pattern in options.only)
    return named and (scenario.name in QUICK or not options.quick)


def _made(scenarios: Iterable[Scenario], options: argparse.Namespace) -> Iterator[Row]:
    """The rows in the order of the scenarios, each printed as it comes."""
    print(_line(COLUMNS))
    with tempfile.TemporaryDirectory(prefix="iplog-matrix-") as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for row in measure_apart([scenario.name for scenario in scenarios], place.resolve(), keep=bool(options.keep), jobs=options.jobs):
            print(_line(_cells(row)), flush=True)
            if options.keep:
                _write_truth(options.keep, [row])
            yield row


def _cells(row: Row) -> tuple[str, ...]:
    if row.fault:
        return (row.name, "|".join(row.expected) or "-", f"not made: {row.fault[:200]}")
    found = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in row.found.items()) or "-"
    return (
        row.name,
        "|".join(row.expected) or "-",
        found if row.right else f"MISSED ({found})",
        row.named if row.blamed_right else f"WRONG {row.named}",
        "" if row.probes is None else str(row.probes),
        str(row.raised),
        "FALSE " + ", ".join(row.false) if row.false else "",
        row.live,
        ", ".join(f"{which} {what}" for which, what in row.sides.items() if what != "ok") or ("ok" if row.sides else ""),
    )


def _line(cells: Iterable[str]) -> str:
    widths = (32, 26, 32, 24, 7, 7, 22, 6, 0)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _totals(rows: list[Row]) -> str:
    parts = []
    for group, title in GROUPS.items():
        mine = [row for row in rows if row.group == group]
        if not mine:
            continue
        if group == "benign":
            parts.append(f"benign flagged {sum(bool(row.false) for row in mine)} of {len(mine)}")
        else:
            parts.append(f"{title} {sum(row.right and not row.fault for row in mine)} of {len(mine)}")
    wrong = [row for row in rows if not row.good]
    sides = sum(any(what != "ok" for what in row.sides.values()) for row in rows)
    false = sum(bool(row.false) for row in rows if row.group != "benign")
    blamed, live, unmade = sum(not row.blamed_right for row in rows), sum(row.live not in ("=", "-") for row in rows), sum(bool(row.fault) for row in rows)
    parts += [
        f"false alarms beside attacks {false}",
        f"wrongly blamed {blamed}",
        f"live unlike file {live}",
        f"wrong in one direction {sides}",
        f"not made {unmade}",
    ]
    return f"\n{', '.join(parts)}: {len(rows) - len(wrong)} of {len(rows)} rows right"


def _write_truth(folder: Path, rows: Iterable[Row]) -> None:
    """The table of the captures that are kept, those of one direction and of earlier runs among them."""
    path = folder / "truth.tsv"
    known = {line.split("\t")[0]: line for line in path.read_text().splitlines()[1:]} if path.exists() else {}
    for row in rows:
        kinds = "|".join(row.expected) or "-"
        if not row.fault:
            known[row.name] = f"{row.name}\t{kinds}\t{row.how}"
        for which in row.sides:
            known[f"{row.name}.{which}"] = f"{row.name}.{which}\t{kinds}\t{row.how}; only what was {which}"
    heading = "# capture\talert kinds, any of which is right (- = none may be raised above severity info)\thow it was made"
    path.write_text("\n".join([heading, *known.values()]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
