"""Notes for the user about a range that was widened or cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from collector.config import LoadedConfig
from collector.core.ranges import Range, Selection, select
from collector.core.windows import Calendar
from collector.errors import ConfigError
from collector.model import Org


def range_notes(config: LoadedConfig, orgs: Sequence[Org], range_: Range, *, now: datetime) -> list[str]:
    """Return a note for each way in which the range was changed. Raises ConfigError for an impossible range."""
    orgs_by_note: dict[str, list[str]] = {}
    for org in orgs:
        calendar = Calendar(org.zone, org.granularity)
        try:
            selection = select(range_, calendar, now=now, settle=config.settings.schedule.settle, since=org.since)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        for note in _notes(selection, calendar):
            orgs_by_note.setdefault(note, []).append(org.name)
    return [f"{_names(names)}: {note}" for note, names in orgs_by_note.items()]


def _notes(selection: Selection, calendar: Calendar) -> list[str]:
    zone, unit = calendar.zone, calendar.granularity.value
    notes = []
    if given := selection.widened_from:
        start, end = (at.astimezone(zone.tz).isoformat() for at in (given.start, given.end))
        notes.append(f"the range {start} to {end} is widened to whole {unit}s of {zone.name}")
    if selection.cut_since:
        notes.append(f"nothing before {selection.cut_since.astimezone(zone.tz).isoformat()} is wanted (`since`)")
    if selection.cut_due:
        until = selection.cut_due.astimezone(zone.tz).isoformat()
        notes.append(f"the range is cut at {until}: later {unit}s are not due yet (`schedule.settle`)")
    if selection.span is None:
        notes.append(f"no {unit} of the range is due: nothing will be fetched")
    return notes


def _names(orgs: list[str]) -> str:
    return ", ".join(orgs) if len(orgs) <= 3 else f"{len(orgs)} orgs ({', '.join(orgs[:2])}, …)"
