"""Waiting for what other processes, threads and peers do.

A condition is looked at again and again until it holds, never after a time that "should be enough". The bound is for
what hangs, on a machine that is busy too: it promises nothing about speed, and no test says how long anything took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

BOUND_S = 120.0
_AGAIN_S = 0.02


def wait_until(condition: Callable[[], T], what: str = "the condition holds", *, bound_s: float = BOUND_S) -> T:
    """Look at a condition until it is true, and return what it is then. Raises AssertionError where it never is."""
    end = time.monotonic() + bound_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {bound_s:g} s: {what}"
        time.sleep(_AGAIN_S)
    return found


async def wait_until_async(condition: Callable[[], T], what: str = "the condition holds") -> T:
    """Do the same, and let the event loop go on meanwhile."""
    end = time.monotonic() + BOUND_S
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {BOUND_S:g} s: {what}"
        await asyncio.sleep(_AGAIN_S / 10)
    return found
