"""Where the lines go."""

import os
import sys

import pytest

from iplog_core import IplogError, Kind, RecordKind, SinkContext
from iplog_jsonl import Jsonl, Settings

TCP = {"record": RecordKind.CONNECTION_ATTEMPT, "kind": Kind.TCP, "proto": 6}


def test_a_file_is_added_to(tmp_path, record):
    path = tmp_path / "eve.json"
    for _ in range(2):
        sink = Jsonl(Settings(path=str(path)), SinkContext())
        sink.open()
        sink.write([record(**TCP)])
        sink.close()
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_was_renamed_is_opened_anew(tmp_path, record):
    path = tmp_path / "eve.json"
    sink = Jsonl(Settings(path=str(path)), SinkContext())
    sink.open()
    sink.write([record(**TCP)])
    path.rename(tmp_path / "before")
    sink.reopen()
    sink.write([record(**TCP), record(**TCP)])
    sink.close()
    assert [len((tmp_path / name).read_text().splitlines()) for name in ("before", "eve.json")] == [1, 2]


def test_lines_go_on_into_the_file_that_was_open_where_no_other_can_be(tmp_path, record):
    path = tmp_path / "eve.json"
    notes: list[str] = []
    sink = Jsonl(Settings(path=str(path)), SinkContext(note=notes.append))
    sink.open()
    path.rename(tmp_path / "before")
    path.mkdir()
    sink.reopen()
    sink.write([record(**TCP)])
    sink.close()
    assert len((tmp_path / "before").read_text().splitlines()) == 1
    assert notes == [f"jsonl: {path}: Is a directory; a sink needs a file that it may write to. The lines go on into the file that was open."]


def test_a_file_that_cannot_be_written_is_told_in_one_line(tmp_path):
    with pytest.raises(IplogError, match=r"Is a directory; a sink needs a file that it may write to\."):
        Jsonl(Settings(path=str(tmp_path)), SinkContext()).open()


@pytest.mark.parametrize(("path", "standard_output"), [(None, False), ("-", False), (None, True), ("never-made.json", True)])
def test_lines_go_to_standard_output_where_no_file_is_named_or_the_run_asks_for_it(capsysbinary, record, path, standard_output):
    sink = Jsonl(Settings(path=path), SinkContext(standard_output=standard_output))
    sink.open()
    sink.write([record(**TCP)])
    sink.close()
    assert capsysbinary.readouterr().out.startswith(b'{"timestamp":"2026-05-28T20:26:59.000123+00:00"')


def test_a_closed_pipe_is_noticed_at_once(monkeypatch, record):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        sink = Jsonl(Settings(), SinkContext())
        sink.open()
        with pytest.raises(BrokenPipeError):
            sink.write([record(**TCP)])
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), writer)
