"""Since when `collector export --changed-since` lists changes, and the notes about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from collector.adapters.text import some
from collector.core.ranges import Moment
from collector.core.restated_sums import RestatedSums
from collector.errors import ConfigError
from collector.ledger import LedgerReader
from collector.model import Org

log = structlog.get_logger("collector")
_NAMED = 5


def changes_since(
    ledger: LedgerReader, orgs: Sequence[Org], text: str, *, now: datetime
) -> tuple[Moment | datetime, str | None]:
    """Return when changes begin, and the run whose own changes are none. Warns if the list can't be whole.

    Raises ConfigError for what is neither a time nor a run that has ended.
    """
    run_id = None
    try:
        moment: Moment | datetime = Moment.parse(text)
    except ValueError as error:
        run = ledger.run(text)
        if run is None:
            raise ConfigError(f"--changed-since: the ledger knows no run of that id; as a date: {error}") from None
        if run.ended_at is None:
            raise ConfigError("--changed-since: that run has not ended: name one that has, or a date") from None
        moment, run_id = run.ended_at, text
    starts = {org.name: moment if isinstance(moment, datetime) else moment.as_start(org.zone) for org in orgs}
    _warn_of_unknown(ledger, min(starts.values(), default=None))
    if isinstance(moment, Moment):
        _warn_of_future([name for name, start in starts.items() if start > now], text)
    return moment, run_id


def note_sums(equal: int, sums: RestatedSums) -> None:
    """Log how many records are left out, and how many have no difference."""
    if equal:
        message = f"{equal} records were restated, and are again as they were: they are left out"
        log.info("records.equal_again", records=equal, message=message)
    if sums.new:
        message = (
            f"{sums.new} records are of windows that had no record at that time: the numbers before are those that "
            "came first, and an invoice of that time has none of them"
        )
        log.warning("records.came_later", records=sums.new, message=message)
    if sums.without_difference:
        message = (
            f"{sums.without_difference} records have a number without a difference: it was unknown before, or is "
            "unknown now. An invoice changes by it all the same: subtract the sum of a column _before from that "
            "of its number, and don't sum _difference"
        )
        log.warning("records.without_difference", records=sums.without_difference, message=message)


def _warn_of_unknown(ledger: LedgerReader, earliest: datetime | None) -> None:
    known_from = ledger.restatements_known_from()
    if known_from is not None and earliest is not None and earliest <= known_from:
        message = (
            f"restatements before {known_from:%Y-%m-%d %H:%M:%S} UTC are not all known: the ledger was migrated or "
            "restored then. What changed before is not listed, and a number that is listed may be a later one"
        )
        log.warning("restatements.not_known", until=known_from.isoformat(), message=message)


def _warn_of_future(names: Sequence[str], text: str) -> None:
    if names:
        message = (
            f"--changed-since {text} is in the future for {some(names, _NAMED)}: nothing of them is listed. A date "
            "begins at midnight in the zone of each org"
        )
        log.warning("changes.in_future", orgs=len(names), message=message)
