"""Make the captures of this folder anew, or those named: python tests/captures/make.py [NAME...], as root.

Real tools in a network of namespaces (lab.py), bounded in count and time; README.md tells what each capture holds. It needs dpkt, and the
Debian packages that `tools/system-packages captures python3` installs.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import lzma
import smtplib
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from ftplib import FTP
from pathlib import Path
from typing import NamedTuple

import dpkt
from lab import ATTACKER, GET, TARGET, ask, connect, datagram, each, inside, network, record, run

FOLDER = Path(__file__).parent
SENT = 0.2  # seconds after which a single packet of hping3 has gone out: it would wait for an answer much longer
NMAP = "nmap -n -Pn -T4 --max-retries 1 -e eth0"


class Scene(NamedTuple):
    kinds: str | None
    how: str
    play: Callable[[], None]
    path: Path


SCENES: dict[str, Scene] = {}


def scene(kinds: str | None, how: str, suffix: str = "pcap") -> Callable[[Callable[[], None]], None]:
    """Register a capture: the alert kinds that are right for it ("-" for none, None for one that truth.tsv leaves out) and how it is made."""

    def register(play: Callable[[], None]) -> None:
        SCENES[play.__name__] = Scene(kinds, how, play, FOLDER / f"{play.__name__}.{suffix}")

    return register


def recording(name: str) -> contextlib.AbstractContextManager[None]:
    return record(FOLDER / f"{name}.pcap")


def main(names: list[str]) -> None:
    unknown = set(names) - set(SCENES)
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: no such capture; there are: {', '.join(SCENES)}")
    with network():
        for name in names or SCENES:
            SCENES[name].play()
            print(f"{SCENES[name].path.name}: {SCENES[name].path.stat().st_size:,} bytes", flush=True)
    lines = ["# capture\talert kinds, any of which is right (- = none may be raised above severity info)\thow it was made"]
    lines += [f"{scene.path.name}\t{scene.kinds}\t{scene.how}" for scene in SCENES.values() if scene.kinds]
    (FOLDER / "truth.tsv").write_text("\n".join(lines) + "\n")


# The demo


@scene(None, "an ordinary morning, then somebody tries everything")
def demo() -> None:
    with recording("demo"):
        for n in range(6):
            run(f"curl -s --interface 198.18.0.{201 + n % 3} http://198.18.1.{1 + n}/ -o /dev/null")
            ask(f"198.18.0.{201 + n % 3}", "198.18.1.1", f"www{n}.example.org")
        run("curl -s http://[2001:db8:2::1]/ -o /dev/null")
        send_mail("198.18.0.204", "198.18.1.2")
        run("ping -c 3 -i 0.2 -I 198.18.0.205 198.18.1.1")
        run(f"{NMAP} -sS --top-ports 60 198.18.1.1")
        run(f"{NMAP} -sU --top-ports 24 198.18.1.1")
        run(f"{NMAP} -sF -p 60-100 198.18.1.1")
        run(f"{NMAP} -6 -sS -p 1-40 2001:db8:2::1")
        run("traceroute -n 198.18.3.1")
        each(bogus_flags_commands()[:4])
        teardrop()
        run("ping -q -c 250 -i 0.002 -s 8 198.18.1.1")
        smurf_victim(broadcasts=12)


# Scans


@scene("port_scan", "nmap -sT --top-ports 60")
def tcp_connect_scan() -> None:
    nmap("tcp_connect_scan", "-sT --top-ports 60 198.18.1.1")


@scene("port_scan", "nmap -sS --top-ports 100")
def syn_scan() -> None:
    nmap("syn_scan", "-sS --top-ports 100 198.18.1.1")


@scene("port_scan", "nmap -sS of seven ports, all closed")
def few_ports_scan() -> None:
    nmap("few_ports_scan", "-sS -p 110,111,139,445,993,3306,8080 198.18.1.1")


@scene("fin_scan", "nmap -sF -p 1-60")
def fin_scan() -> None:
    nmap("fin_scan", "-sF -p 1-60 198.18.1.1")


@scene("null_scan", "nmap -sN -p 1-60")
def null_scan() -> None:
    nmap("null_scan", "-sN -p 1-60 198.18.1.1")


@scene("xmas_scan", "nmap -sX -p 1-60")
def xmas_scan() -> None:
    nmap("xmas_scan", "-sX -p 1-60 198.18.1.1")


@scene("ack_scan", "nmap -sA -p 1-60")
def ack_scan() -> None:
    nmap("ack_scan", "-sA -p 1-60 198.18.1.1")


@scene("maimon_scan", "nmap -sM -p 1-60")
def maimon_scan() -> None:
    nmap("maimon_scan", "-sM -p 1-60 198.18.1.1")


@scene("port_scan", "nmap -sS --scanflags SYNFIN -p 1-60")
def syn_fin_scan() -> None:
    nmap("syn_fin_scan", "-sS --scanflags SYNFIN -p 1-60 198.18.1.1")


@scene("udp_scan", "nmap -sU --top-ports 40")
def udp_scan() -> None:
    nmap("udp_scan", "-sU --top-ports 40 198.18.1.1")


@scene("protocol_scan", "nmap -sO -p 1-60")
def protocol_scan() -> None:
    nmap("protocol_scan", "-sO -p 1-60 198.18.1.1")


@scene("port_scan", "nmap -sS -f -p 1-40 (8-byte fragments)")
def fragmented_scan() -> None:
    nmap("fragmented_scan", "-sS -f -p 1-40 198.18.1.1")


@scene("port_scan", "nmap -6 -sS -p 1-60")
def ipv6_scan() -> None:
    nmap("ipv6_scan", "-6 -sS -p 1-60 2001:db8:2::1")


@scene("udp_scan", "nmap -6 -sU --top-ports 30")
def ipv6_udp_scan() -> None:
    nmap("ipv6_udp_scan", "-6 -sU --top-ports 30 2001:db8:2::1")


@scene("distributed_scan", "nmap -sS from 12 sources in turn, 6 ports each, one target")
def distributed_scan() -> None:
    with recording("distributed_scan"):
        for n in range(12):
            ports = ",".join(str(1000 + n + 12 * k) for k in range(6))
            run(f"{NMAP} -sS -S 198.18.0.{101 + n} -p {ports} 198.18.1.1")


@scene("port_scan", "nmap -sS -p 1-30 with five decoy sources: six scanners, one set")
def decoy_scan() -> None:
    nmap("decoy_scan", "-sS -p 1-30 -D 198.18.0.70,198.18.0.71,198.18.0.72,ME,198.18.0.73,198.18.0.74 198.18.1.1")


@scene("port_scan", "nmap -sS -T2 of 15 ports, 0.4 s apart")
def polite_scan() -> None:
    with recording("polite_scan"):
        run("nmap -n -Pn -e eth0 -sS -T2 --max-retries 0 -p 101-115 198.18.1.1")


@scene("port_scan", "nmap -sS of 24 ports; then its times were written anew, a probe every 15 s")
def slow_scan() -> None:
    path = FOLDER / "slow_scan.pcap"
    nmap("slow_scan", "-sS --scan-delay 50ms --max-retries 0 -p 201-224 198.18.1.1")
    frames = [frame for _, frame in read(path) if dpkt.ethernet.Ethernet(frame).type == dpkt.ethernet.ETH_TYPE_IP]
    times, probes = [], -1
    for frame in frames:
        reply = dpkt.ethernet.Ethernet(frame).data.src == bytes([198, 18, 1, 1])
        probes += not reply
        times.append(1_577_836_800 + 15 * probes + (0.0002 if reply else 0))
    write(path, zip(times, frames, strict=True))


@scene("ping_sweep", "nmap -sn -PE of a /27, 14 hosts alive")
def ping_sweep() -> None:
    with recording("ping_sweep"):
        run("nmap -n -T4 --max-retries 1 -e eth0 --disable-arp-ping -sn -PE 198.18.1.0/27")


@scene("port_sweep", "nmap -sS -p 22 of a /26, 14 hosts alive")
def port_sweep() -> None:
    nmap("port_sweep", "-sS -p 22 198.18.1.0/26")


@scene("udp_sweep", "nmap -sU -p 161 of a /27, 14 hosts alive")
def udp_sweep() -> None:
    nmap("udp_sweep", "-sU -p 161 198.18.1.0/27")


@scene("arp_scan", "nmap -sn -PR of a /27 on the link")
def arp_scan() -> None:
    with recording("arp_scan"):
        run("nmap -n -T4 --max-retries 1 -e eth0 -sn -PR 198.18.0.0/27")


@scene("sctp_scan", "nmap -sY -p 1-30")
def sctp_scan() -> None:
    nmap("sctp_scan", "-sY -p 1-30 198.18.1.1")


@scene("port_scan|os_fingerprint|bogus_flags", "nmap -O against one open and one closed port")
def os_fingerprint() -> None:
    nmap("os_fingerprint", "-O --max-os-tries 1 -p 22,26 198.18.1.1")


@scene("traceroute", "traceroute over two hops, three probes a hop")
def traceroute() -> None:
    with recording("traceroute"):
        run("traceroute -n 198.18.3.1")


@scene("traceroute", "traceroute -6 over two hops, three probes a hop")
def ipv6_traceroute() -> None:
    with recording("ipv6_traceroute"):
        run("traceroute -6 -n 2001:db8:3::1")


def nmap(name: str, arguments: str) -> None:
    with recording(name):
        run(f"{NMAP} {arguments}")


# Attacks


@scene("syn_flood", "hping3, 800 SYNs from one source to port 80; gzip", "pcap.gz")
def syn_flood() -> None:
    with recording("syn_flood"):
        run("hping3 -q -n -I eth0 -S -p 80 -i u600 -c 800 198.18.1.1", check=False)
    compress("syn_flood")


@scene("syn_flood", "hping3, 800 SYNs from random sources to port 80; gzip", "pcap.gz")
def syn_flood_random() -> None:
    # Answers to addresses that are nobody's have no way out of the network.
    with recording("syn_flood_random"):
        run("hping3 -q -n -I eth0 -S --rand-source -p 80 -i u600 -c 800 198.18.1.1", check=False)
    compress("syn_flood_random")


@scene("udp_flood", "hping3, 800 datagrams from one source to port 9; gzip", "pcap.gz")
def udp_flood() -> None:
    with recording("udp_flood"):
        run("hping3 -q -n -I eth0 -2 -k -s 4000 -p 9 -d 32 -i u600 -c 800 198.18.1.1", check=False)
    compress("udp_flood")


@scene("ping_flood", "ping -i 0.002, 1,000 requests; gzip", "pcap.gz")
def ping_flood() -> None:
    with recording("ping_flood"):
        run("ping -q -c 1000 -i 0.002 -s 8 198.18.1.1")
    compress("ping_flood")


@scene("smurf", "echo requests to a broadcast address in the victim's name, as the victim sees it: replies of eight hosts")
def smurf() -> None:
    with recording("smurf"):
        smurf_victim(broadcasts=40)


@scene("smurf", "hping3, 150 echo requests to the broadcast address of this network in the victim's name")
def smurf_amplifier() -> None:
    with recording("smurf_amplifier"):
        run("hping3 -q -n -I eth0 -1 -a 198.18.1.5 -i u4000 -c 150 198.18.0.255", check=False)


@scene("fraggle", "datagrams to port 7 of a broadcast address in the victim's name, as the victim sees it")
def fraggle() -> None:
    with recording("fraggle"):
        run("hping3 -q -n -I br0 -2 -k -s 7777 -p 7 -d 16 -a 198.18.1.5 -i u10000 -c 20 198.18.4.255", check=False)


@scene("fragment_overlap|fragment_oversized|fragment_duplicate|fragment_tiny", "hping3: fragments that overlap, pass 65,535 bytes, repeat, cut headers")
def hostile_fragments() -> None:
    with recording("hostile_fragments"):
        teardrop()
        piece = "hping3 -q -n -I eth0 -0 -c 1"
        for n in range(3):
            each([f"{piece} -H 1 -N {800 + n} -g 65528 -d 400 198.18.1.1"], patience=SENT)
            each([f"{piece} -H 17 -N {900 + n} -x -d 64 198.18.1.1"] * 2, patience=SENT)
            each([f"{piece} -H 6 -N {1000 + n} -x -d 8 198.18.1.1", f"{piece} -H 6 -N {1000 + n} -g 8 -d 24 198.18.1.1"], patience=SENT)


@scene("bogus_flags", "hping3, nine impossible flag combinations, three times each")
def bogus_flags() -> None:
    with recording("bogus_flags"):
        each(bogus_flags_commands())


@scene("land", "hping3: SYNs whose source is the target itself")
def land() -> None:
    with recording("land"):
        run("hping3 -q -n -I eth0 -S -a 198.18.1.1 -s 80 -k -p 80 -i u20000 -c 5 198.18.1.1", check=False)


def bogus_flags_commands() -> list[str]:
    flags = ["-S -F", "-S -R", "-S -F -A", "-S -F -R", "-R -F", "-S -F -P -U", "-S -R -A -F", "-F -R -U", "-S -A -F -R -P -U"]
    return [f"hping3 -q -n -I eth0 {combination} -s {2000 + 10 * n} -p 80 -i u20000 -c 3 198.18.1.1" for n, combination in enumerate(flags)]


def teardrop() -> None:
    """A second fragment that lies inside the first, five times."""
    piece = "hping3 -q -n -I eth0 -0 -H 17 -c 1"
    for n in range(5):
        each([f"{piece} -N {700 + n} -x -d 40 198.18.1.1", f"{piece} -N {700 + n} -g 24 -d 8 198.18.1.1"], patience=SENT)


def smurf_victim(broadcasts: int) -> None:
    run(f"hping3 -q -n -I br0 -1 -a 198.18.1.5 -i u10000 -c {broadcasts} 198.18.4.255", check=False)


# Ordinary traffic, which may look like something else


@scene("-", "one web client, 34 servers, four of them dead")
def web_client() -> None:
    with recording("web_client"):
        for n in range(1, 31):
            fetch("198.18.0.201", f"198.18.2.{n}")
        for n in range(41, 45):
            fetch("198.18.0.201", f"198.18.2.{n}")


@scene("-", "FTP, 15 passive transfers")
def ftp_passive() -> None:
    with recording("ftp_passive"), FTP("198.18.1.1", timeout=5, source_address=("198.18.0.203", 0)) as ftp:
        ftp.login()
        for n in range(15):
            ftp.retrbinary(f"RETR file{n}", lambda data: None)


@scene("-", "three clients of a name server, 90 questions")
def name_server() -> None:
    with recording("name_server"):
        for n in range(90):
            ask(f"198.18.0.{205 + n % 3}", "198.18.1.1", f"host{n}.example.net")


@scene("-", "peer-to-peer client, 60 peers asked, most of them silent, five spoken to")
def peer_to_peer() -> None:
    with recording("peer_to_peer"):
        for n in range(1, 61):
            datagram("198.18.0.202", f"198.18.2.{n}" if n % 6 == 0 else f"198.18.9.{n}", 40000 + 97 * n % 9000, b"find_node" * 5, sport=51413)
        for n in range(1, 6):
            connect("198.18.0.202", f"198.18.2.{n}", 80, send=GET)


@scene("-", "a client that retries one closed port, 60 times")
def retry_closed() -> None:
    with recording("retry_closed"):
        for _ in range(60):
            connect("198.18.0.204", "198.18.1.1", 2222)
            time.sleep(0.02)


@scene("-", "20 pings")
def ping() -> None:
    with recording("ping"):
        run("ping -q -c 20 -i 0.2 198.18.1.1")


@scene("-", "a mail client that delivers to 12 servers; two more are dead")
def mail_client() -> None:
    with recording("mail_client"):
        for n in range(1, 13):
            send_mail("198.18.0.208", f"198.18.2.{n}")
        for n in range(51, 53):
            connect("198.18.0.208", f"198.18.2.{n}", 25)


@scene("-", "monitoring of four services on six hosts, two of them down, three rounds")
def monitoring() -> None:
    with recording("monitoring"):
        for _ in range(3):
            for host in range(1, 7):
                for port in (21, 22, 25, 80):
                    connect("198.18.0.209", f"198.18.1.{host}" if host < 5 else f"198.18.1.{host + 20}", port, timeout=0.05)


def fetch(source: str, server: str) -> None:
    client = http.client.HTTPConnection(server, timeout=0.4, source_address=(source, 0))
    with contextlib.suppress(OSError):
        client.request("GET", "/")
        client.getresponse().read()
    client.close()


def send_mail(source: str, server: str) -> None:
    with smtplib.SMTP(server, timeout=5, source_address=(source, 0), local_hostname="client.example") as client:
        client.sendmail("a@example.org", "b@example.net", "Subject: hello\r\n\r\nhello\r\n")


# Traffic for the rules, for the forms of the log lines, and for the decoder


@scene(None, "something for each example of a rule to drop and to keep")
def rules() -> None:
    with recording("rules"):
        send_mail("198.18.0.208", "198.18.1.2")
        connect("198.18.0.208", "198.18.1.2", 80, sport=25, send=GET)
        ask("198.18.0.205", "198.18.1.1", "www.example.org")
        datagram("198.18.0.205", "198.18.1.3", 1025, b"an answer that nobody asked for", sport=53)
        datagram("198.18.0.205", "198.18.1.3", 514, b"<13>hello")
        datagram("192.168.7.9", "198.18.1.3", 514, b"<13>hello")
        datagram("192.0.2.9", "198.18.1.3", 514, b"<13>hello")
        hping = "hping3 -q -n -I eth0 -c 1"
        each([f"{hping} -2 -k -s 3000 -p 514 -d 9 -a {source} 198.18.1.3" for source in ("127.1.2.3", "127.1.3.3", "192.0.2.77")], patience=SENT)
        for port in (1023, 1044, 1045, 1050, 1055, 1056, 2049):
            connect("198.18.0.206", "198.18.1.4", port, sport=20)
            connect("198.18.0.206", "198.18.1.4", port, sport=40000 + port)
        each([f"{hping} -1 198.18.1.1", f"{hping} --icmp-ts 198.18.1.1", f"{hping} --icmp-addr 198.18.1.1"], patience=SENT)
        datagram("198.18.0.207", "198.18.1.1", 9999, b"nobody is there")


@scene(None, "ICMP and ICMPv6 of every kind, those that answer a packet by a real stack")
def icmp() -> None:
    with inside(TARGET):
        run("sysctl -qw net.ipv4.ipfrag_time=1 net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.eth0.send_redirects=1")
        run("ip link set far0 mtu 1280")
    with inside(ATTACKER):
        run("ip route add 198.18.0.77 via 198.18.0.1")
    hping = "hping3 -q -n -I eth0 -c 1"
    with recording("icmp"):
        run("ping -c 1 198.18.1.1")
        run("ping -6 -c 1 2001:db8:2::1")
        for n, target in enumerate(("198.18.5.1", "198.18.6.1", "198.18.7.1", "198.18.1.1", "198.18.3.77", "198.18.0.77")):
            datagram("198.18.0.66", target, 33434 + n, b"is anybody there", sport=3000)
        each([f"{hping} -0 -H 200 -d 8 198.18.1.1", f"{hping} -S -s 3000 -p 7 -t 1 198.18.3.1", f"{hping} -2 -x -s 3000 -p 53 -d 24 198.18.1.1"])
        each(["ping -c 1 -W 1 -M do -s 1400 198.18.3.1", "ping -6 -c 1 -W 1 -M do -s 1400 2001:db8:3::1", "ping -6 -c 1 -W 1 -t 1 2001:db8:3::1"])
        each([f"{hping} --icmp-ts 198.18.1.1", f"{hping} --icmp-addr 198.18.1.1"], patience=SENT)
        quoted = "--icmp-ipsrc 198.18.1.1 --icmp-ipdst 198.18.0.9 --icmp-ipproto 17 --icmp-srcport 3000 --icmp-dstport 33434"
        forged = f"{hping} -1 --force-icmp {quoted}"
        each([f"{forged} -C {kind} 198.18.1.1" for kind in (4, 6, 9, 10, 12, 14, 15, 16, 18, 40)], patience=SENT)
        each([f"{forged} -C 3 -K {code} 198.18.1.1" for code in range(16)], patience=SENT)
        each([f"{forged} -C 5 -K {code} --icmp-gw 198.18.0.1 198.18.1.1" for code in range(4)], patience=SENT)
        run("traceroute -6 -n -q 1 -N 1 2001:db8:2::1")
        time.sleep(3.5)
    with inside(TARGET):
        run("ip link set far0 mtu 1500")


@scene("-", "pings and a datagram too large for one packet, IPv4 and IPv6")
def fragments() -> None:
    with recording("fragments"):
        run("ping -c 1 -s 3000 198.18.1.1")
        run("ping -6 -c 1 -s 3000 2001:db8:2::1")
        ask("198.18.0.205", "198.18.1.1", ".".join(["label" * 8] * 50))


@scene("-", "a little of everything ordinary: web, a closed port, DNS, ping, IPv6")
def ordinary() -> None:
    with recording("ordinary"):
        little_of_everything()


@scene("-", "the same, tcpdump -i any -y LINUX_SLL")
def sll() -> None:
    with record(FOLDER / "sll.pcap", "-y", "LINUX_SLL", interface="any"):
        little_of_everything()


@scene("-", "the same, tcpdump -i any -y LINUX_SLL2")
def sll2() -> None:
    with record(FOLDER / "sll2.pcap", "-y", "LINUX_SLL2", interface="any"):
        little_of_everything()


@scene("-", "the same, in nanoseconds")
def nanoseconds() -> None:
    with record(FOLDER / "nanoseconds.pcap", "--time-stamp-precision=nano"):
        little_of_everything()


@scene("-", "the same, 60 bytes of each packet")
def snap60() -> None:
    with record(FOLDER / "snap60.pcap", "-s", "60"):
        little_of_everything()


@scene("-", "ordinary.pcap in VLAN 7 (802.1Q), written with dpkt")
def vlan() -> None:
    relink("vlan", dpkt.pcap.DLT_EN10MB, lambda frame: frame[:12] + b"\x81\x00\x00\x07" + frame[12:])


@scene("-", "ordinary.pcap in VLAN 9 within VLAN 8 (802.1ad), written with dpkt")
def qinq() -> None:
    relink("qinq", dpkt.pcap.DLT_EN10MB, lambda frame: frame[:12] + b"\x88\xa8\x00\x08\x81\x00\x00\x09" + frame[12:])


@scene("-", "ordinary.pcap without its link headers (DLT_RAW), written with dpkt")
def raw() -> None:
    relink("raw", dpkt.pcap.DLT_RAW, lambda frame: frame[14:] if is_ip(frame) else None)


@scene("-", "ordinary.pcap under BSD loopback headers (DLT_NULL), written with dpkt")
def null() -> None:
    relink("null", dpkt.pcap.DLT_NULL, lambda frame: struct.pack("<I", 2 if is_ipv4(frame) else 30) + frame[14:] if is_ip(frame) else None)


@scene("-", "ordinary.pcap under OpenBSD loopback headers (DLT_LOOP), written with dpkt")
def loop() -> None:
    relink("loop", dpkt.pcap.DLT_LOOP, lambda frame: struct.pack(">I", 2 if is_ipv4(frame) else 24) + frame[14:] if is_ip(frame) else None)


@scene("-", "ordinary.pcap under PPP headers (RFC 1662), written with dpkt")
def ppp() -> None:
    relink("ppp", dpkt.pcap.DLT_PPP, lambda frame: b"\xff\x03\x00" + (b"\x21" if is_ipv4(frame) else b"\x57") + frame[14:] if is_ip(frame) else None)


@scene("-", "the same and pings that are forwarded, at two interfaces; mergecap", "pcapng")
def two_interfaces() -> None:
    path = FOLDER / "two_interfaces.pcapng"
    with record(FOLDER / "two_interfaces.eth0"), record(FOLDER / "two_interfaces.far0", interface="far0"):
        run("ping -c 3 -i 0.2 198.18.3.1")
        little_of_everything()
    run(f"mergecap -F pcapng -I none -w {path} {FOLDER / 'two_interfaces.eth0'} {FOLDER / 'two_interfaces.far0'}")
    for name in ("eth0", "far0"):
        (FOLDER / f"two_interfaces.{name}").unlink()


@scene("-", "ordinary.pcap, xz", "pcap.xz")
def ordinary_xz() -> None:
    (FOLDER / "ordinary_xz.pcap.xz").write_bytes(lzma.compress((FOLDER / "ordinary.pcap").read_bytes()))


@scene("-", "ordinary.pcap, zstd", "pcap.zst")
def ordinary_zst() -> None:
    run(f"zstd -q -f {FOLDER / 'ordinary.pcap'} -o {FOLDER / 'ordinary_zst.pcap.zst'}")


def little_of_everything() -> None:
    connect("198.18.0.201", "198.18.1.1", 80, send=GET)
    connect("198.18.0.201", "198.18.1.1", 81)
    ask("198.18.0.201", "198.18.1.1", "www.example.org")
    run("curl -s http://[2001:db8:2::1]/ -o /dev/null")
    run("ping -c 2 -i 0.2 198.18.1.1")


# Files


def read(path: Path) -> Iterator[tuple[float, bytes]]:
    with path.open("rb") as file:
        yield from list(dpkt.pcap.Reader(file))


def write(path: Path, packets: Iterable[tuple[float, bytes]], linktype: int = dpkt.pcap.DLT_EN10MB) -> None:
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, linktype=linktype)
        for at, frame in packets:
            writer.writepkt(frame, at)


def relink(name: str, linktype: int, change: Callable[[bytes], bytes | None]) -> None:
    """Give the frames of ordinary.pcap another link header; leave out those for which `change` has None."""
    changed = ((at, change(frame)) for at, frame in read(FOLDER / "ordinary.pcap"))
    write(FOLDER / f"{name}.pcap", ((at, frame) for at, frame in changed if frame is not None), linktype)


def is_ipv4(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00"


def is_ip(frame: bytes) -> bool:
    return is_ipv4(frame) or frame[12:14] == b"\x86\xdd"


def compress(name: str) -> None:
    path = FOLDER / f"{name}.pcap"
    (FOLDER / f"{name}.pcap.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
