"""What the command `iplog` understands, and how it says that it does not."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from sites import Iplog

import iplog_core
from iplog_core.testing import write_pcap

PLUGINS_USAGE = "expected iplog plugins, iplog plugins show NAME, or iplog plugins new NAME."
HEAVY = ("numpy", "pydantic", "pluggy", "dpkt", "tqdm", "asyncio", "email", "difflib", "importlib.metadata")
NOT_TO_READ = (
    "asyncio", "communityid", "difflib", "dns", "dpkt", "logging", "multiprocessing", "orjson", "psutil", "pydantic.networks", "ssl", "subprocess", "tomllib",
    "tqdm", "iplog_jsonl", "iplog_syslog", "iplog_core.allow", "iplog_core.catalogue", "iplog_core.classic", "iplog_core.names", "iplog_core.process",
    "iplog_core.rule_grammar", "iplog_core.rules", "iplog_core.state", "iplog_core.testing",
)  # fmt: skip


def test_the_version_is_printed(iplog):
    assert iplog("--version").output == f"iplog {iplog_core.__version__}\n"


def test_the_version_is_that_of_the_distribution():
    assert iplog_core.__version__ == version("iplog")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["read", "--help"], ["config", "--help"], ["plugins", "--help"]])
def test_what_is_not_needed_is_not_imported(iplog, arguments):
    assert imported(HEAVY, arguments, iplog) == []


def test_reading_imports_only_what_it_needs(iplog):
    write_pcap(iplog.folder / "empty.pcap", [])
    assert imported(NOT_TO_READ, ["read", "empty.pcap"], iplog) == []


def imported(modules: tuple[str, ...], arguments: list[str], iplog: Iplog) -> list[str]:
    """Run iplog with arguments, and return those of `modules` that it imported, all plugins enabled that run by default."""
    program = f"import sys; from iplog_core.cli.main import main; main({arguments!r}); print(*(m for m in {modules!r} if m in sys.modules))"
    done = subprocess.run([iplog.command[0], "-c", program], env=iplog.environment, cwd=iplog.folder, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()[-1].split()


def test_no_library_starts_threads_that_nobody_needs(iplog):
    program = "import os; from iplog_core.cli.main import main; main(['read', 'x.pcap']); print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([iplog.command[0], "-c", program], env=iplog.environment, cwd=iplog.folder, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("command", ["read", "interfaces", "plugins", "config"])
def test_the_help_of_every_command_has_an_example(command, iplog):
    answer = iplog(command, "--help")
    assert (answer.status, f"\n  iplog {command} " in answer.output.partition("examples:")[2]) == (0, True)


def test_help_names_every_command(iplog):
    answer = iplog("--help")
    commands = answer.output.partition("\ncommands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in commands.splitlines()] == ["read", "interfaces", "plugins", "config"]


def test_a_plugin_whose_import_fails_breaks_no_help(site, iplog):
    site.install("ash", "raise SystemExit('broken')")
    answer = iplog("--help")
    assert (answer.status, answer.errors) == (0, "")


@pytest.mark.parametrize("arguments", [["-i", "nowhere0"], ["--udp=false", "-inowhere0"], ["--alerts-only", "-o", "--interface=nowhere0"]])
def test_without_a_command_it_watches(arguments, iplog):
    answer = iplog(*arguments)
    assert (answer.status, answer.errors.startswith("nowhere0: no such interface. ")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["raed", "x"], "raed: no such command. Did you mean read? There are: read, interfaces, plugins, config."),
        (["here.pcap"], "here.pcap: no command; to read a capture: iplog read here.pcap."),
        (["--fromat", "json"], "--fromat: no such option of iplog. Did you mean --format? See iplog --help."),
        (["read", "--fromat", "x"], "--fromat: no such option of iplog read. Did you mean --format? See iplog read --help."),
        (["read", "--forma", "json", "x"], "--forma: no such option of iplog read. Did you mean --format? See iplog read --help."),
        (["read"], "iplog read: the following arguments are required: FILE; see iplog read --help."),
        (["--config"], "--config: expected one argument; see iplog --help."),
        (["read", "x", "--stats=maybe"], "--stats: expected true, yes, false, no or toggle, not 'maybe'; see iplog --help."),
        (["read", "x", "--since", "noon"], "--since: 'noon' is no time; expected one such as 2026-05-28T20:26:59 or 2026-05-28T20:26:59+02:00."),
        (
            ["read", "x", "--since", "2026-01-02", "--until", "2026-01-01"],
            "--until: not later than --since, so that nothing lies between.",
        ),
        (["config"], "iplog config: expected one of check, show, schema, init, convert."),
        (["config", "chek"], "iplog config chek: expected one of check, show, schema, init, convert. Did you mean check?"),
        (["plugins", "shw", "x"], f"shw: not known to iplog plugins; {PLUGINS_USAGE} Did you mean show?"),
        (["plugins", "show"], f"iplog plugins show: takes the name of one plugin; {PLUGINS_USAGE}"),
    ],
)
def test_what_is_not_understood_is_one_clear_line(arguments, said, iplog):
    (iplog.folder / "here.pcap").touch()
    answer = iplog(*arguments)
    assert (answer.status, answer.output, answer.errors) == (2, "", f"{said}\n")


@pytest.mark.parametrize("line", ["--config x.toml config check", "config --config x.toml check", "config check --config=x.toml"])
def test_common_options_stand_before_or_after_the_command(line, iplog):
    (iplog.folder / "x.toml").write_text("batch_size = 5")
    assert iplog(*line.split()).output.startswith("x.toml: all is right")


def test_common_options_before_and_after_the_command_add_up(iplog):
    answer = iplog("--set", "batch_size=5", "config", "show", "--set", "queue_size=6")
    assert ("batch_size = 5  # command line" in answer.output, "queue_size = 6  # command line" in answer.output) == (True, True)


def test_with_nothing_installed_one_line_says_what_to_install(bare_iplog):
    answer = bare_iplog("read", "x.pcap")
    assert (answer.status, answer.errors) == (
        2,
        "no plugin is installed; pip install 'iplog[all]' installs those that come with iplog.\n",
    )


COMMAND = """
from iplog_core import hookimpl
iplog_api = 1

def hello(options):
    print("hello", options.who, options.settings.batch_size)
    return 1

@hookimpl
def iplog_commands(add):
    parser = add("hello", help="greet")
    parser.add_argument("who")
    parser.set_defaults(run=hello)
"""


def test_an_enabled_plugin_may_bring_a_command(site, iplog):
    site.install("ash", COMMAND)
    answer = iplog("--set", "batch_size=7", "hello", "world")
    assert (answer.status, answer.output, answer.errors) == (1, "hello world 7\n", "")


def test_a_disabled_plugin_brings_no_command(site, iplog):
    site.install("ash", COMMAND)
    assert iplog("hello", "world", "--disable", "ash").faults == ["hello: no such command. There are: read, interfaces, plugins, config."]


def test_an_unknown_command_tells_of_the_faults_that_may_hide_it(site, iplog):
    site.install("ash", "import nonexistent_module")
    answer = iplog("hello")
    assert [line.split(":")[0] for line in answer.faults] == ["hello", "ash 1.0 (iplog-plugin-ash)"]


@pytest.mark.parametrize("arguments", [["plugins"], ["config", "schema"], ["config", "init"]])
def test_a_closed_pipe_is_one_clear_line(arguments, iplog):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*iplog.command, *arguments], env=iplog.environment, cwd=iplog.folder, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "standard output: its reader closed it; what was not written is lost.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_clear_line(iplog):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*iplog.command, "plugins"], env=iplog.environment, cwd=iplog.folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "standard output: No space left on device; what was not written is lost.\n")


def test_every_public_name_can_be_fetched():
    assert [name for name in iplog_core.__all__ if not hasattr(iplog_core, name)] == []


def test_a_name_that_is_not_public_is_told_as_any_module_tells_it():
    with pytest.raises(AttributeError, match="module 'iplog_core' has no attribute 'Nonsense'"):
        _ = iplog_core.Nonsense
