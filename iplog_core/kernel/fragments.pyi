import numpy as np
from numpy.typing import NDArray

class Fragments:
    evicted: int
    tables: tuple[tuple[int, int, int, int], ...]
    def __init__(self, capacity: int, timeout: int, secret: bytes = b"") -> None: ...
    def __len__(self) -> int: ...
    def update(self, data: NDArray[np.uint8], block: NDArray[np.uint8], n: int) -> None: ...

DATAGRAM_SIZE: int
STRETCH_SIZE: int
CREDIT_SIZE: int
