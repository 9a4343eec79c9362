"""Keeps how budgets stand up to date: a pass over the windows of the month, soon after a run ended.

A pass over many orgs takes long. It is made in short pieces on the reader's thread, with pauses: it takes a tenth of
the interpreter's time, and less beside a run. So it delays neither a run nor the page, and needs no process with its
memory. If it fails, that is reported, what was seen before stays, and it is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

import structlog

from collector.adapters.repeats import Repeats
from collector.app.budgets import BudgetPass, warn_of_products
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.core.budgets import BudgetStanding
from collector.errors import CollectorError, place_of
from collector.ledger import SqlLedger
from collector.ports import Clock
from collector.service.view import Observed

log = structlog.get_logger("collector")
T = TypeVar("T")

_LOOK_EVERY_S = 5.0
_AT_MOST_EVERY_S = 60.0
_AT_LEAST_EVERY_S = 3600.0  # other processes write to the ledger, too, and days become due
_PIECE = 200  # windows
_PAUSE = 9  # times as long as a piece took
_PAUSE_BESIDE_A_RUN = 29
_LOGGED_AGAIN_S = 3600.0


class Reads(Protocol):
    """Reads from the ledger, on a thread of its own."""

    async def read(self, config: LoadedConfig, work: Callable[[SqlLedger], T]) -> T:
        """Call `work` with the ledger. Raises LedgerError."""
        ...


class _CutShort(Exception):  # noqa: N818 - not an error
    """The config or the ledger is another one now: a pass begins anew."""


class BudgetWatch:
    """Run `run` beside the loop."""

    def __init__(
        self,
        reads: Reads,
        *,
        config: Callable[[], LoadedConfig],
        observed: Observed,
        clock: Clock,
        scope: Scope = EVERYTHING,
    ) -> None:
        self._reads = reads
        self._config_now = config
        self._observed = observed
        self._clock = clock
        self._scope = scope
        self._began_with: LoadedConfig | None = None  # the last pass
        self._runs: object = None  # that had ended when the last pass began that came to its end
        self._not_before_s = self._not_after_s = 0.0
        self._repeats = Repeats(_LOGGED_AGAIN_S)
        self._warned: Collection[tuple[str, str]] = ()  # of products, by the last pass

    async def run(self) -> None:
        """Look every few seconds whether a pass is due, until cancelled."""
        while True:
            if not self._config_now().budgets:
                self._observed.budgets, self._observed.budgets_read_at = (), None
            elif self._is_due():
                await self._refresh()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _is_due(self) -> bool:
        seen, now_s = self._observed, asyncio.get_running_loop().time()
        if seen.snapshot_at is None:  # the ledger has not been read at all yet
            return False
        if self._config_now() is not self._began_with:
            return True
        if now_s < self._not_before_s:
            return False
        return now_s >= self._not_after_s or (seen.current is None and self._ended() != self._runs)

    def _ended(self) -> object:
        return [run.run_id for run in self._observed.all_runs[:1]]

    async def _refresh(self) -> None:
        config, runs, now = self._config_now(), self._ended(), self._clock.now()
        self._began_with = config
        try:
            standings = await self._pass(config)
        except _CutShort:
            self._began_with = None
            return
        except CollectorError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - the service outlives it, and shows what it saw before
            self._failed(f"a defect of the collector: {type(error).__name__} at {place_of(error)}")
        else:
            self._observed.budgets, self._observed.budgets_read_at = standings, now
            self._warned = warn_of_products(standings, self._warned)
            self._runs = runs
            self._not_after_s = asyncio.get_running_loop().time() + _AT_LEAST_EVERY_S
        self._not_before_s = asyncio.get_running_loop().time() + _AT_MOST_EVERY_S

    def _failed(self, why: str) -> None:
        if self._repeats.due(why) is not None:
            log.warning("budgets.not_read", message=why)

    async def _pass(self, config: LoadedConfig) -> Sequence[BudgetStanding]:
        """Read all windows. Raises LedgerError."""
        now = self._clock.now()
        reading = await self._reads.read(config, lambda ledger: BudgetPass(ledger, config, self._scope, now=now))

        def piece(ledger: SqlLedger) -> tuple[int, float]:
            if ledger is not reading.ledger:  # it was opened again
                raise _CutShort
            began_s = time.thread_time()
            return reading.read(_PIECE), time.thread_time() - began_s

        found = _PIECE
        while found:
            found, took_s = await self._reads.read(config, piece)
            await asyncio.sleep(took_s * (_PAUSE if self._observed.current is None else _PAUSE_BESIDE_A_RUN))
            if self._config_now() is not config:
                raise _CutShort
        return reading.standings()
