"""Keeps what operators see of the orgs up to date, from the ledger, a few orgs at a time.

An org is read again soon after an event names it or another process changed it, when a window falls due, and when other
files are in doubt. The
ledger may fail: that is reported, what was seen before stays, and it is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from collector.app.coverage import CoverageReader
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.core.ledger_entries import RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.errors import CollectorError, place_of
from collector.events import Event, LaneEnded, SliceCommitted
from collector.ports import Clock
from collector.service.quarantine import Quarantine
from collector.service.view import Observed, Part, RunView

log = structlog.get_logger("collector")

_EVERY_S = 1.0
_LOOK_EVERY_S = 3.0  # for what other processes commit: pages are up to 10 s old besides
_LOOK_FOR_STALE_EVERY_S = 30.0
_AT_ONCE = 50  # orgs in one look: a fraction of a second
_AGAIN_AFTER_S = 5.0
_LOGGED = 2  # the failure in a row that is logged: by then `service.readiness` has seen whether the ledger is away


class Reads(Protocol):
    """Reads from the ledger, on a thread of its own."""

    async def coverage(
        self, config: LoadedConfig, reader: CoverageReader, names: Iterable[str]
    ) -> Mapping[str, OrgCoverage]:
        """Return orgs as the ledger has them now. Raises LedgerError."""
        ...

    async def runs_beside(self, config: LoadedConfig) -> Sequence[RunView]:
        """Return the ended runs of other commands that are in the ledger, newest first. Raises LedgerError."""
        ...

    async def removed(self, config: LoadedConfig) -> Sequence[RemovedOrg]:
        """Return the orgs that the config no longer has, by name. Raises LedgerError."""
        ...


class Viewer:
    """Run `run` beside the loop; `note` takes the events of runs."""

    def __init__(
        self,
        reads: Reads,
        *,
        config: Callable[[], LoadedConfig],
        observed: Observed,
        quarantine: Quarantine,
        clock: Clock,
        scope: Scope = EVERYTHING,
    ) -> None:
        self._reads = reads
        self._config_now = config
        self._config = config()
        self._observed = observed
        self._quarantine = quarantine
        self._clock = clock
        self._reader = CoverageReader(self._config, scope)
        self._views: dict[str, OrgCoverage] = {}  # as the ledger has them
        self._dirty: dict[str, None] = {}
        self._failures = 0  # in a row

    def note(self, event: Event) -> None:
        """Take note of an org whose state in the ledger has changed, or is about to."""
        match event:
            case SliceCommitted():
                self._dirty[event.outcome.slice.org.name] = None
            case LaneEnded():
                self._dirty[event.org.name] = None
            case _:
                pass

    async def run(self) -> None:
        """Look every second, until cancelled."""
        next_stale = next_look = 0.0
        while True:
            now = asyncio.get_running_loop().time()
            if self._config_now() is not self._config:
                self._config = self._config_now()
                self._reader.adopt(self._config)
                next_stale = now
            pause_s = _EVERY_S
            is_time = now >= next_look  # also where no org is stale: the reader sees what changed
            if is_time:
                next_look = now + _LOOK_EVERY_S
            if now >= next_stale:
                self._dirty |= dict.fromkeys(self._reader.stale(self._clock.now()))
                next_stale = now + _LOOK_FOR_STALE_EVERY_S
            if (
                is_time or self._dirty or self._failures or self._observed.snapshot_at is None
            ):  # a shard may have no orgs
                pause_s = await self._refresh()
            elif self._is_out_of_date():
                self._show()
            await asyncio.sleep(pause_s)

    async def _refresh(self) -> float:
        """Read some of the orgs that changed; return for how many seconds to pause."""
        names = list(self._dirty)[:_AT_ONCE]
        for name in names:
            del self._dirty[name]
        try:
            found = await self._reads.coverage(self._config, self._reader, names)
            # Of equal values the known one stays: what was rendered of it stays valid, and memory is not churned.
            self._views |= {name: view for name, view in found.items() if self._views.get(name) != view}
            self._dirty |= dict.fromkeys(self._reader.changed())
            self._observed.beside = await self._reads.runs_beside(self._config)
            self._observed.removed = await self._reads.removed(self._config)
            self._failures = 0
            self._observed.note_trouble(Part.COVERAGE, None)
        except CollectorError as error:
            self._failed(str(error), names)
            return _AGAIN_AFTER_S
        except Exception as error:  # noqa: BLE001 - the service outlives it, and shows what it saw before
            if not self._failures:
                log.error("status.crashed", exception=type(error).__name__, where=place_of(error))
            self._failed(f"a defect of the collector: {type(error).__name__}", names)
            return _AGAIN_AFTER_S
        if names or self._observed.snapshot_at is None:
            self._show()
        return 0.0 if self._dirty else _EVERY_S

    def _failed(self, why: str, names: Iterable[str]) -> None:
        self._failures += 1
        if self._failures == _LOGGED and Part.LEDGER not in self._observed.troubles:  # else the log has `ledger.down`
            log.error("status.not_read", message=why)
        self._observed.note_trouble(Part.COVERAGE, why)
        self._dirty |= dict.fromkeys(names)

    def _is_out_of_date(self) -> bool:
        """Say whether the ledger's refusals are to be shown with another time of the next try."""
        shown = {
            name: at for name, view in self._observed.orgs.items() if (at := view.credential.tried_again_at) is not None
        }
        quarantined = self._quarantine.quarantined
        return shown != {name: one.again_at for name, one in quarantined.items() if self._is_refused(name)}

    def _is_refused(self, name: str) -> bool:
        return name in self._views and self._views[name].refused

    def _show(self) -> None:
        """Show what the ledger has, and of refused orgs when the loop tries them again."""
        self._views = {name: self._views[name] for name in self._reader.names if name in self._views}
        self._observed.orgs = {name: self._overlaid(view) for name, view in self._views.items()}
        if self._views.keys() == self._reader.names:
            self._observed.snapshot_at = self._clock.now()

    def _overlaid(self, view: OrgCoverage) -> OrgCoverage:
        before = self._observed.orgs.get(view.name)
        quarantined = self._quarantine.quarantined.get(view.name)
        if quarantined is None or not view.refused:
            return view
        overlaid = replace(view, credential=replace(view.credential, tried_again_at=quarantined.again_at))
        return before if before == overlaid else overlaid  # metrics are written again for other objects only
