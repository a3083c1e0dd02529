"""What is measured: iplog in several ways, tcpdump, and others that look at the same packets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Literal

from bench.levels import TABLE

HERE = Path(__file__).parent
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/zeek/bin"
"""Where tools are looked for: also where a user who is not root, or a package of a project's own, has them."""

TCPDUMP = "tcpdump"
DETECTORS = ("bogus_flags", "flood", "frag", "host_sweep", "proto_scan", "smurf", "tcp_scan", "traceroute", "udp_scan")


@dataclass(frozen=True)
class Tool:
    """A way to read a capture: a command in which CAPTURE stands for it, and FOLDER for a folder that is gone afterwards.

    A stage is iplog with one detector, or none, which shows where its time goes; a level, with the same small detector written in one of several ways.
    """

    name: str
    about: str
    words: tuple[str, ...]
    version: tuple[str, ...] = ("--version",)
    kind: Literal["ours", "peer", "stage", "level"] = "peer"

    @property
    def installed(self) -> bool:
        return which(self.words[0], path=PATH) is not None

    def command(self, capture: Path, folder: Path) -> list[str]:
        return [word.replace("CAPTURE", str(capture)).replace("FOLDER", str(folder)) for word in self.words]

    def versions(self) -> str:
        """The first line with a digit in it of what it says of its version."""
        command = [self.words[0], *self.version]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, env={**os.environ, "PATH": PATH})
        return next((line.strip(" -") for line in (done.stdout + done.stderr).splitlines() if any(map(str.isdigit, line))), "")


def _iplog(name: str, about: str, *options: str, kind: Literal["ours", "stage", "level"] = "ours") -> Tool:
    iplog = (sys.executable, "-m", "iplog_core.cli.main")
    return Tool(name, about, (*iplog, "read", "--quiet", *options, "CAPTURE"), (*iplog[1:], "--version"), kind)


def _stage(name: str, *plugins: str) -> Tool:
    return _iplog(name, f"iplog with {', '.join(plugins) or 'no detector'}", "--alerts-only", "--set", f"enable={json.dumps(plugins)}", kind="stage")


LEVELS = {
    "by_packet": "a packet at a time (`PacketDetector`)",
    "by_batch": "a batch at a time, with masks",
    "by_flow": "tracker and flows",
}


def _level(name: str) -> Tool:
    """All classes of a file run, so that the others are disabled."""
    others = ",".join(other for other in LEVELS if other != name)
    paths = f"plugin_paths={json.dumps([str(HERE / 'levels.py')])}"
    return _iplog(name, LEVELS[name], "--alerts-only", "--set", "enable=[]", "--set", paths, "--disable", others, kind="level")


_TABLE = ("--set", 'enable=["threshold"]', "--set", f"plugins.threshold.telnet={TABLE}")
_SURICATA = ("suricata", "-c", "/etc/suricata/suricata.yaml", "-S", os.devnull, "-l", "FOLDER", "-k", "none", "--runmode", "single", "-r", "CAPTURE")

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(TCPDUMP, "reads, writes to /dev/null", (TCPDUMP, "-r", "CAPTURE", "-w", os.devnull), kind="ours"),
        Tool("decoding", "iplog's reader and decoder alone", (sys.executable, str(HERE / "decoding.py"), "CAPTURE"), kind="ours"),
        _iplog("alerts", "iplog read --alerts-only", "--alerts-only"),
        _iplog("text", "iplog read"),
        _iplog("json", "iplog read --format json", "--format", "json"),
        Tool("scanlogd", "scans, 256 sources, IPv4 TCP only", (str(HERE / "scanlogd.sh"), "CAPTURE")),
        Tool("softflowd", "flows", ("softflowd", "-d", "-6", "-p", "FOLDER/pid", "-c", "FOLDER/ctl", "-r", "CAPTURE"), ("-h",)),
        Tool("p0f", "fingerprints, in a file", ("p0f", "-o", "FOLDER/log", "-r", "CAPTURE"), ("-h",)),
        Tool("argus", "flows, in a file", ("argus", "-X", "-w", "FOLDER/argus", "-r", "CAPTURE"), ("-h",)),
        Tool(
            "snort", "Snort 3 with port_scan and stream", ("snort", "-q", "-k", "none", "-c", str(HERE / "snort.lua"), "-l", "FOLDER", "-r", "CAPTURE"), ("-V",)
        ),
        Tool("suricata", "without rules, eve.json as installed", _SURICATA, ("-V",)),
        Tool("zeek", "with the scripts that it loads by itself", ("zeek", "-C", "-r", "CAPTURE")),
        Tool("tshark", "dissects everything, prints totals", ("tshark", "-n", "-q", "-z", "io,phs", "-r", "CAPTURE")),
        Tool("dpkt", "decodes", (sys.executable, str(HERE / "dpkt_decoding.py"), "CAPTURE"), ("-c", "import dpkt; print('dpkt', dpkt.__version__)")),
        _stage("flows"),
        *(_stage(name, name) for name in DETECTORS),
        *map(_level, LEVELS),
        _iplog("threshold", "a `[plugins.threshold.telnet]` table", "--alerts-only", *_TABLE, kind="level"),
    )
}
