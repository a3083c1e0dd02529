"""What a table says, and what is wrong with one."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from iplog_core import MINUTE, Duration, PluginSettings, TcpFlag

Count = Literal["packets", "openings", "contacts"]
Outcome = Literal["failed", "refused", "silent", "half_open", "answered"]

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAME_EXPECTED = "a lower-case letter, then letters, digits and _, such as telnet_touched"
FIELDS = ("proto", "src", "sport", "dst", "dport", "to")
# What a key has one of has no distinct values.
NEVER_DISTINCT = {
    "source": ("source",),
    "target": ("dest",),
    "pair": ("source", "dest"),
    "source_port": ("source", "dest_port"),
    "target_port": ("dest", "dest_port"),
}


class Table(PluginSettings):
    """A `[plugins.threshold.NAME]` table."""

    match: str | list[str] = Field(description="What is looked at, as a rule without its action: 'tcp dport 23', 'udp to 192.0.2.0/24'. Of several, any.")
    allow: list[str] = Field(default_factory=list, description="What is not, as in the allow of a detector: 'to 192.0.2.53'.")
    flags: str = Field("", description="TCP flags that are set or, behind a !, are not: 'syn !ack'.")
    min_size: int = Field(0, ge=0, le=65535, description="Bytes that a packet has at the least, its IP header included.")
    count: Count | None = Field(None, description="What is counted: packets, flows that open, or first flows to a host and port; default: packets.")
    outcome: Outcome | None = Field(None, description="Count flows when they are decided, those that end so; 'failed' is refused, silent or half open.")
    key: Literal["source", "target", "pair", "source_port", "target_port"] = Field("source", description="For whom it is counted: 'pair' is source and target.")
    distinct: Literal["dest_port", "dest", "source"] | None = Field(None, description="Count how many different ones there are of these.")
    threshold: int = Field(1, ge=1, le=100_000, description="How many make an alert.")
    window: Duration = Field(MINUTE, description="How long each counts.")
    expiry: Duration = Field(15 * MINUTE, description="How long it must be quiet to be over.")
    kind: str | None = Field(None, description="The kind of the alert; default: the table's name.")
    severity: Literal["info", "low", "medium", "high"] = Field("medium", description="How bad it is.")
    signature: str | None = Field(None, description="The alert's name for people, as in 'TCP: telnet knock'; default: protocol and kind.")
    line: str | None = Field(None, description="A text line of its own; {proto}, {src}, {sport}, {dst}, {dport} and {to} stand for what was seen.")

    @field_validator("match")
    @classmethod
    def _is_not_empty(cls, texts: str | list[str]) -> str | list[str]:
        if not texts:
            raise ValueError("expected something to match, such as 'tcp dport 23'")
        return texts

    @field_validator("match", "allow")
    @classmethod
    def _can_be_matched(cls, texts: str | list[str]) -> str | list[str]:
        from iplog_core import Matcher  # and with it the rules of iplog: not on a run without a table

        Matcher(_listed(texts))
        return texts

    @field_validator("flags")
    @classmethod
    def _are_flags(cls, words: str) -> str:
        flag_bits(words)
        return words

    @field_validator("kind")
    @classmethod
    def _is_a_name(cls, kind: str | None) -> str | None:
        if kind is not None and not NAME.fullmatch(kind):
            raise ValueError(f"expected {NAME_EXPECTED}")
        return kind

    @field_validator("line")
    @classmethod
    def _has_known_fields(cls, line: str | None) -> str | None:
        unknown = [name for name in re.findall(r"\{(\w*)\}", line or "") if name not in FIELDS]
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} is no field of a line; there are: {', '.join(f'{{{name}}}' for name in FIELDS)}")
        return line

    @model_validator(mode="after")
    def _makes_sense(self) -> Table:
        if self.flags and self.protocols != {"tcp"}:
            raise ValueError("flags are those of TCP; expected a match that begins with tcp")
        if self.outcome and self.count == "packets":
            raise ValueError("flows have an outcome, packets have none; expected count = 'openings' or 'contacts' beside it")
        if self.distinct in NEVER_DISTINCT[self.key]:
            raise ValueError(f"key = '{self.key}' has one {self.distinct} only; expected another distinct, or another key")
        return self

    @property
    def matched(self) -> list[str]:
        return _listed(self.match)

    @property
    def protocols(self) -> set[str | None]:
        """The protocols that `match` names; None where it names none."""
        words = [text.split()[0].lower() for text in self.matched]
        return {word if word in ("tcp", "udp", "icmp") else None for word in words}

    @property
    def counted(self) -> Count:
        return self.count or ("openings" if self.outcome else "packets")


def flag_bits(words: str) -> tuple[int, int]:
    """Return the bits that TCP flags are compared in, and what they must be there. Raise ValueError."""
    bits = wanted = 0
    for word in words.split():
        name = word.removeprefix("!").upper()
        if name not in TcpFlag.__members__:
            known = ", ".join(flag.name.lower() for flag in TcpFlag if flag.name)
            raise ValueError(f"'{word}' is no TCP flag; there are: {known}, each also behind a !")
        bit = int(TcpFlag[name])
        if bits & bit:
            raise ValueError(f"'{name.lower()}' stands twice; each flag may stand once")
        bits |= bit
        wanted |= 0 if word.startswith("!") else bit
    return bits, wanted


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts
