"""The pid file: who has it, who may take it, and what it never does to another's files."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

import pytest
from processes import program, run

from iplog_core.errors import IplogError
from iplog_core.process.pidfile import DEFAULT, AlreadyRunning, PidFile, running

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
NOBODY = 65534

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program, and wait until it has written a line."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(program(text), cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "iplog.pid"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can enter, which those of pytest are not."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


HOLDER = """
    import os, sys
    from pathlib import Path
    from iplog_core.process.pidfile import PidFile
    file = PidFile(Path("iplog.pid"))
    print("taken", flush=True)
    sys.stdin.read()
"""


def fault(path: Path) -> str:
    with pytest.raises(IplogError) as caught:
        PidFile(path)
    return str(caught.value)


def test_it_holds_the_number_of_the_process(path):
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_everybody_may_read_it_whatever_the_umask(path):
    before = os.umask(0o077)
    try:
        with PidFile(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_it_is_gone_in_the_end(path):
    PidFile(path).close()
    assert not path.exists()


def test_it_is_gone_in_the_end_wherever_the_process_has_gone_to(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with PidFile(Path("iplog.pid")):
        monkeypatch.chdir("/")
    assert not path.exists()


def test_another_file_that_stands_there_in_the_end_stays(path):
    with PidFile(path):
        path.unlink()
        path.write_text("another's\n")
    assert path.read_text() == "another's\n"


def test_a_second_iplog_is_told_of_the_first(path, start):
    first = start(HOLDER)
    with pytest.raises(AlreadyRunning) as caught:
        PidFile(path)
    assert caught.value.faults == (f"{path}: iplog is already running (process {first.pid}); iplog --pid-file {path} --kill ends it.",)


def test_the_usual_pid_file_need_not_be_named_to_end_it():
    assert str(AlreadyRunning(DEFAULT, 123)) == "/run/iplog.pid: iplog is already running (process 123); iplog --kill ends it."


def test_a_refused_second_leaves_the_file_of_the_first(path, start):
    first = start(HOLDER)
    with pytest.raises(AlreadyRunning):
        PidFile(path)
    assert path.read_text() == f"{first.pid}\n"


def test_a_file_left_behind_is_taken_over(path, start):
    first = start(HOLDER)
    first.kill()
    first.wait()
    left_behind = path.exists()
    with PidFile(path):
        assert (left_behind, path.read_text()) == (True, f"{os.getpid()}\n")


def test_a_longer_number_left_behind_leaves_no_digit(path):
    path.write_text("4194304999\n")
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_number_in_a_file_without_a_lock_means_nothing(path):
    path.write_text(f"{os.getpid()}\n")
    assert running(path) is None


def test_without_a_file_nothing_runs(path):
    assert running(path) is None


def test_the_lock_and_the_number_tell_who_runs(path, start):
    first = start(HOLDER)
    assert running(path) == first.pid


def test_of_many_that_start_at_once_one_has_it(path):
    text = """
        import sys
        from pathlib import Path
        from iplog_core.process.pidfile import AlreadyRunning, PidFile
        sys.stdin.readline()
        try:
            file = PidFile(Path("iplog.pid"))
            print("taken", flush=True)
        except AlreadyRunning:
            print("refused", flush=True)
        sys.stdin.readline()
    """
    started = [subprocess.Popen(program(text), cwd=path.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(6)]
    said = []
    for process in started:
        assert process.stdin
        process.stdin.write("go\n")
    for process in started:
        assert process.stdout
        said.append(process.stdout.readline().strip())
    for process in started:
        process.communicate("end\n")
    assert sorted(said) == ["refused"] * 5 + ["taken"]


def test_who_just_looks_does_not_keep_another_from_starting(path):
    path.touch()
    with open(path) as looks:
        flock(looks, LOCK_SH)
        Timer(0.1, lambda: flock(looks, LOCK_UN)).start()
        with PidFile(path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_a_file_removed_between_opening_and_locking_is_made_anew(path, monkeypatch):
    def remove_then_lock(file: int, kind: int) -> None:
        path.unlink()
        monkeypatch.undo()
        flock(file, kind)

    monkeypatch.setattr("iplog_core.process.pidfile.flock", remove_then_lock)
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("number", ["", "0\n", "1x\n", "-1\n", "4194304999\n", "12", "\n7\n"])
def test_a_lock_without_the_number_of_a_process_is_nobody_to_be_killed(number, path, monkeypatch):
    monkeypatch.setattr("iplog_core.process.pidfile._PATIENCE", 0.1)
    path.write_text(number)
    with open(path) as other:
        flock(other, LOCK_EX)
        with pytest.raises(IplogError, match=r"iplog\.pid: it is locked, and by no process that it names; nothing was done\."):
            running(path)


@needs_root
def test_a_number_that_a_user_wrote_of_anothers_process_is_not_believed(path, monkeypatch):
    monkeypatch.setattr("iplog_core.process.pidfile._PATIENCE", 0.1)
    path.write_text("1\n")
    os.chown(path, NOBODY, NOBODY)
    with open(path) as other:
        flock(other, LOCK_EX)
        with pytest.raises(IplogError, match="by no process that it names"):
            running(path)


@needs_root
def test_a_users_own_iplog_is_known_to_root(shared, start):
    os.chown(shared, NOBODY, NOBODY)
    first = start(HOLDER.replace("file =", f"os.chdir('{shared}'); os.setuid({NOBODY}); file ="))
    assert running(shared / "iplog.pid") == first.pid


@needs_root
def test_another_users_file_is_not_taken(path):
    path.touch()
    os.chown(path, NOBODY, NOBODY)
    assert fault(path) == f"{path}: it belongs to another user (65534); remove it, or name another file with --pid-file."


def test_a_symbolic_link_is_not_followed(path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.symlink_to(victim)
    assert (fault(path), victim.read_text()) == (f"{path}: a symbolic link; expected a file, or nothing.", "precious")


def test_a_hard_link_is_not_written(path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.hardlink_to(victim)
    assert (fault(path), victim.read_text()) == (f"{path}: no ordinary file; expected one of iplog's own, or nothing.", "precious")


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    assert fault(path) == f"{path}: no ordinary file; expected one of iplog's own, or nothing."


def test_a_folder_is_no_pid_file(path):
    path.mkdir()
    assert fault(path) == f"{path}: a folder; expected a file, or nothing."


def test_a_folder_that_is_not_there_is_named(path):
    missing = path.parent / "missing" / "iplog.pid"
    assert fault(missing) == f"{missing}: there is no such folder."


@needs_root
def test_where_nothing_may_be_written_it_says_what_may_be_done(shared):
    text = f"""
        import os
        from pathlib import Path
        from iplog_core.errors import IplogError
        from iplog_core.process.pidfile import PidFile
        os.setuid({NOBODY})
        try:
            PidFile(Path("{shared}/iplog.pid"))
        except IplogError as error:
            print(error)
    """
    said = run(program(text), shared).stdout
    assert said == f"{shared}/iplog.pid: permission denied; root may, or name another file with --pid-file.\n"


@needs_root
def test_without_the_right_to_remove_it_an_empty_file_stays(shared, start):
    text = HOLDER.replace("file =", f"os.chdir('{shared}'); file =").replace("print(", f"os.setuid({NOBODY}); print(")
    start(f"{text}    file.close()\n").communicate("")
    path = shared / "iplog.pid"
    assert (path.read_text(), running(path)) == ("", None)


def test_a_process_that_is_killed_leaves_no_lock(path, start):
    first = start(HOLDER)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert running(path) is None
