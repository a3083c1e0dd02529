"""The Community ID of a flow (github.com/corelight/community-id-spec, version 1)."""

from __future__ import annotations

PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "IPv6-ICMP": 58, "SCTP": 132}
"""Protocols whose flows have two ports, or a type and a code, by their names in EVE."""


def community_id(proto: str | None, src: str | None, dst: str | None, first: int | None, second: int | None) -> str | None:
    """Return the ID of the flow that a packet belongs to, None where something is not known.

    `first` and `second` are the source and destination port, for ICMP the type and code.
    """
    if proto not in PROTOCOLS or None in (src, dst, first, second):
        return None
    from communityid import CommunityID, FlowTuple

    identity: str | None = CommunityID().calc(FlowTuple(PROTOCOLS[proto], src, dst, first, second))
    return identity
