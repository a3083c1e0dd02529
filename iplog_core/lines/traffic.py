"""The lines of traffic: connection attempts, datagrams, ICMP messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import addresses
from iplog_core.batch import Outcome
from iplog_core.events import RECORD_DTYPE, RecordKind
from iplog_core.lines.forms import GIVEN, MARK, Block, Forms, Numbers, Part, host, joined, number, word, words
from iplog_core.lines.hosts import printable
from iplog_core.lines.icmp import ICMP_BITS, icmp_form, icmp_keys, spoken_of
from iplog_core.lines.malformed import malformed_form, malformed_keys
from iplog_core.services import Protocol, services

if TYPE_CHECKING:
    from iplog_core.kernel.lines import Words

_PROTOCOLS = {
    RecordKind.CONNECTION_ATTEMPT: "TCP",
    RecordKind.DATAGRAM: "UDP",
    RecordKind.ICMP: "ICMP",
    RecordKind.MALFORMED: "IP",
}
_DETAIL = 3
"""Where in the key to a form begins what its kind of record has a say in."""

_GIVEN = 7
"""The key to the form of a line that is given: there is no such record."""


class TrafficLines:
    """Lines of records, each behind `prefix`. `named` tells whether a protocol's lines name hosts, `log_dest` whether lines name destinations."""

    def __init__(self, named: Callable[[str], bool], log_dest: bool, prefix: Sequence[str | Part]) -> None:
        self._named = {kind: named(proto) for kind, proto in _PROTOCOLS.items()}
        self._log_dest = log_dest
        self._prefix = [*prefix, MARK]
        self._forms = Forms()
        self._numbers = Numbers(_DETAIL + ICMP_BITS, self._form)

    def text(self, rows: NDArray[Any], names: Mapping[str, str]) -> Block:
        """Return one line for each row (`RECORD_DTYPE`) but the ends of flows."""
        record = rows["record"].copy()
        if (record == RecordKind.FLOW).any():
            rows = rows[record != RecordKind.FLOW]
            record = rows["record"].copy()
        keys = record.astype(np.int64)
        for kind, of in ((RecordKind.ICMP, icmp_keys), (RecordKind.MALFORMED, malformed_keys)):
            chosen = np.flatnonzero(record == kind)
            if len(chosen):
                keys[chosen] |= of(rows[chosen]) << _DETAIL
        return self._forms.text(rows, self._numbers.of(keys), rows["time"], names=names)

    def given(self, times: NDArray[np.int64], lines: Sequence[str]) -> Block:
        """Return lines that are none of records, as the others stand: behind their prefix."""
        rows = np.zeros(len(lines), RECORD_DTYPE)
        rows["time"] = times
        return self._forms.text(rows, self._numbers.of(np.full(len(rows), _GIVEN)), times, given=[line.encode() for line in lines])

    def mentioned(self, rows: NDArray[Any]) -> Iterator[str]:
        """Return the addresses in the lines of rows, of those protocols whose hosts are named."""
        for kind in (kind for kind, named in self._named.items() if named):
            chosen = rows[rows["record"] == kind]
            for side in ("src", "dst") if self._log_dest else ("src",):
                yield from addresses(chosen[f"{side}_hi"], chosen[f"{side}_lo"])
            if kind == RecordKind.ICMP:
                yield from spoken_of(chosen)

    def _form(self, key: int) -> int:
        line = [GIVEN] if key == _GIVEN else [*self._line(key), word("outcome", _outcomes())]
        return self._forms.add(joined([*self._prefix, *line]))

    def _line(self, key: int) -> list[str | Part]:
        kind, detail = RecordKind(key & (1 << _DETAIL) - 1), key >> _DETAIL
        named = self._named[kind]
        if kind == RecordKind.ICMP:
            return icmp_form(detail, named=named, log_dest=self._log_dest)
        if kind == RecordKind.MALFORMED:
            return malformed_form(detail, named=named, log_dest=self._log_dest)
        source: list[str | Part] = [host("src", named=named, before_port=True), ":", number("sport")]
        if kind == RecordKind.CONNECTION_ATTEMPT:
            to: list[str | Part] = [" to ", host("dst", named=named)] if self._log_dest else []
            return ["TCP: ", word("dport", _services("tcp")), " connection attempt", *to, " from ", *source]
        target: list[str | Part] = [host("dst", named=named, before_port=True), ":"] if self._log_dest else []
        return ["UDP: dgram to ", *target, word("dport", _services("udp")), " from ", *source, " (", number("payload"), " data bytes)"]


@cache
def _services(proto: Protocol) -> Words:
    """What ports are called: their services, or `port N`."""
    return words({port: printable(name) for port, name in services(proto).items() if 0 <= port <= 65535}, "port ")


@cache
def _outcomes() -> Words:
    return words({outcome.value: f" ({outcome.name.lower().replace('_', ' ')})" for outcome in Outcome}, counted=False)
