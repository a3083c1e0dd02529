"""`--kill` and `--restart` reach the running iplog, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from processes import program, wait_until

from iplog_core.errors import EXIT_OK, EXIT_PARTIAL
from iplog_core.process.control import kill, restart
from iplog_core.process.pidfile import running

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a process that has the pid file, and wait until it has it; `handler` is Python that handles a signal."""
    started: list[subprocess.Popen[str]] = []

    def start(handler: str) -> subprocess.Popen[str]:
        text = f"""
            import os, signal, sys
            from pathlib import Path
            from iplog_core.process.pidfile import PidFile
            def handle(number, frame):
                {handler}
            signal.signal(signal.SIGTERM, handle)
            signal.signal(signal.SIGHUP, handle)
            held = []
            with PidFile(Path("iplog.pid")) as file:
                print("taken", flush=True)
                while True:
                    signal.pause()
        """
        process = subprocess.Popen(program(text), cwd=path.parent, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def path() -> Iterator[Path]:
    """Where the pid file is: a folder that other users can enter, which those of pytest are not."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "iplog.pid"


def test_it_is_told_to_end_and_waited_for(path, start, capsys):
    process = start("raise SystemExit(number)")
    status = kill(path)
    said = capsys.readouterr()
    assert (status, said.out, said.err, process.wait(60)) == (EXIT_OK, f"iplog (process {process.pid}) has ended.\n", "", signal.SIGTERM)


def test_the_pid_file_is_gone_when_it_has_ended(path, start):
    start("raise SystemExit(0)")
    kill(path)
    assert not path.exists()


def test_one_that_does_not_end_is_not_waited_for_for_ever(path, start, capsys):
    process = start("pass")
    status = kill(path, patience=0.2)
    expected = f"{path}: iplog (process {process.pid}) has not ended within 0.2 s; kill -KILL {process.pid} ends it at once.\n"
    assert (status, capsys.readouterr().err, process.poll()) == (EXIT_PARTIAL, expected, None)


def test_its_successor_is_not_waited_for(path, start):
    process = start("file.close(); os.fork() and os._exit(0); held.append(PidFile(Path('iplog.pid')))")
    status = kill(path)
    wait_until(lambda: running(path))
    successor = running(path)
    assert successor is not None
    os.kill(successor, signal.SIGKILL)
    assert (status, successor == process.pid) == (EXIT_OK, False)


def test_restart_sends_hup(path, start, capsys):
    process = start("print(signal.Signals(number).name, flush=True)")
    status = restart(path)
    assert process.stdout is not None
    assert (status, process.stdout.readline()) == (EXIT_OK, "SIGHUP\n")


def test_restart_says_what_happens(path, start, capsys):
    process = start("pass")
    restart(path)
    assert capsys.readouterr().out == f"iplog (process {process.pid}) reads its configuration again.\n"


@pytest.mark.parametrize("tell", [kill, restart])
def test_where_nothing_runs_one_line_says_so(tell, path, capsys):
    assert (tell(path), capsys.readouterr()) == (EXIT_PARTIAL, ("", f"{path}: iplog is not running.\n"))


@pytest.mark.parametrize("tell", [kill, restart])
def test_a_process_whose_number_was_left_behind_is_let_be(tell, path, capsys):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        path.write_text(f"{bystander.pid}\n")
        assert (tell(path), bystander.poll()) == (EXIT_PARTIAL, None)
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("tell", ["kill", "restart"])
def test_another_user_is_told_that_only_root_may(tell, path, start):
    process = start("pass")
    text = f"""
        import os
        from pathlib import Path
        from iplog_core.errors import IplogError
        from iplog_core.process.control import {tell}
        os.setuid(65534)
        try:
            {tell}(Path("{path}"))
        except IplogError as error:
            print(error)
    """
    done = subprocess.run(program(text), capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{path}: iplog (process {process.pid}) belongs to another user; only root may tell it.\n"
