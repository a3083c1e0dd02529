"""What is read, and what is said of what cannot be."""

from pathlib import Path

import pytest
from capture import as_text, attempts
from iplog_core import CaptureError, Source
from iplog_core.testing import in_order

from iplog_my_plugin import iplog_source


def opened(path: Path, batch_size: int = 256) -> Source:
    source = iplog_source(f"my_plugin:{path}", batch_size)
    assert source is not None
    return source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "packets.txt"
    path.write_text(as_text(attempts()))
    return path


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_the_packets_of_a_file_come_in_batches_of_any_size(
    file: Path, batch_size: int
) -> None:
    data = b"".join(batch.data.tobytes() for batch in opened(file, batch_size))
    assert data == b"".join(frame.data for frame in in_order(attempts()))


def test_a_packet_has_the_time_of_its_line(file: Path) -> None:
    (batch,) = opened(file)
    assert batch.time.tolist() == [frame.time for frame in in_order(attempts())]


def test_what_stands_before_a_line_that_is_none_is_read(file: Path) -> None:
    file.write_text(f"{file.read_text()}nonsense\n")
    source = opened(file)
    assert sum(len(batch) for batch in source) == 6
    expected = "expected seconds, a space, and bytes in hexadecimal"
    assert source.faults == [f"{file}, line 7: {expected}."]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CaptureError, match="nowhere: No such file or directory; expected a file"
    ):
        opened(tmp_path / "nowhere")


def test_other_names_are_left_to_others() -> None:
    assert iplog_source("evening.pcap", 256) is None
