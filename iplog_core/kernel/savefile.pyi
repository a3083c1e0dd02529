from collections.abc import Callable, Container
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from iplog_core.kernel.mapped import Window

class _Stream(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...

class _Windows(Protocol):
    @property
    def size(self) -> int: ...
    def at(self, position: int, size: int) -> tuple[Window, int]: ...
    def leave(self, position: int) -> None: ...

class SavefileReader:
    @property
    def packets(self) -> int: ...
    @property
    def fault(self) -> str: ...
    @property
    def left_out(self) -> dict[int, int]: ...
    def __init__(
        self,
        stream: _Stream,
        head: bytes,
        known: Container[int],
        number: Callable[[str], int],
        batch_size: int,
        block_size: int = 1 << 23,
        windows: _Windows | None = None,
    ) -> None: ...
    def read(
        self,
    ) -> (
        tuple[
            NDArray[np.uint8],
            NDArray[np.int64],
            NDArray[np.uint32],
            NDArray[np.uint32],
            NDArray[np.int64],
            NDArray[np.uint16],
            NDArray[np.uint16],
        ]
        | None
    ): ...
