"""The queries of `status`."""

from __future__ import annotations

from collector.ledger import Organization, SqlLedger
from collector.model import ProductUsage
from tests.adapters.ledger.support import (
    ACCOUNT,
    T0,
    commit,
    days,
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


def test_smaller_answers_are_listed_oldest_first(ledger: SqlLedger, key: int) -> None:
    smaller = {"automation": ProductUsage(total_tests=1)}
    ledger.commit([commit(key, 2, shrunk=smaller), commit(key, 0, shrunk=smaller), commit(key, 1)], None)
    assert list(ledger.shrunk(key)) == [(ACCOUNT, days(0, 1)), (ACCOUNT, days(2, 3))]
