"""What is known from one run to the next, in a file of plain values and arrays.

The file is a ZIP of `header.json` and an array in NumPy's own format (NEP 1) for each number that the header names, so that `numpy.load` shows what is in
it. Nothing of it is ever run: pickle is refused. It is written beside the one before and takes its name when it is whole and on the disk.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from iplog_core import __version__
from iplog_core.authors import reason
from iplog_core.errors import IplogError
from iplog_core.kernel.flows import Flows, layout
from iplog_core.tracker import empty_rows, saved_rows

FORMAT = "iplog state"
VERSION = 1

NO_INTERFACE = 0xFFFF
"""What rows have as their interface where this run has none of that name."""

_HEADER = "header.json"
_ARRAY = "$array"
_LARGEST = 4 << 30
_LATEST = 1 << 62

Arrays = list[NDArray[Any]]


@dataclass
class Known:
    """What a run knew when its clock stood at `clock` (ns) and it had seen `packets` packets, counted over all runs.

    `parts` are by their names, such as `flows` or `detectors/tcp_scan`, what `put` made of plain values and arrays. A field `interface` of their rows is the
    number of a name in `interfaces`.
    """

    clock: int
    packets: int
    interfaces: list[str]
    parts: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=list)

    def put(self, name: str, part: dict[str, Any]) -> None:
        """Add a part. Raise TypeError where something in it is neither plain nor an array."""
        before = len(self.arrays)
        try:
            self.parts[name] = _packed(part, self.arrays)
        except BaseException:
            del self.arrays[before:]
            raise

    def take(self, name: str) -> dict[str, Any] | None:
        """Take a part away, with tuples for its lists; None where it is not there. Raise ValueError where it names an array that is not there."""
        part: dict[str, Any] | None = _unpacked(self.parts.pop(name, None), self.arrays)
        return part

    def renumber(self, interfaces: Sequence[str]) -> None:
        """Let rows have the numbers that their interfaces have among those of another run."""
        here = list(interfaces)
        numbers = np.full(NO_INTERFACE + 1, NO_INTERFACE, np.uint16)
        for number, name in enumerate(self.interfaces[:NO_INTERFACE]):
            if name in here:
                numbers[number] = here.index(name)
        for array in self.arrays:
            _renumber(array, numbers)


class StateFile:
    """The file of `--state`. `note` takes lines about what is wrong with it."""

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self.path = path
        self._file = Path(os.path.realpath(path)) if path.is_symlink() else path
        self._part = self._file.with_name(f"{self._file.name}.part")
        self._note = note
        self._writing: threading.Thread | None = None
        self._failed = False

    def open(self) -> Known | None:
        """Return what the file has; None where it is not there, or cannot be what it should be: it is set aside then.

        Raise IplogError where it may not be read, or not be written later.
        """
        try:
            os.close(self._open_part())
            os.unlink(self._part)
        except OSError as error:
            raise IplogError(f"state: {self.path}: it could not be written: {error.strerror}; its folder must be there, and belong to iplog's user.") from None
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IplogError(f"state: {self.path}: it cannot be read: {error.strerror}.") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IplogError(f"state: {self.path}: no file; expected the name of one, or of none yet.")
        with open(descriptor, "rb") as file:
            try:
                return _read(zipfile.ZipFile(file))
            except (Exception, RecursionError) as error:  # whatever stands in it
                self.set_aside(_why(error))
                return None

    def set_aside(self, why: str) -> None:
        """Keep the file under another name, so that a new one can take its place, and say why."""
        aside = self._aside()
        try:
            os.replace(self._file, aside)
        except OSError as error:
            self._note(f"state: {self.path}: {why}; it is left alone, and would be kept as {aside}, but: {error.strerror}.")
        else:
            self._note(f"state: {self.path}: {why}; it is kept as {aside}, and what it knew is left out.")

    def hand_over(self, uid: int, gid: int) -> None:
        """Let the file belong to a user and a group (-1: as it is), where it is there."""
        with suppress(FileNotFoundError):
            os.chown(self._file, uid, gid, follow_symlinks=False)

    def save(self, known: Known) -> None:
        """Write what is known, on a thread of its own; not at all while that has not written the last."""
        if self._writing and self._writing.is_alive():
            return
        self._writing = threading.Thread(target=self._save, args=(known,), name="state", daemon=True)
        self._writing.start()

    def save_now(self, known: Known) -> None:
        """Write what is known. Raise OSError where that cannot be."""
        if self._writing:
            self._writing.join()
        self._write(known)

    def _save(self, known: Known) -> None:
        try:
            self._write(known)
            self._failed = False
        except Exception as error:
            if not self._failed:
                self._note(f"state: {self.path}: it cannot be written: {cause(error)}; that of before stays.")
            self._failed = True

    def _write(self, known: Known) -> None:
        try:
            with open(self._open_part(), "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    with _member(archive, _HEADER) as member:
                        member.write(_header(known))
                    for number, array in enumerate(known.arrays):
                        with _member(archive, f"{number}.npy") as member:
                            _write_array(member, array)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._part, self._file)
        except BaseException:
            with suppress(OSError):
                os.unlink(self._part)
            raise
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _aside(self) -> Path:
        """A name for what is damaged that nothing has."""
        names = (f"{self._file.name}.damaged{number}" for number in chain([""], (f".{n}" for n in count(2))))
        return next(path for path in map(self._file.with_name, names) if not os.path.lexists(path))

    def _open_part(self) -> int:
        with suppress(FileNotFoundError):
            os.unlink(self._part)
        return os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def cause(error: Exception) -> str:
    """Why something could not be written."""
    return error.strerror if isinstance(error, OSError) and error.strerror else reason(error)


def saved_flows(flows: Flows) -> dict[str, Any]:
    """Return the flows and the contacts of a table."""
    rows, contacts = empty_rows(len(flows), _FLOW), empty_rows(flows.contact_count, _CONTACT)
    flows.dump(rows, contacts)
    return {"flows": rows, "contacts": contacts}


def restore_flows(flows: Flows, saved: dict[str, Any] | None, now: int) -> bool:
    """Put what `saved_flows` returned when the clock stood at `now` into an empty table. Return False where that is smaller, and the oldest are left out.

    Raise ValueError where it cannot be what was saved.
    """
    if saved is None:
        raise ValueError("there are none")
    rows, contacts = saved_rows(saved["flows"], _FLOW), saved_rows(saved["contacts"], _CONTACT)
    flows.load(_newest(rows, flows.capacity), _newest(contacts, flows.contact_capacity), now)
    return len(rows) <= flows.capacity and len(contacts) <= flows.contact_capacity


_FLOW, _CONTACT = (np.asarray(row).dtype for row in layout())


def _newest(rows: NDArray[Any], most: int) -> NDArray[Any]:
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.argsort(rows["time"], kind="stable")[len(rows) - most :])]


class _NotOurs(Exception):  # noqa: N818
    """Why a file that is whole is none to read."""


def _why(error: BaseException) -> str:
    if isinstance(error, _NotOurs):
        return str(error)
    if isinstance(error, zipfile.BadZipFile):
        return "it is damaged, or no state of iplog"
    return f"it is damaged ({type(error).__name__}: {error})"


def _read(archive: zipfile.ZipFile) -> Known:
    """Read a state. Whatever is wrong with it is an exception of some sort."""
    if sum(info.file_size for info in archive.infolist()) > _LARGEST:
        raise _NotOurs("it is larger than any state of iplog")
    if _HEADER not in archive.namelist():
        raise _NotOurs("it is no state of iplog")
    header = json.loads(archive.read(_HEADER))
    if header["format"] != FORMAT:
        raise _NotOurs("it is no state of iplog")
    if header["version"] != VERSION:
        raise _NotOurs(f"iplog {header['iplog']} wrote it in form {header['version']}, and this is iplog {__version__}, which reads {VERSION}")
    arrays = []
    for number in range(header["arrays"]):
        with archive.open(f"{number}.npy") as member:
            arrays.append(_read_array(member))
    known = Known(header["clock"], header["packets"], header["interfaces"], header["parts"], arrays)
    if not all(isinstance(count, int) and 0 <= count < _LATEST for count in (known.clock, known.packets)):
        raise ValueError("a time or a count that none can be")
    if not isinstance(known.interfaces, list) or not all(isinstance(name, str) for name in known.interfaces):
        raise ValueError("interfaces that have no names")
    if not all(isinstance(part, dict) for part in known.parts.values()):
        raise ValueError("a part of it is not what it should be")
    return known


def _header(known: Known) -> bytes:
    about = {"format": FORMAT, "version": VERSION, "iplog": __version__, "clock": known.clock, "packets": known.packets}
    return json.dumps({**about, "interfaces": known.interfaces, "arrays": len(known.arrays), "parts": known.parts}).encode()


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name)  # without the time of day: the same state is the same file
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


# NumPy's own functions would fill the bytes between the fields of rows with what happens to be in memory, and a file with what is none of its business.


def _write_array(member: IO[bytes], array: NDArray[Any]) -> None:
    rows = np.asarray(array, order="C")
    np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(rows))
    member.write(rows.reshape(-1).view(np.uint8).data)


def _read_array(member: IO[bytes]) -> NDArray[Any]:
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("an array in a form that iplog does not write")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    if dtype.hasobject:
        raise ValueError("an array that would have to be unpickled")
    return np.frombuffer(bytearray(member.read()), dtype).reshape(shape)


def _packed(value: Any, arrays: Arrays) -> Any:
    """Return a value as JSON has it, with its arrays added to `arrays`. Raise TypeError for one that has no place in a state."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_packed(item, arrays) for item in value]
        case dict():
            if not all(isinstance(key, str) for key in value) or _ARRAY in value:
                raise TypeError(f"a table whose names are not all text, or one of which is {_ARRAY}")
            return {key: _packed(item, arrays) for key, item in value.items()}
        case np.ndarray() if not value.dtype.hasobject:
            arrays.append(value)
            return {_ARRAY: len(arrays) - 1}
        case np.generic():
            return _packed(value.item(), arrays)
    raise TypeError(f"a value of type {type(value).__name__}")


def _unpacked(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return tuple(_unpacked(item, arrays) for item in value)
    if isinstance(value, dict):
        if _ARRAY in value:
            number = value[_ARRAY]
            if type(number) is not int or not 0 <= number < len(arrays):
                raise ValueError("an array that is not there")
            return arrays[number]
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    return value


def _renumber(array: NDArray[Any], numbers: NDArray[np.uint16]) -> None:
    for name in array.dtype.names or ():
        if name == "interface" and array.dtype[name] == np.uint16:
            array[name] = numbers[array[name]]
        else:
            _renumber(array[name], numbers)
