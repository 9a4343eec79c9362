"""The identity of an org: set once, and found again under another name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.core.emission import Emission, Emitted
from collector.core.response import Reply, interpret
from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.model import Answer, BearerCredential, Org, Quality, SliceState
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, T0, commit, day, days, registered, slice_at
from tests.support.orgs import make_org
from tests.unit.answers.bodies import REQUEST, success

OLD = make_org("old", credential=BearerCredential(token="t"))
NEW = make_org("new", credential=BearerCredential(token="t"))


def identify(ledger: SqlLedger, key: int, org: Org = OLD, org_id: str = "111") -> object:
    return ledger.identify(key, name=org.name, org_id=org_id, org_name="Acme Corp")


def known(ledger: SqlLedger) -> int:
    """The key of an identified org with a slice."""
    (standing,) = registered(ledger, OLD)
    assert identify(ledger, standing.key) == standing.key
    ledger.commit([commit(standing.key, 0)], None)
    ledger.release([standing.key])
    return standing.key


def test_the_first_answer_sets_the_identity_of_an_org(ledger: SqlLedger) -> None:
    key = known(ledger)
    assert registered(ledger, OLD)[0].org_id == "111"
    assert [(org.org_id, org.org_name) for org in ledger.organizations()] == [("111", "Acme Corp")]
    assert identify(ledger, key) == key


def test_a_new_name_of_an_organization_is_stored(ledger: SqlLedger) -> None:
    key = known(ledger)
    ledger.identify(key, name="old", org_id="111", org_name="Acme Inc")
    assert [org.org_name for org in ledger.organizations()] == ["Acme Inc"]


def test_what_an_answer_may_say_is_stored_alike_in_each_database(ledger: SqlLedger) -> None:
    """U+0000 in an organization's name once ended every run with 5, on PostgreSQL alone."""
    odd, most = "\0\ud800\ufeff\u001b[2J\u202e", 2**63 - 1
    body = success(
        {"organization": {"id": odd, "name": odd}},
        {odd: {"totalTests": most, "totalDuration": most, "more": [odd, 2**64 - 1]}},
    )
    answer = interpret(Reply(status=200, body=body), REQUEST, now=T0)
    assert isinstance(answer, Answer)
    (standing,) = registered(ledger, OLD)
    key = ledger.identify(standing.key, name="old", org_id=answer.org_id, org_name=answer.org_name)
    assert isinstance(key, int)
    products = {
        name: Emitted(revision=1, quality=Quality.MEASURED, usage=usage) for name, usage in answer.products.items()
    }
    emitted = Emission(emitted_at=T0, users=most, products=products)
    ledger.commit([commit(key, 0, emission=emitted)], None)
    assert [(org.org_id, org.org_name) for org in ledger.organizations()] == [(answer.org_id, answer.org_name)]
    assert ledger.rows([slice_at(key, 0)])[slice_at(key, 0)].emission == emitted


def test_identifying_an_org_leases_it(opened: Open) -> None:
    one, other = opened(), opened()
    key = known(one)
    identify(one, key)
    assert other.acquire([key]) == {key: one.holder}
    assert identify(other, key) == one.holder


def test_a_changed_organization_is_a_value_error(ledger: SqlLedger) -> None:
    key = known(ledger)
    with pytest.raises(ValueError, match="another organization than before"):
        identify(ledger, key, org_id="222")
    assert registered(ledger, OLD)[0].org_id == "111"


def test_a_renamed_org_keeps_its_row(ledger: SqlLedger) -> None:
    key = known(ledger)
    fresh = registered(ledger, NEW)[0].key
    ledger.acquire([fresh])
    assert identify(ledger, fresh, NEW) == key
    assert registered(ledger, NEW)[0].key == key
    assert [(org.key, org.name) for org in ledger.organizations()] == [(key, "new")]
    assert ledger.coverage(key, ALWAYS).keys() == {(ACCOUNT, day(0))}


def test_after_a_merge_only_the_remaining_row_is_leased(opened: Open) -> None:
    one, other = opened(), opened()
    key = known(one)
    fresh = registered(one, NEW)[0].key
    one.acquire([fresh])
    assert identify(one, fresh, NEW) == key
    assert other.acquire([key]) == {key: one.holder}
    one.release([key])
    assert other.acquire([key]) == {}
    with pytest.raises(LedgerError, match="run again"):
        other.acquire([fresh])


def test_nothing_changes_while_another_process_leases_the_row(opened: Open) -> None:
    one, other = opened(), opened()
    key = known(one)
    other.acquire([key])
    fresh = registered(one, NEW)[0].key
    one.acquire([fresh])
    assert identify(one, fresh, NEW) == other.holder
    assert {org.key: (org.name, org.org_id) for org in one.organizations()} == {
        key: ("old", "111"),
        fresh: ("new", None),
    }
    other.abandon()
    assert identify(one, fresh, NEW) == key


def test_a_merge_moves_what_is_wanted_to_the_remaining_row(ledger: SqlLedger) -> None:
    key = known(ledger)
    early = T0 - timedelta(days=9)
    found = ledger.register([NEW], wanted_from={"new": early}, now=T0)
    fresh = found["new"].key  # type: ignore[union-attr]
    ledger.want({key: [days(0, 2)]})
    ledger.want({fresh: [days(1, 4)]})
    identify(ledger, fresh, NEW)
    assert registered(ledger, NEW)[0].wanted_from == early
    assert ledger.wanted(key) == [days(0, 4)]


def test_a_merge_keeps_an_earlier_wanted_from(ledger: SqlLedger) -> None:
    known(ledger)
    found = ledger.register([NEW], wanted_from={"new": day(9)}, now=T0)
    identify(ledger, found["new"].key, NEW)  # type: ignore[union-attr]
    assert registered(ledger, NEW)[0].wanted_from == T0


def test_a_merge_deletes_failed_slices_of_the_fresh_row(ledger: SqlLedger) -> None:
    key = known(ledger)
    fresh = registered(ledger, NEW)[0].key
    ledger.commit([commit(fresh, n, SliceState.FAILED) for n in range(3)], None)
    assert identify(ledger, fresh, NEW) == key
    assert ledger.coverage(key, ALWAYS).keys() == {(ACCOUNT, day(0))}


def test_a_row_with_an_emission_is_not_merged(ledger: SqlLedger) -> None:
    key = known(ledger)
    fresh = registered(ledger, NEW)[0].key
    ledger.commit([commit(fresh, 5)], None)
    with pytest.raises(ValueError, match="without an organization"):
        identify(ledger, fresh, NEW)
    assert [org.key for org in ledger.organizations()] == [fresh, key]


def test_a_row_that_another_process_merged_is_found(opened: Open) -> None:
    one, other = opened(), opened()
    key = known(one)
    fresh = registered(one, NEW)[0].key
    assert identify(other, fresh, NEW) == key
    other.release([key])
    assert identify(one, fresh, NEW) == key


def test_ranges_that_touch_are_merged(ledger: SqlLedger, key: int) -> None:
    for span in (days(0, 2), days(5, 7), days(2, 3), days(5, 7)):
        ledger.want({key: [span]})
    assert ledger.wanted(key) == [days(0, 3), days(5, 7)]
    ledger.want({key: [days(1, 9)]})
    assert ledger.wanted(key) == [days(0, 9)]
