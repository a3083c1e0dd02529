"""All scenarios: the modules that hold them put them there."""

from bench.matrix import attacks, benign, scans
from bench.matrix.scenario import SCENARIOS

QUICK = {
    *("syn_few7", "syn_fragments_8", "udp_few", "decoys_syn", "sweep_22_few_alive", "flood_syn_random", "smurf_victim"),
    *("eight_services", "peer_to_peer", "retry_closed", "monitoring_for_hours"),
}
"""A little of everything, by tools that the tests have anyway."""

__all__ = ["QUICK", "SCENARIOS", "attacks", "benign", "scans"]
