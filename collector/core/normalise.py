"""Turns a finding into records: new ones, and restatements of records that were emitted before.

A total that could not be fetched is null in a record, never 0 (contract.md, "Record").
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import orjson

from collector.core.anomalies import Anomalies, Anomaly
from collector.core.emission import Change, Emission, again, change
from collector.core.finding import Finding, missing_products
from collector.core.naming import Named
from collector.model import Quality, Record, Slice

_NAMESPACE = uuid.UUID("6f1f4f0e-7f0a-5c57-9b0e-5d1c0f6f8f11")  # of record ids: never change it


def record_id(org_id: str, slice_: Slice, product: str) -> str:
    """Return the id of a record: always the same, whatever the org's name in the config is."""
    window = slice_.window
    key = [org_id, slice_.population.value, product, _utc_text(window.start), _utc_text(window.end)]
    return str(uuid.uuid5(_NAMESPACE, orjson.dumps(key).decode()))


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
    records = [
        _record(slice_, finding, product, emission=changed.emission, anomalies=found, run_id=run_id)
        for product in changed.emitted
    ]
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
    records = [
        _record(slice_, organization, product, emission=changed.emission, anomalies=anomalies, run_id=run_id)
        for product in changed.emitted
    ]
    return Normalised(records=records, change=changed, anomalies=anomalies)


def _record(
    slice_: Slice, of: Finding | Named, product: str, *, emission: Emission, anomalies: Anomalies, run_id: str
) -> Record:
    emitted = emission.products[product]
    org, usage = slice_.org, emitted.usage
    start = slice_.window.start.astimezone(org.zone.tz)
    return Record(
        record_id=record_id(of.org_id, slice_, product),
        revision=emitted.revision,
        org=org.name,
        org_id=of.org_id,
        org_name=of.org_name,
        labels=org.labels,
        population=slice_.population,
        product=product,
        granularity=org.granularity,
        timezone=org.zone.name,
        window_date=start.date(),
        window_start=start,
        window_end=slice_.window.end.astimezone(org.zone.tz),
        total_tests=usage.total_tests,
        total_duration=usage.total_duration,
        total_screenshots=usage.total_screenshots,
        org_users=emission.users,
        quality=emitted.quality,
        anomalies=[anomaly.value for anomaly, products in anomalies.items() if not products or product in products],
        collected_at=emission.emitted_at,
        run_id=run_id,
        extra=usage.extra or None,
    )


def _utc_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
