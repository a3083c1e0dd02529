"""What a host may be called (RFC 1123, section 2.1)."""

from __future__ import annotations

import re

# Labels of letters, digits and hyphens. The last is no number, so that no name reads as an address.
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?!(?:0x[0-9a-f]*|[0-9]+)\.?$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?")


def host_name(text: str) -> str | None:
    """Return a name as lines have it, in small letters and without the dot at its end; None for what no host can be called."""
    name = text.lower()
    return name.removesuffix(".") if len(name) <= 254 and _HOST_NAME.fullmatch(name) else None
