"""Which orgs changed since a look, whichever process changed them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.core.ledger_entries import CredentialUse
from collector.errors import RefusalReason, Refused
from collector.ledger import SqlLedger
from collector.model import SliceState
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import commit, days, registered
from tests.support.orgs import make_org

A, B = make_org("a"), make_org("b")
NO = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused")


@pytest.fixture
def keys(ledger: SqlLedger) -> list[int]:
    return [standing.key for standing in registered(ledger, A, B)]


def test_the_first_look_finds_nothing_changed_and_later_ones_what_changed_since(
    ledger: SqlLedger, keys: list[int]
) -> None:
    ledger.commit([commit(keys[0], 0)], None)
    first = ledger.changes(None)
    assert list(first.keys) == []
    assert list(ledger.changes(first.newest).keys) == []
    ledger.commit([commit(keys[0], 1), commit(keys[0], 2)], None)
    second = ledger.changes(first.newest)
    assert list(second.keys) == [keys[0]]
    ledger.commit([commit(keys[1], 1)], None)
    assert list(ledger.changes(second.newest).keys) == [keys[1]]
    assert sorted(ledger.changes(first.newest).keys) == keys


def test_what_another_process_commits_is_a_change(opened: Open, ledger: SqlLedger, keys: list[int]) -> None:
    other, seen = opened(), ledger.changes(None).newest
    other.commit([commit(keys[1], 0, SliceState.FAILED)], None)
    assert list(ledger.changes(seen).keys) == [keys[1]]


def test_refusals_ranges_identities_and_lost_files_are_changes(ledger: SqlLedger, keys: list[int]) -> None:
    a, b = keys
    file = ledger.open_file("run", "out", "name")
    ledger.commit([commit(b, 0)], replace(file, bytes=1, records=1))
    for change, changed in (
        (lambda: ledger.commit([], None, [CredentialUse(org=A, at=days(0, 1).end, refused=NO)]), [a]),
        (lambda: ledger.commit([], None, [CredentialUse(org=A, at=days(1, 2).end)]), [a]),
        (lambda: ledger.want({b: [days(0, 3)]}), [b]),
        (lambda: ledger.want({b: [days(0, 3)]}), []),
        (lambda: ledger.identify(a, name="a", org_id="111", org_name="Inc."), [a]),
        (lambda: ledger.lost(file.file_id), [b]),
        (lambda: ledger.release(keys), []),
    ):
        seen = ledger.changes(None).newest
        change()
        assert list(ledger.changes(seen).keys) == changed


def test_a_merge_of_the_org_that_changed_last_is_a_change_of_the_other(ledger: SqlLedger, keys: list[int]) -> None:
    a, b = keys
    ledger.identify(a, name="a", org_id="111", org_name="Inc.")
    ledger.commit([commit(b, 0, SliceState.FAILED)], None)
    seen = ledger.changes(None).newest
    assert ledger.identify(b, name="b", org_id="111", org_name="Inc.") == a
    assert list(ledger.changes(seen).keys) == [a]


def test_in_a_ledger_that_is_older_than_the_look_all_orgs_changed(ledger: SqlLedger, keys: list[int]) -> None:
    assert sorted(ledger.changes(10**6).keys) == keys
