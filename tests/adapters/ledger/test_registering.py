"""Which row belongs to an org of the config: after a rename no slice is fetched again."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from collector.core.identities import user_fingerprint
from collector.core.ledger_entries import Standing
from collector.ledger import SqlLedger
from collector.ledger.schema import metadata
from collector.model import BasicCredential, BearerCredential, Org
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import T0, day, registered
from tests.support.orgs import make_org


def named(org: Org, name: str) -> Org:
    return replace(org, name=name)


def key_of(ledger: SqlLedger, org: Org, *others: Org, names: tuple[str, ...] = ()) -> int:
    return registered(ledger, org, *others, names=names)[0].key


def identified(ledger: SqlLedger, org: Org, org_id: str) -> int:
    key = key_of(ledger, org)
    assert ledger.identify(key, name=org.name, org_id=org_id, org_name="Acme") == key
    return key


def with_token(name: str) -> Org:
    return make_org(name, credential=BearerCredential(token=f"token-of-{name}"))


def test_a_new_org_is_wanted_from_the_given_instant(ledger: SqlLedger) -> None:
    found = ledger.register([make_org()], wanted_from={"acme": day(-3)}, now=T0)
    assert found == {"acme": Standing(key=1, org_id=None, wanted_from=day(-3), calendar_since=None)}


def test_a_known_org_keeps_its_row_and_its_wanted_from(opened: Open) -> None:
    first = opened().register([make_org()], wanted_from={"acme": day(-3)}, now=T0)
    assert opened().register([make_org()], wanted_from={"acme": day(5)}, now=day(9)) == first


def test_orgs_of_different_names_have_rows_of_their_own(ledger: SqlLedger) -> None:
    assert key_of(ledger, make_org("a")) != key_of(ledger, make_org("b"))


def test_registering_no_orgs_returns_nothing(ledger: SqlLedger) -> None:
    assert ledger.register([], wanted_from={}, now=T0) == {}


@pytest.mark.parametrize("org", [make_org("old"), with_token("old")])
def test_a_renamed_org_is_found_by_the_organization_that_it_pins(ledger: SqlLedger, org: Org) -> None:
    key = identified(ledger, org, "111")
    renamed = make_org("new", org_id="111")
    assert registered(ledger, renamed)[0] == Standing(
        key=key, org_id="111", wanted_from=T0, calendar_since=None, org_name="Acme"
    )


def test_a_renamed_org_is_found_by_its_credential_s_user(ledger: SqlLedger) -> None:
    org = make_org("old")
    key = key_of(ledger, org)
    assert key_of(ledger, named(org, "new")) == key
    assert [known.name for known in ledger.organizations()] == ["new"]


def test_a_new_access_key_of_the_same_user_keeps_the_row(ledger: SqlLedger) -> None:
    org = make_org("old")
    key = key_of(ledger, org)
    rotated = BasicCredential(username="old@example.test", access_key="another")
    assert key_of(ledger, make_org("new", credential=rotated)) == key


def test_the_same_user_at_another_base_url_is_another_org(ledger: SqlLedger) -> None:
    org = make_org("old")
    key = key_of(ledger, org)
    assert key_of(ledger, make_org("new", credential=org.credential, base_url="http://127.0.0.1:10")) != key


def test_a_renamed_org_with_a_token_gets_a_new_row(ledger: SqlLedger) -> None:
    org = with_token("old")
    key = key_of(ledger, org)
    assert key_of(ledger, named(org, "new")) != key


def test_a_second_org_of_the_same_user_is_not_a_rename_of_the_first(ledger: SqlLedger) -> None:
    org = make_org("first")
    key = key_of(ledger, org)
    keys = [standing.key for standing in registered(ledger, named(org, "second"), org)]
    assert keys[1] == key
    assert keys[0] != key


def test_an_org_outside_the_selection_is_not_taken_for_renamed(ledger: SqlLedger) -> None:
    org = make_org("first")
    key = key_of(ledger, org)
    assert key_of(ledger, named(org, "second"), names=("first", "second")) != key


def test_only_one_of_two_new_names_is_the_renamed_org(ledger: SqlLedger) -> None:
    org = make_org("old")
    key = key_of(ledger, org)
    keys = [standing.key for standing in registered(ledger, named(org, "a"), named(org, "b"))]
    assert keys[0] == key
    assert keys[1] != key


def test_a_rename_is_not_guessed_if_the_user_has_several_rows(ledger: SqlLedger) -> None:
    org = make_org("a")
    keys = {standing.key for standing in registered(ledger, org, named(org, "b"))}
    assert key_of(ledger, named(org, "c")) not in keys


def test_a_reused_name_belongs_to_its_new_org(ledger: SqlLedger) -> None:
    old = make_org("acme")
    key = key_of(ledger, old)
    renamed = named(old, "acme-old")
    assert key_of(ledger, renamed) == key
    newcomer = make_org("acme", credential=BasicCredential(username="someone@else.test", access_key="k"))
    keys = [standing.key for standing in registered(ledger, newcomer, renamed)]
    assert keys[1] == key
    assert keys[0] != key
    assert [standing.key for standing in registered(ledger, newcomer, renamed)] == keys


def test_an_org_with_its_old_name_again_keeps_its_row(ledger: SqlLedger) -> None:
    org = with_token("old")
    key = identified(ledger, org, "111")
    assert key_of(ledger, replace(org, name="new", org_id="111")) == key
    assert key_of(ledger, org) == key


def test_orgs_that_swap_their_names_keep_their_rows_by_their_pins(ledger: SqlLedger) -> None:
    a, b = make_org("a"), make_org("b")
    keys = [identified(ledger, a, "111"), identified(ledger, b, "222")]
    swapped = [replace(a, name="b", org_id="111"), replace(b, name="a", org_id="222")]
    assert [standing.key for standing in registered(ledger, *swapped)] == keys


def test_a_pin_on_another_organization_gets_a_new_row(ledger: SqlLedger) -> None:
    org = make_org()
    key = identified(ledger, org, "111")
    meant = replace(org, org_id="222")
    fresh = registered(ledger, meant)[0]
    assert fresh.key != key
    assert fresh.org_id is None
    assert registered(ledger, meant)[0].key == fresh.key


def test_two_names_of_one_organization_find_the_same_row(ledger: SqlLedger) -> None:
    one, other = make_org("one"), make_org("other")
    key = identified(ledger, one, "111")
    fresh = key_of(ledger, other)
    assert ledger.identify(fresh, name="other", org_id="111", org_name="Acme") == key
    assert [standing.key for standing in registered(ledger, one, other)] == [key, key]


def test_a_fingerprint_contains_only_the_base_url_and_user(ledger: SqlLedger) -> None:
    org = make_org("acme")
    assert user_fingerprint(org) == hashlib.sha256(b"http://127.0.0.1:9\0acme@example.test").hexdigest()
    assert user_fingerprint(with_token("acme")) is None
    registered(ledger, org, with_token("token"))
    tables = metadata.sorted_tables
    dump = repr(ledger._database.read(lambda tx: [tx.execute(table.select()).all() for table in tables]))
    assert str(user_fingerprint(org)) in dump
    assert "key-of-acme" not in dump
    assert "token-of-token" not in dump
    assert "acme@example.test" not in dump
    assert hashlib.sha256(b"token-of-token").hexdigest() not in dump


def test_ids_of_orgs_are_never_reused(ledger: SqlLedger) -> None:
    identified(ledger, make_org("one"), "111")
    fresh = key_of(ledger, make_org("other"))
    ledger.identify(fresh, name="other", org_id="111", org_name="Acme")
    assert key_of(ledger, make_org("third")) > fresh


def test_ten_thousand_orgs_are_registered_once(ledger: SqlLedger) -> None:
    orgs = [make_org(f"org-{n}") for n in range(10_000)]
    wanted_from = dict.fromkeys((org.name for org in orgs), T0)
    first = ledger.register(orgs, wanted_from=wanted_from, now=T0)
    assert ledger.register(orgs, wanted_from=wanted_from, now=T0) == first
    assert len({standing.key for standing in first.values() if isinstance(standing, Standing)}) == 10_000
    assert ledger.acquire([standing.key for standing in first.values() if isinstance(standing, Standing)]) == {}
