"""The wall clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The machine's clock: the one place that reads it."""

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the port's adapter
