"""Floods: more of one thing to one victim than anybody who waits for answers would send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from iplog_core import (
    MINUTE,
    AlertKind,
    Detector,
    DetectorSettings,
    Duration,
    Episode,
    FlowBit,
    Key,
    Mask,
    Outcome,
    PacketBatch,
    PacketRows,
    TcpFlag,
    Tracker,
    hookimpl,
)
from iplog_flood.copies import digests
from iplog_flood.questions import questions

iplog_api = 2

SYN, RST, PSH, ACK, URG = (int(flag) for flag in (TcpFlag.SYN, TcpFlag.RST, TcpFlag.PSH, TcpFlag.ACK, TcpFlag.URG))

NO_PUSH = 0xFFFF ^ (PSH | URG)
DECIDES = int(FlowBit.DECIDES)
DECIDED_BY_INITIATOR = int(FlowBit.DECIDES | FlowBit.REPLY | FlowBit.STRAY)
REFUSED = int(Outcome.REFUSED)

REST = 0.75
"""What of a flood is left to come once it is unusual: that little is not counted for each port and source keeps ordinary traffic cheap."""

SUM = 10
"""So many times as many pings as of one host may come from all together."""

COPIES = 4
"""So many times as many copies of one datagram as of other ones may go one way."""

RECENT = 10.0
ONLY_EPISODES = 1 << 30
SCATTERED_PORTS, SCATTERED_SOURCES = 100, 300
"""What makes a flood that changes both with every packet: no scan has so many sources, no service so many ports."""

FORGED_RATE, FORGED_BURST = 1.0, 20.0
SHOWN, TOLD_APART = 10, 1000
EPHEMERAL = 32768


class Settings(DetectorSettings):
    """The `[plugins.flood]` table. A flood is what overflows a bucket that drains at the rate given."""

    syn_rate: float = Field(50.0, gt=0, description="Unanswered connection attempts a second to one port of one host that are no flood.")
    syn_burst: float = Field(400.0, ge=2, description="How many more than that make one.")
    ping_rate: float = Field(50.0, gt=0, description="Echo requests a second from one host to another that are no flood.")
    ping_burst: float = Field(200.0, ge=2, description="How many more than that make one.")
    udp_rate: float = Field(500.0, gt=0, description="Datagrams a second to one port of one host, without an answer or refused, that are no flood.")
    udp_burst: float = Field(300.0, ge=2, description="How many more than that make one.")
    tcp_rate: float = Field(200.0, gt=0, description="Stray ACKs, or RSTs, a second to one port of one host that are no flood.")
    tcp_burst: float = Field(500.0, ge=2, description="How many more than that make one.")
    expiry: Duration = Field(MINUTE, description="How long a flood must be quiet to be over.")


class Flood(Detector[Settings]):
    """Report floods by rate and outcome: a busy service that answers is none."""

    name = "flood"
    kinds = {
        "syn_flood": AlertKind("TCP: SYN flood", "high"),
        "ack_flood": AlertKind("TCP: ACK flood", "high"),
        "rst_flood": AlertKind("TCP: RST flood", "high"),
        "udp_flood": AlertKind("UDP: flood", "high"),
        "ping_flood": AlertKind("ICMP: ping flood", "medium"),
    }

    def setup(self) -> None:
        given = self.settings
        self._named: dict[tuple[str, tuple[int, int], int | None, int], tuple[int, int] | None] = {}
        self.attempts_unusual = self._unusual("target", given.syn_rate, given.syn_burst)
        self.attempts = self._bucket("target_port", given.syn_rate, REST * given.syn_burst)
        self.attempts_scattered = self._scattered()
        self.openings_unusual = self._unusual("target", given.udp_rate, given.udp_burst)
        self.openings = self._evidence(given.udp_rate, REST * given.udp_burst)
        self.refusing = self._refusing()
        self.refused = self._evidence(given.udp_rate, given.udp_burst)
        self.streams_unusual = self._unusual("target_port", given.udp_rate, given.udp_burst)
        self.copies = self.tracker(
            key="target_label", threshold=2 * given.udp_burst, rate=COPIES * given.udp_rate, memory=RECENT, expiry=RECENT, tells=False, weight=0.5
        )
        self.datagrams = self._bucket("target_port", given.udp_rate, REST * given.udp_burst)
        self.datagrams_scattered = self._scattered()
        self.pings_of_one = self._unusual("pair", given.ping_rate, given.ping_burst)
        self.pings_of_all = self._unusual("target", SUM * given.ping_rate, SUM * given.ping_burst)
        self.pings = self._bucket("target", given.ping_rate, REST * given.ping_burst)
        self.acks_refused = self._refusing()
        self.acks_forged = self._evidence(FORGED_RATE, FORGED_BURST)
        self.acks = self._bucket("target_port", given.tcp_rate, given.tcp_burst)
        self.resets = self._bucket("target_port", given.tcp_rate, given.tcp_burst)
        told = (self.attempts, self.datagrams, self.pings, self.acks, self.resets)
        self.together(*told, self.attempts_scattered[1], self.datagrams_scattered[1])

    def on_batch(self, batch: PacketBatch) -> None:
        self._syn(batch)
        self._udp(batch)
        self._ping(batch)
        self._strays(batch)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "named": list(self._named.items())}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        whole = super().restore(saved, now)
        if self.goes_on(self.attempts):
            self._named = {key: _host(alone) for key, alone in saved["named"]}
        return whole

    def _syn(self, batch: PacketBatch) -> None:
        """Attempts that nobody completes.

        An answer takes out what its attempt put in, and the packet that gave it one more: where a service answers most, what is under way does not add up.
        """
        asks = batch.is_tcp & batch.unanswered & (batch.tcp_flags & (SYN | ACK) == SYN)
        completes = batch.is_tcp & (batch.flow & DECIDED_BY_INITIATOR == DECIDES) & (batch.tcp_flags & RST == 0)
        flows = batch.decided
        decided = flows.is_tcp & (flows.stray == 0)
        # A service that a client used before and that now refuses is down, not flooded.
        down = decided & (flows.outcome == REFUSED) & (flows.known == 1)
        self.attempts_unusual.update(batch, where=asks, decided=decided, against=completes, excused=down)
        asks = self.attempts_unusual.suspects
        if asks.any() or len(self.attempts):
            self._tell("syn_flood", self.attempts.update(batch, where=asks, decided=decided, against=completes, excused=down))
            asks &= ~self.attempts.suspects
        self._tell_scattered("syn_flood", self.attempts_scattered, batch, asks, decided)

    def _udp(self, batch: PacketBatch) -> None:
        """Flows that are opened without end, datagrams that go on although they are refused, or many copies of one; what else goes one way is a stream."""
        unheard = batch.among(batch.is_udp & batch.unanswered, _to_one_host)
        flows = batch.decided
        decided = flows.is_udp
        self.openings_unusual.update(batch, where=unheard & batch.opens, decided=decided)
        opens = self.openings_unusual.suspects
        self._refusals(self.refusing, batch, unheard, decided & (flows.outcome == REFUSED))
        self.streams_unusual.update(batch, where=unheard, decided=decided)
        streams = self.streams_unusual.suspects
        refusing = self.refusing.suspects
        # Ordinary traffic comes no further.
        counting = (self.openings, self.refused, self.copies, self.datagrams, *self.datagrams_scattered)
        if not opens.any() and not streams.any() and not refusing.any() and not any(map(len, counting)):
            return
        opens &= ~questions(batch, opens)
        self.openings.update(batch, where=opens, decided=decided)
        self.refused.update(batch, where=refusing)
        self.copies.update(batch, where=streams, labels=digests(batch, streams))
        sure = self.openings.suspects | self.refused.suspects | self.copies.suspects
        self._tell("udp_flood", self.datagrams.update(batch, where=streams, decided=decided, sure=sure))
        opens &= ~self.datagrams.suspects
        self._tell_scattered("udp_flood", self.datagrams_scattered, batch, opens & ~batch.like_answers if opens.any() else opens, decided)

    def _ping(self, batch: PacketBatch) -> None:
        """Echo requests faster than anybody waits for, answered or not; of many hosts together only those that nobody answered before."""
        echoes = batch.among(batch.is_echo, _to_one_host)
        self.pings_of_one.update(batch, where=echoes)
        self.pings_of_all.update(batch, where=echoes & batch.probes)
        self._tell("ping_flood", self.pings.update(batch, where=self.pings_of_one.suspects | self.pings_of_all.suspects))

    def _strays(self, batch: PacketBatch) -> None:
        """ACKs and RSTs without a connection.

        A capture may begin in the middle of thousands, and show one direction of them only, so that ACKs must have been refused, or forged.
        """
        stray = batch.is_tcp & batch.strays
        if not stray.any() and not any(map(len, (self.acks_refused, self.acks, self.resets))):
            return
        acks = stray & (batch.tcp_flags & NO_PUSH == ACK)
        resets = batch.among(stray & (batch.tcp_flags & (RST | SYN) == RST), _unasked)
        flows = batch.decided
        decided = flows.is_tcp & (flows.stray == 1)
        self._refusals(self.acks_refused, batch, acks, decided)
        self.acks_forged.update(batch, where=batch.among(acks, _forged))
        sure = self.acks_refused.suspects | self.acks_forged.suspects
        self._tell("ack_flood", self.acks.update(batch, where=acks, decided=decided, sure=sure))
        self._tell("rst_flood", self.resets.update(batch, where=resets))

    def _refusals(self, tracker: Tracker, batch: PacketBatch, where: Mask, decided: Mask) -> None:
        """Let a tracker of `_refusing` see what comes, all as one value."""
        tracker.update(batch, where=where, decided=decided)

    def _tell_scattered(self, kind: str, trackers: tuple[Tracker, Tracker], batch: PacketBatch, where: Mask, decided: Mask) -> None:
        ports, sources = trackers
        if where.any() or len(ports) or len(sources):
            ports.update(batch, where=where, decided=decided)
            self._tell(kind, sources.update(batch, where=ports.suspects, decided=decided))

    def _tell(self, kind: str, changes: Iterable[Episode]) -> None:
        """Report changes. Who is blamed at the start is blamed to the end: one source by its name, of several only the first few; many are forged ones."""
        for flood in changes:
            key = (kind, flood.dst, flood.dest_port, flood.version)
            if flood.state == "start":
                self._named[key] = flood.samples[0] if flood.distinct == 1 else None  # type: ignore[assignment]
            alone = self._named.get(key)
            if flood.state == "end":
                self._named.pop(key, None)
            if alone is not None:
                self.alert(kind, replace(flood, src=alone, many_sources=False), sources=None)
            elif flood.distinct <= SHOWN:
                self.alert(kind, replace(flood, many_sources=True))
            else:
                self.alert(kind, replace(flood, many_sources=True), sources=None)

    def _unusual(self, key: Key, rate: float, burst: float) -> Tracker:
        """Tell which packets to look at: those to targets where a quarter of a flood has come together."""
        return self.tracker(key=key, threshold=burst - REST * burst, rate=rate, memory=RECENT, expiry=RECENT, tells=False, weight=0.5)

    def _evidence(self, rate: float, burst: float) -> Tracker:
        return self.tracker(key="target_port", threshold=burst, rate=rate, memory=RECENT, expiry=RECENT, tells=False, weight=0.5)

    def _bucket(self, key: Key, rate: float, burst: float) -> Tracker:
        expiry = self.settings.expiry
        return self.tracker(
            key=key,
            distinct="source",
            threshold=burst + 1,
            rate=rate,
            memory=expiry,
            expiry=expiry,
            hint=ONLY_EPISODES,
            most=TOLD_APART,
            weight=2,
        )

    def _refusing(self) -> Tracker:
        """Tell which ports have refused something a short time ago. All that comes is one value, so that its outcome is that of whatever was decided last."""
        memory = RECENT
        return self.tracker(key="target_port", distinct="label", threshold=2, hint=1, doubts="silence", memory=memory, expiry=memory, tells=False, weight=0.5)

    def _scattered(self) -> tuple[Tracker, Tracker]:
        memory, expiry = RECENT, self.settings.expiry
        ports = self.tracker(key="target", distinct="dest_port", threshold=SCATTERED_PORTS, memory=memory, expiry=memory, tells=False)
        sources = self.tracker(key="target", distinct="source", threshold=SCATTERED_SOURCES, memory=memory, expiry=expiry, most=TOLD_APART, weight=2)
        return ports, sources


def _to_one_host(packets: PacketRows) -> Mask:
    return packets.to_one_host


def _unasked(packets: PacketRows) -> Mask:
    """Resets but those that a host answers with: to a SYN, whose sequence number is 0 (RFC 9293, section 3.10.7.1), or from a service to a client's port."""
    to_syn = (packets.tcp_seq == 0) & (packets.tcp_flags & ACK != 0)
    answers: Mask = to_syn | packets.like_answers | (packets.dport >= EPHEMERAL)
    return ~answers


def _forged(packets: PacketRows) -> Mask:
    """From an address that no host has: this network (0/8), loopback, groups and above (RFC 6890). Sources that are drawn by lot hit them time and again."""
    net = (packets.src_lo & np.uint64(0xFFFFFFFF)) >> np.uint64(24)
    found: Mask = (packets.version == 4) & ((net == 0) | (net == 127) | (net >= 224))
    return found


def _host(saved: Any) -> tuple[int, int] | None:
    """Return the two halves of an address as they were saved. Raise ValueError where they are none."""
    if saved is None:
        return None
    hi, lo = saved
    if not all(isinstance(half, int) and 0 <= half < 1 << 64 for half in (hi, lo)):
        raise ValueError(f"{saved!r} is no address")
    return hi, lo


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Flood]
