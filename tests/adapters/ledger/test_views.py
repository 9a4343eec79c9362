"""The queries of `status`."""

from __future__ import annotations

from collector.ledger import Organization, SqlLedger
from tests.adapters.ledger.support import (
    T0,
    registered,
)
from tests.support.orgs import make_org


def test_orgs_are_listed_by_name(ledger: SqlLedger) -> None:
    registered(ledger, make_org("b"), make_org("a"))
    assert [org.name for org in ledger.organizations()] == ["a", "b"]
    assert ledger.organizations()[0] == Organization(
        key=2,
        name="a",
        org_id=None,
        org_name=None,
        wanted_from=T0,
        zone="UTC",
        granularity="day",
        calendar_since=None,
    )
