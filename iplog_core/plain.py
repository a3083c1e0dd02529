"""Values as JSON can say them."""

from __future__ import annotations

from math import isfinite
from typing import Any


def plain(value: Any) -> Any:
    """Return a value as JSON can say it, members of objects that would be null left out.

    Detectors and plugins may have given anything: a numpy value stands as Python's, what JSON has no form for as its text.
    """
    if isinstance(value, dict):
        return {str(name): said for name, member in value.items() if (said := plain(member)) is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value if value is None or isinstance(value, str | int | float) else str(value)
