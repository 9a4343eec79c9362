"""How much memory a test may take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most_mb(megabytes: float) -> Iterator[None]:
    """Fail if Python's memory rises by more than that within the block."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert (tracemalloc.get_traced_memory()[1] - before) / 1e6 < megabytes
    finally:
        tracemalloc.stop()
