"""What is written, and what is not."""

from pathlib import Path

from iplog_core import SinkContext
from iplog_core.testing import alert, run_sink
from iplog_core.testing.conformance import SinkConformance

from iplog_my_plugin import MyPlugin

START = alert(src_ip="198.51.100.7", dest_ip="192.0.2.1")
END = alert(src_ip="198.51.100.7", dest_ip="192.0.2.1", state="end", packets=9)
TIME = "2026-05-28T20:26:40.000000+00:00"
LINE = f"{TIME},start,high,port_scan,198.51.100.7,192.0.2.1,,5,220\r\n"


def test_an_alert_is_a_line() -> None:
    assert run_sink(MyPlugin).write([START]) == LINE


def test_its_end_is_another_line() -> None:
    assert run_sink(MyPlugin).write([START, END]).count("\r\n") == 2


def test_its_end_may_be_left_out() -> None:
    assert run_sink(MyPlugin, ends=False).write([START, END]) == LINE


def test_a_file_is_added_to(tmp_path: Path) -> None:
    file = tmp_path / "alerts.csv"
    for _ in range(2):
        run_sink(MyPlugin, SinkContext(), path=str(file)).write([START])
    assert file.read_bytes().decode() == LINE * 2


class TestConformance(SinkConformance):
    """What every sink must keep to."""

    sink = MyPlugin
