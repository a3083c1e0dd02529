"""What tests of plugins are made of: packets and events to order, conversations with an outcome, and the means to run a plugin over them.

This is a public interface, like that of `iplog_core`; it needs nothing but iplog, and pytest for `conformance` and `plugin`.

Example::

    from iplog_core.testing import refused, run_detector

    def test_five_refused_ports_are_a_scan():
        alerts = run_detector(TcpScan).feed(refused(dport=port, at=port / 10) for port in range(1, 6))
        assert [alert.kind for alert in alerts if alert.state == "start"] == ["port_scan"]
"""

from iplog_core.testing.conversations import connection as connection
from iplog_core.testing.conversations import half_open as half_open
from iplog_core.testing.conversations import handshake as handshake
from iplog_core.testing.conversations import ping as ping
from iplog_core.testing.conversations import refused as refused
from iplog_core.testing.conversations import silent as silent
from iplog_core.testing.conversations import udp_exchange as udp_exchange
from iplog_core.testing.conversations import udp_refused as udp_refused
from iplog_core.testing.conversations import unreachable as unreachable
from iplog_core.testing.events import alert as alert
from iplog_core.testing.events import every_alert as every_alert
from iplog_core.testing.events import every_event as every_event
from iplog_core.testing.events import records as records
from iplog_core.testing.malformed import every_packet as every_packet
from iplog_core.testing.malformed import malformed_packets as malformed_packets
from iplog_core.testing.packets import EPOCH as EPOCH
from iplog_core.testing.packets import Frame as Frame
from iplog_core.testing.packets import Link as Link
from iplog_core.testing.packets import arp as arp
from iplog_core.testing.packets import fragment as fragment
from iplog_core.testing.packets import fragments as fragments
from iplog_core.testing.packets import icmp as icmp
from iplog_core.testing.packets import icmp6 as icmp6
from iplog_core.testing.packets import ip as ip
from iplog_core.testing.packets import sctp as sctp
from iplog_core.testing.packets import tcp as tcp
from iplog_core.testing.packets import udp as udp
from iplog_core.testing.run import Kept as Kept
from iplog_core.testing.run import run_detector as run_detector
from iplog_core.testing.run import run_policy as run_policy
from iplog_core.testing.run import run_sink as run_sink
from iplog_core.testing.savefile import read_pcap as read_pcap
from iplog_core.testing.savefile import write_pcap as write_pcap
from iplog_core.testing.source import MemorySource as MemorySource
from iplog_core.testing.source import Packets as Packets
from iplog_core.testing.source import in_order as in_order
from iplog_core.testing.source import raw_batch as raw_batch
