"""The documents: their code runs, nothing that there is goes unsaid, and the site is made of them without a warning."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from generated import reference
from pages import as_shown, blocks, pasted
from sites import Iplog

from iplog_core import hookspec
from iplog_core.describe import settings_of
from iplog_core.settings import named_tables

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
TUTORIAL = DOCS / "tutorial" / "first-detector.md"  # it has a test of its own
PAGES = [CHECKOUT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if page != TUTORIAL)]
PLUGINS = sorted(path.parent.name for path in CHECKOUT.glob("plugins/*/pyproject.toml"))
HOOKS = [name for name in vars(hookspec) if name.startswith("iplog_")]


def named(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


with_code = pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "python" for block in blocks(page))], ids=named)
with_sessions = pytest.mark.parametrize("page", [page for page in PAGES[1:] if any(block.language in ("sh", "console") for block in blocks(page))], ids=named)
with_tables = pytest.mark.parametrize(
    "page", [page for page in (*PAGES, *sorted(CHECKOUT.glob("plugins/*/README.md"))) if any(block.language == "toml" for block in blocks(page))], ids=named
)
every_plugin = pytest.mark.parametrize("plugin", PLUGINS)


@pytest.fixture
def reader(tmp_path: Path) -> Iplog:
    """Where a reader of the page stands: beside the captures, with the files of the page that are saved under a name."""
    (tmp_path / "tests").symlink_to(CHECKOUT / "tests")
    return Iplog(tmp_path, CHECKOUT, tmp_path)


@with_code
def test_the_code_of_a_page_runs(page: Path, reader: Iplog) -> None:
    """Blocks continue one another, and tests among them pass."""
    code = [block for block in blocks(page) if block.language == "python"]
    for block in code:
        if block.file:
            (reader.folder / block.file).write_text(block.text)
    # Where a block begins stands in the traceback, as the line of the page.
    program = reader.folder / "test_page.py"
    program.write_text(_at_their_lines([(block.line, block.text) for block in code if not block.file]))
    how = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if re.search(r"^(def|class) test|^class Test", program.read_text(), re.MULTILINE) else []
    done = subprocess.run([sys.executable, *how, str(program)], cwd=reader.folder, env=reader.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _at_their_lines(code: list[tuple[int, str]]) -> str:
    """One program of blocks, each at the line where it stands; an import of the future is moved nowhere, and must be in the first."""
    lines: list[str] = []
    for line, text in code:
        lines += [""] * (line - 1 - len(lines)) + text.splitlines()
    return "\n".join(lines) + "\n"


@with_sessions
def test_a_session_of_a_page_prints_what_it_shows(page: Path, reader: Iplog) -> None:
    session = [block for block in blocks(page) if block.file or block.language in ("sh", "console")]
    commands = reader.folder / "bin"
    commands.mkdir()
    (commands / "python").symlink_to(sys.executable)
    (commands / "iplog").write_text(f"#!{sys.executable}\nimport sys\nfrom iplog_core.cli.main import main\nsys.exit(main())\n")
    (commands / "iplog").chmod(0o755)
    printed = pasted(session, reader.folder, {**reader.environment, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"})
    assert [(block.line, what) for block, what in zip(session, printed, strict=True) if not as_shown(block.shown, what)] == []


@with_tables
def test_a_configuration_of_a_page_is_right(page: Path, reader: Iplog) -> None:
    (example,) = (block.text for block in blocks(CHECKOUT / "README.md") if "class TelnetTouched" in block.text)
    (reader.folder / "telnet_touched.py").write_text(example)
    for block in blocks(page):
        if block.language == "toml":
            (reader.folder / "page.toml").write_text(block.text)
            answer = reader("config", "check", "--config", "page.toml")
            assert (answer.status, answer.errors) == (0, ""), f"{named(page)}, line {block.line}"


@pytest.mark.parametrize("name", reference().pages())
def test_the_reference_is_that_of_the_code(name: str) -> None:
    assert (DOCS / "reference" / name).read_text() == reference().pages()[name], "tools/reference.py writes it anew"


def test_every_hook_is_documented() -> None:
    page = (DOCS / "reference" / "hooks.md").read_text()
    sections = {section.partition("\n")[0]: section for section in page.split("\n## ")[1:]}
    assert [hook for hook in HOOKS if "```python" not in sections.get(hook, "")] == []


def test_an_example_of_a_hook_is_taken_as_that_hook() -> None:
    found: dict[str, Any] = {}
    for block in blocks(DOCS / "reference" / "hooks.md"):
        if block.language == "python":
            exec(block.text, found)
    manager = hookspec.HookManager()
    manager.register(type("Examples", (), {name: staticmethod(found[name]) for name in HOOKS}))
    manager.check_pending()


def test_every_setting_is_documented() -> None:
    rows = {page: _rows((DOCS / "reference" / page).read_text()) for page in ("settings.md", "plugins.md")}
    models = [("settings.md", type(getattr(reference().Settings(), table))) for table in reference().TABLES]
    for plugin in PLUGINS:
        model = reference().settings_model(plugin)
        models += [("plugins.md", table) for table in (model, named_tables(model)) if table]
    missing = [
        (model.__name__, setting.name) for page, model in models for setting in settings_of(model) if not setting.meaning or setting.name not in rows[page]
    ]
    top = [setting.name for setting in settings_of(reference().Settings) if setting.name not in {*rows["settings.md"], *reference().TABLES, "plugins"}]
    assert (missing, top) == ([], [])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What `iplog plugins` says of each plugin, as it does of one that is shown."""
    iplog = Iplog(tmp_path_factory.mktemp("told"), CHECKOUT)
    return {plugin["name"]: plugin for plugin in json.loads(iplog("plugins", "--json").output)}


@every_plugin
def test_the_reference_and_the_command_say_the_same_of_a_plugin(plugin: str, told: dict[str, dict[str, Any]]) -> None:
    shown = told[plugin]
    _, section = re.split(rf"^## {plugin}$", (DOCS / "reference" / "plugins.md").read_text(), maxsplit=1, flags=re.MULTILINE)
    section = section.partition("\n## ")[0]
    expected = [(one["name"], one["type"], _default(one), one["meaning"]) for one in [*shown["settings"], *shown["table_settings"]]]
    rows = [row for row in _cells(section) if len(row) == 4]
    assert [tuple(row) for row in rows] == [tuple(cell.replace("|", r"\|") for cell in one) for one in expected]
    assert shown["summary"] in section
    assert [row for row in _cells(section) if len(row) == 3] == [[one["kind"], one["severity"], one["signature"]] for one in shown["alerts"]]


def _default(setting: dict[str, object]) -> str:
    return "must be set" if setting["required"] else str(setting["default"]) if setting["default"] else "not set"


def _rows(page: str) -> set[str]:
    return {row[0] for row in _cells(page)}


def _cells(text: str) -> list[list[str]]:
    """The rows of the tables of a text, without their heads and the backquotes around a whole cell."""
    rows = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    return [[re.sub(r"^`(.*)`$", r"\1", cell) for cell in re.split(r" (?<!\\)\| ", row)] for row in rows]


class Page(HTMLParser):
    """What a page of the site links to, and what may be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    if not (find_spec("sphinx") and find_spec("myst_parser") and find_spec("furo")):
        pytest.skip("Sphinx, myst-parser and furo are not there: pip install 'iplog[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", str(folder / "doctrees"), ".", str(folder / "html")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    assert (site / "docs" / "index.html").is_file()


def test_every_page_is_in_the_site(site: Path) -> None:
    assert [page for page in (*PAGES, TUTORIAL) if not (site / page.relative_to(CHECKOUT)).with_suffix(".html").is_file()] == []


def test_no_link_within_the_site_is_dead(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            if not target.exists() or (to.fragment and target in pages and unquote(to.fragment) not in pages[target].anchors):
                dead.append((str(path.relative_to(site)), link))
    assert dead == []
