"""What every plugin must keep to, as tests to subclass in a module of its own tests, with pytest and nothing else.

Example::

    from iplog_core.testing import refused
    from iplog_core.testing.conformance import DetectorConformance

    class TestConformance(DetectorConformance):
        detector = TcpScan
        settings = {"ports": 5}

        def packets(self):
            return [refused(dport=port, at=port / 10) for port in range(1, 40)]
"""

from iplog_core.testing.conformance.detectors import DetectorConformance as DetectorConformance
from iplog_core.testing.conformance.policies import PolicyConformance as PolicyConformance
from iplog_core.testing.conformance.sinks import SinkConformance as SinkConformance
