"""What every detector must keep to."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from iplog_core.batch import PacketBatch, RawBatch
from iplog_core.detector import Detector
from iplog_core.errors import ConfigError
from iplog_core.events import Alert, Event, Severity
from iplog_core.lines import Lines
from iplog_core.memory import least_memory, share_out
from iplog_core.settings import DetectorSettings
from iplog_core.sink import SinkContext
from iplog_core.state import Known, StateFile
from iplog_core.testing.conformance.growth import from_ever_new_addresses, kept_beside_trackers, trackers_of_its_own
from iplog_core.testing.conformance.plugins import PluginConformance, difference, fail
from iplog_core.testing.malformed import malformed_packets
from iplog_core.testing.packets import Frame, nanoseconds
from iplog_core.testing.run import run_engine
from iplog_core.testing.source import MemorySource, Packets, in_order, raw_batch

if TYPE_CHECKING:
    from iplog_core.capture.source import Source

_DAY = 86400 * 10**9
_CUTS = (0.25, 0.5, 0.75)
_LINE_FIELDS = {"proto", "src", "sport", "dst", "dport", "to"}
_GARBAGE: tuple[Any, ...] = (None, -1, 2**70, 0.5, "text", (), {}, (1, "two", None), np.arange(3), np.zeros(2, "S3"))


class DetectorConformance(PluginConformance):
    """Subclass it as `Test...`, say which `detector`, and give `packets` over which it raises an alert. A dozen or a hundred of them will do."""

    detector: ClassVar[type[Detector[Any]]]

    rounds: ClassVar[int] = 200
    """How often `packets` are repeated, each time between other hosts, to see whether what the detector keeps grows with them."""

    def packets(self) -> Packets:
        """Return packets over which the detector raises at least one alert, or logs records where it has no kinds of alerts."""
        fail(f"{type(self).__name__} has no packets.", "a method packets(self) that returns packets over which the detector raises at least one alert.")

    # What it says.

    def test_it_raises_an_alert_over_its_packets(self) -> None:
        events = self._events(self._frames())
        if not (events if not self._kinds else _alerts(events)):
            fail(f"{self._name} raises no alert over packets().", "packets over which there is at least one: the other checks look at it.")

    def test_its_alerts_are_of_the_kinds_that_it_declares(self) -> None:
        if unknown := sorted({alert.kind for alert in _alerts(self._events(self._frames()))} - self._kinds.keys()):
            fail(
                f"{self._name} raises {', '.join(unknown)}, and declares {', '.join(self._kinds) or 'no kind'}.",
                f'kinds = {{"{unknown[0]}": AlertKind("NAME FOR PEOPLE", "low"), ...}} with each kind that it raises.',
            )

    def test_each_kind_has_a_name_a_severity_and_a_line(self) -> None:
        for kind, about in self._kinds.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
                fail(f"The kind {kind!r} is no name.", "small letters, digits and underscores: it stands in `mute`, and in JSON.")
            if not about.signature.strip():
                fail(f"The kind {kind} has no signature.", 'a name for people, such as "TCP: port scan".')
            if about.severity not in get_args(Severity):
                fail(f"The kind {kind} has the severity {about.severity!r}.", f"one of {', '.join(get_args(Severity))}.")
            if unknown := set(re.findall(r"\{(\w+)\}", about.line or "")) - _LINE_FIELDS:
                fail(f"The line of {kind} has {{{'}, {'.join(sorted(unknown))}}}, which is no field.", f"fields out of {', '.join(sorted(_LINE_FIELDS))}.")

    def test_each_alert_has_a_signature_a_severity_and_a_line_of_text(self) -> None:
        lines = Lines(SinkContext())
        for alert in _alerts(self._events(self._frames())):
            if not alert.signature.strip() or alert.severity not in get_args(Severity):
                fail(
                    f"An alert of the kind {alert.kind} has the signature {alert.signature!r} and the severity {alert.severity!r}.",
                    f"a name for people, and one of {', '.join(get_args(Severity))}.",
                )
            try:
                _, text = lines.of(alert)
            except Exception as error:
                fail(f"The line of {_told(alert)} cannot be made: {type(error).__name__}: {error}", "evidence of the types that `Evidence` has.")
            if alert.state == "start" and not any(line.strip() for line in text):
                fail(f"{_told(alert)} has no line.", "a `line` of its kind that says something, or none.")

    def test_each_episode_starts_once_and_ends_once(self) -> None:
        episodes: dict[str, list[Alert]] = {}
        for alert in _alerts(self._events(self._frames())):
            episodes.setdefault(alert.id, []).append(alert)
        for told in episodes.values():
            states = [alert.state for alert in told]
            if states != ["start", *["update"] * (len(states) - 2), "end"]:
                fail(f"{_told(told[0])} goes {', '.join(states)}.", "a start, updates if there are any, an end, all with the same id: pass on each episode.")
            if len({(alert.kind, alert.first_seen) for alert in told}) > 1:
                fail(f"{_told(told[0])} changes its kind or its first_seen.", "what its id is made of stays the same to its end.")
            if any(later.packets < alert.packets or later.time < alert.time for alert, later in pairwise(told)):
                fail(f"{_told(told[0])} has fewer packets, or an earlier time, than it was told with before.", "totals and times that only grow.")

    # Nothing depends on how it is run.

    def test_another_run_tells_the_same(self) -> None:
        frames = self._frames()
        self._compare(self._events(frames), self._events(frames), "A second run", "nothing that differs from run to run: no wall clock, no random numbers.")

    @pytest.mark.parametrize("batch_size", [1, 7, 256])
    def test_the_size_of_a_batch_changes_nothing(self, batch_size: int) -> None:
        frames = self._frames()
        found = self._events(frames, batch_size)
        right = "the same whatever the batch: let a tracker count, call its `update` for each batch, and keep nothing from one batch to the next in masks."
        self._compare(self._events(frames), found, f"With batches of {batch_size} packets, and not one of all of them,", right)

    def test_memory_that_is_allotted_anew_changes_nothing(self) -> None:
        frames = self._frames()

        def allot(detector: Detector[Any], batch: PacketBatch, number: int) -> None:
            least = least_memory(detector.trackers) if detector.trackers else 1
            share_out(2 * max(least, 16) >> number % 2, detector.trackers, batch.now)

        found = self._events(frames, _some(frames), between=allot)
        right = "the same: hold on to the tracker, not to what is in it; make all trackers in `setup`."
        self._compare(self._events(frames), found, "Where the memory is shared out anew after each batch", right)

    def test_time_that_passes_without_packets_changes_nothing(self) -> None:
        frames = self._frames()
        found = self._run(_Ticking(frames, _some(frames)))
        right = "the same: an empty batch is only time that passes; call `update` of each tracker for it as well, and take time from `batch.now`."
        self._compare(self._events(frames), found, "With empty batches between the others, as on a quiet line,", right)

    # What it keeps.

    @pytest.mark.parametrize("part", _CUTS)
    def test_it_goes_on_after_it_was_saved_and_restored(self, part: float, tmp_path: Path) -> None:
        frames = self._frames()
        self._compare_with_two_runs(frames, round(part * len(frames)), tmp_path)

    def test_an_episode_that_was_open_when_it_was_saved_goes_on(self, tmp_path: Path) -> None:
        frames = self._frames()
        if starts := [alert for alert in _alerts(self._events(frames)) if alert.state == "start"]:
            self._compare_with_two_runs(frames, sum(frame.time <= starts[0].time for frame in frames), tmp_path)

    def test_what_it_saves_are_plain_values(self) -> None:
        def save(detector: Detector[Any], batch: PacketBatch, number: int) -> None:
            try:
                Known(0, 0, []).put("it", detector.save())
            except TypeError as error:
                fail(f"What {self._name}.save returns cannot be kept: {error}.", "numbers, texts, None and numpy arrays, and lists and tables of them.")

        self._events(frames := self._frames(), _some(frames), between=save)

    def test_what_it_saved_does_not_change_later(self) -> None:
        taken: list[tuple[dict[str, Any], bytes]] = []

        def save(detector: Detector[Any], batch: PacketBatch, number: int) -> None:
            saved = detector.save()
            taken.append((saved, pickle.dumps(saved)))

        self._events(frames := self._frames(), _some(frames), between=save)
        if any(pickle.dumps(saved) != before for saved, before in taken):
            fail(f"What {self._name}.save returned changed while the detector went on; it is written meanwhile.", "copies of lists, tables and arrays.")

    def test_other_settings_do_no_harm_to_what_was_saved(self, tmp_path: Path) -> None:
        frames = self._frames()
        begin, rest = _halves(frames)
        self._run(MemorySource(begin), state=self._state(tmp_path))
        whole = (tmp_path / "state").read_bytes()
        for name, value in self._other_values():
            try:
                settings = self._model(**{**self.settings, name: value})
            except ValidationError:
                continue
            (tmp_path / "state").write_bytes(whole)
            notes: list[str] = []
            try:
                self._run(MemorySource(rest), settings=settings, state=StateFile(tmp_path / "state", notes.append))
            except ConfigError:
                continue  # there is not memory enough for that
            if notes:
                right = (
                    "what super().restore and self.goes_on(tracker) tell is left out, is left out by the detector too; no exception, since nothing is wrong."
                )
                fail(f"What was saved with {name} = {getattr(self._validated(self.settings), name)!r} raises with {name} = {value!r}: {notes[0]}", right)

    def test_what_it_cannot_have_saved_does_no_harm(self, tmp_path: Path) -> None:
        frames = self._frames()
        begin, rest = _halves(frames)
        self._run(MemorySource(begin), state=self._state(tmp_path))
        known = StateFile(tmp_path / "state", fail_to_read).open()
        assert known is not None
        if (saved := known.take(f"detectors/{self._name}")) is None:
            return  # that it cannot be saved at all, another check tells
        for what, wrong in _spoilt(saved):
            spoilt = replace(known, parts=dict(known.parts), arrays=list(known.arrays))
            spoilt.put(f"detectors/{self._name}", wrong)
            self._state(tmp_path).save_now(spoilt)
            right = "restore raises ValueError for what save cannot have returned; then iplog starts the detector afresh."
            self._run(MemorySource(rest), state=StateFile(tmp_path / "state", _unheard), about=f"after it was restored from what has {what}", right=right)
            for path in tmp_path.glob("state.damaged*"):
                path.unlink()

    def test_what_it_keeps_is_bounded(self) -> None:
        frames = self._frames()
        few, many = self._kept_after(frames, self.rounds), self._kept_after(frames, 2 * self.rounds)
        if many - few > self.rounds // 4:
            fail(
                f"{self._name} keeps {few:,} entries beside its trackers after packets() between {self.rounds} sets of hosts, {many:,} after twice as many.",
                "what is known of hosts and ports is in trackers, or leaves with what a tracker ends; whoever chooses addresses at random fills anything else. "
                "Where it is bounded otherwise, let `rounds` be so many that the bound is reached.",
            )

    # What it is given.

    def test_it_survives_malformed_packets(self) -> None:
        frames = self._frames()
        begin = max((frame.time for frame in frames), default=0)
        later = malformed_packets(at=(begin - nanoseconds(0)) / 1e9 + 1)
        span = later[-1].time - min((frame.time for frame in frames), default=0) + 1
        given = [*frames, *later, *(replace(frame, time=frame.time + span) for frame in frames)]
        if self._raised(given):
            low, high = 0, len(given)  # it survives the first `low` packets, and not the first `high`
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._raised(given[:middle]) else (middle, high)
            frame = given[high - 1]
            fail(
                f"{self._name} raises at a packet of link type {int(frame.link)}, {frame.data.hex(' ')}:\n{self._raised(given[:high])}",
                "no exception, whatever is on the line: columns are 0 where a packet has no such field; `packet.frame` begins with what the link has, "
                "and may hold bytes where a packet was expected.",
            )

    # How all that is done.

    @property
    def _plugin(self) -> type[Detector[Any]]:
        if not hasattr(self, "detector"):
            fail(f"{type(self).__name__} does not say what it tests.", "detector = TheClass")
        return self.detector

    @property
    def _base(self) -> type[DetectorSettings]:
        return DetectorSettings

    @property
    def _name(self) -> str:
        return str(self._plugin.name)

    @property
    def _kinds(self) -> dict[str, Any]:
        return dict(self._plugin.kinds_of(self._validated(self.settings)))

    def _frames(self) -> list[Frame]:
        return in_order(self.packets())

    def _events(self, frames: Sequence[Frame], batch_size: int = 0, between: _Between | None = None) -> list[Event]:
        return self._run(MemorySource(frames, batch_size or max(1, len(frames))), between=between)

    def _run(
        self,
        source: Source,
        *,
        between: _Between | None = None,
        settings: Any = None,
        state: StateFile | None = None,
        about: str = "over packets()",
        right: str = "no exception.",
    ) -> list[Event]:
        cls = _watched(self._plugin, between) if between else self._plugin
        try:
            return run_engine(cls, settings or self._validated(self.settings), source, state=state)
        except RuntimeError as error:
            fail(f"{self._name} raises {about}:\n{error}", right)

    def _raised(self, frames: Sequence[Frame]) -> str:
        try:
            run_engine(self._plugin, self._validated(self.settings), MemorySource(frames, 64))
        except RuntimeError as error:
            return str(error)
        return ""

    def _compare(self, there: Sequence[Event], here: Sequence[Event], what: str, right: str) -> None:
        if found := difference(there, here):
            fail(f"{what} {self._name} tells something else: {found}", right)

    def _state(self, folder: Path) -> StateFile:
        return StateFile(folder / "state", fail_to_read)

    def _compare_with_two_runs(self, frames: list[Frame], cut: int, folder: Path) -> None:
        """A day after the last packet everything has ended that ends."""
        whole = self._run(_WithRest(frames), state=StateFile(folder / "whole", fail_to_read))
        notes: list[str] = []
        halves = [StateFile(folder / "state", notes.append) for _ in range(2)]
        told = self._run(MemorySource(frames[:cut]), state=halves[0]) + self._run(_WithRest(frames[cut:], since=frames[cut - 1].time), state=halves[1])
        right = "save returns all that it goes on with (super().save() has the trackers), restore takes it."
        if notes:
            fail(f"{self._name} cannot be restored from what it saved: {notes[0]}", right)
        self._compare(whole, told, f"Saved after packet {cut} of {len(frames)}, and restored in another run,", right)

    def _other_values(self) -> Iterator[tuple[str, Any]]:
        """Another value for each setting of its own that is a number or a switch."""
        settings = self._validated(self.settings)
        for name in self._model.model_fields.keys() - DetectorSettings.model_fields.keys():
            value = getattr(settings, name)
            if isinstance(value, bool):
                yield name, not value
            elif isinstance(value, (int, float)):
                yield name, 2 * value or 1

    def _kept_after(self, frames: list[Frame], rounds: int) -> int:
        """The most that it kept at any time beside its trackers, which have as little room as they can do with."""
        least = most = 0

        def look(detector: Detector[Any], batch: PacketBatch, number: int) -> None:
            nonlocal least, most
            kept = kept_beside_trackers(detector)
            if number == 0:
                least = kept
                if trackers_of_its_own(detector):
                    fail(
                        f"{self._name} has a tracker that takes no part in the memory that there is.",
                        "trackers made by self.tracker(...) or self.random_walk(...).",
                    )
                for tracker in detector.trackers:
                    tracker.allot(tracker.least, batch.now)
            most = max(most, kept - least)

        flood = in_order(from_ever_new_addresses(frames, rounds))
        self._run(MemorySource(flood, [1, max(1, len(flood) // 20)]), between=look, about="over packets() between many hosts")
        return most


_Between = Callable[[Detector[Any], PacketBatch, int], None]
"""Is given a detector, the batch that it has seen, and how many it saw before."""


def _watched(cls: type[Detector[Any]], between: _Between) -> type[Detector[Any]]:
    """The detector, and after each batch but the last something more."""

    def run(self: Any, batch: PacketBatch) -> None:
        cls.run(self, batch)
        if not batch.final:
            number = self.__dict__.pop("_seen_by_the_suite", 0)
            between(self, batch, number)
            self.__dict__["_seen_by_the_suite"] = number + 1

    return type(cls.__name__, (cls,), {"run": run, "__module__": cls.__module__})


class _Ticking(MemorySource):
    """Between two batches it tells that time has passed, half way to the next packet."""

    def __iter__(self) -> Iterator[RawBatch]:
        last = 0
        for batch in super().__iter__():
            first = int(batch.time.min())
            if last:
                yield _tick((last + first) // 2)
                yield _tick(first)
            yield batch
            last = int(batch.time.max())


class _WithRest(MemorySource):
    """After the last packet a day passes."""

    def __init__(self, frames: Sequence[Frame], since: int = 0) -> None:
        super().__init__(frames)
        self._last = max([since, *(frame.time for frame in frames)])

    def __iter__(self) -> Iterator[RawBatch]:
        yield from super().__iter__()
        yield _tick(self._last + _DAY)


def _tick(now: int) -> RawBatch:
    return replace(raw_batch([]), now=now)


def _alerts(events: Sequence[Event]) -> list[Alert]:
    return [event for event in events if isinstance(event, Alert)]


def _told(alert: Alert) -> str:
    return f"The alert {alert.kind} from {alert.src_ip} to {alert.dest_ip} ({alert.id})"


def _some(frames: Sequence[Frame]) -> int:
    """The size of about twenty batches."""
    return max(1, len(frames) // 20)


def _halves(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    return frames[: max(1, len(frames) // 2)], frames[max(1, len(frames) // 2) :] or frames[-1:]


def fail_to_read(note: str) -> None:
    fail(f"What was saved cannot be read again: {note}", "what save returned, and nothing that changes later.")


def _unheard(note: str) -> None:
    """That it was set aside is what is expected."""


def _spoilt(saved: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what was saved with one thing in it that cannot be right, and say which; a few dozen of all that there could be."""
    lot = Random(1)
    yield "nothing in it", {}
    places = list(_places(saved, ()))
    for place in lot.sample(places, min(16, len(places))):
        garbage = lot.choice(_GARBAGE)
        yield f"{garbage!r} at {list(place)}", _with(saved, place, garbage)
    for place in islice((place for place in places if isinstance(_at(saved, place), np.ndarray) and _at(saved, place).size), 6):
        rows = _at(saved, place).copy()
        rows.reshape(-1).view(np.uint8)[:] = np.frombuffer(lot.randbytes(rows.nbytes), np.uint8)
        yield f"random bytes in the array at {list(place)}", _with(saved, place, rows)


def _places(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inside in items:
        yield (*place, key)
        yield from _places(inside, (*place, key))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def _with(value: Any, place: tuple[Any, ...], instead: Any) -> Any:
    if not place:
        return instead
    key, *rest = place
    if isinstance(value, dict):
        return {**value, key: _with(value[key], tuple(rest), instead)}
    return tuple(_with(item, tuple(rest), instead) if number == key else item for number, item in enumerate(value))
