"""Which orgs count as removed, where a config changes and where several configs share a ledger."""

from __future__ import annotations

import pytest

from collector.ledger import SqlLedger
from collector.model import BasicCredential, Org
from tests.adapters.ledger.support import day, registered
from tests.support.orgs import make_org


def of_user(name: str, user: str) -> Org:
    return make_org(name, credential=BasicCredential(username=user, access_key="key"))


A, B, C, D, E, F = (of_user(name, f"user-{name}") for name in "abcdef")


def run(ledger: SqlLedger, *config: Org, n: int = 0) -> list[str]:
    """What a run of a config does first; return the orgs that it reports."""
    registered(ledger, *config, names=[org.name for org in config])
    noted = [one.name for one in ledger.note_config(config, day(n))]
    assert noted == shown(ledger, *config)
    return noted


def shown(ledger: SqlLedger, *config: Org) -> list[str]:
    return [one.name for one in ledger.removed([org.name for org in config])]


def test_an_org_that_leaves_the_config_is_reported_until_it_comes_back(ledger: SqlLedger) -> None:
    assert run(ledger, A, B) == []
    assert run(ledger, A, n=1) == ["b"]
    assert run(ledger, A, n=2) == ["b"]
    (one,) = ledger.removed(["a"])
    assert one.since == day(1)
    assert run(ledger, A, B, n=3) == []
    assert run(ledger, A, n=4) == ["b"]
    assert ledger.removed(["a"])[0].since == day(4)


def test_an_org_that_is_forgotten_is_not_reported_and_is_remembered_if_it_comes_back(ledger: SqlLedger) -> None:
    run(ledger, A, B, C)
    assert run(ledger, A) == ["b", "c"]
    ledger.forget([one for one in ledger.removed(["a"]) if one.name == "b"], day(1))
    assert run(ledger, A) == ["c"]
    assert [one.name for one in ledger.organizations()] == ["a", "b", "c"]
    assert run(ledger, A, B) == ["c"]
    assert run(ledger, A) == ["b", "c"]


def test_the_orgs_of_two_configs_on_one_ledger_are_not_removed(ledger: SqlLedger) -> None:
    for _ in range(2):
        assert run(ledger, A, B) == []
        assert run(ledger, C, D, E) == []
    assert run(ledger, C, D) == ["e"]
    assert run(ledger, A, B) == []
    assert run(ledger, A) == ["b"]
    assert run(ledger, C, D) == ["e"]


def test_an_org_that_two_configs_have_is_removed_when_neither_has_it(ledger: SqlLedger) -> None:
    assert run(ledger, A, B, C) == []
    assert run(ledger, C, D, E) == []
    assert run(ledger, A, B) == []
    assert run(ledger, D, E) == ["c"]
    assert run(ledger, A, B) == []


def test_a_config_that_lost_most_of_its_orgs_reports_them(ledger: SqlLedger) -> None:
    run(ledger, A, B, C, D, E)
    assert run(ledger, A) == ["b", "c", "d", "e"]
    assert run(ledger, A, F) == ["b", "c", "d", "e"]


def test_a_config_that_grows_is_the_same_one(ledger: SqlLedger) -> None:
    run(ledger, A)
    assert run(ledger, A, B, C, D, E) == []
    assert run(ledger, B, C, D, E) == ["a"]


def test_an_org_that_moves_to_another_config_is_not_removed(ledger: SqlLedger) -> None:
    run(ledger, A, B, C)
    run(ledger, D, E)
    assert run(ledger, C, D, E) == []
    assert run(ledger, A, B) == []


def test_a_config_that_is_split_in_two_reports_the_other_half_no_longer_than_a_run(ledger: SqlLedger) -> None:
    run(ledger, A, B, C, D, E)
    assert run(ledger, A, B, C) == ["d", "e"]
    for _ in range(2):
        assert run(ledger, D, E) == []
        assert run(ledger, A, B, C) == []
    assert run(ledger, D) == ["e"]


@pytest.mark.parametrize("halves", [((A, B, C), (D, E)), ((D, E), (A, B, C))])
def test_two_configs_that_become_one_have_removed_nothing(
    ledger: SqlLedger, halves: tuple[tuple[Org, ...], tuple[Org, ...]]
) -> None:
    for half in halves:
        run(ledger, *half)
    assert run(ledger, A, B, C, D, E) == []
    assert run(ledger, A, B, C, D) == ["e"]


def test_a_renamed_org_is_not_removed(ledger: SqlLedger) -> None:
    run(ledger, A, B)
    assert run(ledger, A, of_user("new", "user-b")) == []


def test_an_org_that_was_renamed_with_another_user_is_recognised_by_its_answer(ledger: SqlLedger) -> None:
    (_, old) = registered(ledger, A, B)
    assert ledger.acquire([old.key]) == {}
    ledger.identify(old.key, name="b", org_id="222", org_name="Beta")
    ledger.release([old.key])
    run(ledger, A, B)
    new = of_user("new", "another")
    assert run(ledger, A, new) == ["b"]
    (_, fresh) = registered(ledger, A, new)
    assert ledger.acquire([fresh.key]) == {}
    assert ledger.identify(fresh.key, name="new", org_id="222", org_name="Beta") == old.key
    assert shown(ledger, A, new) == []
    assert run(ledger, A, new) == []


def test_a_run_of_some_orgs_reports_none_of_the_others(ledger: SqlLedger) -> None:
    run(ledger, A, B, C)
    registered(ledger, A, names=["a", "b", "c"])
    assert ledger.note_config([A, B, C], day(1)) == []


def test_a_config_of_other_orgs_alone_is_another_config(ledger: SqlLedger) -> None:
    run(ledger, A, B)
    assert run(ledger, F) == []
    assert shown(ledger, A, B) == []
