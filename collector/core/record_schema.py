"""The JSON Schema of a record: what whoever reads the stream can hold on to."""

from __future__ import annotations

from typing import Any

from collector.model import Granularity, Population, Quality


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _count(description: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1, "description": description}


_PROPERTIES: dict[str, Any] = {
    "record_id": _text("The same for ever for the same organization, population, product and window", format="uuid"),
    "revision": {"type": "integer", "minimum": 1, "description": "Rises with each restatement of a record_id"},
    "org": _text("The org's name in the config"),
    "org_id": _text("The organization's id, as the API says it"),
    "org_name": _text("The organization's name, as the API says it"),
    "labels": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "The org's labels in the config",
    },
    "population": _text("Whose usage: humans or service accounts", enum=[p.value for p in Population]),
    "product": _text("The product's key; new ones may come"),
    "granularity": _text("The length of the window", enum=[g.value for g in Granularity]),
    "timezone": _text("The zone of the org's calendar: an IANA name or a fixed offset"),
    "window_start": _text("The first instant of the window, with the zone's offset", format="date-time"),
    "window_end": _text("The first instant after the window, with the zone's offset", format="date-time"),
    "total_tests": _count("Tests; null if the product has none or they are unavailable"),
    "total_duration": _count("Duration as the API reports it, documented as milliseconds; never converted"),
    "total_screenshots": _count("Screenshots; null if the product has none or they are unavailable"),
    "org_users": _count(
        "Distinct users of the population with any usage in the window: the same on all of the slice's records, "
        "never to be summed; null in a partial answer"
    ),
    "quality": _text(
        "measured; unavailable (could not be fetched: totals are null); unverified (an old all-zero answer that "
        "may be the API forgetting); inferred (proven zero by an enclosing window)",
        enum=[q.value for q in Quality],
    ),
    "collected_at": _text("When it was collected, in UTC; the newest wins", format="date-time"),
    "run_id": _text("The run that collected it"),
    "extra": {"type": "object", "description": "Metrics that the API added later, by their own names"},
}


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line of the output."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Usage record",
        "description": "One product's totals for one population of one organization in one window.",
        "type": "object",
        "properties": _PROPERTIES,
        "required": [name for name in _PROPERTIES if name != "extra"],
        "additionalProperties": False,
    }
