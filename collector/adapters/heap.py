"""Memory that was freed, given back to the system: a service is idle for most of its hour."""

from __future__ import annotations

import asyncio
import ctypes
from typing import NoReturn

_EVERY_S = 60.0


def give_back() -> None:
    """Ask the C library to release what is free; one that can't (musl, macOS) is left alone.

    The library itself gives back no more than the end of its heap, and a run leaves holes all over it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back() -> NoReturn:
    """Do so every minute (milliseconds), until cancelled: runs, scrapes and the page all leave holes."""
    while True:
        await asyncio.sleep(_EVERY_S)
        give_back()
