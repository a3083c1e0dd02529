"""What is graded and marked, and what stays as it is."""

from iplog_core import Alert
from iplog_core.testing import alert, run_policy
from iplog_core.testing.conformance import PolicyConformance

from iplog_my_plugin import MyPlugin

NETWORKS = ["192.0.2.0/24"]


def test_an_alert_on_a_host_that_matters_is_grave_and_marked() -> None:
    given = [alert(dest_ip="192.0.2.1", severity="low")]
    (judged,) = run_policy(MyPlugin, networks=NETWORKS).judge(given)
    assert (judged.severity, judged.extra) == ("high", {"matters": True})


def test_an_alert_on_another_host_stays_as_it_is() -> None:
    given = [alert(dest_ip="203.0.113.1", severity="low")]
    assert run_policy(MyPlugin, networks=NETWORKS).judge(given) == given


def test_an_alert_on_many_hosts_stays_as_it_is() -> None:
    given = [alert(dest_ip=None, severity="low")]
    assert run_policy(MyPlugin, networks=NETWORKS).judge(given) == given


class TestConformance(PolicyConformance):
    """What every policy must keep to."""

    policy = MyPlugin
    settings = {"networks": NETWORKS}

    def alerts(self) -> list[Alert]:
        return [alert(dest_ip="192.0.2.1"), alert(dest_ip="203.0.113.1")]
