"""Become another user and group, for good."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass

from iplog_core.errors import ConfigError, IplogError, did_you_mean

_NONE = 2**32 - 1
"""What the system calls take for "as it is"."""


@dataclass(frozen=True)
class Identity:
    """A user and a group to become. `uid` None: the user stays as it is. `name` is the user's, whose further groups are joined; None: there are none."""

    uid: int | None
    gid: int
    name: str | None

    def __str__(self) -> str:
        return f"group {self.gid}" if self.uid is None else f"user {self.name or self.uid}"

    def take(self) -> None:
        """Become this user, in every thread and without a way back. Raise IplogError where that is not permitted, or did not work."""
        if os.geteuid() != 0:
            if self._is_taken():
                return
            raise IplogError(f"{self}: only root can become another user or group; start iplog as root, or leave out user and group.")
        if self.name is None:
            os.setgroups([self.gid])
        else:
            os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        if self.uid is not None:
            os.setresuid(self.uid, self.uid, self.uid)
        if not self._is_taken() or (self.uid and (_works(os.setuid) or (self.gid and _works(os.setgid)))):
            raise IplogError(f"{self}: the rights of root could not be given up; nothing goes on with them.")

    def _is_taken(self) -> bool:
        return set(os.getresgid()) == {self.gid} and (self.uid is None or set(os.getresuid()) == {self.uid})


def find(user: str | None, group: str | None, subject: Callable[[str], str] = str) -> Identity | None:
    """Find the user and the group of these names or numbers; None where neither is set. Without a group, it is that of the user.

    Raise ConfigError where one is unknown; its lines begin with what `subject` returns for `user` or `group`.
    """
    if user is None and group is None:
        return None
    uid = gid = name = None
    faults: list[str] = []
    if user is not None:
        try:
            uid, gid, name = _user(user)
        except LookupError:
            faults.append(f"{subject('user')}: there is no user {user!r}.{did_you_mean(user, [entry.pw_name for entry in pwd.getpwall()])}")
    if group is not None:
        try:
            gid = _group(group)
        except LookupError:
            faults.append(f"{subject('group')}: there is no group {group!r}.{did_you_mean(group, [entry.gr_name for entry in grp.getgrall()])}")
    elif gid is None and not faults:
        faults.append(f"{subject('user')}: {user} is in no list of users, so that its group is unknown; set group, too.")
    if faults or gid is None:
        raise ConfigError(*faults)
    return Identity(uid, gid, name)


def _user(text: str) -> tuple[int, int | None, str | None]:
    """Return number, group and name of a user; of a number that has no entry, it alone. Raise LookupError."""
    try:
        entry = pwd.getpwnam(text)
    except KeyError:
        number = _number(text)
        try:
            entry = pwd.getpwuid(number)
        except KeyError:
            return number, None, None
    return entry.pw_uid, entry.pw_gid, entry.pw_name


def _group(text: str) -> int:
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return _number(text)


def _number(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < _NONE:
        return int(text)
    raise LookupError(text)


def _works(become: Callable[[int], None]) -> bool:
    """Whether root is still within reach."""
    try:
        become(0)
    except PermissionError:
        return False
    return True
