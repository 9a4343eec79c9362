"""The Singer protocol: the catalog, which of it is selected, and the messages about the one stream, `usage`.

A target merges records by `record_id`. They come in the order of `collected_at`: the last one of an id is the newest.
Pure: who writes messages, and what a STATE holds of the ledger, is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.core.columns import Column, Kind
from collector.core.record_columns import record_columns

STREAM = "usage"
KEYS = ("record_id",)
BOOKMARK = "collected_at"
_ALWAYS = frozenset({*KEYS, BOOKMARK})  # by these, a target tells which record is the newest

# Types that every target understands: no `$ref`, no `anyOf`. What isn't a key may be null or left out, so that a column
# which is selected later is no change of the others.
_TYPES: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: {"type": ["string", "null"]},
    Kind.INTEGER: {"type": ["integer", "null"]},
    Kind.DECIMAL: {"type": ["number", "null"]},
    Kind.DATE: {"type": ["string", "null"], "format": "date"},
    Kind.INSTANT: {"type": ["string", "null"], "format": "date-time"},
    Kind.LABELS: {"type": ["object", "null"], "additionalProperties": True},
    Kind.TEXTS: {"type": ["array", "null"], "items": {"type": "string"}},
    Kind.JSON: {"type": ["object", "null"], "additionalProperties": True},
}
_ROOT: tuple[str, ...] = ()


class CatalogError(ValueError):
    """A catalog that isn't one."""


def catalog() -> dict[str, Any]:
    """Return what `--discover` prints: the stream, all of it selected unless somebody says otherwise."""
    root = {
        "inclusion": "available",
        "selected-by-default": True,
        "table-key-properties": list(KEYS),
        "valid-replication-keys": [BOOKMARK],
        "forced-replication-method": "INCREMENTAL",
    }
    metadata = [{"breadcrumb": list(_ROOT), "metadata": root}]
    for name in fields():
        inclusion = {"inclusion": "automatic" if name in _ALWAYS else "available", "selected-by-default": True}
        metadata.append({"breadcrumb": ["properties", name], "metadata": inclusion})
    stream = {
        "tap_stream_id": STREAM,
        "stream": STREAM,
        "schema": schema(fields()),
        "key_properties": list(KEYS),
        "replication_key": BOOKMARK,
        "replication_method": "INCREMENTAL",
        "metadata": metadata,
    }
    return {"streams": [stream]}


def fields() -> tuple[str, ...]:
    """Return the names of all fields."""
    return tuple(column.name for column in record_columns())


def schema(selected: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of a record with these fields."""
    properties = {column.name: _property(column) for column in record_columns() if column.name in selected}
    return {"type": "object", "properties": properties}


def selected(given: object) -> tuple[str, ...]:
    """Return the fields that a catalog selects, none if it doesn't select the stream. Raises CatalogError.

    As the Singer specification and the Meltano SDK have it: `automatic` fields always come, `unsupported` ones never;
    else `selected` counts, then `selected-by-default`, and for a field without either what holds for the stream.
    """
    streams = given.get("streams") if isinstance(given, dict) else None
    if not isinstance(streams, list) or not all(isinstance(one, dict) for one in streams):
        raise CatalogError("a catalog has a list of `streams`, as `collector-singer --discover` prints it")
    ours = [one for one in streams if one.get("tap_stream_id", one.get("stream")) == STREAM]
    if not ours:
        return ()
    metadata = _metadata(ours[0])
    if _ROOT in metadata and not _is_selected(metadata[_ROOT], otherwise=False):
        return ()
    return tuple(
        name
        for name in fields()
        if name in _ALWAYS or _is_selected(metadata.get(("properties", name), {}), otherwise=True)
    )


def schema_message(selected: Sequence[str]) -> dict[str, Any]:
    """Return the message that says what records look like: the first one."""
    return {
        "type": "SCHEMA",
        "stream": STREAM,
        "schema": schema(selected),
        "key_properties": list(KEYS),
        "bookmark_properties": [BOOKMARK],
    }


def record_message(record: Mapping[str, Any], selected: Sequence[str]) -> dict[str, Any]:
    """Return the message with a record, as it was read from its JSON line."""
    return {
        "type": "RECORD",
        "stream": STREAM,
        "record": {name: record.get(name) for name in selected},
        "time_extracted": record[BOOKMARK],
    }


def state_message(bookmark: str | None, ledger: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the message with what a later run begins with: a bookmark, and what the ledger knows if it goes along."""
    bookmarks = {} if bookmark is None else {STREAM: {"replication_key": BOOKMARK, "replication_key_value": bookmark}}
    value: dict[str, Any] = {"bookmarks": bookmarks}
    return {"type": "STATE", "value": value if ledger is None else value | {"ledger": ledger}}


def bookmark_of(state: Mapping[str, Any]) -> str | None:
    """Return the bookmark of a STATE; None if it has none."""
    found: Any = state
    for step in ("bookmarks", STREAM, "replication_key_value"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None


def _property(column: Column) -> dict[str, Any]:
    plain = _TYPES[column.kind]
    type_ = plain["type"][0] if column.name in _ALWAYS else plain["type"]
    return {**plain, "type": type_, "description": column.description}


def _metadata(stream: Mapping[str, Any]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Return a stream's metadata by breadcrumb."""
    try:
        return {tuple(one["breadcrumb"]): dict(one["metadata"]) for one in stream.get("metadata") or ()}
    except (TypeError, KeyError, ValueError) as error:
        raise CatalogError(f"the metadata of the stream `{STREAM}` isn't a list of breadcrumbs and metadata") from error


def _is_selected(metadata: Mapping[str, Any], *, otherwise: bool) -> bool:
    inclusion = metadata.get("inclusion")
    if inclusion in {"unsupported", "automatic"}:
        return bool(inclusion == "automatic")
    for key in ("selected", "selected-by-default"):
        if metadata.get(key) is not None:
            return bool(metadata[key])
    return otherwise
