"""`iplog plugins new`: write a plugin to begin with, whole and working, which its author then edits.

Each folder of `iplog_core/template` holds a plugin of a kind under the name my_plugin, `common` what all of them have.
"""

from __future__ import annotations

import argparse
import builtins
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from iplog_core.errors import EXIT_OK, ConfigError
from iplog_core.toml import dump_value

KINDS = ("detector", "packet-detector", "sink", "policy", "source")

_TEMPLATES = Path(__file__).resolve().parents[1] / "template"
_MODULE = Path("iplog_my_plugin", "__init__.py")
_CACHES = {"__pycache__", ".ruff_cache"}
_USAGE = "expected iplog plugins new NAME"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `iplog plugins new`."""
    group = parser.add_argument_group("options of iplog plugins new")
    group.add_argument("--kind", choices=KINDS, help="what to write: " + ", ".join(KINDS) + "; default: detector")
    group.add_argument("--single-file", action="store_true", help="write NAME.py alone, to be named in plugin_paths")
    group.add_argument("--folder", metavar="DIR", help="write into this folder; default: iplog-plugin-NAME, for a single file the current one")


def given(options: argparse.Namespace) -> str | None:
    """Return one of these options that was given, if any was."""
    values = {"--kind": options.kind, "--single-file": options.single_file, "--folder": options.folder}
    return next((option for option, value in values.items() if value), None)


def run(options: argparse.Namespace) -> int:
    """Write the plugin, and say what to do next."""
    from iplog_core.installed import GROUP, OPTIONAL_GROUP

    name = _checked(options.words[1:])
    kind = options.kind or "detector"
    folder = Path(options.folder or ("." if options.single_file else f"iplog-plugin-{_dashed(name)}"))
    if options.single_file:
        files = {Path(f"{name}.py"): (_TEMPLATES / kind / _MODULE).read_text()}
    else:
        files = {path: source.read_text() for path, source in _project(kind)}
    written = _named(files, name, GROUP if kind.endswith("detector") else OPTIONAL_GROUP)
    _write(folder, written, single=options.single_file)
    told = _after_a_file(name, folder / f"{name}.py") if options.single_file else _after_a_project(name, kind, folder)
    print("\n".join(told))
    return EXIT_OK


def _checked(words: list[str]) -> str:
    """Return the name. Raise ConfigError where it cannot be that of a new plugin."""
    from iplog_core.installed import installed

    if len(words) != 1:
        raise ConfigError(f"iplog plugins new: takes one name; {_USAGE}.")
    (name,) = words
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        near = "_".join(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))
        meant = f" Did you mean {near}?" if near[:1].isalpha() else ""
        raise ConfigError(f"{name}: no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures.{meant}")
    if iskeyword(name):
        raise ConfigError(f"{name}: a word of Python; expected another name, such as {name}_watch.")
    if name.startswith("test"):
        raise ConfigError(f"{name}: pytest would take its class for a test; expected another name, such as my_{name}.")
    if there := next((plugin for plugin in installed() if plugin.name == name), None):
        raise ConfigError(f"{name}: a plugin of that name is installed ({there.distribution} {there.version}); choose another name.")
    if find_spec(f"iplog_{name}"):
        raise ConfigError(f"{name}: a package iplog_{name} is there already; choose another name.")
    return name


def _project(kind: str) -> Iterator[tuple[Path, Path]]:
    """Give the files of a project: the path of each in it, and its template."""
    for part in (_TEMPLATES / "common", _TEMPLATES / kind):
        for source in sorted(part.rglob("*")):
            if source.is_file() and not _CACHES & set(source.parts):
                yield source.relative_to(part), source


def _named(files: dict[Path, str], name: str, group: str) -> dict[Path, str]:
    """Return the files of a plugin of this name, with an entry point of this group."""
    words = {
        "my_plugin": name,
        "my-plugin": _dashed(name),
        "MyPlugin": _class_name(name, "".join(files.values())),
        'entry-points."iplog"': f'entry-points."{group}"',
    }
    pattern = re.compile("|".join(map(re.escape, words)))

    def replaced(text: str) -> str:
        return pattern.sub(lambda found: words[found[0]], text)

    return {Path(replaced(str(path))): replaced(text) for path, text in files.items()}


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _class_name(name: str, template: str) -> str:
    """Return the name of its class: one that means nothing else in the file."""
    joined = "".join(word.capitalize() for word in name.split("_"))
    taken = joined in dir(builtins) or re.search(rf"\b{joined}\b", template)
    return f"{joined}Plugin" if taken else joined


def _write(folder: Path, files: dict[Path, str], *, single: bool) -> None:
    """Write all files, none over one that is there."""
    try:
        if not single and folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder}: the folder is not empty, and nothing is overwritten; name another with --folder.")
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as output:
                output.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename}: it is there already, and nothing is overwritten; name another folder with --folder.") from None
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}; name a folder that you may write to with --folder.") from None


def _after_a_project(name: str, kind: str, folder: Path) -> Iterator[str]:
    yield f"{folder}: a {kind.replace('-', ' ')} that works, with its tests. Next:\n"
    tried = _tried(name, folder / "README.md")
    commands = [f"cd {shlex.quote(str(folder))}", "python -m pip install --editable '.[dev]'", "python -m pytest", f"iplog plugins show {name}", *tried]
    yield from (f"    {command}" for command in commands)
    yield f"\nThen edit iplog_{name}/__init__.py and tests/test_{name}.py. Before you publish it, choose a licence: pyproject.toml tells where."


def _tried(name: str, readme: Path) -> list[str]:
    """Return the commands under `Try it` in its README."""
    return re.findall(r"^    (\S.*)$", readme.read_text().partition("\n## Try it\n")[2], re.MULTILINE)


def _after_a_file(name: str, file: Path) -> Iterator[str]:
    yield f"{file}: it works as it stands. Next:\n"
    yield f"    iplog plugins show {name} --set {shlex.quote(_plugin_paths(file))}"
    yield f"\nThen edit it. With this line in the configuration file it always runs: {_plugin_paths(file.resolve())}"


def _plugin_paths(file: Path) -> str:
    return f"plugin_paths = {dump_value([str(file)])}"
