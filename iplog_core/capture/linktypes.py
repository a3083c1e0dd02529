"""Link types by number, as the registry of tcpdump.org has them: those that iplog decodes, and the names of usual others."""

from __future__ import annotations

DECODED = frozenset({0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276})
"""BSD loopback, Ethernet, PPP, raw IP (12 and 14: as some systems number it), PPP in HDLC framing, Linux cooked v1 and v2."""

_NAMES = {
    3: "AX.25",
    6: "IEEE 802.5 Token Ring",
    7: "ARCNET",
    8: "SLIP",
    10: "FDDI",
    51: "PPPoE",
    100: "ATM",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    107: "Frame Relay",
    114: "LocalTalk",
    117: "PFLOG",
    119: "IEEE 802.11 with Prism header",
    122: "IP over Fibre Channel",
    127: "IEEE 802.11 with radiotap header",
    138: "IP over IEEE 1394",
    143: "DOCSIS",
    163: "IEEE 802.11 with AVS header",
    187: "Bluetooth HCI",
    189: "USB",
    192: "PPI",
    195: "IEEE 802.15.4",
    201: "Bluetooth HCI",
    220: "USB",
    226: "Solaris IPNET",
    227: "CAN",
    230: "IEEE 802.15.4",
    231: "D-Bus",
    239: "NFLOG",
    240: "netANALYZER",
    242: "IP over InfiniBand",
    247: "InfiniBand",
    248: "SCTP",
    249: "USBPcap",
    251: "Bluetooth LE",
    253: "netlink",
    256: "Bluetooth LE with radio header",
    271: "vsock",
    272: "Bluetooth LE with nRF header",
    283: "IEEE 802.15.4 TAP",
}


def link_type_name(number: int) -> str:
    """Return a link type as `105 (IEEE 802.11)`, or the number alone."""
    if 147 <= number <= 162:
        return f"{number} (USER{number - 147})"
    return f"{number} ({_NAMES[number]})" if number in _NAMES else str(number)
