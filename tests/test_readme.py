"""The documents hold what they promise: examples run as printed, tables are whole, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path

import pytest
from sites import Iplog

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text()
EXAMPLES = dict(re.findall(r"^```console\n\$ iplog ([^\n]+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
DOCUMENTS = [path for pattern in ("*.md", "docs/**/*.md", "plugins/*/*.md", "tests/**/*.md") for path in sorted(CHECKOUT.glob(pattern))]
PLUGINS = sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))


@pytest.fixture
def reader(iplog: Iplog) -> Iplog:
    """`iplog` where a reader of the README stands, with the detector that it prints saved beside the captures."""
    (iplog.folder / "tests").symlink_to(CHECKOUT / "tests")
    name = re.findall(r"Save this as `(\w+\.py)`", README)[0]
    (iplog.folder / name).write_text(_printed_detector())
    return iplog


@pytest.mark.parametrize("command", EXAMPLES)
def test_an_example_prints_what_the_readme_shows(command: str, reader: Iplog) -> None:
    if not _names_services():
        pytest.skip("the services database of this machine is not there")
    answer = reader(*shlex.split(command))
    shown = EXAMPLES[command].splitlines()
    lines = answer.output.splitlines()
    if shown[-1] == "...":
        shown.pop()
        lines = lines[: len(shown)]
    assert (answer.status, lines) == (0, shown)


def test_the_detector_in_the_readme_raises_its_alert(reader: Iplog) -> None:
    answer = reader("read", "--alerts-only", "--set", 'plugin_paths=["telnet_touched.py"]', "tests/captures/syn_scan.pcap")
    assert "TCP: telnet knock detected to 198.18.1.1" in answer.output


def test_the_detector_in_the_readme_has_no_more_than_twenty_lines() -> None:
    assert len(_printed_detector().splitlines()) <= 20


def test_every_plugin_of_the_tree_stands_in_the_table_of_the_readme() -> None:
    table = re.findall(r"^\| \[(\w+)\]\(plugins/(\w+)/README.md\) \|", README, re.MULTILINE)
    assert sorted(table) == [(name, name) for name in PLUGINS]


def test_every_make_target_in_the_readme_is_one() -> None:
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][\w-]+)", "\n".join(_verbatim(README)))) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_linked_file_exists(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def _printed_detector() -> str:
    code: str = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
    return code


def _verbatim(text: str) -> list[str]:
    """What a reader would type: indented lines, and spans between backquotes."""
    return [*re.findall(r"^ {4}(.+)$", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]


def _names_services() -> bool:
    try:
        return bool(socket.getservbyname("http", "tcp"))
    except OSError:
        return False
