"""What a detector is: it reads packets as columns and reports what it finds."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b, sha1
from struct import pack
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack, cast

import numpy as np

from iplog_core.addresses import address
from iplog_core.batch import PROTOCOL_NAMES, Kind
from iplog_core.deprecation import deprecated
from iplog_core.events import Alert, Evidence, Severity
from iplog_core.settings import DetectorSettings
from iplog_core.tracker import Episode, Key, RandomWalk, Tracker, TrackerOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iplog_core.batch import Packet, PacketBatch

S = TypeVar("S", bound=DetectorSettings)
Order = tuple[int, int, int]

_PROTOCOLS = {int(Kind.TCP): 6, int(Kind.UDP): 17, int(Kind.SCTP): 132}
_WITH_PORTS = tuple(_PROTOCOLS)
_NO_SEED = bytes(2)


@dataclass(frozen=True)
class AlertKind:
    """A kind of alert that a detector may raise.

    `signature` is its name for people ("TCP: port scan"). `line` is a template for its text where "NAME detected from SRC" does not fit
    (see `Alert`). `ports` says that it is about one packet, whose ports it names.
    """

    signature: str
    severity: Severity
    line: str | None = None
    ports: bool = False


@dataclass
class DetectorContext:
    """Where a detector's findings go: alerts with the place that they belong to, and traffic records, as long as anybody wants them."""

    raise_alert: Callable[[Alert, Order], None]
    log: Callable[[NDArray[Any]], None] | None = None


class Detector(Generic[S]):
    """Read batches of packets, report episodes.

    Set `name` and `kinds`. Make trackers in `setup`; in `on_batch`, which is called for each batch in packet order (the last one is empty and
    `final`), choose rows by masks over the columns, hand them to a tracker, and turn the episodes that it gives back into alerts. Ignored packets
    are not in the batch. Nothing may depend on where a batch was cut.
    """

    name: ClassVar[str]
    kinds: ClassVar[dict[str, AlertKind]] = {}

    def __init__(self, settings: S, context: DetectorContext) -> None:
        self.settings = settings
        self._context = context
        self._kinds = self.kinds_of(settings)
        self._interfaces: Sequence[str] = ()
        self._trackers: list[Tracker | RandomWalk] = []
        self._groups: list[tuple[Tracker | RandomWalk, ...]] = []
        self._afresh: set[int] = set()
        self.setup()

    def setup(self) -> None:
        """Make trackers and other state. Called once, before the first batch."""

    def on_batch(self, batch: PacketBatch) -> None:
        """Look at a batch of packets and at the flows that were decided in it."""
        raise NotImplementedError

    @classmethod
    def wants_ends(cls, settings: S) -> bool | Set[Kind]:
        """Tell whether `batch.ended`, the flows that ended, is to be filled: with all, or with those of a few kinds. Others may want more of them."""
        return False

    @classmethod
    def kinds_of(cls, settings: S) -> Mapping[str, AlertKind]:
        """Return the kinds of alerts that it may raise with these settings: those of `kinds`, unless settings name more."""
        return cls.kinds

    def run(self, batch: PacketBatch) -> None:
        """Take a batch from the engine."""
        self._interfaces = batch.interfaces
        self.on_batch(batch)

    def tracker(
        self,
        *,
        key: Key,
        threshold: float,
        memory: float,
        expiry: float,
        **more: Unpack[TrackerOptions],
    ) -> Tracker:
        """Make a tracker (see `Tracker`); what it must forget for want of room is counted with this detector."""
        if cast("dict[str, Any]", more).pop("capacity", None) is not None:
            deprecated("tracker(capacity=...)", since=2, instead="leave it away; the memory is shared out, and weight asks for more of it")
        tracker = Tracker(key=key, threshold=threshold, memory=memory, expiry=expiry, **more)
        self._trackers.append(tracker)
        return tracker

    def random_walk(self, *, heard: bool = False, narrow: bool = False, weight: float = 1.0) -> RandomWalk:
        """Make a test of whose first contacts mostly fail (see `RandomWalk`)."""
        walk = RandomWalk(heard=heard, narrow=narrow, weight=weight)
        self._trackers.append(walk)
        return walk

    def together(self, *trackers: Tracker | RandomWalk) -> None:
        """Let trackers be restored all or none, since what one knows is worth nothing without the others. Call it in `setup`."""
        self._groups.append(trackers)

    def save(self) -> dict[str, Any]:
        """Return what is known so far, for `restore` in another run: numbers, texts, None and numpy arrays, and lists and tables of them.

        That is what the trackers and random walks know. A detector that keeps more adds it to what this returns. It may hold nothing that changes later.
        """
        return {"trackers": [tracker.save() for tracker in self._trackers]}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        """Take what `save` returned when the clock stood at `now` (ns), after `setup` and before the first batch; lists have become tuples.

        Return False where a part starts afresh, since its settings have changed, or it has other trackers now. Raise ValueError where this cannot be what
        `save` returned. What a detector keeps beside a tracker goes with it: see `goes_on`.
        """
        known: Sequence[dict[str, Any]] = saved["trackers"]
        alike = len(known) == len(self._trackers)
        self._afresh = {id(one) for one, what in zip(self._trackers, known, strict=False) if not alike or what["options"] != one.save()["options"]}
        for group in self._groups:
            if any(id(one) in self._afresh for one in group):
                self._afresh.update(map(id, group))
        if not alike:
            self._afresh.update(map(id, self._trackers))
        whole = [id(one) not in self._afresh and one.restore(what, now) for one, what in zip(self._trackers, known, strict=False)]
        return alike and all(whole)

    def goes_on(self, tracker: Tracker | RandomWalk) -> bool:
        """Whether a tracker knows what it knew when `restore` was called."""
        return id(tracker) not in self._afresh

    @property
    def trackers(self) -> Sequence[Tracker | RandomWalk]:
        """The trackers and random walks, in the order in which they were made: before the first batch, since the memory is shared out among them then."""
        return self._trackers

    @property
    def evicted(self) -> int:
        """Keys, values and sources that the trackers had to forget for want of room."""
        return sum(tracker.evicted for tracker in self._trackers)

    @property
    def logs(self) -> bool:
        """Whether anybody wants traffic records."""
        return self._context.log is not None

    def log(self, rows: NDArray[Any]) -> None:
        """Write traffic records: rows of `RECORD_DTYPE`, in order of their clock, phase and index."""
        if self._context.log is not None and len(rows):
            self._context.log(rows)

    def alert(self, kind: str, episode: Episode, *, severity: Severity | None = None, **evidence: Any) -> None:
        """Report a change of an episode. `evidence` adds to, or replaces, what the episode itself tells."""
        known = self._kinds.get(kind) or AlertKind(kind.replace("_", " "), "medium")
        interface = self._interfaces[episode.interface] if episode.interface < len(self._interfaces) else ""
        has_ports = episode.kind in _WITH_PORTS
        is_icmp = episode.kind in (Kind.ICMP, Kind.ICMP6)
        source, target = episode.src_ip, episode.dest_ip
        self._context.raise_alert(
            Alert(
                id=_identity(kind, source, target, episode.dest_port, episode.first),
                plugin=self.name,
                kind=kind,
                state=episode.state,
                severity=severity or known.severity,
                signature=known.signature,
                time=episode.time,
                first_seen=episode.first,
                last_seen=episode.last,
                packets=episode.packets,
                bytes=episode.bytes,
                src_ip=source,
                src_port=episode.sport if known.ports and has_ports else None,
                dest_ip=target,
                dest_port=episode.dport if known.ports and has_ports else episode.dest_port,
                proto=PROTOCOL_NAMES.get(Kind(episode.kind)),
                icmp_type=episode.icmp_type if is_icmp else None,
                icmp_code=episode.icmp_code if is_icmp else None,
                in_iface=interface or None,
                community_id=_community_id(episode),
                evidence=Evidence(**{**_evidence(episode), **evidence}),
                line=known.line,
            ),
            episode.order,
        )


class PacketDetector(Detector[S]):
    """The simplest detector: `on_packet` is called for each packet, and `self.alert(kind, packet)` reports it.

    What one source does to one target again is the same episode, until it was quiet for `expiry` seconds. A packet costs microseconds here, not nanoseconds.
    Of kinds that are not in `kinds` it may report `OTHER_KINDS`.
    """

    expiry: ClassVar[float] = 60.0
    OTHER_KINDS: ClassVar[int] = 8

    def on_packet(self, packet: Packet) -> None:
        """Look at one packet. It is valid until this returns."""
        raise NotImplementedError

    def __init__(self, settings: S, context: DetectorContext) -> None:
        self._found: dict[str, dict[int, _Found]] = {}
        self._by_kind: dict[str, Tracker] = {}
        self._open: dict[tuple[str, tuple[int, int], tuple[int, int], int], _Found] = {}
        super().__init__(settings, context)
        self._alerts = {kind: self._pairs() for kind in self.kinds}
        self._others = [self._pairs() for _ in range(self.OTHER_KINDS)]

    def on_batch(self, batch: PacketBatch) -> None:
        self._found = {}
        for packet in batch:
            self.on_packet(packet)
        for kind in sorted(self._found.keys() - self._by_kind.keys()):
            self._take_tracker(kind)
        for kind, tracker in sorted(self._by_kind.items()):
            found = self._found.get(kind, {})
            where = np.zeros(len(batch), np.bool_)
            where[[what.row for what in found.values()]] = True
            for episode in tracker.update(batch, where):
                self._tell(kind, episode, found)

    def alert(self, kind: str, packet: Packet, *, severity: Severity | None = None, **evidence: Any) -> None:  # type: ignore[override]
        """Report a packet. What the first one of an episode says holds for its end."""
        index = int(packet.batch.index[packet.row])
        self._found.setdefault(kind, {})[index] = _Found(packet.row, severity, evidence)

    def save(self) -> dict[str, Any]:
        said = [(*key, what.severity, what.evidence) for key, what in self._open.items()]
        return {**super().save(), "kinds": list(self._by_kind), "said": said}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        for kind in saved["kinds"]:
            self._take_tracker(str(kind))
        whole = super().restore(saved, now)
        for kind, src, dst, version, severity, evidence in saved["said"]:
            if self.goes_on(self._by_kind[kind]):
                self._open[kind, src, dst, version] = _Found(0, severity, evidence)
        return whole

    def _pairs(self) -> Tracker:
        return self.tracker(key="pair", threshold=1, memory=self.expiry, expiry=self.expiry)

    def _take_tracker(self, kind: str) -> None:
        if kind not in self._alerts and not self._others:
            raise ValueError(f"more than {self.OTHER_KINDS} kinds of alerts that are not in `kinds`, such as {kind!r}")
        self._by_kind[kind] = self._alerts[kind] if kind in self._alerts else self._others.pop(0)

    def _tell(self, kind: str, episode: Episode, found: dict[int, _Found]) -> None:
        key = (kind, episode.src, episode.dst, episode.version)
        if episode.state == "start" and episode.index in found:
            self._open[key] = found[episode.index]
        said = self._open.get(key, _NOTHING)
        if episode.state == "end":
            self._open.pop(key, None)
        super().alert(kind, episode, severity=said.severity, **said.evidence)


@dataclass(frozen=True)
class _Found:
    """What a packet detector said of a packet."""

    row: int
    severity: Severity | None
    evidence: dict[str, Any]


_NOTHING = _Found(0, None, {})


def _identity(kind: str, source: str | None, target: str | None, port: int | None, first: int) -> str:
    return blake2b(f"{kind} {source} {target} {port} {first}".encode(), digest_size=8).hexdigest()


def _evidence(episode: Episode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if episode.by == "dest_port":
        found.update(dest_ports=episode.samples, dest_port_count=episode.distinct)
    elif episode.by == "dest":
        found.update(dest_ips=[address(*value) for value in episode.samples], dest_ip_count=episode.distinct)  # type: ignore[misc]
    elif episode.by == "source":
        found.update(sources=[address(*value) for value in episode.samples], source_count=episode.distinct)  # type: ignore[misc]
    if episode.members:
        found.update(sources=[address(*member) for member in episode.members], source_count=episode.member_count)
    if episode.kind in _WITH_PORTS:
        found.update(src_ports=episode.sports)
    if episode.by:
        pending, answered, half_open, refused, silent, _ = episode.outcomes
        found.update(refused=refused, silent=silent, half_open=half_open, answered=answered, pending=pending)
    return found


def _community_id(episode: Episode) -> str | None:
    """The Community ID of the flow whose packet decided the change (Corelight's specification, version 1)."""
    if episode.kind in _WITH_PORTS:
        # Most alerts are of these, and the library takes twenty times as long.
        (first, port), (second, other) = sorted(((_packed(*episode.src), episode.sport), (_packed(*episode.dst), episode.dport)))
        flow = _NO_SEED + first + second + pack("!BxHH", _PROTOCOLS[episode.kind], port, other)
        return f"1:{b2a_base64(sha1(flow, usedforsecurity=False).digest(), newline=False).decode()}"
    if episode.kind not in (Kind.ICMP, Kind.ICMP6):
        return None
    from communityid import CommunityID, FlowTuple

    make = FlowTuple.make_icmp if episode.kind == Kind.ICMP else FlowTuple.make_icmp6
    calculated: str | None = CommunityID().calc(make(address(*episode.src), address(*episode.dst), episode.icmp_type, episode.icmp_code))
    return calculated


def _packed(hi: int, lo: int) -> bytes:
    """The bytes of an address as they stand in a header."""
    return lo.to_bytes(8, "big")[4:] if hi == 0 and lo >> 32 == 0xFFFF else hi.to_bytes(8, "big") + lo.to_bytes(8, "big")
