"""Memory that a run has freed, given back to the system: a service is idle for most of its hour."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Ask the C library to release what is free; one that can't (musl, macOS) is left alone."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
