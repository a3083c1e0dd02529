"""Networks as a site writes them."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Annotated

from pydantic import AfterValidator


def check_network(text: str) -> str:
    """Return the text of an address or a network. Raise ValueError where it is neither."""
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        network = ip_interface(text).network
    except ValueError:
        raise ValueError("expected an address or a network, such as '192.0.2.10' or '192.0.2.0/24'") from None
    raise ValueError(f"expected '{network}', which has no bits after its prefix")


Network = Annotated[str, AfterValidator(check_network)]
