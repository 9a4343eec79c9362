"""When runs are due: a cron expression in a zone, as Debian's cron reads it.

A time that the clock skips in spring is run right after; one that comes twice in autumn
runs once; expressions with a star for the hour follow elapsed time.
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
        return next(at for at in moments if at > now)  # within the hour that comes twice the first one is in the past


def cron_flaw(cron: str) -> str | None:
    """Return what is wrong with a cron expression, if anything is: also one that no date ever meets."""
    try:
        next(CronSim(cron, _SOME_DAY))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "no date ever meets it"
    return None
