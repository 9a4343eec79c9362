"""Turns a finding into records: new ones, and restatements of records that were emitted before.

A total that could not be fetched is null in a record, never 0 (contract.md, "Record").
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from types import MappingProxyType

import orjson

from collector.core.anomalies import Anomalies, Anomaly
from collector.core.emission import Change, Emission, again, change
from collector.core.finding import Finding, missing_products
from collector.core.naming import Named
from collector.model import Population, Quality, Record, Slice, Window

_NAMESPACE = uuid.UUID("6f1f4f0e-7f0a-5c57-9b0e-5d1c0f6f8f11")  # of record ids: never change it


def record_id(org_id: str, slice_: Slice, product: str) -> str:
    """Return the id of a record: always the same, whatever the org's name in the config is."""
    return ids_of(org_id, slice_.population, slice_.window)(product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """The records to emit for a finding, its anomalies, and the state of the slice's emission after that."""

    records: list[Record]
    change: Change
    anomalies: Anomalies


def normalise(
    slice_: Slice,
    finding: Finding,
    *,
    collected_at: datetime,
    run_id: str,
    trust_zero_for: timedelta,
    previous: Emission | None = None,
    restate_for: timedelta | None = None,
    unread: Sequence[datetime] = (),
    anomalies: Anomalies = MappingProxyType({}),
) -> Normalised:
    """Return a record for each product that differs from what was emitted before, in the order of the answer.

    Smaller totals are restated only for windows that are not older than `restate_for`. `unread` are the ends of runs
    that a restored ledger doesn't know the records of. `anomalies` are those that comparing with other answers shows.
    """
    known_at = (
        collected_at if previous is None else max(collected_at, previous.emitted_at)
    )  # the clock may have gone back
    age = known_at - slice_.window.end
    known = Quality.INFERRED if finding.inferred else Quality.MEASURED
    changed = change(
        previous,
        finding,
        quality=Quality.UNVERIFIED if finding.is_zero and age > trust_zero_for else known,
        now=collected_at,
        emit_shrunk=restate_for is None or age <= restate_for,
        unread=[end for end in unread if end > slice_.window.start],
    )
    by_product = {Anomaly.SHRUNK: changed.shrunk, Anomaly.PRODUCT_MISSING: missing_products(finding)}
    found = {**anomalies, **{anomaly: products for anomaly, products in by_product.items() if products}}
    records = _records(slice_, finding, changed, found, run_id)
    return Normalised(records=records, change=changed, anomalies=found)


def renamed(
    slice_: Slice,
    previous: Emission,
    organization: Named,
    *,
    collected_at: datetime,
    run_id: str,
    unread: Sequence[datetime] = (),
    anomalies: Anomalies = MappingProxyType({}),
) -> Normalised:
    """Return all records of a slice with the numbers that they have, and the present names and labels."""
    changed = again(previous, now=collected_at, unread=[end for end in unread if end > slice_.window.start])
    records = _records(slice_, organization, changed, anomalies, run_id)
    return Normalised(records=records, change=changed, anomalies=anomalies)


def _records(slice_: Slice, of: Finding | Named, changed: Change, anomalies: Anomalies, run_id: str) -> list[Record]:
    """Return the records to emit of a slice. What they have in common is computed once."""
    org, window, emission = slice_.org, slice_.window, changed.emission
    start, end = window.start.astimezone(org.zone.tz), window.end.astimezone(org.zone.tz)
    id_of = ids_of(of.org_id, slice_.population, window)
    of_slice = partial(
        Record,
        org=org.name,
        org_id=of.org_id,
        org_name=of.org_name,
        labels=org.labels,
        population=slice_.population,
        granularity=org.granularity,
        timezone=org.zone.name,
        window_date=start.date(),
        window_start=start,
        window_end=end,
        org_users=emission.users,
        collected_at=emission.emitted_at,
        run_id=run_id,
    )
    records = []
    for product in changed.emitted:
        emitted = emission.products[product]
        usage = emitted.usage
        record = of_slice(
            record_id=id_of(product),
            revision=emitted.revision,
            product=product,
            total_tests=usage.total_tests,
            total_duration=usage.total_duration,
            total_screenshots=usage.total_screenshots,
            quality=emitted.quality,
            anomalies=[anomaly.value for anomaly, products in anomalies.items() if not products or product in products],
            extra=usage.extra or None,
        )
        records.append(record)
    return records


def ids_of(org_id: str, population: Population, window: Window) -> Callable[[str], str]:
    """Return the function that gives a product's record its id: the UUID (version 5) of a JSON list of its key."""
    begun = _begun(org_id, population.value)
    ends = f',"{_utc_text(window.start)}","{_utc_text(window.end)}"]'.encode()

    def id_of(product: str) -> str:
        digest = begun.copy()
        digest.update(orjson.dumps(product) + ends)
        hexed = digest.hexdigest()
        variant = "89ab"[int(hexed[16], 16) & 3]  # the bits 10 in front, as RFC 9562 says; the version is 5
        return f"{hexed[:8]}-{hexed[8:12]}-5{hexed[13:16]}-{variant}{hexed[17:20]}-{hexed[20:32]}"

    return id_of


@lru_cache(maxsize=256)
def _begun(org_id: str, population: str) -> hashlib._Hash:
    """Return the digest of what the keys of all records of an organization's population begin with."""
    begin = orjson.dumps([org_id, population]).removesuffix(b"]") + b","
    return hashlib.sha1(_NAMESPACE.bytes + begin, usedforsecurity=False)


def _utc_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
