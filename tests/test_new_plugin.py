"""`iplog plugins new`: what it writes works, from the first command on, and overwrites nothing."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from sites import Answer

from iplog_core.cli.main import main
from iplog_core.cli.new import KINDS
from iplog_core.describe import settings_of
from iplog_core.loader import load_plugin
from iplog_core.settings import DetectorSettings
from iplog_core.single import SingleFile

CHECKOUT = Path(__file__).resolve().parents[1]
FILES = {
    ".github/workflows/test.yml",
    ".gitignore",
    "README.md",
    "iplog_quick_fox/__init__.py",
    "iplog_quick_fox/py.typed",
    "pyproject.toml",
    "tests/capture.py",
    "tests/test_quick_fox.py",
}

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a newcomer types."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def new(capsys):
    """What `iplog plugins new` answers."""

    def answer(*arguments: str) -> Answer:
        status = main(["plugins", "new", *arguments])
        return Answer(status, *capsys.readouterr())

    return answer


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


# What is written


@every_kind
def test_a_project_has_all_its_files(new, here, kind):
    assert new("quick_fox", "--kind", kind).status == 0
    assert set(files(here / "iplog-plugin-quick-fox")) == FILES


@every_kind
def test_nothing_in_it_has_the_name_of_the_template(new, here, kind):
    new("quick_fox", "--kind", kind)
    assert [name for name, text in files(here).items() if re.search("my.?plugin", name + text, re.IGNORECASE)] == []


def _group(kind: str) -> str:
    """Detectors run once they are installed, the others once they are named."""
    return "iplog" if kind.endswith("detector") else "iplog.optional"


@every_kind
def test_its_metadata_is_like_that_of_the_bundled_plugins(new, here, kind):
    new("quick_fox", "--kind", kind)
    own = tomllib.loads((here / "iplog-plugin-quick-fox" / "pyproject.toml").read_text())
    like = tomllib.loads((CHECKOUT / "plugins" / "traffic" / "pyproject.toml").read_text())
    assert own["build-system"] == like["build-system"]
    assert {key: own["project"][key] for key in ("requires-python", "dependencies")} == {
        key: like["project"][key] for key in ("requires-python", "dependencies")
    }
    assert own["project"]["name"] == "iplog-plugin-quick-fox"
    assert own["project"]["entry-points"] == {_group(kind): {"quick_fox": "iplog_quick_fox"}}


def test_a_detector_is_written_unless_another_kind_is_asked_for(new, here):
    new("quick_fox")
    assert "class QuickFox(Detector[Settings]):" in (here / "iplog-plugin-quick-fox" / "iplog_quick_fox" / "__init__.py").read_text()


@every_kind
def test_its_readme_has_five_headings_and_the_table_of_its_settings(new, here, kind):
    new("quick_fox", "--kind", kind)
    folder = here / "iplog-plugin-quick-fox"
    text = (folder / "README.md").read_text()
    (plugin,) = load_plugin(SingleFile(folder / "iplog_quick_fox" / "__init__.py"))
    rows = [f"| `{it.name}` | {it.type} | {it.default or 'none'} | {it.meaning} |" for it in settings_of(plugin.model)]
    own = [row for row in rows if not any(row.startswith(f"| `{name}`") for name in DetectorSettings.model_fields)]
    assert len(re.findall("^## ", text, re.MULTILINE)) == 5
    assert re.findall(r"^\| `.*\| [^|]* \|$", text.partition("\n## Settings\n")[2], re.MULTILINE) == own


@every_kind
def test_every_part_of_its_code_says_what_it_is(new, here, kind):
    new("quick_fox", "--kind", kind)
    module = ast.parse((here / "iplog-plugin-quick-fox" / "iplog_quick_fox" / "__init__.py").read_text())
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    assert [node for node in (module, *classes) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize(
    ("name", "expected"), [("ssh", "Ssh"), ("quick_fox", "QuickFox"), ("detector", "DetectorPlugin"), ("settings", "SettingsPlugin"), ("true", "TruePlugin")]
)
def test_its_class_is_named_after_it_unless_that_means_something_else(new, here, name, expected):
    new(name, "--single-file")
    module = ast.parse((here / f"{name}.py").read_text())
    assert [node.name for node in module.body if isinstance(node, ast.ClassDef)] == ["Settings", expected]


def test_another_folder_may_be_named(new, here):
    new("quick_fox", "--folder", "deep/down")
    assert set(files(here / "deep" / "down")) == FILES


def test_an_empty_folder_is_filled(new, here):
    (here / "iplog-plugin-quick-fox").mkdir()
    assert new("quick_fox").status == 0


@every_kind
def test_a_single_file_works_through_plugin_paths(new, here, kind, iplog):
    new("quick_fox", "--kind", kind, "--single-file")
    answer = iplog("plugins", "show", "quick_fox", "--set", "plugin_paths=['quick_fox.py']")
    assert (answer.status, answer.errors, answer.output.splitlines()[0]) == (0, "", "quick_fox.py: enabled")


def test_the_commands_behind_a_single_file_work_as_they_stand(new, here, iplog):
    told = new("quick_fox", "--single-file", "--folder", "a b").output
    (command,) = re.findall(r"^    iplog (.*)$", told, re.MULTILINE)
    assert iplog(*shlex.split(command)).status == 0


# What is refused


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Quick-Fox", "no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures. Did you mean quick_fox?"),
        ("QuickFox", "no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures. Did you mean quick_fox?"),
        ("quick__fox", "no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures. Did you mean quick_fox?"),
        ("5foxes", "no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures."),
        ("../fox", "no name for a plugin; expected small letters and digits, words joined by _, as in ssh_failures. Did you mean fox?"),
        ("lambda", "a word of Python; expected another name, such as lambda_watch."),
        ("traffic", "a plugin of that name is installed (iplog-plugin-traffic 0.1.0); choose another name."),
        ("core", "a package iplog_core is there already; choose another name."),
    ],
)
def test_a_name_that_cannot_be_is_told_in_one_line(new, here, name, fault):
    answer = new(name)
    assert (answer.status, answer.output, answer.errors) == (2, "", f"{name}: {fault}\n")
    assert files(here) == {}


@pytest.mark.parametrize("names", [(), ("ash", "elm")])
def test_it_takes_one_name(new, names):
    answer = new(*names)
    assert (answer.status, answer.errors) == (2, "iplog plugins new: takes one name; expected iplog plugins new NAME.\n")


def test_a_folder_that_is_not_empty_stays_as_it_is(new, here):
    folder = here / "iplog-plugin-quick-fox"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    answer = new("quick_fox")
    assert answer.errors == "iplog-plugin-quick-fox: the folder is not empty, and nothing is overwritten; name another with --folder.\n"
    assert (answer.status, files(here)) == (2, {"iplog-plugin-quick-fox/notes": "mine"})


def test_a_file_that_is_there_stays_as_it_is(new, here):
    (here / "quick_fox.py").write_text("mine")
    answer = new("quick_fox", "--single-file")
    assert answer.errors == "quick_fox.py: it is there already, and nothing is overwritten; name another folder with --folder.\n"
    assert (answer.status, files(here)) == (2, {"quick_fox.py": "mine"})


def test_a_folder_that_cannot_be_made_is_told_in_one_line(new, here):
    (here / "file").touch()
    answer = new("quick_fox", "--folder", "file/below")
    assert (answer.status, answer.errors) == (2, "file/below: Not a directory; name a folder that you may write to with --folder.\n")


def test_its_options_belong_to_it(capsys):
    assert main(["plugins", "--kind", "sink"]) == 2
    assert capsys.readouterr().err.startswith("--kind: belongs to iplog plugins new NAME;")
