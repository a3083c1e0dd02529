"""Results as tables: on the terminal, in the documents, and as a picture. `python -m bench.report` writes the documents from what was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.results import Results, recorded
from bench.tools import DETECTORS, TCPDUMP, TOOLS

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "performance.md"
PICTURE = CHECKOUT / "docs" / "performance.svg"
SPEED = CHECKOUT / "docs" / "how-to" / "speed.md"
README = CHECKOUT / "README.md"

WAYS = {"decoding": "reading and decoding", "alerts": "alerts only", "text": "text log", "json": "JSON log"}


def everything(results: Results) -> str:
    """Each load with each tool, a line each."""
    rows = []
    for load, tools in results.runs.items():
        for tool, runs in tools.items():
            speed = (f"{results.rate(load, tool) / 1000:,.0f}", f"{results.ratio(load, tool):.2f}")
            rows.append((load, tool, *speed, f"{min(runs.cpu):.2f}", f"{min(runs.wall):.2f}", f"{runs.memory:.0f}"))
    head = ("load", "tool", "thousand packets per CPU second", "times tcpdump's CPU time", "CPU s with start", "s", "peak MB")
    return _table(head, rows) + "".join(f"{name} is left out: {why}.\n" for name, why in results.left_out.items())


def write_documents(known: dict[str, Any]) -> None:
    """Bring docs/performance.md, its picture and the README up to what was recorded."""
    for path, text in documents(known).items():
        path.write_text(text)


def documents(known: dict[str, Any]) -> dict[Path, str]:
    """What the documents hold with these figures in them; none where the whole was never recorded."""
    if "full" not in known:
        return {}
    results = Results.of(known["full"])
    page = _between(PAGE.read_text(), "figures", ours(results) + _start(results))
    page = _between(page, "peers", peers(results) + _peers_left_out(results))
    page = _between(page, "length", length(results))
    page = _between(page, "stages", stages(results))
    page = _between(page, "levels", levels(results))
    page = _between(page, "machine", _machine(results))
    if "live" in known:
        page = _between(page, "live", live(known["live"]))
    speed = _between(SPEED.read_text(), "levels", levels(results))
    return {PAGE: page, PICTURE: picture(results), SPEED: speed, README: _between(README.read_text(), "figures", _short(results))}


def ours(results: Results) -> str:
    """A row for each load: iplog in its several ways, and tcpdump."""
    rows = []
    for load, tools in results.runs.items():
        if not set(WAYS) <= set(tools):
            continue
        memory = ", ".join(f"{tools[way].memory:.0f}" for way in ("alerts", "text", "json"))
        rows.append((load, _rate(results, load, TCPDUMP), *(f"{_rate(results, load, way)} ({results.ratio(load, way):.1f})" for way in WAYS), memory))
    return _table(("load", "tcpdump", *WAYS.values(), "peak MB: alerts, text, JSON"), rows)


def peers(results: Results) -> str:
    """A row for each tool that read mixed and synrand, the fastest first."""
    loads = [load for load in ("mixed", "synrand") if load in results.runs]
    rows = []
    for tool in _fastest_first(results, loads[0]):
        row = [_named(tool) if tool in WAYS else f"{tool}: {TOOLS[tool].about}"]
        for load in loads:
            runs = results.runs[load].get(tool)
            row += [_rate(results, load, tool), f"{results.ratio(load, tool):.1f}", f"{runs.memory:.0f}"] if runs else ["-", "-", "-"]
        rows.append(tuple(row))
    return _table(("", *(head for load in loads for head in (f"{load}: packets/s", "times tcpdump's", "MB"))), rows)


def length(results: Results) -> str:
    """One minute and ten of the same traffic."""
    rows = []
    for load in (load for load in ("mixed1", "mixed10") if load in results.runs):
        alerts = f"{_rate(results, load, 'alerts')} ({results.ratio(load, 'alerts'):.1f})"
        rows.append((load, f"{results.packets[load]:,}", _rate(results, load, TCPDUMP), alerts, f"{results.runs[load]['alerts'].memory:.0f}"))
    return _table(("load", "packets", "tcpdump", "alerts only", "peak MB"), rows)


def live(rows: Sequence[dict[str, Any]]) -> str:
    """What each of them saw of a flood."""
    cells = [
        (
            row["load"],
            row["name"],
            f"{row['sent']:,}",
            f"{row['sent'] / row['seconds'] / 1000:,.0f}",
            f"{row['seen']:,}",
            f"{row['dropped']:,}",
            f"{100 * row['dropped'] / max(row['sent'], 1):.1f} %",
            f"{row['cpu']:.2f}",
        )
        for row in rows
    ]
    return _table(("load", "who watches", "sent", "thousand a second", "seen", "dropped by the kernel", "of all", "CPU s"), cells)


def picture(results: Results) -> str:
    """Packets in a CPU second as bars, for each tool, on the two loads that all have read."""
    loads = [load for load in ("mixed", "synrand") if load in results.runs]
    width, bar, label, top = 920, 18, 220, 34
    parts: list[str] = []
    y = 0
    for load in loads:
        tools = _fastest_first(results, load)
        most = results.rate(load, tools[0])
        parts.append(f'<text x="8" y="{y + 22}" class="head">{escape(load)}: million packets in a CPU second, start-up taken off</text>')
        y += top
        for tool in tools:
            rate = results.rate(load, tool)
            long = max((width - label - 80) * rate / most, 1)
            kind = "iplog" if tool in WAYS else "peer"
            parts.append(f'<text x="{label - 8}" y="{y + 14}" class="name">{escape(_named(tool))}</text>')
            parts.append(f'<rect x="{label}" y="{y}" width="{long:.1f}" height="{bar}" class="{kind}"/>')
            parts.append(f'<text x="{label + long + 6:.1f}" y="{y + 14}">{rate / 1e6:.2f}</text>')
            y += bar + 5
        y += 12
    style = (
        "text{font:13px sans-serif;fill:#222}.head{font-weight:bold}.name{text-anchor:end}.peer{fill:#9aa5b1}.iplog{fill:#1f6feb}rect.page{fill:#fff}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.peer{fill:#6b7680}.iplog{fill:#58a6ff}rect.page{fill:#0d1117}}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}"><style>{style}</style>'
    return "\n".join([head, f'<rect class="page" width="{width}" height="{y}"/>', *parts, "</svg>", ""])


def stages(results: Results) -> str:
    """Where a packet's time goes, in nanoseconds: what each part adds to what it needs."""
    loads = [load for load in ("mixed", "synrand") if "flows" in results.runs.get(load, {})]

    def cost(load: str, tool: str, without: str | None = None) -> str:
        seconds = results.seconds(load, tool) - (results.seconds(load, without) if without else 0.0)
        return f"{max(seconds, 0.0) / results.packets[load] * 1e9:,.0f}"

    rows = [
        ("reading and decoding", *(cost(load, "decoding") for load in loads)),
        ("flow table, and a batch's way through", *(cost(load, "flows", "decoding") for load in loads)),
    ]
    rows += [(f"`{name}`", *(cost(load, name, "flows") for load in loads)) for name in DETECTORS]
    rows += [("all of these together", *(cost(load, "alerts") for load in loads))]
    rows += [(WAYS[way], *(cost(load, way, "alerts") for load in loads)) for way in ("text", "json")]
    return _table(("nanoseconds a packet", *loads), rows)


def levels(results: Results, load: str = "mixed10") -> str:
    """What the same small detector costs, written in each way: nanoseconds a packet beyond those without any detector, and packets in a CPU second."""
    rows = []
    for name in (name for name, tool in TOOLS.items() if tool.kind == "level" and name in results.runs[load]):
        more = max(results.seconds(load, name) - results.seconds(load, "flows"), 0.0) / results.packets[load]
        rows.append((TOOLS[name].about, f"{more * 1e9:,.0f}", _rate(results, load, name)))
    return _table(("telnet touched, written", "nanoseconds a packet more than no detector", "packets/s with it alone"), rows)


def _fastest_first(results: Results, load: str) -> list[str]:
    tools = [tool for tool in results.runs[load] if TOOLS[tool].kind in ("ours", "peer")]
    return sorted(tools, key=lambda tool: -results.rate(load, tool))


def _short(results: Results) -> str:
    """For the README: what most will ask."""
    loads = [load for load in ("mixed", "synrand") if load in results.runs]
    rows = []
    for tool in (TCPDUMP, "alerts", "text", "json"):
        what = "`tcpdump -w /dev/null`" if tool == TCPDUMP else f"`{TOOLS[tool].about}`, {WAYS[tool]}"
        cells = [
            cell for load in loads for cell in (_rate(results, load, tool), f"{results.ratio(load, tool):.1f}", f"{results.runs[load][tool].memory:.0f} MB")
        ]
        rows.append((what, *cells))
    return _table(("", *(head for load in loads for head in (f"{load}: packets/s", "times tcpdump's", "memory"))), rows)


def _start(results: Results) -> str:
    costs = ", ".join(f"{_named(name)} {min(runs.cpu):.2f} s" for name, runs in results.start.items() if TOOLS[name].kind == "ours")
    return f"\nStart-up, which is taken off: {costs}.\n"


def _machine(results: Results) -> str:
    versions = ", ".join(dict.fromkeys(version for version in results.versions.values() if version))
    return f"{results.machine}; {versions}.\n"


def _peers_left_out(results: Results) -> str:
    return f"\nLeft out here: {', '.join(f'{name} ({why})' for name, why in results.left_out.items())}.\n" if results.left_out else ""


def _named(tool: str) -> str:
    return f"iplog, {WAYS[tool]}" if tool in WAYS else tool


def _rate(results: Results, load: str, tool: str) -> str:
    rate = results.rate(load, tool)
    return f"{rate / 1e6:.2f} M" if rate >= 1e5 else f"{rate / 1e6:.3f} M"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that reads well as text, too."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n" for line in lines]
    text.insert(1, "| " + " | ".join("-" * max(width, 3) for width in widths) + " |\n")
    return "".join(text)


def _between(text: str, name: str, new: str) -> str:
    """Put something between the markers of that name."""
    begin, end = f"<!-- {name}: written by python -m bench -->\n", f"<!-- end of {name} -->"
    text, count = re.subn(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: new, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the markers of {name} stand {count} times where they should stand once")
    return text


if __name__ == "__main__":
    write_documents(recorded())
