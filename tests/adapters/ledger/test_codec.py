"""Values survive a round trip through the codec, and take little space."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.anomalies import Anomaly
from collector.core.emission import Emission, Emitted
from collector.ledger import codec
from collector.model import Population, ProductUsage, Quality, SliceState

INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
INSTANTS = st.datetimes(timezones=st.just(UTC))
USAGES = st.builds(
    ProductUsage,
    total_tests=INTEGERS,
    total_duration=INTEGERS,
    total_screenshots=INTEGERS,
    extra=st.dictionaries(TEXTS, JSON, max_size=3),
)
EMISSIONS = st.builds(
    Emission,
    emitted_at=INSTANTS,
    users=INTEGERS,
    products=st.dictionaries(
        TEXTS,
        st.builds(Emitted, revision=st.integers(1, 10**6), quality=st.sampled_from(Quality), usage=USAGES),
        max_size=7,
    ),
)


@given(EMISSIONS)
def test_an_emission_survives_a_round_trip_and_its_text_is_stable(emission: Emission) -> None:
    text = codec.emission_text(emission)
    assert codec.emission_of(text) == emission
    assert list(codec.emission_of(text).products) == list(emission.products)
    assert codec.emission_text(codec.emission_of(text)) == text


@given(st.dictionaries(st.sampled_from(Anomaly), st.lists(TEXTS, max_size=3)))
def test_anomalies_survive_a_round_trip(anomalies: dict[Anomaly, list[str]]) -> None:
    text = codec.anomalies_text(anomalies)
    assert (text is None) is (not anomalies)
    assert codec.anomalies_of(text) == anomalies


@pytest.mark.parametrize("text", ["", "[]", "7", '{"guessed": []}', '{"shrunk": 7}'])
def test_other_texts_are_no_anomalies(text: str) -> None:
    with pytest.raises(codec.DamagedError):
        codec.anomalies_of(text)


@given(INSTANTS)
def test_instants_survive_a_round_trip_exactly(instant: datetime) -> None:
    assert codec.instant_of(codec.micros(instant)) == instant
    assert codec.instant_of(codec.micros(instant)).tzinfo is UTC


def test_instants_of_any_zone_are_stored_in_utc() -> None:
    there = datetime(2026, 6, 1, tzinfo=timezone(timedelta(hours=-4)))
    assert codec.instant_of(codec.micros(there)) == there


@given(st.text(max_size=40) | JSON.map(repr))
def test_any_other_text_raises_a_damaged_error(text: str) -> None:
    try:
        codec.emission_of(text)
    except codec.DamagedError:
        return


def test_the_codes_of_values_never_change() -> None:
    assert codec.POPULATION == {Population.ACCOUNT_USER: 0, Population.SERVICE_USER: 1}
    assert [codec.STATE[state] for state in SliceState] == [0, 1, 2, 3, 4]
    assert all(codec.state_of(codec.STATE[state]) is state for state in SliceState)
    assert all(codec.population_of(codec.POPULATION[population]) is population for population in Population)
    with pytest.raises(codec.DamagedError, match="the code 9 is unknown"):
        codec.state_of(9)


def test_a_typical_emission_is_compact() -> None:
    usage = ProductUsage(total_tests=8450, total_duration=312540)
    products = {
        "automation": Emitted(revision=1, quality=Quality.MEASURED, usage=usage),
        "realtime": Emitted(revision=2, quality=Quality.UNAVAILABLE, usage=ProductUsage()),
        "smartui": Emitted(revision=1, quality=Quality.MEASURED, usage=ProductUsage(total_screenshots=5)),
    }
    emission = Emission(emitted_at=datetime(2026, 6, 1, tzinfo=UTC), users=12, products=products)
    assert codec.emission_text(emission) == (
        '[1780272000000000,12,{"automation":[1,0,8450,312540],"realtime":[2,1],"smartui":[1,0,null,null,5]}]'
    )
