"""Orgs that were refused: not fetched for some hours, and then tried again."""

from __future__ import annotations

from datetime import UTC, datetime

from collector.errors import RefusalReason, Refused
from collector.model import BasicCredential
from collector.service.quarantine import QUARANTINE_FOR, Quarantine, entry_of, touched
from tests.support.orgs import make_org

NOON = datetime(2026, 6, 24, 12, tzinfo=UTC)
NO = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused")


def test_a_refused_org_is_left_alone_for_a_while_and_then_tried_again() -> None:
    quarantine = Quarantine()
    quarantine.quarantine("a", NO, NOON)
    assert quarantine.waiting(NOON) == {"a"}
    assert quarantine.waiting(NOON + QUARANTINE_FOR) == set()


def test_a_clock_that_is_set_back_prolongs_nothing() -> None:
    quarantine = Quarantine()
    quarantine.quarantine("a", NO, NOON)
    assert quarantine.waiting(NOON - 5 * QUARANTINE_FOR) == set()


def test_an_org_that_is_refused_again_is_left_alone_again() -> None:
    quarantine = Quarantine()
    quarantine.quarantine("a", NO, NOON)
    quarantine.quarantine("a", NO, NOON + QUARANTINE_FOR)
    assert quarantine.quarantined["a"].again_at == NOON + 2 * QUARANTINE_FOR


def test_one_that_is_released_is_asked_at_once_and_stays_known_as_refused_until_it_is_answered() -> None:
    quarantine = Quarantine()
    quarantine.quarantine("a", NO, NOON)
    quarantine.release(["a", "never refused"], NOON)
    assert quarantine.waiting(NOON) == set()
    assert "a" in quarantine.quarantined
    quarantine.accepted("a")
    assert not quarantine.quarantined


def test_orgs_that_left_the_config_are_forgotten() -> None:
    quarantine = Quarantine()
    quarantine.quarantine("a", NO, NOON)
    quarantine.quarantine("b", NO, NOON)
    quarantine.keep(["b"])
    assert set(quarantine.quarantined) == {"b"}


def test_new_orgs_and_those_with_another_secret_are_touched_and_those_with_other_labels_are_not() -> None:
    old = [make_org("a"), make_org("b"), make_org("c"), make_org("gone")]
    renewed = BasicCredential(username="b@example.test", access_key="renewed")
    new = [make_org("a", labels={"team": "x"}), make_org("b", credential=renewed), make_org("c"), make_org("new")]
    assert touched(old, new) == ["b", "new"]
    assert entry_of(old[0]) != entry_of(new[0])
    assert entry_of(old[2]) == entry_of(new[2])
