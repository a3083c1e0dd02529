"""Write docs/reference/ from the code: hooks, classes, columns, settings, plugins and events.

tools/reference.py, with the Python of the tests, writes all of it anew; a test tells when that is due.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum, IntFlag
from functools import cached_property
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import iplog_core
from iplog_core import batch, events, hookspec, testing
from iplog_core.describe import settings_of
from iplog_core.detector import Detector
from iplog_core.kernel.columns import LAYOUT
from iplog_core.policy import Policy, questions
from iplog_core.settings import Settings, named_tables
from iplog_core.sink import Sink

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tools"))
from meanings import MEANINGS  # noqa: E402

REFERENCE = CHECKOUT / "docs" / "reference"
PLUGINS = sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))
TABLES = ("flows", "capture", "names")

_CONTRIBUTED = ("iplog_detectors", "iplog_sinks", "iplog_policies")
_TO_BASE_ON = ("Detector", "PacketDetector", "Sink", "Policy", "Source")
_SETTINGS = ("PluginSettings", "DetectorSettings", "SinkSettings", "PolicySettings", "Duration", "KindName")
_TO_USE = ("AlertKind", "Tracker", "RandomWalk", "Episode", "Matcher", "Packet", "SinkContext", "RawBatch")
_ENUMERATIONS = ("Kind", "Outcome", "FlowBit", "TcpFlag", "Fragment", "Malformed", "Cast", "Phase")
_MODELS = (events.Alert, events.Evidence, events.Stats, events.InterfaceStats, events.TableStats, events.PluginStats, events.Notice)
_HEAD = "<!-- written by tools/reference.py from the code -->\n"


def main() -> int:
    REFERENCE.mkdir(exist_ok=True)
    for name, page in pages().items():
        (REFERENCE / name).write_text(page)
    return 0


def pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    made: dict[str, Callable[[], Iterable[str]]] = {
        "hooks.md": hooks, "classes.md": classes, "columns.md": columns, "events.md": about_events,
        "settings.md": settings, "plugins.md": plugins, "testing.md": test_kit,
    }  # fmt: skip
    return {name: _HEAD + re.sub(r"\n{3,}", "\n\n", "\n".join(page())).strip() + "\n" for name, page in made.items()}


def hooks() -> Iterator[str]:
    """Every hook, with what its docstring says."""
    yield "# Hooks\n"
    yield _text(inspect.getdoc(hookspec))
    yield "\nEach hook is a function of a plugin's module, marked with `iplog_core.hookimpl`; it may leave out arguments that it does not need. "
    yield f"The module says by `iplog_api = {hookspec.API_VERSION}` which version of this interface it is written for.\n"
    yield "All examples suppose these imports:\n"
    yield "```python\nimport iplog_core\nfrom iplog_core import Policy, PolicySettings\nfrom pydantic import Field\n```\n"
    for name, hook in vars(hookspec).items():
        if name.startswith("iplog_") and inspect.isfunction(hook):
            yield f"## {name}\n\n```text\n{name}{_signature(hook)}\n```\n"
            if getattr(hook, "iplog_spec", {}).get("firstresult"):
                yield "The first plugin that returns something else than None decides; plugins are asked in the order of the `enable` list.\n"
            yield _text(inspect.getdoc(hook), language="python")
            yield ""


def classes() -> Iterator[str]:
    """The public classes that a plugin is written with."""
    yield "# Classes\n\nAll of them are imported from `iplog_core`."
    yield "Columns and their masks have [a page of their own](columns.md), so have [events](events.md).\n"
    for title, names in (("To base on", _TO_BASE_ON), ("Settings", _SETTINGS), ("To use", _TO_USE)):
        yield f"## {title}\n"
        for name in names:
            yield from _described(name, getattr(iplog_core, name))
    yield "## Errors\n"
    for name in ("IplogError", "ConfigError", "CaptureError", "PluginError"):
        yield from _described(name, getattr(iplog_core, name), members=False)


def test_kit() -> Iterator[str]:
    """What `iplog_core.testing` has."""
    yield "# Test kit\n"
    yield _text(inspect.getdoc(testing))
    yield "\n[Test a plugin](../how-to/test-a-plugin.md) shows all of it in use.\n"
    public = {name: value for name, value in vars(testing).items() if inspect.isfunction(value) or inspect.isclass(value)}
    for module in dict.fromkeys(value.__module__ for value in public.values()):
        yield f"## {module.rpartition('.')[2].capitalize()}\n\n{_text(inspect.getdoc(sys.modules[module]))}\n"
        for name, value in public.items():
            if value.__module__ == module:
                yield from _described(name, value)


def columns() -> Iterator[str]:
    """Columns of packets, flows and traffic records, the masks over them, and what their numbers mean."""
    yield "# Columns\n"
    yield "A batch is a table whose columns are numpy arrays: `batch.dport == 23` is a mask with a place for each packet,"
    yield "and masks are joined with `&`, `|` and `~`. Times are nanoseconds since the epoch, in UTC.\n"
    yield f"## Packets: `PacketBatch`\n\n{_text(inspect.getdoc(batch.PacketRows))}\n"
    yield from _columns(LAYOUT)
    yield "### Masks over packets\n"
    yield from _masks(batch.PacketRows)
    yield "### Beside its columns\n"
    yield _text(inspect.getdoc(batch.PacketBatch)) + "\n"
    yield from _members(batch.PacketBatch)
    yield f"## Flows: `FlowRows`\n\n{_text(inspect.getdoc(batch.FlowRows))}\n"
    yield from _columns(_fields(batch.FLOW_DTYPE), "flow")
    yield "### Masks over flows\n"
    yield from _masks(batch.FlowRows)
    yield f"## Traffic records: `Records`\n\n{_text(inspect.getdoc(events.Records))}\n\n`RECORD_DTYPE`, a row each; what is not known is 0.\n"
    yield from _columns(_fields(events.RECORD_DTYPE), "record")
    yield "## What the numbers mean\n"
    for name in (*_ENUMERATIONS, "RecordKind"):
        yield from _enumeration(getattr(iplog_core, name))


def about_events() -> Iterator[str]:
    """What sinks are given."""
    yield "# Events\n\nA sink is given events in order: `Records` (traffic, as [columns](columns.md)), `Alert`, `Stats` and `Notice`."
    yield "In JSON they are as [jsonl](../../plugins/jsonl/README.md) writes them."
    yield "Which kinds of alerts there are stands with each [plugin](plugins.md).\n"
    for model in _MODELS:
        yield f"## {model.__name__}\n\n{_text(inspect.getdoc(model))}\n"
        yield "| field | type | default | meaning |\n| --- | --- | --- | --- |"
        for name, field in model.model_fields.items():
            meaning = field.description or MEANINGS[f"{model.__name__}.{name}"]
            default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
            yield f"| `{name}` | {_cell(_annotation(field.annotation))} | {_cell(default)} | {_cell(meaning)} |"
        yield ""


def settings() -> Iterator[str]:
    """The settings of iplog itself."""
    yield "# Settings\n\nThose of iplog itself; each plugin has a table of its own, as [the page of the plugins](plugins.md) tells."
    yield "[Configuration](../configuration.md) says where they may stand, and which wins.\n"
    yield "## The top level\n"
    yield from table_of_settings(Settings, without=(*TABLES, "plugins"))
    for name in TABLES:
        yield f"## [{name}]\n\n{Settings.model_fields[name].description}\n"
        yield from table_of_settings(type(getattr(Settings(), name)))


def plugins() -> Iterator[str]:
    """Alerts and settings of every plugin in the tree: what `iplog plugins show NAME` tells."""
    yield "# Plugins\n\nWhat comes with iplog, as `iplog plugins show NAME` tells it; the README of each says how it decides, and what it does not see.\n"
    for name in PLUGINS:
        cls = plugin_class(name)
        model = settings_model(name)
        yield f"## {name}\n\n{' '.join((inspect.getdoc(cls) or '').partition(chr(10) * 2)[0].split())} [README](../../plugins/{name}/README.md)\n"
        if issubclass(cls, Detector) and cls.kinds:
            yield "| alert | severity | called |\n| --- | --- | --- |"
            yield from (f"| `{kind}` | {what.severity} | {_cell(what.signature)} |" for kind, what in cls.kinds.items())
            yield ""
        if issubclass(cls, Policy):
            yield f"Asked of each alert: {', '.join(f'`{question}`' for question in questions(cls))}.\n"
        if issubclass(cls, Sink) and cls.format:
            yield f"`--format {cls.format}`\n"
        yield f"### [plugins.{name}]\n" if model.model_fields else "It has no settings.\n"
        yield from table_of_settings(model)
        if table := named_tables(model):
            yield f"### Each [plugins.{name}.NAME]\n"
            yield from table_of_settings(table)


def plugin_module(name: str) -> ModuleType:
    sys.path.insert(0, str(CHECKOUT / "plugins" / name))
    try:
        return import_module(f"iplog_{name}")
    finally:
        sys.path.pop(0)


def plugin_class(name: str) -> type[Any]:
    """Return the class that a plugin of the tree contributes."""
    module = plugin_module(name)
    contributed: list[type[Any]] = [cls for hook in _CONTRIBUTED if hasattr(module, hook) for cls in getattr(module, hook)()]
    return contributed[0]


def settings_model(name: str) -> type[BaseModel]:
    model: type[BaseModel] = plugin_module(name).Settings
    return model


def table_of_settings(model: type[BaseModel], without: Iterable[str] = ()) -> Iterator[str]:
    """Give the rows of a table, in the words of `iplog plugins show`."""
    rows = [setting for setting in settings_of(model) if setting.name not in without]
    if rows:
        yield "| setting | type | default | meaning |\n| --- | --- | --- | --- |"
    for setting in rows:
        default = "must be set" if setting.required else f"`{setting.default}`" if setting.default else "not set"
        yield f"| `{setting.name}` | {_cell(setting.type)} | {_cell(default)} | {_cell(setting.meaning)} |"
    yield ""


def _described(name: str, value: Any, members: bool = True) -> Iterator[str]:
    yield f"### {name}\n"
    signature = _signature(value) if inspect.isfunction(value) or (inspect.isclass(value) and _has_signature(value)) else ""
    if signature:
        yield f"```text\n{name}{signature}\n```\n"
    told = inspect.getdoc(value) if inspect.isfunction(value) or inspect.isclass(value) else MEANINGS[name]
    yield _text(told) + "\n"
    if members and inspect.isclass(value):
        yield from _members(value)


def _has_signature(cls: type[Any]) -> bool:
    """Whether its users make objects of it."""
    return cls.__name__ in ("AlertKind", "Matcher")


def _members(cls: type[Any]) -> Iterator[str]:
    """Methods and properties that it has beyond its columns, with what their docstrings say."""
    for name, member in vars(cls).items():
        if name.startswith("_") or isinstance(member, cached_property):
            continue
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member.fget if isinstance(member, property) else member
        if inspect.isfunction(function):
            call = name if isinstance(member, property) else f"{name}{_signature(function)}"
            told = " ".join((inspect.getdoc(function) or "").split())
            yield f"- `{call}`" + (f": {told}" if told else "")
    yield ""


def _columns(layout: Iterable[tuple[str, str]], of: str = "") -> Iterator[str]:
    yield "| column | numbers | meaning |\n| --- | --- | --- |"
    for name, code in layout:
        if name != "spare":
            yield f"| `{name}` | {code} | {_cell(MEANINGS.get(f'{of}.{name}') or MEANINGS[name])} |"
    yield ""


def _fields(dtype: Any) -> list[tuple[str, str]]:
    return [(name, field[0].str.lstrip("<|")) for name, field in dtype.fields.items()]


def _masks(cls: type[Any]) -> Iterator[str]:
    yield "| mask | which rows |\n| --- | --- |"
    found: dict[str, cached_property[Any]] = {}
    for base in reversed(cls.__mro__):
        found |= {name: member for name, member in vars(base).items() if isinstance(member, cached_property) and name != "bytes_view"}
    for name, member in found.items():
        told = inspect.getdoc(member.func) or MEANINGS[name]
        yield f"| `{name}` | {_cell(' '.join(told.split()))} |"
    yield ""


def _enumeration(cls: type[IntEnum] | type[IntFlag]) -> Iterator[str]:
    yield f"### {cls.__name__}\n\n{_text(inspect.getdoc(cls))}\n"
    yield ", ".join(f"`{member.name}` {int(member)}" for member in cls) + "\n"


def _signature(function: Any) -> str:
    """The signature as it is written, without `self`."""
    signature = inspect.signature(function)
    parameters = [parameter for name, parameter in signature.parameters.items() if name not in ("self", "cls")]
    return str(signature.replace(parameters=parameters)).replace("'", "").replace("~", "")


def _annotation(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) and not getattr(annotation, "__args__", ()) else str(annotation)
    return re.sub(r"\b(?:typing|iplog_core\.events)\.", "", text)


def _text(docstring: str | None, language: str = "text") -> str:
    """A docstring as Markdown: what stands behind `Example::` becomes a block, single backquotes are the same there."""
    before, example, code = (docstring or "").partition("Example::\n")
    told = re.sub(r"(?<=\S)\n(?=\S)", " ", before.strip())
    return f"{told}\n\n```{language}\n{dedent(code).strip()}\n```" if example else told


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
