"""When runs are due: a cron expression in a zone, as Debian's cron reads it.

A run at a time that the clock skips in spring happens right after. A time that comes twice in
autumn is one run. An expression with a star for the hour follows elapsed time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from collector.model import Zone

_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five fields (minute hour day month weekday), read in a zone."""

    cron: str
    zone: Zone

    def after(self, now: datetime) -> datetime:
        """Return the first instant after `now` at which a run is due, in UTC."""
        moments = (at.astimezone(UTC) for at in CronSim(self.cron, now.astimezone(self.zone.tz)))
        return next(at for at in moments if at > now)  # where an hour comes twice, the first result can be in the past


def cron_flaw(cron: str) -> str | None:
    """Return the error of a cron expression, None if it is right. One that matches no date is an error, too."""
    try:
        next(CronSim(cron, _SOME_DAY))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "it matches no date"
    return None
