"""Orgs whose calendar of the config is another than the ledger's: they are refused, or time is left out.

Writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from collector.config import LoadedConfig
from collector.core.calendar_changes import cut_over, refusal
from collector.core.ledger_entries import CalendarChanged, CutOver
from collector.core.wanted import BackfillWanted
from collector.errors import Refused
from collector.ledger import Readable
from collector.model import Org
from collector.ports import Ledger

log = structlog.get_logger("collector")


def refused_calendar(config: LoadedConfig, org: Org, changed: CalendarChanged) -> Refused:
    """Return why an org is refused: its windows would overlap with what is covered. Names file and line."""
    return refusal(org, changed, config.places.get(org.name))


def refused_calendars(ledger: Readable, config: LoadedConfig, orgs: Sequence[Org]) -> dict[str, Refused]:
    """Return the orgs that the next run will refuse for their calendars, by name. Warn of time left out, as it will."""
    changes = ledger.calendar_changes(orgs, names=[org.name for org in config.orgs])
    refused = {}
    for org in orgs:
        match changes.get(org.name):
            case CalendarChanged() as changed:
                refused[org.name] = refused_calendar(config, org, changed)
            case CutOver() as new:
                warn_of_cut_over(org, new)
            case None:
                pass
    return refused


def warn_of_cut_over(org: Org, new: CutOver) -> None:
    """Warn that a new calendar leaves out time that was wanted."""
    log.warning("calendar.cut_over", org=org.name, message=cut_over(org, new))


def warn_of_older_calendar(ledger: Ledger | Readable, org: Org, key: int, backfill: BackfillWanted) -> None:
    """Warn of what a backfill doesn't fetch of its range, as it is older than the org's calendar."""
    if (older := backfill.before_calendar(org)) and (left := ledger.left_out(key, org, older)):
        warn_of_cut_over(org, left)
