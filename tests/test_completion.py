"""What the shells offer behind `iplog`, asked of the shells themselves."""

from __future__ import annotations

import argparse
import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from generated import generate
from processes import wait_until

from iplog_core.cli.main import _COMMANDS
from iplog_core.cli.watch import make_parser

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPTS = CHECKOUT / "completions"

BASH = """
source "$1"
read -r -a COMP_WORDS <<< "$2"
[[ $2 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_iplog 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete --do-complete "$argv[2]" | string split --fields 1 \\t'
ZSH = """
fpath=({scripts} $fpath); autoload -Uz compinit && compinit -D -u; PROMPT=; unsetopt beep
compadd() {{
  [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\\ * ]] && {{ builtin compadd "$@"; return }}
  local -a offered; builtin compadd -A offered "$@"; print -rl -- $offered >> offered; builtin compadd "$@"
}}
finish() {{ touch finished }}; zle -N finish; bindkey '^X' finish; touch started
"""
"""Completion in zsh needs its line editor, and so a terminal; what is offered is caught where it would be shown."""

Ask = Callable[[str], set[str]]


@pytest.fixture(params=["bash", "zsh", "fish"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    """Ask a shell what it offers at the end of a line."""
    shell: str = request.param
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "iplog").write_text("#!/bin/sh\nprintf 'NAME  STATUS\\nflood  on\\nfrag  off\\n'\n")
    (commands / "iplog").chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": f"{commands}:{os.environ['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8"}

    def offered(line: str) -> set[str]:
        if shell == "zsh":
            return _offered_by_zsh(line, tmp_path, environment)
        command = {"bash": ["bash", "--norc", "-c", BASH, "bash", f"{SCRIPTS}/iplog"], "fish": ["fish", "--no-config", "-c", FISH, f"{SCRIPTS}/iplog.fish"]}
        done = subprocess.run([*command[shell], line], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        return set(done.stdout.split())

    return offered


def _offered_by_zsh(line: str, folder: Path, environment: dict[str, str]) -> set[str]:
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True)
    try:
        os.close(theirs)
        os.write(ours, ZSH.format(scripts=SCRIPTS).encode())
        wait_until((folder / "started").exists)
        os.write(ours, f"{line}\t\x18".encode())
        wait_until((folder / "finished").exists)
        assert (folder / "finished").exists()
        return set((folder / "offered").read_text().split()) if (folder / "offered").exists() else set()
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_up_to_date(shell):
    import shtab

    path = generate().COMPLETIONS[shell]
    if f"with shtab {shtab.__version__} " not in path.read_text():
        pytest.skip("it was written with another version of shtab")
    assert path.read_text() == generate().completion(shell), "tools/generate.py writes it anew"


def test_every_long_option_is_offered(ask):
    assert ask("iplog --") == options_of(make_parser())


def test_the_options_of_a_command_are_offered_behind_it(ask):
    assert {"--since", "--until", "--config"} <= ask("iplog read --")


def test_the_options_for_watching_are_not_offered_behind_a_command(ask):
    assert "--interface" not in ask("iplog read --")


def test_every_command_is_offered(ask):
    assert set(_COMMANDS) <= ask("iplog ")


def test_a_command_is_offered_behind_options(ask):
    assert "read" in ask("iplog --quiet --rule x re")


def test_the_words_of_a_command_are_offered(ask):
    assert {"check", "show", "schema", "init", "convert"} <= ask("iplog config ")


def test_interfaces_are_offered(ask):
    assert {"any", *os.listdir("/sys/class/net")} <= ask("iplog -i ")


def test_a_second_interface_is_offered_behind_a_comma(ask):
    assert {word.removeprefix("any,") for word in ask("iplog -i any,l")} >= {"lo"}


def test_plugins_are_offered(ask):
    assert ask("iplog --enable ") == {"flood", "frag"}


def test_plugins_are_offered_to_show(ask):
    assert {"show", "flood", "frag"} <= ask("iplog plugins ")


def test_facilities_are_offered(ask):
    assert {"daemon", "local0"} <= ask("iplog --facility ")


def test_captures_are_offered_to_read(ask, tmp_path):
    (tmp_path / "evening.pcap").touch()
    assert "evening.pcap" in ask("iplog read eve")


def test_configurations_are_offered_and_no_other_files(ask, tmp_path):
    for name in ("mine.toml", "mine.conf", "mine.txt"):
        (tmp_path / name).touch()
    assert ask("iplog --config mi") == {"mine.toml", "mine.conf"}
