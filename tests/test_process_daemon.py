"""Going into the background: who waits for whom, and what the user sees and gets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from processes import program, run, wait_until

READY = """
    import json, os, pathlib, signal
    from iplog_core.process.daemon import detach
    before = os.getpid()
    readiness = detach()
    pathlib.Path("pid.new").write_text(str(os.getpid()))
    os.rename("pid.new", "pid")
"""
AFTERWARDS = """
    print("said before")
    readiness.ready()
    print("said behind")
    about = {
        "group": os.getpgid(0), "session": os.getsid(0), "folder": os.getcwd(), "umask": os.umask(0),
        "streams": [os.readlink(f"/proc/self/fd/{number}") for number in range(3)],
        "files": len(os.listdir("/proc/self/fd")),
    }
    pathlib.Path("about.new").write_text(json.dumps(about))
    os.rename("about.new", "about")
    signal.pause()
"""


def background(text: str) -> list[str]:
    """A program that goes into the background, leaves its number in the file `pid`, and goes on."""
    return program(dedent(READY) + dedent(text))


def process_in(folder: Path) -> int:
    wait_until((folder / "pid").exists)
    return int((folder / "pid").read_text())


def lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose background process, if there is one, is ended afterwards."""
    yield tmp_path
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.fixture
def about(folder: Path) -> dict[str, object]:
    """What a background process tells of itself once it is ready."""
    run(background(AFTERWARDS), folder)
    wait_until((folder / "about").exists)
    return dict(json.loads((folder / "about").read_text()))


def test_who_started_it_ends_with_status_0_once_it_is_ready(folder):
    assert run(background(AFTERWARDS), folder).returncode == 0


def test_it_goes_on_when_who_started_it_has_ended(folder):
    run(background(AFTERWARDS), folder)
    assert lives(process_in(folder))


def test_who_started_it_waits_until_it_is_ready(folder):
    os.mkfifo(folder / "go")
    started = subprocess.Popen(background("open('go').read(); readiness.ready(); signal.pause()"), cwd=folder)
    try:
        process_in(folder)
        waited = started.poll() is None
        (folder / "go").write_text("")
        assert (waited, started.wait(60)) == (True, 0)
    finally:
        started.kill()
        started.wait()


def test_what_it_says_before_it_is_ready_is_seen_and_nothing_later(folder):
    done = run(background(AFTERWARDS), folder)
    assert (done.stdout, done.stderr) == ("said before\n", "")


def test_what_was_said_before_it_went_to_the_background_is_said_once(folder):
    done = run(program("print('once', end=' '); from iplog_core.process.daemon import detach; detach().ready()"), folder)
    assert done.stdout == "once "


def test_it_cannot_get_a_terminal_back(about, folder):
    assert process_in(folder) not in (about["session"], about["group"])


def test_it_has_a_session_of_its_own(about):
    assert about["session"] != os.getsid(0)


def test_names_of_files_mean_what_they_meant(about, folder):
    assert about["folder"] == str(folder)


def test_what_it_writes_other_users_cannot_read(about):
    assert about["umask"] == 0o027


def test_its_standard_streams_lead_nowhere(about):
    assert about["streams"] == [os.devnull] * 3


def test_it_keeps_no_file_open_of_the_way_there(about):
    assert about["files"] == 4  # three streams, and the folder that is listed


@pytest.mark.parametrize("status", [0, 1, 2])
def test_its_status_is_that_of_who_started_it_where_it_ends_before_it_is_ready(status, folder):
    assert run(background(f"raise SystemExit({status})"), folder).returncode == status


def test_why_it_failed_stands_on_the_users_screen(folder):
    done = run(background("raise SystemExit('eth7: no such interface.')"), folder)
    assert (done.returncode, done.stderr) == (1, "eth7: no such interface.\n")


def test_that_it_was_killed_before_it_was_ready_is_said(folder):
    done = run(background("os.kill(os.getpid(), signal.SIGKILL)"), folder)
    assert (done.returncode, done.stderr) == (2, "the background process was ended by signal 9 (Killed) before it was ready.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_interrupted_while_waiting_takes_it_along(number, folder):
    heed = ["env", "--default-signal=INT,TERM,HUP"]  # a shell lets what it runs in the background ignore SIGINT
    started = subprocess.Popen([*heed, *background("signal.pause()")], cwd=folder, stderr=subprocess.PIPE, text=True)
    process = process_in(folder)
    started.send_signal(number)
    _, errors = started.communicate(timeout=60)
    wait_until(lambda: not lives(process))
    assert (started.returncode, errors, lives(process)) == (1, "interrupted.\n", False)


def test_a_terminal_that_closes_calls_nothing_off_under_nohup(folder):
    os.mkfifo(folder / "go")
    command = ["nohup", *background("open('go').read(); readiness.ready(); signal.pause()")]
    started = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process_in(folder)
    started.send_signal(signal.SIGHUP)
    (folder / "go").write_text("")
    assert started.wait(60) == 0


def test_a_start_without_standard_streams_loses_no_file_of_its_own(folder):
    # As the command does it: what Python finds closed is replaced, and takes the first free number.
    began = "import os, sys\nsys.stdout = sys.stderr = open(os.devnull, 'w')\n"
    then = "mine = os.open('mine', os.O_CREAT | os.O_RDWR)\nreadiness.ready()\nos.write(mine, b'kept')\n"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *program(began + dedent(READY) + then)]
    status = subprocess.run(command, cwd=folder, timeout=60).returncode
    wait_until(lambda: (folder / "mine").read_text())
    assert (status, (folder / "mine").read_text()) == (0, "kept")


def test_threads_of_numpy_do_not_get_in_the_way(folder):
    text = """
        import numpy
        from iplog_core.process.daemon import detach
        readiness = detach()
        numpy.ones((500, 500)) @ numpy.ones((500, 500))
        readiness.ready()
    """
    done = run(program(text), folder)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_where_no_process_can_be_started_one_line_says_so(folder):
    text = """
        import os, resource
        from iplog_core.errors import IplogError
        from iplog_core.process.daemon import detach
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.setuid(65534)  # root has no such limit
        try:
            detach()
        except IplogError as error:
            print(error)
    """
    assert run(program(text), folder).stdout == "the background: no process could be started: Resource temporarily unavailable.\n"
