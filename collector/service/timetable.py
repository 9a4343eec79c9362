"""When the service runs next. Pure: the wall clock and the loop's are arguments.

A run is due at the schedule's times, each a little later by chance; at once, if one was due
while nobody was there; and a while after a failure, longer each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.core.schedule import Schedule

_BACK_OFF_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_CLOCK_EVERY_S = 60.0  # the wall clock is looked at: it may jump, and the machine may sleep
_SOON_S = 0.01


@dataclass(slots=True)
class Timetable:
    """The next run of all orgs. `not_before` is the event loop's time, in seconds."""

    schedule: Schedule
    jitter: timedelta
    next_at: datetime
    rest: bool = False  # of a run that a new config, or a failure, cut short
    failures: int = 0
    not_before: float = field(default=0.0)

    def first(self, last: datetime | None, now: datetime, *, chance: float) -> None:
        """Plan the first run: at once if one was due since the last one that came to its end, or there was none."""
        missed = last is None or self.schedule.after(last) <= now
        self.next_at = (now if missed else self.schedule.after(now)) + self.jitter * chance

    def plan(self, now: datetime, *, chance: float) -> None:
        """Plan the next run: at the schedule's first time after now."""
        self.next_at = self.schedule.after(now) + self.jitter * chance

    def change(self, schedule: Schedule, jitter: timedelta, now: datetime, *, chance: float) -> None:
        """Go on by another schedule, if it is another."""
        if (schedule, jitter) != (self.schedule, self.jitter):
            self.schedule, self.jitter = schedule, jitter
            self.plan(now, chance=chance)

    def due(self, now: datetime) -> bool:
        """Whether a run of all orgs is due, apart from having to wait after a failure."""
        return self.rest or now >= self.next_at

    def may_run(self, time_s: float) -> bool:
        """Whether enough time has passed since the last failure."""
        return time_s >= self.not_before

    def began(self, now: datetime, *, chance: float) -> None:
        """Note that a run of all orgs begins: whatever was due until now, it makes up for."""
        self.rest = False
        self.plan(now, chance=chance)

    def succeeded(self) -> None:
        """Note that a run came to an end of its own."""
        self.failures = 0

    def failed(self, time_s: float) -> float:
        """Note that a run failed as a whole; return for how many seconds none is tried."""
        pause_s = _BACK_OFF_S[min(self.failures, len(_BACK_OFF_S) - 1)]
        self.failures += 1
        self.rest = True
        self.not_before = time_s + pause_s
        return pause_s

    def mind_clock(self, now: datetime) -> bool:
        """Say whether the wall clock went back: then nothing stays planned for a time further off than the next."""
        latest = self.schedule.after(now) + self.jitter
        if self.next_at <= latest:
            return False
        self.next_at = latest
        return True

    def sleep_s(self, now: datetime, time_s: float, *, at_once: bool) -> float:
        """Return for how many seconds nothing happens by itself."""
        left_s = 0.0 if self.rest or at_once else (self.next_at - now).total_seconds()
        return min(_CLOCK_EVERY_S, max(left_s, self.not_before - time_s, _SOON_S))
