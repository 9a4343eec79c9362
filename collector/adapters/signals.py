"""SIGINT and SIGTERM: the first drains, the second ends at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGTERM, Signals

_BOTH = (SIGINT, SIGTERM)


@contextmanager
def draining(request: Callable[[Signals], None]) -> Iterator[None]:
    """Call `request` at the first signal; end the process at the second, with nothing unsealed lost by it."""
    loop = asyncio.get_running_loop()
    heard = False

    def on_signal(signal: Signals) -> None:
        nonlocal heard
        if heard:
            os._exit(128 + signal)
        heard = True
        request(signal)

    for signal in _BOTH:
        loop.add_signal_handler(signal, on_signal, signal)
    try:
        yield
    finally:
        for signal in _BOTH:
            loop.remove_signal_handler(signal)


@contextmanager
def hearing_hangup(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` at each SIGHUP."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(SIGHUP, request)
    try:
        yield
    finally:
        loop.remove_signal_handler(SIGHUP)
