"""Sweeps that look for living hosts: by ping, by whatever goes along with it, and by ARP on the link."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iplog_core import (
    HOUR,
    MINUTE,
    AlertKind,
    Cast,
    Detector,
    DetectorSettings,
    Duration,
    Episode,
    FlowBit,
    FlowRows,
    Kind,
    Mask,
    Outcome,
    PacketBatch,
    Phase,
    TcpFlag,
    Tracker,
    hookimpl,
)

iplog_api = 2

ANSWERED, HALF_OPEN, PENDING, REFUSED, SILENT, LATE = (
    int(outcome) for outcome in (Outcome.ANSWERED, Outcome.HALF_OPEN, Outcome.PENDING, Outcome.REFUSED, Outcome.SILENT, Outcome.LATE)
)
UNICAST, BROADCAST = int(Cast.UNICAST), int(Cast.BROADCAST)
AT_PACKET, AT_END = int(Phase.PACKET), int(Phase.END)
ACK, SYN, FLAGS = int(TcpFlag.ACK), int(TcpFlag.SYN), 0x3F
SPEAKS = int(FlowBit.OPENS | FlowBit.STRAY | FlowBit.DECIDES)

# More requests than a host is asked with that answered; with that did not; and with that did not although a sweep's tool tries several times.
ONCE, TWICE, A_FEW_TIMES = 0, 1, 3
FORGOTTEN = 255
MANY = 4
SOON = 10.0

# A kernel that looks for a neighbour asks three times (RFC 4861, section 10, which Linux follows for ARP, too); scanners ask once or twice.
ARP_REQUESTS = 2
NEIGHBOURS = np.uint64(5)
NOBODY = np.uint64(0xFFFF_0000_0000)


class Settings(DetectorSettings):
    """The `[plugins.host_sweep]` table."""

    hosts: int = Field(10, ge=2, description="Hosts that make a sweep.")
    memory: Duration = Field(4 * HOUR, description="How long a host that was pinged counts.")
    arp_memory: Duration = Field(12.0, description="How long a host that was asked for on the link counts.")
    expiry: Duration = Field(15 * MINUTE, description="How long a sweep must be quiet to be over.")


class HostSweep(Detector[Settings]):
    """Report sources that look for living hosts."""

    name = "host_sweep"
    kinds = {
        "ping_sweep": AlertKind("ICMP: ping sweep", "medium"),
        "arp_scan": AlertKind("ARP: scan", "medium"),
    }

    @classmethod
    def wants_ends(cls, settings: Settings) -> bool | AbstractSet[Kind]:
        return {Kind.ARP, Kind.ICMP, Kind.ICMP6}

    def setup(self) -> None:
        self.sweeps = self._hosts(self.settings.memory, self.settings.expiry, weight=3)
        self.walk = self.random_walk(heard=True, weight=2)
        self.asked_once = self._hosts(self.settings.memory, SOON, weight=2)
        self.unheard = self._hosts(self.settings.memory, SOON, times=MANY)
        self.alike = self._hosts(self.settings.memory, SOON, by_label=True)
        # By target alone: a router, and a host with several addresses, ask in one name and speak in another.
        self.asked_for = self.tracker(key="target", distinct="dest", threshold=1, memory=MINUTE, expiry=SOON, doubts="pending")
        self.arp_scans = self._hosts(self.settings.arp_memory, self.settings.expiry, weight=2)
        self.arp_blocks = self._hosts(self.settings.arp_memory, self.settings.arp_memory, by_label=True)

    def on_batch(self, batch: PacketBatch) -> None:
        self._ping_sweeps(batch)
        self._arp_scans(batch)

    def _ping_sweeps(self, batch: PacketBatch) -> None:
        """One tracker counts hosts, whatever they were asked with; a sweep starts at a row that one of the four tests is sure about."""
        requests = batch.decided.among(batch.decided.is_icmp, _requests)
        guilty = self.walk.update(batch.decided, requests)
        chosen = ((requests & (batch.decided.outcome != ANSWERED)) | _lone_acks(batch.decided)).nonzero()[0]
        decided, ends = batch.decided.take(chosen), batch.ended.where(batch.ended.among(batch.ended.is_icmp, _ended_requests))
        # Most pings are of hosts that answer, and go on: they only take back what was counted before.
        if not len(decided) and not len(self.sweeps) and not (ends.again <= A_FEW_TIMES).any():
            return
        flows, order = _in_order(decided, ends)
        ended = order >= len(decided)
        guilty = np.concatenate([guilty[chosen], np.zeros(len(ends), np.bool_)])[order]
        silent = flows.reply_packets == 0
        few = flows.again <= A_FEW_TIMES
        late = ended & (flows.outcome == PENDING)
        once = ended & np.where(silent, flows.again <= TWICE, flows.again == ONCE)
        answered = once & ~silent
        # To the tracker these are what a half-open connection is: the host answered, and nothing followed.
        flows = flows.judged(np.where(answered, HALF_OPEN, np.where(late, SILENT, flows.outcome)))
        told = _with(batch, flows)

        pinged = flows.is_icmp & ~ended
        failed = pinged & flows.failed & few
        sure = _starts(self.asked_once, told, once) | _starts(self.unheard, told, ended & silent & few)

        lone = flows.is_tcp
        alike = _starts(self.alike, told, lone, labels=flows.sport.astype(np.uint64) << np.uint64(16) | flows.dport) if lone.any() else lone

        withdrawn = (pinged & (flows.outcome == LATE)) | (ended & ~few & (flows.again < FORGOTTEN))
        counted = failed | lone | answered | (late & few) | sure
        for sweep in self.sweeps.update(told, decided=counted | withdrawn, excused=withdrawn, sure_flows=(failed & guilty) | sure | alike):
            self.alert("ping_sweep", sweep, answered=sweep.outcomes[HALF_OPEN] + sweep.outcomes[ANSWERED], half_open=0)

    def _arp_scans(self, batch: PacketBatch) -> None:
        """Many addresses of one block, asked for within seconds, once or twice each, and then left alone. Whether they answer is seldom seen on a switch."""
        asked = batch.among(batch.is_arp, lambda few: few.contacts & (few.cast == BROADCAST) & (few.src_lo != NOBODY))
        if not asked.any() and not any(map(len, (self.asked_for, self.arp_blocks, self.arp_scans))):
            return
        # Of a host that answered it is known when its flow ends, whether it was asked because somebody had to tell it something.
        flows, _ = _in_order(
            batch.decided.where(batch.decided.is_arp & (batch.decided.contact == 1) & (batch.decided.outcome != ANSWERED)),
            batch.ended.where(batch.ended.is_arp & (batch.ended.contact == 1) & (batch.ended.outcome == ANSWERED) & (batch.ended.phase != AT_PACKET)),
        )
        flows = flows.where((flows.outcome != PENDING) | (flows.phase == AT_END))
        flows = flows.judged(np.where(flows.outcome == ANSWERED, HALF_OPEN, SILENT))
        told, few = _with(batch, flows), flows.packets <= ARP_REQUESTS
        every, none = np.ones(len(flows), np.bool_), np.zeros(len(batch), np.bool_)
        # What opens a flow, answers one or decides one: conversations that went on all the time need no request.
        spoken_to = (batch.version == 4) & ~batch.is_arp & (((batch.flow & SPEAKS) != 0) | ((batch.tcp_flags & SYN) != 0))
        episodes = self.asked_for.update(told, where=asked, decided=every, against=spoken_to, excused=~few, sure=none, sure_flows=few)
        left_alone = _by_which(episodes, flows)
        if not left_alone.any() and not len(self.arp_blocks) and not len(self.arp_scans):
            return
        block, blocks = batch.dst_lo >> NEIGHBOURS, flows.dst_lo >> NEIGHBOURS
        dense = _by_which(self.arp_blocks.update(told, decided=left_alone, against=spoken_to, labels=block, flow_labels=blocks), flows)
        for scan in self.arp_scans.update(told, decided=left_alone, against=spoken_to, sure_flows=dense):
            self.alert("arp_scan", scan, answered=scan.outcomes[HALF_OPEN] + scan.outcomes[ANSWERED], half_open=0)

    def _hosts(self, memory: float, expiry: float, *, times: int = 1, by_label: bool = False, weight: float = 1.0) -> Tracker:
        return self.tracker(
            key="source_label" if by_label else "source",
            distinct="dest",
            threshold=times * self.settings.hosts,
            memory=memory,
            expiry=expiry,
            weight=weight,
        )


def _in_order(decided: FlowRows, ended: FlowRows) -> tuple[FlowRows, NDArray[np.int64]]:
    """Return flows as they were decided and as they ended, by their place among the events; and their numbers, those that ended counted after the others."""
    flows = FlowRows(np.concatenate([decided.bytes_view, ended.bytes_view]).view(decided.rows.dtype))
    ends = np.arange(len(flows)) >= len(decided)
    order = np.lexsort((ends, flows.index, flows.phase, flows.time))
    return flows.take(order), order


def _requests(flows: FlowRows) -> Mask:
    """The first requests of a source to each host."""
    return flows.to_one_host & (flows.contact == 1) & (flows.cast == UNICAST)


def _ended_requests(flows: FlowRows) -> Mask:
    return _requests(flows) & (flows.phase != AT_PACKET)


def _lone_acks(flows: FlowRows) -> Mask:
    """ACKs of no connection that a RST answered, as nmap -PA sends them."""
    return flows.among((flows.stray == 1) & (flows.outcome == REFUSED), _are_lone_acks)


def _are_lone_acks(flows: FlowRows) -> Mask:
    return flows.is_tcp & (flows.packets == 1) & (flows.payload_length == 0) & (flows.tcp_flags & FLAGS == ACK) & ~flows.like_answers


def _with(batch: PacketBatch, flows: FlowRows) -> PacketBatch:
    """The same packets with other flows."""
    return PacketBatch(batch.block, batch.data, now=batch.now, interfaces=batch.interfaces, decided=flows, final=batch.final)


def _starts(tracker: Tracker, batch: PacketBatch, where: Mask, labels: NDArray[np.uint64] | None = None) -> Mask:
    """Count the flows that `where` selects. Return those of them by which an episode started."""
    if not where.any():
        return where
    return _by_which(tracker.update(batch, decided=where, flow_labels=labels), batch.decided) & where


def _by_which(episodes: list[Episode], flows: FlowRows) -> Mask:
    """The flows by which episodes started."""
    starts = [episode.index for episode in episodes if episode.state == "start"]
    found: NDArray[np.bool_] = np.isin(flows.index, starts) if starts else np.zeros(len(flows), np.bool_)
    return found


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [HostSweep]
