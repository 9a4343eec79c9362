"""The orgs that are refused: from the first refusal after an answer until the next answer, and by which credential."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from collector.core.delivered import DeliveredSlice
from collector.core.identities import user_fingerprint
from collector.core.ledger_entries import CredentialUse
from collector.core.org_history import Refusal
from collector.errors import LedgerError, RefusalReason, Refused
from collector.ledger import SqlLedger
from collector.ledger.history import HistoryQuery
from collector.model import BearerCredential, Granularity, Org, Window
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, commit, day, emission, registered
from tests.support.orgs import make_org

ACME = make_org("acme")
NO = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused (401)")
NO_ADMIN = Refused(reason=RefusalReason.NOT_ADMIN, message="no admin (403)")


def refuse(ledger: SqlLedger, org: Org, at: datetime, refused: Refused = NO) -> None:
    ledger.commit([], None, [CredentialUse(org=org, at=at, refused=refused)])


def answer(ledger: SqlLedger, org: Org, at: datetime) -> None:
    ledger.commit([], None, [CredentialUse(org=org, at=at)])


def refusal(ledger: SqlLedger, key: int, *names: str) -> Refusal | None:
    ((history, _),) = ledger.histories([HistoryQuery(key=key, recent_from=None, names=names or ("acme",))])
    return history.refusal


def key_of(ledger: SqlLedger, org: Org, *names: str) -> int:
    return registered(ledger, org, names=names or (org.name,))[0].key


def test_a_refusal_has_its_first_and_its_newest_time_and_the_newest_reason(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    assert refusal(ledger, key) is None
    refuse(ledger, ACME, day(1))
    refuse(ledger, ACME, day(2), NO_ADMIN)
    assert refusal(ledger, key) == Refusal(
        reason=RefusalReason.NOT_ADMIN,
        message="no admin (403)",
        fingerprint=user_fingerprint(ACME),
        first_at=day(1),
        last_at=day(2),
    )
    answer(ledger, ACME, day(3))
    assert refusal(ledger, key) is None
    refuse(ledger, ACME, day(4))
    found = refusal(ledger, key)
    assert found is not None
    assert (found.first_at, found.last_at) == (day(4), day(4))


def test_a_refusal_that_is_committed_with_an_answer_came_after_it(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    refuse(ledger, ACME, day(1))
    both = [CredentialUse(org=ACME, at=day(5)), CredentialUse(org=ACME, at=day(5), refused=NO)]
    ledger.commit([commit(key, 0)], None, both)
    found = refusal(ledger, key)
    assert found is not None
    assert found.first_at == day(5)


def test_a_clock_that_is_set_back_gives_no_refusal_that_ends_before_it_begins(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    refuse(ledger, ACME, day(5))
    refuse(ledger, ACME, day(2))
    found = refusal(ledger, key)
    assert found is not None
    assert (found.first_at, found.last_at) == (day(2), day(2))


def test_a_refusal_and_the_slices_of_its_transaction_are_committed_together_or_not_at_all(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    with pytest.raises(LedgerError):
        ledger.commit([commit(key + 999, 0)], None, [CredentialUse(org=ACME, at=day(1), refused=NO)])
    assert refusal(ledger, key) is None


def test_a_message_is_bounded_and_a_token_has_no_fingerprint(ledger: SqlLedger) -> None:
    org = make_org("acme", credential=BearerCredential(token="secret-token"))
    key = key_of(ledger, org)
    refuse(ledger, org, day(1), replace(NO, message="x" * 10_000))
    found = refusal(ledger, key)
    assert found is not None
    assert found.message == "x" * 499 + "…"
    assert found.fingerprint is None


def test_other_processes_see_a_refusal(opened: Open) -> None:
    one, other = opened(), opened()
    key = key_of(one, ACME)
    refuse(one, ACME, day(1))
    assert refusal(other, key) == refusal(one, key) is not None
    answer(other, ACME, day(2))
    assert refusal(one, key) is None


def test_only_the_entry_that_is_refused_has_the_refusal(ledger: SqlLedger) -> None:
    """Two entries may be one organization, with one row."""
    first, second = ACME, make_org("second", org_id="111")
    key = key_of(ledger, first, "acme", "second")
    assert ledger.identify(key, name="acme", org_id="111", org_name="Acme") == key
    assert key_of(ledger, second, "acme", "second") == key
    refuse(ledger, second, day(1))
    assert refusal(ledger, key, "second") is not None
    answer(ledger, first, day(2))
    assert refusal(ledger, key, "second") is not None
    assert refusal(ledger, key, "acme") is None


def test_a_refusal_goes_with_an_org_that_is_renamed_and_renamed_back(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    refuse(ledger, ACME, day(1))
    before = refusal(ledger, key)
    for name in ("new", "acme", "third"):
        assert key_of(ledger, replace_name(name)) == key
        assert refusal(ledger, key, name) == before
    assert refusal(ledger, key, "acme") is None


def replace_name(name: str) -> Org:
    return make_org(name, credential=ACME.credential)


def test_an_org_of_a_selection_takes_over_no_refusal_of_another_entry_of_its_organization(ledger: SqlLedger) -> None:
    """A run that looks up one org again knows no other names of the config."""
    second = make_org("second", org_id="111")
    key = key_of(ledger, ACME, "acme", "second")
    ledger.identify(key, name="acme", org_id="111", org_name="Acme")
    key_of(ledger, second, "acme", "second")
    refuse(ledger, second, day(1))
    registered(ledger, ACME)
    assert refusal(ledger, key, "acme") is None
    assert refusal(ledger, key, "second") is not None


def test_a_refusal_goes_with_the_org_when_another_org_gets_its_name(ledger: SqlLedger) -> None:
    key = key_of(ledger, ACME)
    refuse(ledger, ACME, day(1))
    before = refusal(ledger, key)
    ledger.identify(key, name="acme", org_id="111", org_name="Acme")
    moved = make_org("moved", org_id="111", credential=ACME.credential)
    other = make_org("acme", org_id="222", credential=BearerCredential(token="t"))
    keys = [standing.key for standing in registered(ledger, moved, other, names=("moved", "acme"))]
    assert keys[0] == key != keys[1]
    assert refusal(ledger, keys[0], "moved") == before
    assert refusal(ledger, keys[1], "acme") is None


def test_two_orgs_that_swap_their_names_keep_their_refusals(ledger: SqlLedger) -> None:
    one, other = make_org("one", org_id="111"), make_org("other", org_id="222")
    keys = [standing.key for standing in registered(ledger, one, other)]
    for key, org in zip(keys, (one, other), strict=True):
        ledger.identify(key, name=org.name, org_id=str(org.org_id), org_name="Inc.")
    refuse(ledger, one, day(1))
    refuse(ledger, other, day(2), NO_ADMIN)
    before = [refusal(ledger, key, name) for key, name in zip(keys, ("one", "other"), strict=True)]
    swapped = [replace(one, name="other"), replace(other, name="one")]
    assert [standing.key for standing in registered(ledger, *swapped, names=("one", "other"))] == keys
    assert [refusal(ledger, key, name) for key, name in zip(keys, ("other", "one"), strict=True)] == before


def test_a_row_that_is_merged_into_the_row_of_its_organization_keeps_the_refusals_of_other_entries(
    ledger: SqlLedger,
) -> None:
    old, fresh = key_of(ledger, ACME), 0
    ledger.identify(old, name="acme", org_id="111", org_name="Acme")
    token = make_org("new", credential=BearerCredential(token="t"))
    fresh = key_of(ledger, token, "acme", "new")
    assert fresh != old
    refuse(ledger, ACME, day(1))
    refuse(ledger, token, day(2))
    assert ledger.identify(fresh, name="new", org_id="111", org_name="Acme") == old
    assert refusal(ledger, old, "acme") is not None
    answer(ledger, token, day(3))
    assert refusal(ledger, old, "new") is None
    assert refusal(ledger, old, "acme") is not None


@pytest.mark.parametrize(("delivered_at", "stays"), [(day(9), False), (day(3), True)])
def test_a_restored_ledger_knows_by_its_sealed_files_that_an_org_was_answered_since(
    ledger: SqlLedger, delivered_at: datetime, stays: bool
) -> None:
    key = key_of(ledger, ACME)
    ledger.identify(key, name="acme", org_id="111", org_name="Acme")
    refuse(ledger, ACME, day(5))
    delivered = DeliveredSlice(
        org="acme",
        org_id="111",
        org_name="Acme",
        zone="UTC",
        granularity=Granularity.DAY,
        population=ACCOUNT,
        window=Window(day(0), day(1)),
        emission=emission(at=delivered_at),
    )
    ledger.adopt([delivered])
    assert (refusal(ledger, key) is not None) is stays
