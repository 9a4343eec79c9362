"""When the service runs next. Pure: the wall clock and the event loop's time are arguments.

A run is due at the schedule's times plus a random jitter; at once, if a run was due while the
service was down; and some time after a failure, longer after each one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.core.schedule import Schedule

_BACK_OFF_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_CLOCK_EVERY_S = 60.0  # between looks at the wall clock: it may jump, and the machine may sleep
_SOON_S = 0.01


@dataclass(slots=True)
class Timetable:
    """The next run of all orgs. `not_before` is the event loop's time, in seconds."""

    schedule: Schedule
    jitter: timedelta
    next_at: datetime
    rest: bool = False  # a new config or a failure cut a run short: its rest is due
    failures: int = 0
    not_before: float = 0.0

    def first(self, last: datetime | None, now: datetime, *, chance: float) -> None:
        """Plan the first run: at once if there was no run yet, or one was due since the last one that was finished."""
        missed = last is None or self.schedule.after(last) <= now
        self.next_at = (now if missed else self.schedule.after(now)) + self.jitter * chance

    def plan(self, now: datetime, *, chance: float) -> None:
        """Plan the next run: at the schedule's first time after now."""
        self.next_at = self.schedule.after(now) + self.jitter * chance

    def change(self, schedule: Schedule, jitter: timedelta, now: datetime, *, chance: float) -> None:
        """Apply another schedule, if it differs."""
        if (schedule, jitter) != (self.schedule, self.jitter):
            self.schedule, self.jitter = schedule, jitter
            self.plan(now, chance=chance)

    def due(self, now: datetime) -> bool:
        """Whether a run of all orgs is due; a pause after a failure is not considered."""
        return self.rest or now >= self.next_at

    def may_run(self, time_s: float) -> bool:
        """Whether enough time has passed since the last failure."""
        return time_s >= self.not_before

    def began(self, now: datetime, *, chance: float) -> None:
        """Note that a run of all orgs begins: it makes up for all runs that were due until now."""
        self.rest = False
        self.plan(now, chance=chance)

    def succeeded(self) -> None:
        """Note that a run was not a failure."""
        self.failures = 0

    def failed(self, time_s: float) -> float:
        """Note that a run failed as a whole; return the seconds of the pause before the next one."""
        pause_s = _BACK_OFF_S[min(self.failures, len(_BACK_OFF_S) - 1)]
        self.failures += 1
        self.rest = True
        self.not_before = time_s + pause_s
        return pause_s

    def check_clock(self, now: datetime) -> bool:
        """Return whether the wall clock was set back. If so, move the next run to the schedule's next time."""
        latest = self.schedule.after(now) + self.jitter
        if self.next_at <= latest:
            return False
        self.next_at = latest
        return True

    def sleep_s(self, now: datetime, time_s: float, *, at_once: bool) -> float:
        """Return the seconds to sleep until something may be due."""
        left_s = 0.0 if self.rest or at_once else (self.next_at - now).total_seconds()
        return min(_CLOCK_EVERY_S, max(left_s, self.not_before - time_s, _SOON_S))
