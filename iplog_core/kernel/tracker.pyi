from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Tracker:
    evicted: int
    value_count: int
    tables: tuple[tuple[int, int, int, int], ...]
    def __init__(
        self,
        make: Callable[..., Any] | None,
        *,
        key: str,
        distinct: str | None,
        threshold: float,
        rate: float,
        memory: int,
        expiry: int,
        capacity: int,
        values: int,
        doubts: str | None = None,
        hint: int = 0,
        samples: int = 10,
        most: int = 0,
        secret: bytes = b"",
    ) -> None: ...
    def __len__(self) -> int: ...
    def update(
        self,
        block: NDArray[np.uint8],
        n: int,
        rows: NDArray[np.int64],
        roles: NDArray[np.uint8],
        labels: NDArray[np.uint64],
        flows: NDArray[np.uint8],
        decided: NDArray[np.int64],
        flow_roles: NDArray[np.uint8],
        flow_labels: NDArray[np.uint64],
        adds: bool,
        now: int,
        final: bool,
        marks: NDArray[np.uint8],
    ) -> list[Any]: ...
    def wait(self, now: int, final: bool) -> list[Any]: ...
    def dump(self, keys: NDArray[Any], values: NDArray[Any]) -> None: ...
    def load(self, keys: NDArray[Any], values: NDArray[Any], now: int) -> None: ...

KEY_SIZE: int
VALUE_SIZE: int

def layout() -> tuple[Any, Any]: ...
