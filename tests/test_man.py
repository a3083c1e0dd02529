"""The manual pages: well formed, whole, and true."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from generated import generate

from iplog_core.classic.conf import lines, parse
from iplog_core.classic.words import DIRECTIVES, KEYWORDS
from iplog_core.cli.arguments import Parser, add_common
from iplog_core.cli.main import _COMMANDS
from iplog_core.cli.watch import make_parser
from iplog_core.config import load
from iplog_core.rule_grammar import ICMP_TYPES

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = CHECKOUT / "docs" / "man"
every_page = pytest.mark.parametrize("page", ["iplog.8", "iplog.conf.5", "iplog.toml.5"])


def text(page: str) -> str:
    return (PAGES / page).read_text()


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf'^\.S[hs] "?{re.escape(heading)}"?\n(.*?)(?=^\.S[hs] |\Z)', text(page), re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no section {heading}"
    return found[1]


def items(page: str, heading: str, macro: str) -> list[str]:
    """What the items of a list there are named, sorted."""
    tags = re.findall(rf"^\.It {macro} (.*)", section(page, heading), re.MULTILINE)
    return sorted(word for tag in tags for word in re.sub(r"\b(Ar|Ns|Op|Pq)\b.*?(?= , Fl|$)", "", tag).replace(f"{macro} ", "").split() if word != ",")


def options(page: str, heading: str) -> list[str]:
    return sorted(f"-{name}" for name in items(page, heading, "Fl"))


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def common() -> set[str]:
    parser = Parser(prog="iplog")
    add_common(parser)
    return options_of(parser)


def command(name: str) -> Parser:
    parsers: list[Parser] = []

    def add(name: str, **options: str) -> Parser:
        parsers.append(Parser(prog=name, **options))
        return parsers[0]

    import_module(f"iplog_core.cli.{name}").add_command(add)
    return parsers[0]


def examples(page: str) -> list[str]:
    """The displays among the examples, as one reads them."""
    displays = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed|^\.Dl (.*)", section(page, "EXAMPLES"), re.DOTALL | re.MULTILINE)
    return ["".join(display) for display in displays]


@every_page
def test_mandoc_finds_no_fault(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGES / page], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""


@every_page
def test_groff_finds_no_fault(page):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", PAGES / page], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_has_the_common_options():
    assert options("iplog.8", "Common options") == sorted(common())


def test_it_has_the_options_for_watching():
    assert options("iplog.8", "Options for watching") == sorted(options_of(make_parser()) - common())


@pytest.mark.parametrize("name", _COMMANDS)
def test_it_has_the_options_of_each_command(name):
    assert options("iplog.8", f"iplog {name}") == sorted(options_of(command(name)) - common())


def test_it_has_every_command():
    assert re.findall(r"^\.Ss iplog (.*)", text("iplog.8"), re.MULTILINE) == list(_COMMANDS)


def test_it_has_every_word_of_iplog_config():
    assert items("iplog.8", "iplog config", "Cm") == sorted((command("config").usage or "").split()[2].split("|"))


def test_iplog_conf_has_every_directive():
    assert items("iplog.conf.5", "Directives", "Cm") == sorted(["set", *(directive.keyword for directive in DIRECTIVES)])


def test_iplog_conf_has_every_flag():
    assert items("iplog.conf.5", "Flags", "Cm") == sorted(KEYWORDS)


def test_iplog_conf_tells_which_flags_are_on():
    entries = re.split(r"^\.It Cm ", section("iplog.conf.5", "Flags"), flags=re.MULTILINE)[1:]
    told = {name for entry in entries if "(on)" in entry for name in re.split(" , |\n", entry.partition("\n")[0])}
    assert told == {keyword for keyword, flag in KEYWORDS.items() if "(on)" in flag.help}


def test_iplog_conf_has_every_type_of_icmp():
    _, _, entry = section("iplog.conf.5", "Rules").partition("The names are\n")
    named = {word for line in re.findall(r"^\.Cm (.*)", entry.partition("in front.")[0], re.MULTILINE) for word in line.split()}
    assert {name.lower() for name in ICMP_TYPES} == named - {",", "."}


def test_every_example_of_iplog_conf_is_right():
    assert [parse(line.text) for example in examples("iplog.conf.5") for line in lines(example)]


def test_every_setting_is_in_iplog_toml_as_it_is():
    page = generate().page_with(generate().settings())
    assert text("iplog.toml.5") == page, "tools/generate.py writes it anew"


def test_the_example_of_iplog_toml_is_right(tmp_path):
    file = tmp_path / "iplog.toml"
    file.write_text(examples("iplog.toml.5")[0])
    config = load(str(file), environ={})
    assert (config.faults, config.settings.user) == ((), "iplog")


def test_an_installed_iplog_has_every_page_and_completion():
    data = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    files = {str(path.relative_to(CHECKOUT)) for folder in (PAGES, CHECKOUT / "completions") for path in folder.iterdir()}
    assert {file for listed in data.values() for file in listed} == files
