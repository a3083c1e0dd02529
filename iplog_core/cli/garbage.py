"""The garbage collector and the start."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect no garbage within, and never look for it among what is there at the end: modules, classes and settings stay as long as iplog runs.

    A seventh of a start went into looking through them, and the end looked through them once more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
