"""Floods, and packets that no honest host sends."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from captures import lab

from bench.matrix.captures import side
from bench.matrix.network import answering, put, tool
from bench.matrix.scans import HOST, HOST6, HPING, SILENT
from bench.matrix.scenario import ATTACKER, ATTACKER6, Group, Scenario, add
from iplog_core.testing import Frame, fragment, fragments, tcp, udp

SENT = 0.2
"""Seconds after which a single packet of hping3 has gone out: it would wait for an answer much longer."""


def attack(group: Group, name: str, kinds: str, how: str, play: Callable[[], None], **more: Any) -> None:
    add(Scenario(name, group, tuple(kinds.split("|")), how, play, **{"blamed": (HOST, ATTACKER), **more}))


def flood(name: str, kind: str, command: str, **more: Any) -> None:
    attack("flood", name, kind, command, lambda: tool(command, check=command.startswith(("ping", "nping"))), **{"least": 500, **more})


def anomaly(name: str, kinds: str, how: str, play: Callable[[], None], **more: Any) -> None:
    attack("anomaly", name, kinds, how, play, **more)


# Floods

flood("flood_syn", "syn_flood", f"{HPING} -S -p 80 -i u100 -c 10000 {HOST}")
flood("flood_syn_same_port", "syn_flood", f"{HPING} -S -k -s 4444 -p 80 -i u200 -c 5000 {HOST}")
flood("flood_syn_random", "syn_flood", f"{HPING} -S --rand-source -p 80 -i u100 -c 10000 {HOST}")
flood("flood_syn_random_next_port", "syn_flood", f"{HPING} -S --rand-source -p ++1 -i u100 -c 10000 {HOST}")
flood("flood_syn_random_ports_silent", "syn_flood", f"{HPING} -S --rand-source -p ++1 -i u100 -c 10000 {SILENT}", blamed=(SILENT,))
flood("flood_syn_closed_port", "syn_flood", f"{HPING} -S -p 81 -i u100 -c 10000 {HOST}")
flood("flood_syn_silent", "syn_flood", f"{HPING} -S -p 80 -i u100 -c 10000 {SILENT}", blamed=(SILENT, ATTACKER))
flood("flood_syn_slowish", "syn_flood", f"{HPING} -S --rand-source -p 80 -i u4000 -c 2000 {HOST}")
flood("flood_syn_data", "syn_flood", f"{HPING} -S --rand-source -d 120 -p 443 -i u100 -c 5000 {HOST}")
flood("flood_syn_v6", "syn_flood", f"nping -6 --tcp --flags syn -p 80 --rate 2000 -c 6000 -HNq {HOST6}", blamed=(HOST6, ATTACKER6))
flood("flood_udp", "udp_flood", f"{HPING} -2 -k -s 4000 -p 9 -d 64 -i u100 -c 10000 {HOST}")
flood("flood_udp_changing_port", "udp_flood", f"{HPING} -2 -p 9 -d 64 -i u100 -c 10000 {HOST}")
flood("flood_udp_random", "udp_flood", f"{HPING} -2 --rand-source -p 9 -d 64 -i u100 -c 10000 {HOST}")
flood("flood_udp_random_next_port", "udp_flood", f"{HPING} -2 --rand-source -p ++9 -d 64 -i u100 -c 10000 {HOST}")
flood("flood_udp_silent", "udp_flood", f"{HPING} -2 --rand-source -p 9 -d 64 -i u100 -c 10000 {SILENT}", blamed=(SILENT,))
flood("flood_udp_fixed_silent", "udp_flood", f"{HPING} -2 -k -s 4000 -p 9 -d 64 -i u100 -c 10000 {SILENT}", blamed=(SILENT, ATTACKER))
flood("flood_udp_v6", "udp_flood", f"nping -6 --udp -g 40000 -p 9 --rate 2000 -c 6000 --data-length 32 -HNq {HOST6}", blamed=(HOST6, ATTACKER6))
flood("flood_ping", "ping_flood", f"ping -q -f -c 10000 {HOST}")
flood("flood_ping_2ms", "ping_flood", f"ping -q -c 1500 -i 0.002 {HOST}")
flood("flood_ping_large", "ping_flood", f"ping -q -f -c 3000 -s 1400 {HOST}")
flood("flood_ping_fragments", "ping_flood", f"ping -q -f -c 3000 -s 4000 {HOST}")
flood("flood_ping_v6", "ping_flood", f"ping -6 -q -f -c 10000 {HOST6}", blamed=(HOST6, ATTACKER6))
flood("flood_ping_random", "ping_flood", f"{HPING} -1 --rand-source -i u100 -c 10000 {HOST}")
flood("flood_ping_silent", "ping_flood", f"{HPING} -1 -i u100 -c 10000 {SILENT}", blamed=(SILENT, ATTACKER))
flood("flood_ack", "ack_flood", f"{HPING} -A -p 80 -i u100 -c 10000 {HOST}")
flood("flood_ack_random", "ack_flood", f"{HPING} -A --rand-source -p 80 -i u100 -c 10000 {HOST}")
flood("flood_ack_push_random", "ack_flood", f"{HPING} -A -P -d 60 --rand-source -p 80 -i u100 -c 10000 {HOST}")
flood("flood_ack_silent", "ack_flood", f"{HPING} -A --rand-source -p 80 -i u100 -c 10000 {SILENT}", blamed=(SILENT,))
flood("flood_rst", "rst_flood", f"{HPING} -R -p 80 -i u100 -c 10000 {HOST}")
flood("flood_rst_random", "rst_flood", f"{HPING} -R --rand-source -p 80 -i u100 -c 10000 {HOST}")
flood("flood_rst_ack_random", "rst_flood", f"{HPING} -R -A --rand-source -p 80 -i u100 -c 10000 {HOST}")


def _udp_to_a_service_that_is_silent() -> None:
    with answering([HOST], 5555, lambda data: None):
        tool(f"{HPING} -2 --rand-source -p 5555 -d 64 -i u100 -c 10000 {HOST}", check=False)


attack(
    "flood", "flood_udp_unanswered_service", "udp_flood", "hping3 -2 --rand-source to a service that says nothing", _udp_to_a_service_that_is_silent, least=500
)


def _syn_flood_on_a_busy_server() -> None:
    lab.run(f"ab -q -n 200 -c 5 -B 198.18.0.201 http://{HOST}/")
    tool(f"{HPING} -S --rand-source -p 80 -i u200 -c 6000 {HOST}", check=False)
    lab.run(f"ab -q -s 5 -n 50 -c 2 -B 198.18.0.202 http://{HOST}/", check=False)


attack("flood", "flood_syn_busy_server", "syn_flood", "ab, hping3 -S --rand-source, ab", _syn_flood_on_a_busy_server, least=500)
attack(
    "flood",
    "flood_syn_unanswered_file",
    "syn_flood",
    "hping3 -S --rand-source, its packets alone",
    lambda: tool(f"{HPING} -S --rand-source -p 80 -i u100 -c 10000 {HOST}", check=False),
    change=lambda packets: side(packets, "asked"),
    least=500,
)


def _syns_v6() -> Iterator[Frame]:
    dice = random.Random(6)
    for n in range(6000):
        yield tcp(f"2001:db8:{dice.randrange(100, 60000):x}::{dice.randrange(1, 60000):x}", HOST6, sport=dice.randrange(1024, 65536), dport=80, at=n / 2000)


def _incomplete(dst: str = HOST) -> Iterator[Frame]:
    dice = random.Random(7)
    for n in range(6000):
        source = ".".join(str(dice.randrange(1, 224)) for _ in range(4)) if "." in dst else f"2001:db8:{dice.randrange(100, 60000):x}::1"
        yield fragment(source, dst, proto=17, offset=0, more=True, payload=bytes(64), ident=n + 1)


attack("flood", "flood_syn_v6_random", "syn_flood", "SYNs from random IPv6 sources", lambda: put(_syns_v6()), blamed=(HOST6,), least=500)
attack("flood", "flood_fragments", "fragment_flood", "first fragments from random sources, never completed", lambda: put(_incomplete()), least=500)
flood("flood_fragments_one_source", "fragment_flood", f"{HPING} -2 -x -d 64 -p 9 -i u200 -c 5000 {HOST}", also=("udp_flood",))

# Anomalies

FLAGS = ["-S -F", "-S -R", "-S -F -A", "-S -F -R", "-R -F", "-S -F -P -U", "-S -R -A -F", "-F -R -U", "-S -A -F -R -P -U"]
TEARDROP, PIECE = f"{HPING} -0 -H 17 -c 1", f"{HPING} -0 -c 1"


def _bogus_flags() -> None:
    for n, flags in enumerate(FLAGS):
        tool(f"{HPING} {flags} -s {2000 + 10 * n} -p 80 -i u20000 -c 3 {HOST}", check=False)


def _singly(*commands: str) -> None:
    for command in commands:
        tool(command, check=False, patience=SENT)


anomaly("bogus_flags", "bogus_flags", "hping3, nine impossible flag combinations", _bogus_flags, also=("flags_scan",))
anomaly(
    "land",
    "land",
    "hping3: SYNs whose source is the target itself",
    lambda: tool(f"{HPING} -S -a {HOST} -s 80 -k -p 80 -i u20000 -c 5 {HOST}", check=False),
    blamed=(HOST,),
)
anomaly(
    "teardrop",
    "fragment_overlap",
    "hping3: a second fragment that lies inside the first",
    lambda: _singly(*(f"{TEARDROP} -N {700 + n} {more} {HOST}" for n in range(5) for more in ("-x -d 40", "-g 24 -d 8"))),
)
anomaly(
    "oversized",
    "fragment_oversized",
    "hping3: fragments that pass 65,535 bytes",
    lambda: _singly(*(f"{PIECE} -H 1 -N {800 + n} -g 65528 -d 400 {HOST}" for n in range(4))),
    least=4,
)
anomaly(
    "tiny",
    "fragment_tiny",
    "hping3: first fragments that end within the TCP header",
    lambda: _singly(*(f"{PIECE} -H 6 -N {1000 + n} {more} {HOST}" for n in range(4) for more in ("-x -d 8", "-g 8 -d 24"))),
    also=("bogus_flags",),  # for the data of hping3 is read as flags
)
anomaly(
    "duplicates",
    "fragment_duplicate",
    "the same fragment again, with other data",
    lambda: put([piece for n in range(6) for piece in _twice(udp(ATTACKER, HOST, sport=2000, dport=53, payload=bytes(48)), n + 1)], pause=0.01),
    also=("fragment_overlap",),
)
anomaly(
    "overlap_v6",
    "fragment_overlap",
    "IPv6 fragments that overlap (RFC 5722)",
    lambda: put(
        [
            fragment(ATTACKER6, HOST6, offset=offset, more=more, payload=bytes([n]) * 32, ident=n)
            for n in range(1, 6)
            for offset, more in ((0, True), (16, False))
        ],
        pause=0.01,
    ),
    blamed=(ATTACKER6,),
)
anomaly(
    "overlap_other_data",
    "fragment_overlap",
    "TCP fragments, a later of which writes over the ports",
    lambda: put([piece for n in range(5) for piece in _rewriting(n)], pause=0.01),
)
anomaly(
    "os_detection",
    "os_fingerprint",
    "nmap -O against an open and a closed port",
    lambda: tool(f"nmap -n -Pn -e eth0 -O --max-os-tries 1 -p 22,26 {HOST}"),
    also=("port_scan", "bogus_flags", "xmas_scan", "null_scan", "flags_scan", "udp_scan"),
)
anomaly(
    "os_detection_ports",
    "os_fingerprint",
    "nmap -O -F",
    lambda: tool(f"nmap -n -Pn -e eth0 -O --max-os-tries 1 -F {HOST}"),
    also=("port_scan", "bogus_flags", "xmas_scan", "null_scan", "flags_scan", "udp_scan"),
)
anomaly(
    "aggressive",
    "os_fingerprint|port_scan",
    "nmap -A -F",
    lambda: tool(f"nmap -n -Pn -e eth0 -A --version-light --host-timeout 60s --max-os-tries 1 -p 22,80,81 {HOST}", patience=70),
    also=("port_scan", "os_fingerprint", "bogus_flags", "xmas_scan", "null_scan", "flags_scan", "udp_scan", "traceroute"),
)
anomaly(
    "os_detection_v6",
    "os_fingerprint",
    "nmap -6 -O",
    lambda: tool(f"nmap -6 -n -Pn -e eth0 -O --max-os-tries 1 -p 22,26 {HOST6}"),
    also=("port_scan", "bogus_flags", "xmas_scan", "null_scan", "flags_scan", "udp_scan"),
    blamed=(ATTACKER6,),
)
anomaly(
    "smurf_victim",
    "smurf",
    "hping3 to a broadcast address in the victim's name, eight hosts answer: at the victim",
    lambda: tool("hping3 -q -n -I br0 -1 -a 198.18.1.5 -i u5000 -c 100 198.18.4.255", check=False),
    blamed=("198.18.1.5",),
)
anomaly(
    "smurf_amplifier",
    "smurf",
    "the same, to the broadcast address of this network: at the amplifier",
    lambda: tool(f"{HPING} -1 -a 198.18.1.5 -i u4000 -c 150 198.18.0.255", check=False),
    blamed=("198.18.1.5",),
)
anomaly(
    "smurf_amplifier_stranger",
    "smurf",
    "the same in the name of a stranger",
    lambda: tool(f"{HPING} -1 -a 203.0.113.9 -i u4000 -c 150 198.18.0.255", check=False),
    blamed=("203.0.113.9",),
)
anomaly(
    "fraggle_victim",
    "fraggle",
    "the same with UDP port 7: at the victim",
    lambda: tool("hping3 -q -n -I br0 -2 -k -s 7777 -p 7 -d 16 -a 198.18.1.5 -i u10000 -c 40 198.18.4.255", check=False),
    blamed=("198.18.1.5",),
)
anomaly(
    "fraggle_amplifier",
    "fraggle",
    "the same with UDP port 7: at the amplifier",
    lambda: tool(f"{HPING} -2 -k -s 7777 -p 7 -d 16 -a 198.18.1.5 -i u10000 -c 60 198.18.0.255", check=False),
    blamed=("198.18.1.5",),
)
anomaly(
    "fraggle_chargen",
    "fraggle",
    "the same with UDP port 19: at the amplifier",
    lambda: tool(f"{HPING} -2 -k -s 7777 -p 19 -d 16 -a 198.18.1.5 -i u10000 -c 60 198.18.0.255", check=False),
    blamed=("198.18.1.5",),
)


def _twice(whole: Frame, ident: int) -> list[Frame]:
    first, *rest = fragments(whole, 16, ident=ident)
    return [first, first, *rest]


def _rewriting(n: int) -> Iterable[Frame]:
    """A later fragment that begins where the ports are, and has others; it is longer than the one before."""
    first, *rest = fragments(tcp(ATTACKER, HOST, sport=3000 + n, dport=80, payload=b"x" * 40), 16, ident=50 + n)
    other = fragments(tcp(ATTACKER, HOST, sport=3000 + n, dport=22, payload=b"y" * 40), 24, ident=50 + n)
    return [first, other[0], *rest]
