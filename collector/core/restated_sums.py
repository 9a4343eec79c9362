"""What restated records add up to: what an invoice of that time would be now.

An invoice counts what is known. So a number that was unknown and is known now adds to it, though it has no difference
of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.core.present import RestatedRecord

_NAMES = ("tests", "duration", "screenshots")


@dataclass(slots=True)
class RestatedSum:
    """One kind of number: the sums of what was known before, and of what is known now."""

    before: int = 0
    now: int = 0
    unknown_before: int = 0  # of `now`: where the number before was unknown
    unknown_now: int = 0  # of `before`: where the number now is unknown

    @property
    def difference(self) -> int:
        """What the sum of an invoice changes by."""
        return self.now - self.before

    @property
    def changed(self) -> bool:
        """Whether any of it is worth a line."""
        return bool(self.difference or self.unknown_before or self.unknown_now)

    def add(self, before: int | None, now: int | None) -> bool:
        """Add a number; return whether it has no difference, since one of the two is unknown."""
        self.before += before or 0
        self.now += now or 0
        if (before is None) == (now is None):
            return False
        self.unknown_before += 0 if now is None else now
        self.unknown_now += 0 if before is None else before
        return True


@dataclass(slots=True)
class RestatedSums:
    """The sums of all restated records, and how many of these have a number without a difference."""

    numbers: Mapping[str, RestatedSum] = field(default_factory=lambda: {name: RestatedSum() for name in _NAMES})
    without_difference: int = 0
    new: int = 0  # records of windows of which nothing had been emitted at that time

    def add(self, one: RestatedRecord) -> None:
        """Add a record."""
        self.new += one.is_new
        before, now = one.before.usage, one.now
        numbers = self.numbers
        missing = (
            numbers["tests"].add(before.total_tests, now.total_tests),
            numbers["duration"].add(before.total_duration, now.total_duration),
            numbers["screenshots"].add(before.total_screenshots, now.total_screenshots),
        )
        self.without_difference += any(missing)
