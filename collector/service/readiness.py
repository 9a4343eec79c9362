"""Looks every few seconds whether the ledger and the output can be used, also when no run is due.

Each look runs in a thread of its own, and has a deadline: a silent name server or a mount that hangs stops neither the
event loop nor a run. While a look hangs, no other one begins at the same place. The log has one line when a place goes
away, and one when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog

from collector.adapters.thread import in_daemon_thread
from collector.errors import CollectorError, kind_of, place_of
from collector.ports import Clock
from collector.service.view import Observed, Part

log = structlog.get_logger("collector")

EVERY_S = 4.0
DEADLINE_S = 4.0
_CHECK_PLACE_EVERY_S = 1.0


P = TypeVar("P")


class Look(Protocol):
    """Looks at one place. It may block."""

    def __call__(self) -> None:
        """Return if the place can be used. Raises CollectorError."""
        ...

    def close(self) -> None:
        """Close what was kept for the next look."""
        ...


class Readiness(Generic[P]):
    """Keeps `observed.troubles` of one part up to date. `on_back` is called when it can be used again.

    It begins with `begin`: before that the place may not exist yet. `place` returns where the config in force has it,
    and `look_of` the look at a place.
    """

    def __init__(
        self,
        part: Part,
        *,
        begin: asyncio.Event,
        place: Callable[[], P],
        look_of: Callable[[P], Look],
        observed: Observed,
        clock: Clock,
        on_back: Callable[[], None],
    ) -> None:
        self._part = part
        self._begin = begin
        self._look_of = look_of
        self._place_now = place
        self._observed = observed
        self._clock = clock
        self._on_back = on_back
        self._down_since: float | None = None

    async def run(self) -> None:
        """Look every few seconds, until cancelled. When the config names another place, look there."""
        await self._begin.wait()
        while True:
            place = self._place_now()
            try:
                look = self._look_of(place)
            except CollectorError as error:
                self._note(str(error))
                await asyncio.sleep(EVERY_S)
            else:
                await self._look_at(look, place)

    async def _look_at(self, look: Look, place: P) -> None:
        """Look at a place for as long as the config names it."""
        pending: asyncio.Future[None] | None = None
        try:
            while place == self._place_now():
                pending = in_daemon_thread(look, name=f"{self._part}-look")
                await self._finished(pending, place)
                if pending.done():
                    self._note(_trouble_of(pending))
                    await asyncio.sleep(EVERY_S)
        finally:
            if pending is None or pending.done():
                look.close()
            else:  # it hangs: whenever it ends, nobody looks there any more
                pending.add_done_callback(lambda done: _forget(look, done))

    async def _finished(self, pending: asyncio.Future[None], place: P) -> None:
        """Wait for a look, and report it if it takes too long. Stop when the config names another place."""
        await asyncio.wait([pending], timeout=DEADLINE_S)
        if not pending.done():
            self._note(f"the {self._part} has not answered for {DEADLINE_S:g} seconds")
        while not pending.done() and place == self._place_now():
            await asyncio.wait([pending], timeout=_CHECK_PLACE_EVERY_S)

    def _note(self, trouble: str | None) -> None:
        now = asyncio.get_running_loop().time()
        self._observed.note_trouble(self._part, trouble)
        if trouble is not None:
            if self._down_since is None:
                self._down_since = now
                log.error(f"{self._part}.down", message=trouble)
        elif self._down_since is not None:
            down_s, self._down_since = now - self._down_since, None
            self._observed.back_at = self._clock.now()
            log.info(f"{self._part}.up", down_s=round(down_s, 1))
            self._on_back()


def _forget(look: Look, done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for it any more
    look.close()


def _trouble_of(done: asyncio.Future[None]) -> str | None:
    match done.exception():
        case None:
            return None
        case CollectorError() as error:
            return str(error)
        case error:
            return f"a defect of the collector: {kind_of(error)} at {place_of(error)}; please report it"
