import numpy as np
from numpy.typing import NDArray

def decode(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    captured: NDArray[np.uint32],
    wire_length: NDArray[np.uint32],
    time: NDArray[np.int64],
    link: NDArray[np.uint16],
    interface: NDArray[np.uint16],
    block: NDArray[np.uint8],
    first: int,
    clock: int,
) -> tuple[int, int]: ...
def icmp_about(data: NDArray[np.uint8], block: NDArray[np.uint8], n: int, rows: NDArray[np.int64]) -> bytearray: ...
