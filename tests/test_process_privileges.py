"""Becoming another user: who is known, what is given up, and that it is for good."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path
from textwrap import dedent, indent

import pytest
from processes import program

from iplog_core.errors import ConfigError
from iplog_core.process.privileges import Identity, find

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
NOBODY = pwd.getpwnam("nobody")


def faults(user: str | None, group: str | None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        find(user, group)
    return caught.value.faults


def after_becoming(user: str | None, group: str | None, question: str, before: str = "") -> str:
    """What a process that has become another answers; what is imported later might be out of its reach."""
    text = f"""
        import os, threading
        from iplog_core.errors import IplogError
        from iplog_core.process.privileges import find
        {indent(dedent(before), " " * 8).strip()}
        identity = find({user!r}, {group!r})
        try:
            identity.take()
            print({question})
        except IplogError as error:
            print(error)
    """
    done = subprocess.run(program(text), capture_output=True, text=True, timeout=60)
    return done.stdout.strip() + done.stderr


def test_without_user_and_group_there_is_nobody_to_become():
    assert find(None, None) is None


def test_a_user_brings_the_group():
    assert find("nobody", None) == Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")


def test_a_group_that_is_named_comes_before_that_of_the_user():
    assert find("nobody", "daemon") == Identity(NOBODY.pw_uid, grp.getgrnam("daemon").gr_gid, "nobody")


def test_a_group_alone_leaves_the_user():
    assert find(None, "daemon") == Identity(None, grp.getgrnam("daemon").gr_gid, None)


def test_a_number_is_the_user_who_has_it():
    assert find(str(NOBODY.pw_uid), None) == find("nobody", None)


def test_numbers_that_nobody_has_will_do_together():
    assert find("3999999999", "3999999998") == Identity(3999999999, 3999999998, None)


def test_a_number_that_nobody_has_needs_a_group():
    assert faults("3999999999", None) == ("user: 3999999999 is in no list of users, so that its group is unknown; set group, too.",)


def test_unknown_names_are_told_both_at_once():
    assert faults("nobdoy", "daemno") == (
        "user: there is no user 'nobdoy'. Did you mean nobody?",
        "group: there is no group 'daemno'. Did you mean daemon?",
    )


@pytest.mark.parametrize("text", ["", "-1", "4294967295", "99999999999", "1e3", "٣"])
def test_what_would_leave_everything_as_it_is_or_is_no_number_is_no_user(text):
    assert faults(text, "0")[0].startswith(f"user: there is no user {text!r}.")


@needs_root
def test_all_three_user_numbers_change():
    assert after_becoming("nobody", None, "os.getresuid()") == str((NOBODY.pw_uid,) * 3)


@needs_root
def test_all_three_group_numbers_change():
    assert after_becoming("nobody", "daemon", "os.getresgid()") == str((grp.getgrnam("daemon").gr_gid,) * 3)


@needs_root
def test_no_further_group_of_root_is_kept():
    assert after_becoming("nobody", None, "os.getgroups()", before="os.setgroups([0, 4, 6])") == f"[{NOBODY.pw_gid}]"


@needs_root
def test_a_number_without_a_name_has_its_group_alone():
    assert after_becoming("4242", "4343", "os.getgroups()", before="os.setgroups([0, 4, 6])") == "[4343]"


@needs_root
def test_no_capability_is_kept():
    assert after_becoming("nobody", None, "open('/proc/self/status').read().partition('CapPrm:')[2].split()[0]") == "0" * 16


@needs_root
def test_threads_that_run_already_change_too():
    before = """
        go, threads = threading.Event(), []
        thread = threading.Thread(target=lambda: (go.wait(), threads.append(open('/proc/thread-self/status').read())))
        thread.start()
    """
    question = "(go.set(), thread.join(), threads[0].partition('Uid:')[2].split()[:4])[-1]"
    assert after_becoming("nobody", None, question, before) == str([str(NOBODY.pw_uid)] * 4)


@needs_root
def test_a_way_back_ends_everything():
    # With SECBIT_NO_SETUID_FIXUP the kernel leaves root's capabilities to whom it becomes (capabilities(7)).
    before = "import ctypes; ctypes.CDLL(None).prctl(28, 4, 0, 0, 0)"
    assert after_becoming("nobody", None, "'went on'", before) == "user nobody: the rights of root could not be given up; nothing goes on with them."


@needs_root
def test_another_user_than_root_can_become_nobody_else():
    said = after_becoming("nobody", None, "'went on'", before="os.setuid(4242)")
    assert said == "user nobody: only root can become another user or group; start iplog as root, or leave out user and group."


@needs_root
def test_who_is_that_user_already_needs_no_rights():
    assert after_becoming("nobody", None, "'went on'", before=f"os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})") == "went on"


@needs_root
def test_a_group_alone_is_taken_by_root():
    assert after_becoming(None, "daemon", "(os.getuid(), os.getgid())") == str((0, grp.getgrnam("daemon").gr_gid))


@needs_root
def test_a_file_that_is_open_stays_open(tmp_path: Path):
    before = f"log = open('{tmp_path}/log', 'w')"
    after_becoming("nobody", None, "log.write('kept')", before)
    assert (tmp_path / "log").read_text() == "kept"
