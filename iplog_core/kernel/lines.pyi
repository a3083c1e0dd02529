from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Words:
    def __init__(self, texts: dict[int, bytes], before: bytes = b"", behind: bytes = b"", counted: bool = True) -> None: ...

class Forms:
    def __init__(self, row_size: int) -> None: ...
    def add(self, parts: Iterable[bytes | tuple[Any, ...]]) -> int: ...
    def fill(
        self,
        rows: NDArray[np.uint8],
        chosen: NDArray[np.int32],
        begins: NDArray[np.int64],
        marks: NDArray[np.int64],
        again: NDArray[np.uint8],
        names: dict[str, str] | None = None,
        given: list[bytes] | None = None,
    ) -> bytes: ...
