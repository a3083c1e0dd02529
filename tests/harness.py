"""The kernel driven by hand, as the engine drives it: frames in, columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dpkt
import numpy as np

from iplog_core.batch import BYTES_PER_PACKET, FLOW_DTYPE, FlowRows, PacketBatch, RawBatch
from iplog_core.capture.savefile import open_savefile
from iplog_core.kernel.columns import LAYOUT
from iplog_core.kernel.decode import decode
from iplog_core.kernel.flows import Flows
from iplog_core.settings import FlowSettings
from iplog_core.testing import Frame, MemorySource, raw_batch

COLUMNS = tuple(name for name, _ in LAYOUT)


def decoded(frames: Sequence[Frame]) -> PacketBatch:
    """Return frames as one decoded batch, fragments and flows not yet told."""
    return next(_decoded([raw_batch(frames)]))


def batches(frames: Sequence[Frame], sizes: int | Sequence[int]) -> Iterator[PacketBatch]:
    """Decode frames batch by batch; a batch is good until the next one."""
    return _decoded(MemorySource(frames, sizes))


def batches_with_flows(frames: Sequence[Frame], sizes: int | Sequence[int], **timeouts: float) -> Iterator[PacketBatch]:
    """Decode frames and let the flow table see them, as detectors get them: the last batch is empty and final."""
    settings = FlowSettings(**timeouts)
    flows = Flows(
        capacity=65536,
        contacts=65536,
        **{name: round(getattr(settings, name) * 1e9) for name in ("silent_timeout", "half_open_timeout", "tcp_idle", "udp_idle", "closed_idle")},
    )
    now = 0
    for batch in batches(frames, sizes):
        decided, _ = flows.update(batch.data, batch.block, len(batch), batch.now)
        batch.decided = FlowRows(np.frombuffer(decided, FLOW_DTYPE))
        yield batch
        now = batch.now
    decided, _ = flows.finish(now)
    nothing = np.empty(0, np.uint8)
    yield PacketBatch(nothing, nothing, now=now, decided=FlowRows(np.frombuffer(decided, FLOW_DTYPE)), final=True)


def read(capture: Path) -> Iterator[PacketBatch]:
    """Read and decode a capture."""
    return _decoded(open_savefile(str(capture), 256))


def frames_of(capture: Path) -> list[Frame]:
    """Read a capture with dpkt; times are good to about a microsecond."""
    with capture.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        return [Frame(round(float(time) * 1e9), bytes(data), reader.datalink()) for time, data in reader]


def columns_of(batch: PacketBatch, names: Iterable[str] = COLUMNS) -> list[dict[str, int]]:
    """Return a batch row by row."""
    columns = {name: getattr(batch, name).tolist() for name in names}
    return [{name: values[i] for name, values in columns.items()} for i in range(len(batch))]


def _decoded(batches: Iterable[RawBatch]) -> Iterator[PacketBatch]:
    first = clock = 0
    for raw in batches:
        block = np.empty(BYTES_PER_PACKET * len(raw), np.uint8)
        columns = (raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface)
        clock, _ = decode(raw.data, *columns, block, first, clock)
        yield PacketBatch(block, raw.data, now=clock, interfaces=raw.interfaces)
        first += len(raw)
