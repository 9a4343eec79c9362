"""Handle SIGINT, SIGTERM and SIGHUP in the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGTERM, Signals

_END_SIGNALS = (SIGINT, SIGTERM)


@contextmanager
def draining(request: Callable[[Signals], None]) -> Iterator[None]:
    """Call `request` at the first SIGINT or SIGTERM, and end the process at the second.

    Ending at once loses nothing: the next run recovers unsealed files.
    """
    loop = asyncio.get_running_loop()
    signalled = False

    def on_signal(signal: Signals) -> None:
        nonlocal signalled
        if signalled:
            os._exit(128 + signal)
        signalled = True
        request(signal)

    for signal in _END_SIGNALS:
        loop.add_signal_handler(signal, on_signal, signal)
    try:
        yield
    finally:
        for signal in _END_SIGNALS:
            loop.remove_signal_handler(signal)


@contextmanager
def hearing_hangup(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` at every SIGHUP."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(SIGHUP, request)
    try:
        yield
    finally:
        loop.remove_signal_handler(SIGHUP)
