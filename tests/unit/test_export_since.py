"""Since when an export lists changes: a date begins in each org's zone, and one that hasn't begun is no empty list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from collector.cli.export_since import changes_since
from collector.errors import ConfigError
from collector.ledger import LedgerReader
from collector.model import Granularity, Org, Population, UnreadCredential, Zone

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)


@dataclass
class Ledger:
    """A ledger that knows all restatements, and no run."""

    known_from: datetime | None = None

    def restatements_known_from(self) -> datetime | None:
        return self.known_from

    def run(self, _run_id: str) -> None:
        return None


def org(name: str, zone: str) -> Org:
    return Org(
        name=name,
        base_url="",
        credential=UnreadCredential(),
        zone=Zone.parse(zone),
        granularity=Granularity.DAY,
        populations=tuple(Population),
    )


ORGS = [org("west", "America/New_York"), org("here", "UTC")]


def warned(text: str, ledger: Ledger | None = None) -> list[Any]:
    with capture_logs() as logs:
        changes_since(cast("LedgerReader", ledger or Ledger()), ORGS, text, now=NOW)
    return [(one["event"], one["message"]) for one in logs]


def test_a_date_that_has_begun_for_some_orgs_only_names_the_others() -> None:
    assert warned("2026-11-26") == []
    ((event, message),) = warned("2026-11-27")
    assert event == "changes.in_future"
    assert "for west: nothing" in message
    assert "for west, here: nothing" in warned("2026-12-24")[0][1]


def test_restatements_that_are_not_all_known_are_a_warning_by_the_earliest_zone() -> None:
    known_from = Ledger(datetime(2026, 11, 26, 0, tzinfo=UTC))
    assert [event for event, _ in warned("2026-11-26", known_from)] == ["restatements.not_known"]
    assert warned("2026-11-26T01:00:00Z", known_from) == []


def test_what_is_neither_a_time_nor_a_run_is_an_error() -> None:
    with pytest.raises(ConfigError, match="knows no run of that id"):
        warned("yesterday")
