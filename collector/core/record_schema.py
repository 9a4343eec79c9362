"""The JSON Schema of a record: `Record`'s fields and types, with descriptions and narrower bounds for readers."""

from __future__ import annotations

from typing import Any, get_type_hints

from pydantic import TypeAdapter

from collector.model import Record

_COUNT = {"minimum": 0, "maximum": 2**63 - 1}
_NARROWER: dict[str, dict[str, Any]] = {
    "record_id": {"format": "uuid"},
    "revision": {"minimum": 1},
    **dict.fromkeys(("total_tests", "total_duration", "total_screenshots", "org_users"), _COUNT),
}
DESCRIPTIONS = {
    "record_id": "Always the same for the same organization, population, product and window",
    "revision": "Rises with each restatement of a record_id",
    "org": "The org's name in the config",
    "org_id": "The organization's id, as the API reports it",
    "org_name": "The organization's name, as the API reports it",
    "labels": "The org's labels in the config",
    "population": "Whose usage: humans or service accounts",
    "product": "The product's key; new ones may come",
    "granularity": "The length of the window",
    "timezone": "The zone of the org's calendar: an IANA name or a fixed offset",
    "window_date": "The local date on which the window begins: sum months by it, not by an instant in UTC",
    "window_start": "The first instant of the window, with the zone's offset",
    "window_end": "The first instant after the window, with the zone's offset",
    "total_tests": "Tests; null if the product has none or they are unavailable",
    "total_duration": "Duration as the API reports it, documented as milliseconds; never converted",
    "total_screenshots": "Screenshots; null if the product has none or they are unavailable",
    "org_users": "Distinct users of the population with any usage in the window: the same on all of the slice's "
    "records, so don't sum them; null in a partial answer",
    "quality": "measured; unavailable (could not be fetched: totals are null); unverified (an old all-zero answer: the "
    "API may have deleted the usage); inferred (proven zero by an enclosing window)",
    "anomalies": "What looked wrong about the answer when the record was emitted; new kinds may come",
    "collected_at": "When it was collected, in UTC; the newest wins",
    "run_id": "The run that collected it",
    "extra": "Metrics that the API added later, by their own names",
}


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line of the output."""
    types = get_type_hints(Record)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Usage record",
        "description": "One product's totals for one population of one organization in one window.",
        "type": "object",
        "properties": {name: _property(name, types[name]) for name in Record._fields},
        "required": [name for name in Record._fields if name not in Record._field_defaults],
        "additionalProperties": False,
    }


def _property(name: str, type_: Any) -> dict[str, Any]:
    schema = TypeAdapter(type_).json_schema()
    if name in Record._field_defaults:
        schema = schema["anyOf"][0]  # a line leaves the field out instead of null
    schema.pop("title", None)
    return schema | {"description": DESCRIPTIONS[name]} | _NARROWER.get(name, {})
