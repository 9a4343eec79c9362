"""The queue of lanes: those that may send now, and those whose time will come.

Lanes that the run waits for (`Backlog.is_long`) go first, the others are served first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from collector.fetch.lane import Lane

_Line = deque[tuple[int, Lane]]


class Board:
    """Every open lane is ready, asleep until an instant, or blocked until a result comes.

    Ready lanes queue in lines, long ones and others, and of both trusted ones (`Lane.trusted`) and others, so that the
    dispatcher may keep permits for the trusted.
    """

    def __init__(self, lanes: Sequence[Lane], *, is_long: Callable[[Lane], bool]) -> None:
        self._open = {lane for lane in lanes if not lane.done}
        self._is_long = is_long
        self._lines: dict[tuple[bool, bool], _Line] = {
            (long, trusted): deque() for long in (True, False) for trusted in (True, False)
        }
        self._in_line: set[Lane] = set()
        self._asleep: list[tuple[float, int, Lane]] = []
        self._tickets = count()
        self._ticket: dict[Lane, int] = {}  # of the entry in `_asleep` that counts: older ones are stale
        for lane in lanes:
            if lane in self._open:
                self._line_up(lane)

    @property
    def open(self) -> bool:
        """Whether any lane has something left to fetch or to wait for."""
        return bool(self._open)

    def next(self, now: float, *, trusted_only: bool) -> Lane | float | None:
        """Take the lane that may send now; else return when one may, or None if that depends on a result."""
        self._wake(now)
        while line := self._first_line(trusted_only=trusted_only):
            _, lane = line.popleft()
            self._in_line.discard(lane)
            when = lane.ready_at(now)
            if when is not None and when <= now:
                return lane
            self._sleep(lane, when)
        return self._asleep[0][0] if self._asleep else None

    def put(self, lane: Lane, now: float) -> None:
        """Queue a lane whose state has changed, at the end of its line; forget one that is done."""
        if lane.done:
            self._open.discard(lane)
            self._ticket.pop(lane, None)
        elif lane not in self._in_line:
            when = lane.ready_at(now)
            if when is not None and when <= now:
                self._line_up(lane)
            else:
                self._sleep(lane, when)

    def _first_line(self, *, trusted_only: bool) -> _Line | None:
        """Return the line whose first lane is next: of those of long lanes, else of all, the one that came first."""
        for long in (True, False):
            lines = [self._lines[long, trusted] for trusted in ((True,) if trusted_only else (True, False))]
            if lines := [line for line in lines if line]:
                return min(lines, key=lambda line: line[0][0])
        return None

    def _line_up(self, lane: Lane) -> None:
        self._ticket.pop(lane, None)
        self._in_line.add(lane)
        self._lines[self._is_long(lane), lane.trusted].append((next(self._tickets), lane))

    def _sleep(self, lane: Lane, until: float | None) -> None:
        self._ticket.pop(lane, None)
        if until is not None:
            self._ticket[lane] = ticket = next(self._tickets)
            heappush(self._asleep, (until, ticket, lane))

    def _wake(self, now: float) -> None:
        while self._asleep:
            until, ticket, lane = self._asleep[0]
            stale = self._ticket.get(lane) != ticket
            if not stale and until > now:
                return
            heappop(self._asleep)
            if not stale:
                self._line_up(lane)
