"""Measure how fast iplog reads, beside tcpdump and others: `python -m bench`. The exit status of `--quick` is 1 where it has become slower."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from bench.loads import LOADS
from bench.measuring import ToolFailedError, full, measure, quick
from bench.report import everything, write_documents
from bench.results import plain, record, recorded, worse
from bench.tools import TCPDUMP, TOOLS


def main() -> int:
    options = _options()
    plan = (quick if options.quick else full)(options.rounds, options.core, options.lock)
    chosen = {name: (count, tools) for name, (count, tools) in plan.loads.items() if not options.load or name in options.load}
    if options.tool:
        chosen = {name: (count, [TCPDUMP, *options.tool]) for name, (count, _) in chosen.items()}
    try:
        results = measure(replace(plan, loads=chosen), lambda line: print(line, file=sys.stderr, flush=True))
    except ToolFailedError as fault:
        raise SystemExit(str(fault)) from None
    print(everything(results))
    if options.json:
        options.json.write_text(json.dumps(plain(results), indent=1) + "\n")
    if options.record and options.quick:
        record(quick=results.ratios())
    elif options.record:
        record(full=plain(results))
        write_documents(recorded())
    elif options.quick:
        slower = worse(results.ratios(), recorded().get("quick", {}))
        for line in slower:
            print(f"slower: {line}")
        return 1 if slower else 0
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast iplog reads, beside tcpdump and whatever else is installed.")
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads, without the others, in less than a minute; compare the ratios with the recorded ones"
    )
    parser.add_argument("--record", action="store_true", help="keep what was measured in bench/recorded.json; the whole goes to the documents, too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run to a file")
    parser.add_argument("--load", choices=LOADS, action="append", help="measure with this load only; may be given again")
    parser.add_argument(
        "--tool", choices=[name for name in TOOLS if name != TCPDUMP], action="append", help="measure only this beside tcpdump; may be given again"
    )
    parser.add_argument("--rounds", metavar="N", type=int, default=4, help="how often each is run, in turn (4; the other tools twice at most)")
    parser.add_argument("--core", metavar="N", type=int, default=0, help="the core that all of it runs on (0)")
    parser.add_argument("--lock", metavar="FILE", type=Path, help="hold this lock for each run, where others measure on the same machine")
    options = parser.parse_args()
    if options.record and (options.load or options.tool):
        parser.error("--record: only the whole of it is recorded, without --load and --tool.")
    return options


if __name__ == "__main__":
    sys.exit(main())
