from typing import Any

import numpy as np
from numpy.typing import NDArray

def gather(columns: list[NDArray[Any]], rows: NDArray[np.int64], out: NDArray[np.uint8], places: list[tuple[int, int]]) -> None: ...
