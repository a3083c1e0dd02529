"""Choosing packets and flows of a batch."""

from __future__ import annotations

import numpy as np
import pytest
from harness import batches_with_flows

from iplog_core.batch import FLOW_DTYPE, FlowRows, Outcome, PacketBatch
from iplog_core.testing import icmp, refused, tcp


@pytest.fixture
def batch() -> PacketBatch:
    frames = [tcp(dport=80, at=0.0), icmp(at=0.1), tcp(dport=22, at=0.2), tcp(dport=443, at=0.3)]
    return next(batches_with_flows(frames, 256))


def flows() -> FlowRows:
    frames = [frame for port in (22, 80, 443) for frame in refused(dport=port, at=port / 10)]
    return next(batches_with_flows(frames, 256)).decided


def test_among_packets_a_test_is_given_those_of_the_mask_only(batch: PacketBatch) -> None:
    seen: list[list[int]] = []
    batch.among(batch.is_tcp, lambda few: seen.append(few.dport.tolist()) or few.is_tcp)  # type: ignore[func-returns-value]
    assert seen == [[80, 22, 443]]


def test_among_packets_the_answer_has_their_places_in_the_batch(batch: PacketBatch) -> None:
    assert batch.among(batch.is_tcp, lambda few: few.dport < 100).tolist() == [True, False, True, False]


def test_among_no_packets_nothing_is_tested(batch: PacketBatch) -> None:
    assert batch.among(batch.is_udp, lambda few: pytest.fail("tested")).tolist() == [False] * 4


def test_among_packets_masks_look_at_those_only(batch: PacketBatch) -> None:
    assert batch.among(batch.is_tcp, lambda few: few.opens & few.to_one_host).tolist() == [True, False, True, True]


def test_among_flows_the_answer_has_their_places_in_the_batch() -> None:
    assert flows().among(np.array([False, True, True]), lambda few: few.dport > 100).tolist() == [False, False, True]


def test_flows_with_other_outcomes_are_others() -> None:
    before = flows()
    before.judged(np.full(len(before), Outcome.SILENT))
    assert before.outcome.tolist() == [Outcome.REFUSED] * 3


def test_the_kernel_reads_the_outcomes_that_were_given() -> None:
    judged = flows().judged(np.full(3, Outcome.SILENT))
    assert judged.bytes_view.view(FLOW_DTYPE)["outcome"].tolist() == [Outcome.SILENT] * 3


def test_a_column_of_flows_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        flows().outcome[0] = Outcome.SILENT
