"""Return freed memory to the operating system: a service is idle for most of each hour."""

from __future__ import annotations

import asyncio
import ctypes
from typing import NoReturn

_EVERY_S = 60.0


def give_back() -> None:
    """Return free heap memory to the system. Do nothing if the C library has no `malloc_trim` (musl, macOS).

    By itself, the C library returns only the end of its heap, and a run leaves free blocks all over the heap.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back() -> NoReturn:
    """Call `give_back` every minute until cancelled; each call takes milliseconds."""
    while True:
        await asyncio.sleep(_EVERY_S)
        give_back()
