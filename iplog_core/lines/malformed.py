"""The lines of packets that could not be decoded to the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iplog_core.batch import Malformed
from iplog_core.lines.forms import Part, host, number, word, words

_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMP", 132: "SCTP"}
_FAULTS = {
    Malformed.TRUNCATED.value: "short header",
    Malformed.BAD_IP_HEADER.value: "bad header",
    Malformed.BAD_IP_LENGTH.value: "bad length",
    Malformed.BAD_EXTENSION.value: "bad extension header",
    Malformed.BAD_TCP_HEADER.value: "bad header length",
    Malformed.BAD_UDP_LENGTH.value: "bad length",
    Malformed.BAD_LINK.value: "bad link header",
}
_OF_THE_PROTOCOL = (Malformed.TRUNCATED.value, Malformed.BAD_TCP_HEADER.value, Malformed.BAD_UDP_LENGTH.value)
_UNREAD, _OF_IP, _OF_ABOVE = range(3)


def malformed_keys(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return a key to the form of each row (`RECORD_DTYPE`) of a malformed packet: what `malformed_form` takes."""
    keys = np.where(np.isin(rows["malformed"], _OF_THE_PROTOCOL), _OF_ABOVE, _OF_IP)
    return np.where(rows["version"] == 0, _UNREAD, keys)


def malformed_form(key: int, *, named: bool, log_dest: bool) -> list[str | Part]:
    """Return the parts of a line about a malformed packet: what is wrong, and whose it was as far as that could be read."""
    fault = word("malformed", words(_FAULTS, "undefined fault "))
    if key == _UNREAD:
        return ["IP: ", fault, " (", number("bytes"), " bytes)"]
    whose: str | Part = word("proto", words(_PROTOCOLS, "IP", counted=False)) if key == _OF_ABOVE else "IP"
    to: list[str | Part] = [" to ", host("dst", named=named)] if log_dest else []
    return [whose, ": ", fault, " from ", host("src", named=named), *to]
