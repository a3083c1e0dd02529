from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Tracker:
    evicted: int
    def __init__(
        self,
        make: Callable[..., Any],
        *,
        key: str,
        distinct: str | None,
        threshold: float,
        rate: float,
        memory: int,
        expiry: int,
        capacity: int,
        values: int,
        secret: bytes = b"",
    ) -> None: ...
    def __len__(self) -> int: ...
    def update(
        self,
        block: NDArray[np.uint8],
        n: int,
        rows: NDArray[np.int64],
        flows: NDArray[np.uint8],
        decided: NDArray[np.int64],
        adds: bool,
        now: int,
        final: bool,
    ) -> list[Any]: ...
