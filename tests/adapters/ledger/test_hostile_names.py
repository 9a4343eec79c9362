"""Names of orgs, organizations and products that are SQL, paths or templates are only names, in each database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.core.emission import Emission, Emitted
from collector.ledger import SqlLedger
from collector.model import BearerCredential, ProductUsage, Quality
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import T0, commit, registered, slice_at
from tests.support.orgs import make_org

NAMES = (
    "'; DROP TABLE org; --",
    '"; DROP SCHEMA collector CASCADE; --',
    "x' OR '1'='1",
    "$$; DELETE FROM slice; $$",
    "../../../etc/passwd",
    "%s %(name)s :name {name} ?",
    "\\'; SELECT pg_sleep(9); --",
    "/* */ -- ;",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_sql_or_a_path_is_stored_as_it_is_and_changes_nothing_else(
    ledger: SqlLedger, opened: Open, name: str
) -> None:
    usual = make_org("usual", credential=BearerCredential(token="a"))
    hostile = make_org(name, credential=BearerCredential(token="b"))
    first, second = registered(ledger, usual, hostile)
    assert ledger.acquire([first.key, second.key]) == {}
    for org, standing in ((usual, first), (hostile, second)):
        assert ledger.identify(standing.key, name=org.name, org_id=f"id {org.name}", org_name=org.name) == standing.key
        emitted = Emitted(revision=1, quality=Quality.MEASURED, usage=ProductUsage(extra={org.name: org.name}))
        emission = Emission(emitted_at=T0, users=1, products={org.name: emitted})
        ledger.commit([replace(commit(standing.key, 0), emission=emission)], None)
    ledger.close()
    again = opened()
    assert {(org.name, org.org_id, org.org_name) for org in again.organizations()} == {
        ("usual", "id usual", "usual"),
        (name, f"id {name}", name),
    }
    for org, standing in ((usual, first), (hostile, second)):
        row = again.rows([slice_at(standing.key, 0)])[slice_at(standing.key, 0)]
        assert row.emission is not None
        assert dict(row.emission.products[org.name].usage.extra) == {org.name: org.name}
