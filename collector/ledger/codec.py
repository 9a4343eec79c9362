"""Convert values to columns and back: instants, enums, and emissions as compact JSON.

An emission is `[emitted_at, users, {product: [revision, quality, tests, duration, screenshots, extra]}]`.
Nulls at the end of a product's list are left out. The same emission always gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson

from collector.core.anomalies import Anomalies, Anomaly
from collector.core.emission import Emission, Emitted
from collector.model import Population, ProductUsage, Quality, SliceState

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# These codes are stored in ledgers: never change one.
POPULATION = {Population.ACCOUNT_USER: 0, Population.SERVICE_USER: 1}
STATE = {
    SliceState.COMPLETE: 0,
    SliceState.PARTIAL: 1,
    SliceState.FAILED: 2,
    SliceState.REFUSED: 3,
    SliceState.NOT_ASKED: 4,
}
_QUALITY = {Quality.MEASURED: 0, Quality.UNAVAILABLE: 1, Quality.UNVERIFIED: 2, Quality.INFERRED: 3}
_UNKNOWN = frozenset({_QUALITY[Quality.UNAVAILABLE], _QUALITY[Quality.UNVERIFIED]})
_POPULATION_OF = {code: population for population, code in POPULATION.items()}
_STATE_OF = {code: state for state, code in STATE.items()}
_QUALITY_OF = {code: quality for quality, code in _QUALITY.items()}


class DamagedError(Exception):
    """A row holds a value that no collector wrote."""


def micros(instant: datetime) -> int:
    """Return an instant as microseconds since the epoch."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_of(value: int) -> datetime:
    """Return the instant, in UTC."""
    try:
        return _EPOCH + timedelta(microseconds=value)
    except (TypeError, OverflowError) as error:
        raise DamagedError(f"{value!r} is not an instant") from error


def population_of(code: int) -> Population:
    """Return the population of a code."""
    return _lookup(_POPULATION_OF, code)


def state_of(code: int) -> SliceState:
    """Return the state of a code."""
    return _lookup(_STATE_OF, code)


def emission_text(emission: Emission) -> str:
    """Return an emission as JSON."""
    products = {
        product: _trimmed([emitted.revision, _QUALITY[emitted.quality], *_usage_values(emitted.usage)])
        for product, emitted in emission.products.items()
    }
    return orjson.dumps([micros(emission.emitted_at), emission.users, products]).decode()


def emission_of(text: str) -> Emission:
    """Return the emission of a text that `emission_text` made. Raises DamagedError for any other text."""
    try:
        emitted_at, users, products = orjson.loads(text)
        return Emission(
            emitted_at=instant_of(emitted_at),
            users=users,
            products={
                product: Emitted(revision=revision, quality=_QUALITY_OF[quality], usage=_usage(values))
                for product, (revision, quality, *values) in products.items()
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(
            f"an emission doesn't have the format that a collector writes: {type(error).__name__}"
        ) from error


def tests_of(text: str) -> tuple[int | None, bool]:
    """Return the tests of all products (None if any number is unknown), and whether the emission has any usage.

    The status page reads a hundred thousand emissions: `emission_of` would take five times as long.
    """
    try:
        _, users, products = orjson.loads(text)
        tests, known, used = 0, True, bool(users)
        for _, quality, *values in products.values():
            if quality in _UNKNOWN:
                known = False
            if values:
                tests += values[0] or 0
                used = used or not _usage(values).is_zero
        return tests if known else None, used
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"an emission doesn't have the format that a collector writes: {type(error).__name__}"
        ) from error


def anomalies_text(anomalies: Anomalies) -> str | None:
    """Return anomalies with their products as JSON; None if there are none."""
    if not anomalies:
        return None
    return orjson.dumps({kind.value: list(products) for kind, products in anomalies.items()}).decode()


def anomalies_of(text: str | None) -> dict[Anomaly, list[str]]:
    """Return the anomalies of a text that `anomalies_text` made. Raises DamagedError for any other text."""
    if text is None:
        return {}
    try:
        return {Anomaly(kind): [str(product) for product in products] for kind, products in orjson.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"anomalies don't have the format that a collector writes: {type(error).__name__}"
        ) from error


def _usage_values(usage: ProductUsage) -> tuple[Any, ...]:
    return (usage.total_tests, usage.total_duration, usage.total_screenshots, usage.extra or None)


def _usage(values: Iterable[Any]) -> ProductUsage:
    tests, duration, screenshots, extra = (*values, None, None, None, None)[:4]
    return ProductUsage(total_tests=tests, total_duration=duration, total_screenshots=screenshots, extra=extra or {})


def _trimmed(values: Iterable[Any]) -> list[Any]:
    trimmed = list(values)
    while trimmed and trimmed[-1] is None:
        trimmed.pop()
    return trimmed


def _lookup(values: Mapping[int, T], code: int) -> T:
    try:
        return values[code]
    except KeyError as error:
        raise DamagedError(f"the code {code!r} is unknown") from error
