"""How late the event loop is: whether something holds it up."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Histogram

_EVERY_S = 0.5
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag:
    """Sleeps, and sees how much later than asked for it is woken."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "collector_event_loop_lag_seconds",
            "How much later than it asked for a timer of the event loop was served",
            buckets=_BUCKETS,
            registry=registry,
        )

    async def measure(self) -> None:
        """Measure for ever: a task beside what it measures, cancelled at the end."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))
