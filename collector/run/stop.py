"""A request to end a run early: state that the run's tasks wait for."""

from __future__ import annotations

import asyncio
from signal import Signals

from collector.errors import Rejected
from collector.fetch import GAVE_WAY, RELOADED, STOPPED


class Stop:
    """Made by whoever starts the run; belongs to one event loop."""

    def __init__(self) -> None:
        self.signal: Signals | None = None
        self.signalled = asyncio.Event()
        self.wound_up = asyncio.Event()
        self._reason = STOPPED

    def request(self, signal_: Signals) -> None:
        """Ask the run to drain and end: nothing more is sent."""
        if self.signal is None:
            self.signal = signal_
            self.signalled.set()

    def reload(self) -> None:
        """Ask the run to finish what it has begun, and to begin nothing more: the config has changed."""
        self._wind_up(RELOADED)

    def give_way(self) -> None:
        """Ask the run to finish what it has begun, and to begin nothing more: another run is due."""
        self._wind_up(GAVE_WAY)

    @property
    def reason(self) -> Rejected:
        """Why the run ends early."""
        return STOPPED if self.signal is not None else self._reason

    def _wind_up(self, reason: Rejected) -> None:
        if not self.wound_up.is_set():
            self._reason = reason
            self.wound_up.set()
