"""What is reported, and what is not."""

from capture import attempts
from iplog_core.testing import Packets, connection, run_detector
from iplog_core.testing.conformance import DetectorConformance

from iplog_my_plugin import MyPlugin


def test_the_fourth_host_that_refuses_a_client_starts_an_alert() -> None:
    start, end = run_detector(MyPlugin).feed(attempts(hosts=6))
    assert (start.kind, start.src_ip) == ("my_plugin", "198.51.100.7")
    assert (start.state, end.state) == ("start", "end")
    assert start.evidence.dest_ips == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
    ]


def test_three_hosts_are_not_enough() -> None:
    assert run_detector(MyPlugin).feed(attempts(hosts=3)) == []


def test_how_many_hosts_are_enough_is_a_setting() -> None:
    alerts = run_detector(MyPlugin, hosts=3).feed(attempts(hosts=3))
    assert [alert.state for alert in alerts] == ["start", "end"]


def test_connections_that_are_answered_do_not_count() -> None:
    answered = [
        connection(dst=f"192.0.2.{host}", dport=22, at=host) for host in range(1, 20)
    ]
    assert run_detector(MyPlugin).feed(answered) == []


class TestConformance(DetectorConformance):
    """What every detector must keep to, over packets by which it raises an alert."""

    detector = MyPlugin

    def packets(self) -> Packets:
        return attempts(hosts=6)
