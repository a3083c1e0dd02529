"""Write what is made of the code: the settings in docs/man/iplog.toml.5, and the completions.

tools/generate.py, with the Python of the tests, writes all of it anew; tests tell when that is due.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import shtab
from pydantic import BaseModel

from iplog_core.classic.values import FACILITIES, PRIORITIES
from iplog_core.cli.arguments import Parser, add_common
from iplog_core.cli.main import _COMMANDS
from iplog_core.cli.watch import make_parser
from iplog_core.describe import settings_of
from iplog_core.settings import DetectorSettings, Settings, named_tables

Shell = Literal["bash", "zsh", "fish"]

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "man" / "iplog.toml.5"
COMPLETIONS: dict[Shell, Path] = {
    "bash": CHECKOUT / "completions" / "iplog",
    "zsh": CHECKOUT / "completions" / "_iplog",
    "fish": CHECKOUT / "completions" / "iplog.fish",
}

_TABLES = ("flows", "capture", "names")
_SETTINGS = re.compile(r'(?<=^\.\\" settings: written by tools/generate\.py from the code\n).*?(?=^\.\\" end of settings$)', re.DOTALL | re.MULTILINE)

_PREAMBLES: dict[Shell, str] = {
    "bash": r"""
_iplog_list() {  # items between commas: $1 is the word so far, the others are what may stand in it
  local before="${1%"${1##*,}"}" word="${1##*,}"
  shift
  compgen -P "$before" -W "$*" -- "$word"
}
_iplog_interfaces() { _iplog_list "$1" any $(command ls /sys/class/net 2>/dev/null); }
_iplog_names() { iplog plugins 2>/dev/null | sed '1d; s/ .*//'; }
_iplog_plugins() { _iplog_list "$1" $(_iplog_names); }
_iplog_show() { compgen -W "show new $(_iplog_names)" -- "$1"; }
_iplog_users() { compgen -u -- "$1"; }
_iplog_groups() { compgen -g -- "$1"; }
""",
    "zsh": r"""
_iplog_interfaces() { _values -s , interface any ${(f)"$(command ls /sys/class/net 2>/dev/null)"} }
_iplog_names() { reply=(${(f)"$(iplog plugins 2>/dev/null | sed '1d; s/ .*//')"}) }
_iplog_plugins() { local reply; _iplog_names; _values -s , plugin $reply }
_iplog_show() { local reply; _iplog_names; compadd show new $reply }
""",
    "fish": r"""
function _iplog_interfaces
  echo any
  command ls /sys/class/net 2>/dev/null
end
function _iplog_names
  iplog plugins 2>/dev/null | sed '1d; s/ .*//'
end
""",
}
_INTERFACES = {"bash": "_iplog_interfaces", "zsh": "_iplog_interfaces", "fish": "(__fish_complete_list , _iplog_interfaces)"}
_PLUGINS = {"bash": "_iplog_plugins", "zsh": "_iplog_plugins", "fish": "(__fish_complete_list , _iplog_names)"}
_SHOW = {"bash": "_iplog_show", "zsh": "_iplog_show", "fish": "show new (_iplog_names)"}
_USERS = {"bash": "_iplog_users", "zsh": "_users", "fish": "(__fish_complete_users)"}
_GROUPS = {"bash": "_iplog_groups", "zsh": "_groups", "fish": "(__fish_complete_groups)"}
_VALUES = {
    "--config": shtab.glob("*.toml", "*.conf"),
    "--enable": _PLUGINS,
    "--disable": _PLUGINS,
    "--interface": _INTERFACES,
    "--user": _USERS,
    "--group": _GROUPS,
    "--folder": shtab.DIRECTORY,
    "--pid-file": shtab.FILE,
    "--state": shtab.FILE,
    "--logfile": shtab.FILE,
}
_CHOICES = {"--format": ("text", "json"), "--facility": FACILITIES, "--priority": PRIORITIES}


def main() -> int:
    PAGE.write_text(page_with(settings()))
    for shell, path in COMPLETIONS.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(completion(shell))
    return 0


def page_with(settings: str) -> str:
    """Return the manual page with these settings in their place."""
    page, count = _SETTINGS.subn(lambda _: settings, PAGE.read_text())
    assert count == 1
    return page


def settings() -> str:
    """Return every setting of iplog and the bundled plugins, in mdoc(7)."""
    tables = {name: type(getattr(Settings(), name)) for name in _TABLES}
    plugins = {f"plugins.{name}": _model(name) for name in sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))}
    lines = [*_table("The top level", Settings)]
    for name, model in tables.items():
        lines += _table(f"[{name}]", model, about=Settings.model_fields[name].description)
    lines += _table("[plugins.name], the table of any detector", DetectorSettings, about="Beside the settings of its own, as they follow:")
    for name, model in plugins.items():
        if set(model.model_fields) - set(DetectorSettings.model_fields):
            lines += _table(f"[{name}]", model)
        if table := named_tables(model):
            lines += _table(f"[{name}.name], one for each name", table)
    return "".join(f"{line}\n" for line in lines)


def _model(plugin: str) -> type[BaseModel]:
    sys.path.insert(0, str(CHECKOUT / "plugins" / plugin))
    try:
        model: type[BaseModel] = import_module(f"iplog_{plugin}").Settings
        return model
    finally:
        sys.path.pop(0)


def _table(title: str, model: type[BaseModel], about: str | None = None) -> Iterator[str]:
    yield f".Ss {title}"
    if about:
        yield about
    yield ".Bl -tag -width Ds"
    for setting in settings_of(model):
        if model is Settings and setting.name in (*_TABLES, "plugins"):
            continue
        if issubclass(model, DetectorSettings) and model is not DetectorSettings and setting.name in DetectorSettings.model_fields:
            continue
        yield f".It Cm {setting.name} Pq {_escaped(setting.type)}"
        yield from (_escaped(sentence) for sentence in re.split(r"(?<=\.) (?=[A-Z])", setting.meaning))
        if setting.required:
            yield "It must be set."
        elif setting.default not in (None, "[]"):
            yield f"Default: {_escaped(setting.default)}."
    yield ".El"


def _escaped(text: str) -> str:
    """Return text as mdoc(7) has it."""
    text = text.replace("\\", r"\e").replace("`", "").replace('"', r"\(dq")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def whole_parser() -> Parser:
    """Return one parser that has every command, with what may complete its values."""
    parser = make_parser()
    commands = parser.add_subparsers(parser_class=Parser)
    parsers = [parser]
    for name, what in _COMMANDS.items():
        import_module(f"iplog_core.cli.{name}").add_command(_adder(commands, parsers, what))
    for each in parsers:
        for action in each._actions:
            _complete(each, action)
    return parser


def _adder(commands: argparse._SubParsersAction[Parser], parsers: list[Parser], what: str) -> Callable[..., Parser]:
    def add(name: str, **options: Any) -> Parser:
        parser = commands.add_parser(name, **{**options, "description": what, "help": what})
        add_common(parser)
        parsers.append(parser)
        return parser

    return add


def _complete(parser: Parser, action: argparse.Action) -> None:
    """Tell shtab what may stand for a value."""
    for option in action.option_strings:
        if option in _VALUES:
            action.complete = _VALUES[option]  # type: ignore[attr-defined]
        elif option in _CHOICES:
            action.choices = _CHOICES[option]
    if action.dest == "files":
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif action.dest == "words" and parser.prog.endswith("plugins"):
        action.complete = _SHOW  # type: ignore[attr-defined]
    elif action.dest == "words":
        action.choices = parser.usage.split()[2].split("|") if parser.usage else None


def completion(shell: Shell) -> str:
    """Return the completion for a shell."""
    _, _, script = shtab.complete(whole_parser(), shell=shell, preamble=_PREAMBLES[shell]).partition("\n\n")
    first = "#compdef iplog\n" if shell == "zsh" else ""
    return f"{first}# Completion of iplog, written by tools/generate.py with shtab {shtab.__version__} (https://github.com/tqdm/shtab).\n\n{script.rstrip()}\n"


if __name__ == "__main__":
    sys.exit(main())
