"""The memory of the process: how often it is looked through, and what is given back of it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from typing import NoReturn

_EVERY_S = 60.0


def leave_out_modules() -> None:
    """Let the collection of cyclic garbage look at what is made from now on alone: modules live for good."""
    gc.freeze()


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
