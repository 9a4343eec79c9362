"""Orgs that were refused: left alone, but not for ever."""

from __future__ import annotations

from datetime import UTC, datetime

from collector.errors import RefusalReason, Refused
from collector.model import BasicCredential
from collector.service.parking import PARK_FOR, Parking, entry_of, touched
from tests.support.orgs import make_org

NOON = datetime(2026, 6, 24, 12, tzinfo=UTC)
NO = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused")


def test_a_refused_org_is_left_alone_for_a_while_and_then_tried_again() -> None:
    parking = Parking()
    parking.park("a", NO, NOON)
    assert parking.waiting(NOON) == {"a"}
    assert parking.waiting(NOON + PARK_FOR) == set()


def test_a_clock_that_is_set_back_prolongs_nothing() -> None:
    parking = Parking()
    parking.park("a", NO, NOON)
    assert parking.waiting(NOON - 5 * PARK_FOR) == set()


def test_since_when_it_is_refused_survives_being_refused_again() -> None:
    parking = Parking()
    parking.park("a", NO, NOON)
    parking.park("a", NO, NOON + PARK_FOR)
    assert parking.parked["a"].since == NOON
    assert parking.parked["a"].again_at == NOON + 2 * PARK_FOR


def test_one_that_is_released_is_asked_at_once_and_stays_known_as_refused_until_it_is_answered() -> None:
    parking = Parking()
    parking.park("a", NO, NOON)
    parking.release(["a", "never refused"], NOON)
    assert parking.waiting(NOON) == set()
    assert "a" in parking.parked
    parking.accepted("a")
    assert not parking.parked


def test_orgs_that_left_the_config_are_forgotten() -> None:
    parking = Parking()
    parking.park("a", NO, NOON)
    parking.park("b", NO, NOON)
    parking.keep(["b"])
    assert set(parking.parked) == {"b"}


def test_new_orgs_and_those_with_another_secret_are_touched_and_those_with_other_labels_are_not() -> None:
    old = [make_org("a"), make_org("b"), make_org("c"), make_org("gone")]
    renewed = BasicCredential(username="b@example.test", access_key="renewed")
    new = [make_org("a", labels={"team": "x"}), make_org("b", credential=renewed), make_org("c"), make_org("new")]
    assert touched(old, new) == ["b", "new"]
    assert entry_of(old[0]) != entry_of(new[0])
    assert entry_of(old[2]) == entry_of(new[2])
