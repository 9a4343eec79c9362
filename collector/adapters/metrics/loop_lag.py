"""Measure the lag of the event loop: high when something blocks it."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Histogram

_EVERY_S = 0.5
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag:
    """Sleeps repeatedly, and records how late it wakes up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "collector_event_loop_lag_seconds",
            "How late a timer of the event loop fired",
            buckets=_BUCKETS,
            registry=registry,
        )

    async def measure(self) -> None:
        """Measure until cancelled. Run it as a task of the event loop to measure."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))
