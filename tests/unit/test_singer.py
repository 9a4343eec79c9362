"""The Singer protocol: catalog, selection, messages."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from collector.adapters.sinks.jsonl import to_lines
from collector.core.singer import (
    CatalogError,
    bookmark_of,
    catalog,
    fields,
    record_message,
    schema,
    schema_message,
    selected,
    state_message,
)
from collector.model import Record
from tests.support.outputs import records

ALWAYS = ("record_id", "collected_at")


def with_metadata(*entries: tuple[list[str], dict[str, Any]]) -> dict[str, Any]:
    metadata = [{"breadcrumb": breadcrumb, "metadata": values} for breadcrumb, values in entries]
    return {"streams": [{"tap_stream_id": "usage", "metadata": metadata}]}


def test_the_schema_is_plain_and_has_each_field_of_a_record() -> None:
    found = schema(fields())
    assert list(found["properties"]) == list(Record._fields)
    assert found["properties"]["total_tests"]["type"] == ["integer", "null"]
    assert found["properties"]["record_id"]["type"] == "string"
    assert found["properties"]["window_date"] | {"description": ""} == {
        "type": ["string", "null"],
        "format": "date",
        "description": "",
    }
    assert found["properties"]["window_start"]["format"] == "date-time"
    assert not {"$ref", "anyOf", "$defs"} & set(json.dumps(found).split('"'))
    jsonschema.Draft7Validator.check_schema(found)


def test_a_record_fits_its_schema_and_its_time_is_that_of_its_collection() -> None:
    line = json.loads(to_lines(records(1)))
    message = record_message(line, fields())
    jsonschema.Draft7Validator(schema(fields())).validate(message["record"])
    assert message["record"] == {**line, "extra": None}
    assert (message["type"], message["stream"], message["time_extracted"]) == ("RECORD", "usage", line["collected_at"])


def test_the_schema_message_names_key_and_bookmark() -> None:
    message = schema_message(fields())
    assert (message["type"], message["stream"]) == ("SCHEMA", "usage")
    assert message["key_properties"] == ["record_id"]
    assert message["bookmark_properties"] == ["collected_at"]


def test_the_catalog_that_discover_prints_selects_everything() -> None:
    assert selected(catalog()) == fields()


def test_a_stream_that_is_not_selected_or_not_there_has_no_fields() -> None:
    assert selected(with_metadata(([], {"selected": False, "selected-by-default": True}))) == ()
    assert selected(with_metadata(([], {"inclusion": "available"}))) == ()
    assert selected(with_metadata(([], {"inclusion": "unsupported", "selected": True}))) == ()
    assert selected({"streams": []}) == ()
    assert selected({"streams": [{"tap_stream_id": "other"}]}) == ()


def test_a_stream_without_metadata_is_selected_as_a_whole() -> None:
    assert selected({"streams": [{"tap_stream_id": "usage"}]}) == fields()
    assert selected({"streams": [{"stream": "usage", "metadata": []}]}) == fields()


def test_fields_that_are_not_selected_are_left_out_but_never_key_and_bookmark() -> None:
    off = [(["properties", name], {"inclusion": "available", "selected": False}) for name in fields()]
    only = with_metadata(([], {"selected": True}), *off)
    assert set(selected(only)) == {*ALWAYS}
    labels = with_metadata(([], {"selected": True}), (["properties", "labels"], {"selected-by-default": False}))
    assert selected(labels) == tuple(name for name in fields() if name != "labels")
    message = record_message(json.loads(to_lines(records(1))), selected(labels))
    assert set(message["record"]) == set(fields()) - {"labels"} == set(schema(selected(labels))["properties"])


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        {},
        {"streams": 3},
        {"streams": ["usage"]},
        {"streams": [{"stream": "usage", "metadata": 3}]},
        {"streams": [{"stream": "usage", "metadata": [{"breadcrumb": []}]}]},
        {"streams": [{"stream": "usage", "metadata": [{"breadcrumb": [[]], "metadata": {}}]}]},
    ],
)
def test_what_is_no_catalog_is_refused(damaged: object) -> None:
    with pytest.raises(CatalogError):
        selected(damaged)


def test_a_state_has_the_bookmark_and_what_the_ledger_knows() -> None:
    message = state_message("2026-06-24T10:00:00Z", {"tap": "x"})
    assert message["type"] == "STATE"
    assert bookmark_of(message["value"]) == "2026-06-24T10:00:00Z"
    assert message["value"]["ledger"] == {"tap": "x"}
    assert state_message(None, None) == {"type": "STATE", "value": {"bookmarks": {}}}


@pytest.mark.parametrize("state", [{}, {"bookmarks": 3}, {"bookmarks": {"usage": {"replication_key_value": 3}}}])
def test_a_state_without_bookmark_has_none(state: dict[str, Any]) -> None:
    assert bookmark_of(state) is None
