"""What is reported, and what is not."""

from capture import knocks
from iplog_core.testing import Packets, run_detector
from iplog_core.testing.conformance import DetectorConformance

from iplog_my_plugin import MyPlugin


def test_knocking_again_and_again_is_one_alert() -> None:
    start, end = run_detector(MyPlugin).feed(knocks(port=23))
    assert (start.kind, start.src_ip) == ("my_plugin", "198.51.100.7")
    assert (start.state, end.state, end.packets) == ("start", "end", 3)


def test_other_ports_do_not_count() -> None:
    assert run_detector(MyPlugin).feed(knocks(port=80)) == []


def test_the_port_is_a_setting() -> None:
    alerts = run_detector(MyPlugin, port=2323).feed(knocks(port=2323))
    assert [alert.state for alert in alerts] == ["start", "end"]


class TestConformance(DetectorConformance):
    """What every detector must keep to, over packets by which it raises an alert."""

    detector = MyPlugin

    def packets(self) -> Packets:
        return knocks(port=23)
