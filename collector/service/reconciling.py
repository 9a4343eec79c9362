"""When the service reconciles, and which orgs are left of a reconcile that ended early.

Pure: the wall clock and the event loop's time are arguments. A reconcile gives way to a run that is due, and goes on
after it with the orgs that it had not finished.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from collector.app.command import Command
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.exit_codes import CAME_TO_ITS_END
from collector.core.ledger_entries import RECONCILE
from collector.core.ranges import Last
from collector.core.schedule import Schedule
from collector.core.summary import RunSummary
from collector.model import SliceState
from collector.service.timetable import Timetable
from collector.service.view import RunView


class Reconciling:
    """The reconciles of a service, by the config in force (`schedule.reconcile`)."""

    def __init__(self, config: LoadedConfig, now: datetime) -> None:
        self.times: Timetable | None = None  # None: never
        self._left: set[str] | None = None  # orgs of a reconcile that ended early, by name
        self.change(config, now, chance=0.0)

    @property
    def next_at(self) -> datetime | None:
        """When the next reconcile begins; None: never."""
        return self.times.next_at if self.times is not None else None

    def change(self, config: LoadedConfig, now: datetime, *, chance: float) -> None:
        """Follow another config."""
        schedule = config.settings.schedule
        self._range = Last(schedule.reconcile.last)
        if schedule.reconcile.cron is None:
            self.times = self._left = None
            return
        at = Schedule(schedule.reconcile.cron, schedule.timezone)
        if self.times is None:
            self.times = Timetable(at, schedule.jitter, next_at=now)
            self.times.plan(now, chance=chance)
        else:
            self.times.change(at, schedule.jitter, now, chance=chance)

    def first(self, runs: Iterable[RunView], now: datetime, *, chance: float) -> None:
        """Plan the first reconcile: at once if one was missed since the last one; `runs` are newest first.

        Where there was none, nothing was missed: a new ledger has nothing to compare.
        """
        ended = (run.started_at for run in runs if run.command == RECONCILE and run.exit_code in CAME_TO_ITS_END)
        if self.times is not None and (last := next(ended, None)) is not None:
            self.times.first(last, now, chance=chance)

    def due(self, now: datetime, time_s: float) -> bool:
        """Whether a reconcile is due, and no pause after a failure holds it up."""
        return self.times is not None and self.times.due(now) and self.times.may_run(time_s)

    def sleep_s(self, now: datetime, time_s: float) -> float:
        """Return the seconds to sleep until a reconcile may be due."""
        return self.times.sleep_s(now, time_s, at_once=False) if self.times is not None else float("inf")

    def check_clock(self, now: datetime) -> None:
        """Follow a wall clock that was set back."""
        if self.times is not None:
            self.times.check_clock(now)

    def command(self, scope: Scope) -> Command:
        """Return the run that reconciles the orgs of a scope."""
        return Command(name=RECONCILE, range_=self._range, scope=scope)

    def begin(self, names: Collection[str], now: datetime, *, chance: float) -> set[str]:
        """Return the orgs that are reconciled now: those that are left of the last reconcile, else all."""
        if self.times is not None:
            self.times.began(now, chance=chance)
        self._left = {*names} if self._left is None else self._left & {*names}
        return {*self._left}

    def ended(self, summary: RunSummary | None, *, early: bool) -> None:
        """Note the end of a reconcile. One that ended early goes on; None: it failed, and is repeated."""
        if summary is not None and not early:
            self._left = None
        elif summary is not None and self._left is not None and self.times is not None:
            done = (org for org in summary.orgs.values() if org.planned and not org.count(SliceState.NOT_ASKED))
            self._left -= {org.org.name for org in done}
            self.times.rest = True
