"""The rows of orgs that pin their organization: one for each organization, and none is bound by a wrong pin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from collector.errors import RowsMergedError
from collector.ledger import SqlLedger
from collector.model import BasicCredential, BearerCredential, Org
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, T0, days, emission, registered, slice_at
from tests.adapters.ledger.test_adoption import delivered
from tests.support.orgs import make_org

ACME = make_org("acme", org_id="id-acme")
UNPINNED = replace(ACME, org_id=None)


def key_of(ledger: SqlLedger, org: Org, *others: Org, names: tuple[str, ...] = ()) -> int:
    return registered(ledger, org, *others, names=names)[0].key


def identify(ledger: SqlLedger, key: int, org: Org, org_id: str) -> object:
    return ledger.identify(key, name=org.name, org_id=org_id, org_name="Acme", entry=org)


def identities(ledger: SqlLedger) -> dict[str, str | None]:
    return {one.name: one.org_id for one in ledger.organizations()}


def other_credential(org: Org) -> Org:
    return replace(org, credential=BasicCredential(username="other@example.test", access_key="k"))


def test_an_adoption_binds_the_row_of_the_org_that_pins_the_organization(opened: Open) -> None:
    one, other = opened(), opened()
    (standing,) = registered(one, ACME)
    assert (standing.org_id, one.identified()) == (None, {})  # it is expected, and nothing has shown it
    assert not one.acquire([standing.key])
    other.adopt([delivered(0, emission(5))])
    assert [found.key for found in registered(other, ACME)] == [standing.key]
    assert other.acquire([standing.key])[standing.key] == one.holder
    assert other.identified() == {"acme": "id-acme"}
    assert one.rows([slice_at(standing.key, 0)])[slice_at(standing.key, 0)].emission == emission(5)
    assert identify(one, standing.key, ACME, "id-acme") == standing.key  # the lease was never lost


@pytest.mark.parametrize("adopts_first", [True, False])
def test_there_is_one_row_whether_the_adoption_or_the_registration_is_first(
    ledger: SqlLedger, adopts_first: bool
) -> None:
    steps: list[Callable[[], object]] = [
        lambda: ledger.adopt([delivered(0, emission(5))]),
        lambda: registered(ledger, ACME),
    ]
    for step in steps if adopts_first else reversed(steps):
        step()
    assert [(one.name, one.org_id, one.org_name) for one in ledger.organizations()] == [("acme", "id-acme", "Acme")]
    assert registered(ledger, ACME)[0].org_id == "id-acme"


def test_two_names_that_pin_one_organization_have_one_row_before_any_answer(opened: Open) -> None:
    one, other = opened(), opened()
    alias = other_credential(replace(ACME, name="alias"))
    together = {standing.key for standing in registered(one, ACME, alias)}
    assert len(together) == 1
    third = replace(alias, name="third", credential=BearerCredential(token="t"))
    assert registered(other, third, names=("acme", "alias"))[0].key in together


@pytest.mark.parametrize("pin", ["id-right", None])
def test_a_wrong_pin_is_corrected_and_leaves_nothing_behind(ledger: SqlLedger, pin: str | None) -> None:
    wrong = replace(ACME, org_id="id-wrong")
    key = key_of(ledger, wrong)
    ledger.want({key: [days(-9, -5)]})
    corrected = replace(ACME, org_id=pin)
    assert key_of(ledger, corrected) == key
    assert identify(ledger, key, corrected, "id-right") == key
    assert identities(ledger) == {"acme": "id-right"}
    assert ledger.wanted(key) == [days(-9, -5)]
    whose = other_credential(replace(wrong, name="whose"))
    assert key_of(ledger, whose, names=("acme",)) != key


def test_an_answer_outweighs_the_pin_that_the_config_had_when_the_row_was_made(ledger: SqlLedger) -> None:
    """Another process may register an org with a wrong pin, while this one works on it without any."""
    key = key_of(ledger, UNPINNED)
    assert key_of(ledger, replace(ACME, org_id="id-wrong")) == key
    assert identify(ledger, key, UNPINNED, "id-right") == key
    with pytest.raises(ValueError, match="another organization"):
        identify(ledger, key, UNPINNED, "id-wrong")
    assert identities(ledger) == {"acme": "id-right"}


def test_the_organization_of_a_wrong_pin_is_bound_to_the_org_that_it_answers_for(ledger: SqlLedger) -> None:
    wrong, right = replace(ACME, org_id="id-b"), other_credential(make_org("b"))
    pinned, other = (standing.key for standing in registered(ledger, wrong, right))
    assert pinned != other
    bound = identify(ledger, other, right, "id-b")
    assert identities(ledger) == {"b": "id-b"}
    corrected = registered(ledger, ACME, right)
    assert corrected[0].key != bound
    assert (corrected[1].key, corrected[1].org_id) == (bound, "id-b")


def test_a_row_that_another_name_of_the_config_still_expects_is_left_to_it(ledger: SqlLedger) -> None:
    other = other_credential(replace(ACME, name="other"))
    shared = key_of(ledger, ACME, other)
    moved = replace(ACME, org_id="id-moved")
    assert key_of(ledger, moved, names=("other",)) != shared  # `--org acme`
    assert [standing.key == shared for standing in registered(ledger, moved, other)] == [False, True]


def test_orgs_whose_pins_were_swapped_by_mistake_swap_their_rows(ledger: SqlLedger) -> None:
    a, b = make_org("a", org_id="id-b"), other_credential(make_org("b", org_id="id-a"))
    keys = [standing.key for standing in registered(ledger, a, b)]
    corrected = [replace(a, org_id="id-a"), replace(b, org_id="id-b")]
    assert [standing.key for standing in registered(ledger, *corrected)] == keys[::-1]
    assert [standing.key for standing in registered(ledger, *corrected)] == keys[::-1]


def two_rows(ledger: SqlLedger) -> int:
    """Make a ledger as older versions left it: a row that was registered, and one that was adopted beside it."""
    first = key_of(ledger, UNPINNED)
    ledger.want({first: [days(-9, -5)]})
    ledger.adopt([delivered(0, emission(5))])
    return first


def test_two_rows_of_one_org_are_merged_when_it_is_registered_with_its_pin(opened: Open) -> None:
    one, other = opened(), opened()
    first = two_rows(one)
    kept = key_of(other, ACME)
    assert kept != first
    assert other.wanted(kept) == [days(-9, -5), days(0, 1)]
    with pytest.raises(RowsMergedError):  # a process that still has the first row looks it up again
        one.acquire([first])
    assert [(standing.key, standing.org_id) for standing in registered(one, UNPINNED)] == [(kept, "id-acme")]
    assert identities(one) == {"acme": "id-acme"}


def test_two_rows_of_an_org_that_was_renamed_are_merged_too(ledger: SqlLedger) -> None:
    first = two_rows(ledger)
    renamed = replace(ACME, name="renamed")
    kept = key_of(ledger, renamed)
    assert kept != first
    assert identities(ledger) == {"renamed": "id-acme"}


def test_a_row_that_is_leased_stays_the_org_s_row_until_the_first_answer_merges_it(opened: Open) -> None:
    one, other = opened(), opened()
    first = two_rows(one)
    assert not one.acquire([first])
    assert [(standing.key, standing.org_id) for standing in registered(other, ACME)] == [(first, None)]
    assert other.acquire([first])[first] == one.holder
    kept = identify(one, first, UNPINNED, "id-acme")
    assert kept != first
    assert key_of(other, ACME) == kept
    assert other.acquire([key_of(other, ACME)]) == {kept: one.holder}


def test_ten_thousand_pinned_orgs_are_registered_once(ledger: SqlLedger) -> None:
    orgs = [make_org(f"org-{n}", org_id=f"id-{n}") for n in range(10_000)]
    assert registered(ledger, *orgs) == registered(ledger, *orgs)
    assert ledger.coverage(registered(ledger, orgs[7])[0].key, days(0, 1)).get((ACCOUNT, T0)) is None


def test_orgs_that_pin_one_organization_have_one_row_though_only_one_is_found_by_its_user(ledger: SqlLedger) -> None:
    key = key_of(ledger, UNPINNED)
    renamed, newcomer = replace(ACME, name="renamed"), other_credential(replace(ACME, name="newcomer"))
    assert [standing.key for standing in registered(ledger, newcomer, renamed)] == [key, key]
