"""Scans and sweeps, by the tools that people use for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bench.matrix.captures import stretched
from bench.matrix.network import TARGET_MAC, at_target, put, tool, tools
from bench.matrix.scenario import ATTACKER, ATTACKER6, Packet, Scenario, add
from iplog_core.testing import Frame, fragments, tcp, udp

HOST, HOST6, SILENT, SILENT6, BEHIND, BEHIND6 = "198.18.1.1", "2001:db8:2::1", "198.18.9.1", "2001:db8:9::1", "198.18.3.1", "2001:db8:3::1"
FEW_ALIVE, ALL_ALIVE, NONE_ALIVE = "198.18.1.0/25", "198.18.2.1-100", "198.18.9.0/25"
ALIVE6, NONE_ALIVE6 = [" ".join(f"2001:db8:{net}::{n:x}" for n in range(1, 21)) for net in (2, 9)]
DECOYS = [f"198.18.0.{n}" for n in (70, 71, 72, 73, 74)]
MANY = [f"198.18.0.{n}" for n in range(101, 121)]
NMAP = "nmap -n -Pn -e eth0 -T4 --max-retries 1"
DISCOVER = "nmap -n -sn -e eth0 -T4 --max-retries 1 --max-rtt-timeout 200ms --min-rate 100"  # which -Pn would leave out
MASSCAN = f"masscan --interface eth0 --adapter-ip {ATTACKER} --router-mac {TARGET_MAC.replace(':', '-')} --wait 1 --seed 7"
TINY = ("fragment_tiny",)
HPING = "hping3 -q -n -I eth0"
MAC = TARGET_MAC


def scan(name: str, kinds: str, *commands: str, change: Callable[[list[Packet]], Iterable[Packet]] | None = None, **more: Any) -> None:
    """A scan that commands make, one after the other; a single status other than 0 of hping3 means only that there were no answers."""

    def play() -> None:
        for command in commands:
            tool(command, check=command.startswith(("nmap", "masscan", "zmap", "traceroute", "mtr")))

    how = " && ".join(commands).replace(f"{NMAP} ", "nmap ")
    given = {"blamed": (ATTACKER6 if "2001:db8" in how else ATTACKER,), **more}
    add(Scenario(name, "scan", tuple(kinds.split("|")), how[:160], play, change=change, **given))


def nmap(name: str, kinds: str, options: str, host: str = HOST, **more: Any) -> None:
    scan(name, kinds, f"{NMAP} {'-6 ' if ':' in host else ''}{options} {host}", **more)


# One source, one target: TCP

nmap("syn_top1000", "port_scan", "-sS")
nmap("syn_all_ports", "port_scan", "-sS -p- --min-rate 6000")
nmap("syn_few7", "port_scan", "-sS -p 110,111,139,445,993,3306,8080")
nmap("syn_five", "port_scan", "-sS -p 110,111,139,445,993")
nmap("syn_in_order", "port_scan", "-sS -r -p 1-200")
nmap("syn_high_ports", "port_scan", "-sS -p 40000-40100")
nmap("syn_from_53", "port_scan", "-sS -g 53 -p 1-200")
nmap("syn_from_443", "port_scan", "-sS -g 443 -p 1000-1060")
nmap("syn_50_a_second", "port_scan", "-sS --max-rate 50 -p 1-120")
nmap("syn_fragments_8", "port_scan", "-sS -f -p 1-120", also=TINY)
nmap("syn_fragments_16", "port_scan", "-sS --mtu 16 -p 1-120")
nmap("syn_fragments_24", "port_scan", "-sS --mtu 24 -p 1-120")
nmap("syn_fragments_data", "port_scan", "-sS -f --data-length 40 -p 1-60", also=TINY)
nmap("syn_payload", "port_scan", "-sS --data-length 40 -p 1-120")
nmap("syn_ttl", "port_scan", "-sS --ttl 37 -p 1-120")
nmap("syn_ip_options", "port_scan", "-sS --ip-options R -p 1-60")
nmap("syn_filtered", "port_scan", "-sS --min-rate 200 -p 1-300", SILENT)
nmap("syn_filtered_all_ports", "port_scan", "-sS -p 1-20000 --min-rate 4000 --max-retries 0", SILENT)
nmap("syn_ecn", "port_scan", "-sS --scanflags SYNECECWR -p 1-120")
nmap("syn_fin", "port_scan|flags_scan", "-sS --scanflags SYNFIN -p 1-120", also=("bogus_flags",))
nmap("syn_rst", "port_scan|flags_scan", "-sS --scanflags SYNRST -p 1-120", also=("bogus_flags",))
nmap("syn_psh", "port_scan|flags_scan", "-sS --scanflags SYNPSH -p 1-120", also=("bogus_flags",))
nmap("syn_urg", "port_scan|flags_scan", "-sS --scanflags SYNURG -p 1-60", also=("bogus_flags",))
nmap("syn_only_open", "port_scan", "-sS -p 21,22,25,80,443")
scan("syn_T2", "port_scan", "nmap -n -Pn -e eth0 -sS -T2 --max-retries 0 -p 101-125 198.18.1.1")
scan("syn_T3", "port_scan", "nmap -n -Pn -e eth0 -sS -T3 -F 198.18.1.1")
scan("syn_T5", "port_scan", "nmap -n -Pn -e eth0 -sS -T5 -F 198.18.1.1")
nmap("syn_33_a_second", "port_scan", "-sS --scan-delay 30ms -p 1-60")
nmap("syn_v6", "port_scan", "-sS -p 1-300", HOST6)
nmap("syn_v6_filtered", "port_scan", "-sS --min-rate 200 -p 1-120", SILENT6)
nmap("syn_v6_from_53", "port_scan", "-sS -g 53 -p 1-120", HOST6)
nmap("syn_v6_payload", "port_scan", "-sS --data-length 30 -p 1-120", HOST6)
nmap("connect", "port_scan", "-sT -F")
nmap("connect_1000", "port_scan", "-sT")
nmap("connect_filtered", "port_scan", "-sT --max-rtt-timeout 200ms -p 1-60", SILENT)
nmap("connect_only_closed", "port_scan", "-sT -p 110,111,139,445,993,3306")
nmap("connect_v6", "port_scan", "-sT -F", HOST6)
nmap("version", "port_scan", "-sV --version-light --host-timeout 30s -p 18-30,70-90")
nmap("version_v6", "port_scan", "-sV --version-light --host-timeout 30s -p 18-30,70-90", HOST6)
for kind, option in (("fin", "-sF"), ("null", "-sN"), ("xmas", "-sX"), ("ack", "-sA"), ("maimon", "-sM")):
    nmap(kind, f"{kind}_scan", f"{option} -p 1-200")
    nmap(f"{kind}_filtered", f"{kind}_scan", f"{option} --min-rate 200 -p 1-100", SILENT)
    nmap(f"{kind}_v6", f"{kind}_scan", f"{option} -p 1-200", HOST6)
    nmap(f"{kind}_few", f"{kind}_scan", f"{option} -p 110,111,139,445,993,3306,8080")
    nmap(f"{kind}_from_80", f"{kind}_scan", f"{option} -g 80 -p 1-100")
    nmap(f"{kind}_fragments", f"{kind}_scan", f"{option} -f -p 1-60", also=TINY)
nmap("window", "ack_scan", "-sW -p 1-200")
nmap("window_v6", "ack_scan", "-sW -p 1-200", HOST6)
nmap("xmas_fin_urg", "xmas_scan|flags_scan", "-sF --scanflags FINURG -p 1-100")
nmap("flags_urg_psh", "xmas_scan|flags_scan", "-sF --scanflags URGPSH -p 1-100")
nmap("flags_all", "flags_scan|port_scan", "-sF --scanflags URGACKPSHRSTSYNFIN -p 1-100", also=("bogus_flags",))
nmap("flags_fin_rst", "flags_scan", "-sF --scanflags FINRST -p 1-100", also=("bogus_flags",))
nmap("ack_payload", "ack_scan", "-sA --data-length 30 -p 1-100")
scan("syn_15_seconds", "port_scan", f"{NMAP} -sS --scan-delay 20ms --max-retries 0 -p 201-240 {HOST}", change=partial(stretched, seconds=15))
scan("syn_T0", "port_scan", f"{NMAP} -sS --scan-delay 20ms --max-retries 0 -p 201-232 {HOST}", change=partial(stretched, seconds=300))
scan("syn_T0_filtered", "port_scan", f"{NMAP} -sS --scan-delay 20ms --max-retries 0 -p 201-232 {SILENT}", change=partial(stretched, seconds=300))
scan("syn_T0_v6", "port_scan", f"{NMAP} -6 -sS --scan-delay 20ms --max-retries 0 -p 201-232 {HOST6}", change=partial(stretched, seconds=300))
scan("fin_T0", "fin_scan", f"{NMAP} -sF --scan-delay 20ms --max-retries 0 -p 201-232 {HOST}", change=partial(stretched, seconds=300))
scan("ack_T0", "ack_scan", f"{NMAP} -sA --scan-delay 20ms --max-retries 0 -p 201-232 {HOST}", change=partial(stretched, seconds=300))
scan("masscan_ports", "port_scan", f"{MASSCAN} --rate 2000 -p 1-1000 {HOST}")
scan("masscan_ports_from_61000", "port_scan", f"{MASSCAN} --rate 2000 -p 1-500 --source-port 61000 {HOST}")
scan("hping_scan", "port_scan", f"hping3 -n -I eth0 --scan 1-200 -S {HOST}")
scan("hping_next_port", "port_scan", f"{HPING} -S -p ++1 -i u2000 -c 200 {HOST}")
scan("hping_same_source_port", "port_scan", f"{HPING} -S -k -s 4444 -p ++100 -i u2000 -c 150 {HOST}")
scan("hping_fin_next_port", "fin_scan", f"{HPING} -F -p ++1 -i u2000 -c 150 {HOST}")
scan("hping_ack_next_port", "ack_scan", f"{HPING} -A -p ++1 -i u2000 -c 150 {HOST}")

# One source, one target: UDP, SCTP, protocols

nmap("udp", "udp_scan", "-sU --top-ports 150")
nmap("udp_filtered", "udp_scan", "-sU --min-rate 200 --top-ports 150", SILENT)
nmap("udp_few", "udp_scan", "-sU -p 69,111,161,500,1900,5060,27015")
nmap("udp_from_53", "udp_scan", "-sU -g 53 --top-ports 100")
nmap("udp_from_53_filtered", "udp_scan", "-sU -g 53 --min-rate 200 --top-ports 100", SILENT)
nmap("udp_payload", "udp_scan", "-sU --data-length 30 -p 1-100")
scan("udp_fragments", "udp_scan", f"{HPING} -2 -f -p ++1 -d 40 -i u2000 -c 100 {HOST}")
nmap("udp_v6", "udp_scan", "-sU --top-ports 100", HOST6)
nmap("udp_v6_filtered", "udp_scan", "-sU --min-rate 200 --top-ports 100", SILENT6)
scan("udp_T2", "udp_scan", f"nmap -n -Pn -e eth0 -sU -T2 --max-retries 0 -p 101-120 {HOST}")
scan("udp_T0", "udp_scan", f"{NMAP} -sU --scan-delay 20ms --max-retries 0 -p 201-232 {HOST}", change=partial(stretched, seconds=300))
scan("udp_next_port", "udp_scan", f"{HPING} -2 -p ++1 -d 8 -i u2000 -c 150 {HOST}")
scan("udp_next_port_silent", "udp_scan", f"{HPING} -2 -p ++1 -d 8 -i u2000 -c 150 {SILENT}")
nmap("udp_traceroute_ports", "udp_scan", "-sU -p 33434-33500")
nmap("protocols", "protocol_scan", "-sO")
nmap("protocols_filtered", "protocol_scan", "-sO --min-rate 200", SILENT)
nmap("protocols_few", "protocol_scan", "-sO -p 3,4,8,46,88,103,112,132")
nmap("protocols_v6", "protocol_scan", "-sO", HOST6)
nmap("sctp_init", "sctp_scan", "-sY -p 1-100")
nmap("sctp_init_filtered", "sctp_scan", "-sY --min-rate 200 -p 1-60", SILENT)
nmap("sctp_echo", "sctp_scan", "-sZ -p 1-100")
nmap("sctp_echo_filtered", "sctp_scan", "-sZ --min-rate 200 -p 1-60", SILENT)
nmap("sctp_init_v6", "sctp_scan", "-sY -p 1-100", HOST6)

# Decoys, and many sources

AMONG = f"-D {','.join(DECOYS[:3])},ME,{','.join(DECOYS[3:])}"
nmap("decoys_syn", "port_scan", f"-sS {AMONG} -p 1-150", blamed=(ATTACKER, *DECOYS), sources=6)
nmap("decoys_syn_few", "port_scan", f"-sS {AMONG} -p 110,111,139,445,993,3306,8080", blamed=(ATTACKER, *DECOYS), sources=6)
nmap("decoys_syn_filtered", "port_scan", f"-sS {AMONG} --min-rate 300 -p 1-60", SILENT, blamed=(ATTACKER, *DECOYS), sources=6)
nmap("decoys_fin", "fin_scan", f"-sF {AMONG} -p 1-100", blamed=(ATTACKER, *DECOYS), sources=6)
nmap("decoys_udp", "udp_scan", f"-sU {AMONG} --top-ports 60", blamed=(ATTACKER, *DECOYS), sources=6)
nmap("decoys_random10", "port_scan", "-sS -D RND:10 -p 1-100", blamed=("*",), sources=11)


def distributed(
    name: str, ports: int, *, at_once: bool, option: str = "-sS", delay: str = "", sources: list[str] = MANY, also: tuple[str, ...] = (), **more: Any
) -> None:
    """Every source has ports of its own."""
    commands = [
        f"{NMAP} {option} {delay} -S {source} -p {','.join(str(1000 + n + len(sources) * k) for k in range(ports))} {HOST}" for n, source in enumerate(sources)
    ]
    how = f"nmap {option} of {ports} ports by each of {len(sources)} sources, {'at the same time' if at_once else 'one after another'}"

    def play() -> None:
        if at_once:
            tools(commands)
        else:
            for command in commands:
                tool(command)

    add(Scenario(name, "scan", ("distributed_scan",), how, play, also=also, blamed=tuple(sources), sources=len(sources), **more))


distributed("distributed_20x8", 8, at_once=False, also=("port_scan",))
distributed("distributed_20x8_interleaved", 8, at_once=True, delay="--scan-delay 200ms", also=("port_scan",))
distributed("distributed_20x4", 4, at_once=False)
distributed("distributed_20x4_interleaved", 4, at_once=True, delay="--scan-delay 200ms")
distributed("distributed_10x6", 6, at_once=False, sources=MANY[:10], also=("port_scan",))
distributed("distributed_20x8_slow", 8, at_once=False, also=("port_scan",), delay="--scan-delay 20ms", change=partial(stretched, seconds=20))

# One source, many targets

for name, hosts in (("few_alive", FEW_ALIVE), ("all_alive", ALL_ALIVE), ("none_alive", NONE_ALIVE)):
    nmap(f"sweep_22_{name}", "port_sweep", "-sS -p 22", hosts)
    scan(f"ping_sweep_{name}", "ping_sweep", f"{DISCOVER} -PE {hosts}")
    scan(f"ping_sweep_timestamp_{name}", "ping_sweep", f"{DISCOVER} -PP {hosts}")
    scan(f"ping_sweep_mask_{name}", "ping_sweep", f"{DISCOVER} -PM {hosts}")
    nmap(f"sweep_udp_161_{name}", "udp_sweep", "-sU -p 161", hosts)
    scan(f"host_discovery_{name}", "ping_sweep|port_sweep", f"{DISCOVER} {hosts}", also=("ping_sweep", "port_sweep"))
    scan(f"host_discovery_mix_{name}", "ping_sweep|port_sweep", f"{DISCOVER} -PE -PP -PS443 -PA80 {hosts}", also=("ping_sweep", "port_sweep"))
    scan(f"host_discovery_tcp_{name}", "ping_sweep|port_sweep", f"{DISCOVER} -PS443 -PA80 {hosts}", also=("ping_sweep", "port_sweep"))
nmap("sweep_3389_refused", "port_sweep", "-sS -p 3389", ALL_ALIVE)
nmap("sweep_22_connect", "port_sweep", "-sT -p 22", NONE_ALIVE)
nmap("sweep_445_12_hosts", "port_sweep", "-sS -p 445", "198.18.2.1-12")
nmap("sweep_22_12_hosts_silent", "port_sweep", "-sS -p 22", "198.18.9.1-12")
nmap("sweep_22_slow", "port_sweep", "-sS -p 22 --scan-delay 20ms --max-retries 0", "198.18.9.1-40", change=partial(stretched, seconds=60))
nmap("sweep_22_v6", "port_sweep", "-sS -p 22", NONE_ALIVE6)
nmap("sweep_22_v6_alive", "port_sweep", "-sS -p 22", ALIVE6)
nmap("sweep_udp_161_v6", "udp_sweep", "-sU -p 161", NONE_ALIVE6)
nmap("sweep_udp_53", "udp_sweep", "-sU -p 53", FEW_ALIVE)
scan("ping_sweep_v6", "ping_sweep", f"{DISCOVER} -6 -PE {ALIVE6}")
scan("ping_sweep_v6_none", "ping_sweep", f"{DISCOVER} -6 -PE {NONE_ALIVE6}")
scan("masscan_80", "port_sweep", f"{MASSCAN} --rate 500 -p 80 198.18.9.0/24")
scan("masscan_80_few_alive", "port_sweep", f"{MASSCAN} --rate 500 -p 80 198.18.1.0/25")
scan("masscan_ports_hosts", "port_sweep|port_scan", f"{MASSCAN} --rate 1000 -p 80,443,8080 198.18.1.0/25", also=("port_sweep", "port_scan"))
scan("zmap_80", "port_sweep", f"zmap -q -p 80 -G {MAC} -i eth0 -S {ATTACKER} -r 500 -c 1 -b /dev/null -o /dev/null 198.18.9.0/25")
scan("zmap_icmp", "ping_sweep", f"zmap -q -M icmp_echoscan -G {MAC} -i eth0 -S {ATTACKER} -r 500 -c 1 -b /dev/null -o /dev/null 198.18.1.0/25")
nmap("block_scan", "port_scan|port_sweep", "-sS -p 20-29", "198.18.1.1-14", also=("port_scan", "port_sweep"))
nmap("block_scan_2_hosts", "port_scan", "-sS -p 20-60", "198.18.1.1-2", also=("port_sweep",))
nmap("block_scan_few_ports", "port_scan|port_sweep", "-sS -p 23,135,139,445", "198.18.1.1-14", also=("port_scan", "port_sweep"))
scan("fping_few_alive", "ping_sweep", "fping -q -r 1 -i 5 -S 198.18.0.66 -g 198.18.1.0/26")
scan("fping_all_alive", "ping_sweep", "fping -q -r 1 -i 5 -S 198.18.0.66 -g 198.18.2.1 198.18.2.60")
scan("fping_none_alive", "ping_sweep", "fping -q -r 1 -i 5 -S 198.18.0.66 -g 198.18.9.0/26")
scan("arp_scan_few", "arp_scan", f"{DISCOVER} -PR 198.18.0.0/26")
scan("arp_scan_most", "arp_scan", f"{DISCOVER} -PR 198.18.0.130-189")
scan("arp_scan_tool", "arp_scan", "arp-scan -q -I eth0 --retry=1 198.18.0.0/25")
add(
    Scenario(
        "arp_scan_arping",
        "scan",
        ("arp_scan",),
        "arping of 40 addresses at the same time",
        lambda: tools([f"arping -q -c 1 -w 1 -I eth0 198.18.0.{n}" for n in range(2, 42)], check=False),
        blamed=(ATTACKER,),
    )
)

# The way to a host

for name, target, options in (("", BEHIND, ""), ("_v6", BEHIND6, "-6 ")):
    scan(f"traceroute_udp{name}", "traceroute", f"traceroute {options}-n {target}")
    scan(f"traceroute_icmp{name}", "traceroute", f"traceroute {options}-n -I {target}")
    scan(f"traceroute_tcp{name}", "traceroute", f"traceroute {options}-n -T -p 80 {target}")
scan("traceroute_to_target", "traceroute", f"traceroute -n {HOST}")
scan("traceroute_one_by_one", "traceroute", f"traceroute -n -N 1 -w 0.5 {BEHIND}")
scan("traceroute_silent", "traceroute", f"traceroute -n -w 0.3 -m 12 {SILENT}")
scan("mtr_icmp", "traceroute", f"mtr -n -r -c 3 -i 0.2 {BEHIND}")
scan("mtr_udp", "traceroute", f"mtr -n -r -u -c 3 -i 0.2 {BEHIND}")
scan("mtr_tcp", "traceroute", f"mtr -n -r -T -P 80 -c 3 -i 0.2 {BEHIND}")


# What no tool does


def crafted(name: str, kinds: str, how: str, frames: Callable[[], Iterable[Frame]], **more: Any) -> None:
    given = {"blamed": (ATTACKER,), **more}
    add(Scenario(name, "scan", tuple(kinds.split("|")), how, lambda: put(frames(), pause=0.005), **given))


crafted(
    "syn_two_fragments_reordered",
    "port_scan",
    "SYNs to 60 ports in 8-byte fragments, the last one first",
    lambda: [piece for n in range(60) for piece in reversed(fragments(tcp(ATTACKER, HOST, sport=4000 + n, dport=100 + n), ident=n + 1))],
    also=TINY,
)
crafted(
    "syn_every_packet_differs",
    "port_scan",
    "SYNs to 60 ports; source port, TTL and window change from one to the next",
    lambda: [tcp(ATTACKER, HOST, sport=2000 + 37 * n, dport=(7919 * n) % 60000 + 100, ttl=40 + n % 60) for n in range(60)],
)
crafted(
    "syn_two_ports_in_turn",
    "port_scan",
    "a SYN to port 80, then one to another port, sixty times",
    lambda: [tcp(ATTACKER, HOST, sport=3000 + 2 * n + k, dport=(80, 9000 + n)[k]) for n in range(60) for k in (0, 1)],
)
crafted(
    "udp_empty",
    "udp_scan",
    "empty datagrams to 60 ports from one source port",
    lambda: [udp(ATTACKER, HOST, sport=5353, dport=9000 + n) for n in range(60)],
)


def _behind_a_firewall() -> None:
    """Host unreachables instead of resets: what a filter says."""
    with at_target("ip route add prohibit 198.18.9.2/32", "ip route del 198.18.9.2/32"):
        tool(f"{NMAP} -sS -p 1-100 198.18.9.2")


add(
    Scenario(
        "syn_prohibited",
        "scan",
        ("port_scan",),
        "nmap -sS -p 1-100 of a host behind a filter that answers 'prohibited'",
        _behind_a_firewall,
        blamed=(ATTACKER,),
    )
)
