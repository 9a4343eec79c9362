"""A request to end a run early: state that the run's tasks wait for."""

from __future__ import annotations

import asyncio
from signal import Signals


class Stop:
    """Made by whoever starts the run; belongs to one event loop."""

    def __init__(self) -> None:
        self.signal: Signals | None = None
        self.signalled = asyncio.Event()
        self.reloaded = asyncio.Event()

    def request(self, signal_: Signals) -> None:
        """Ask the run to drain and end: nothing more is sent."""
        if self.signal is None:
            self.signal = signal_
            self.signalled.set()

    def reload(self) -> None:
        """Ask the run to finish what it has begun, and to begin nothing more: the config has changed."""
        self.reloaded.set()

    @property
    def is_reload(self) -> bool:
        """Whether the run ends early because of a changed config, and for no signal."""
        return self.reloaded.is_set() and self.signal is None
