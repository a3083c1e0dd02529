from typing import Any

import numpy as np
from numpy.typing import NDArray

class Flows:
    opened: int
    evicted: int
    capacity: int
    contact_count: int
    contact_capacity: int
    keep_ends: int
    tables: tuple[tuple[int, int, int, int], ...]
    def __init__(
        self,
        *,
        capacity: int,
        contacts: int,
        silent_timeout: int,
        half_open_timeout: int,
        tcp_idle: int,
        udp_idle: int,
        closed_idle: int,
        keep_ends: int = 0,
        secret: bytes = b"",
    ) -> None: ...
    def __len__(self) -> int: ...
    def update(self, data: NDArray[np.uint8], block: NDArray[np.uint8], n: int, now: int) -> tuple[memoryview, memoryview]: ...
    def finish(self, now: int) -> tuple[memoryview, memoryview]: ...
    def dump(self, flows: NDArray[Any], contacts: NDArray[Any]) -> None: ...
    def load(self, flows: NDArray[Any], contacts: NDArray[Any], now: int) -> None: ...

FLOW_SIZE: int
CONTACT_SIZE: int

def layout() -> tuple[Any, Any]: ...
