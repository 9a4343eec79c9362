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
_NUDGE_S = 2.0


def wait_until(
    condition: Callable[[], T],
    what: str = "the condition holds",
    *,
    bound_s: float = BOUND_S,
    nudge: Callable[[], object] = lambda: None,
) -> T:
    """Look at a condition until it is true, and return what it is then. Raises AssertionError where it never is.

    What may have to be done more than once is the `nudge`: it is done at once, and again until the condition is true.
    """
    end = time.monotonic() + bound_s
    nudged_at = float("-inf")
    while not (found := condition()):
        if time.monotonic() - nudged_at >= _NUDGE_S:
            nudge()
            nudged_at = time.monotonic()
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
