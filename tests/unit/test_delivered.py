from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.core.delivered import Listing, manifest_of, slices_of
from collector.core.response import Reply, clock_skew

MANIFEST: dict[str, Any] = {
    "run_id": "20260624T102000Z-4be1f0",
    "command": "collect",
    "started_at": "2026-06-24T10:20:00+00:00",
    "ended_at": "2026-06-24T10:21:00+00:00",
    "exit_code": 0,
    "files": [],
}
RECORD: dict[str, Any] = {
    "org": "a",
    "org_id": "1",
    "org_name": "A",
    "population": "account-user",
    "product": "automation",
    "granularity": "day",
    "timezone": "UTC",
    "window_start": "2026-06-23T00:00:00+00:00",
    "window_end": "2026-06-24T00:00:00+00:00",
    "total_tests": 1,
    "total_duration": 1,
    "total_screenshots": None,
    "org_users": 1,
    "quality": "measured",
    "revision": 1,
    "collected_at": "2026-06-24T10:20:03+00:00",
}


@pytest.mark.parametrize(
    "changed",
    [{"files": [{"name": 5}]}, {"started_at": "2026-06-24T10:20:00"}, {"exit_code": "0"}, {"files": 7}],
    ids=str,
)
def test_a_foreign_file_with_the_name_of_a_manifest_is_none(changed: dict[str, Any]) -> None:
    assert manifest_of(json.dumps(MANIFEST).encode()) is not None
    assert manifest_of(json.dumps(MANIFEST | changed).encode()) is None


@pytest.mark.parametrize("changed", [{"revision": "x"}, {"window_start": "0001-01-01T00:00:00+14:00"}], ids=str)
def test_a_foreign_line_is_no_record(changed: dict[str, Any]) -> None:
    assert len(slices_of(json.dumps(RECORD).encode())) == 1
    with pytest.raises(ValueError, match="a line is no record"):
        slices_of(json.dumps(RECORD | changed).encode())


def test_lines_about_windows_are_no_records_of_a_run() -> None:
    """A ledger that is behind its directory adopts records alone."""
    names = ["coverage-20260624T102000Z-4be1f0.jsonl", ".coverage-20260624T102000Z-4be1f0.jsonl.unsealed"]
    assert Listing.of(names) == Listing(files={}, manifests=frozenset(), unsealed=[])


def test_a_date_at_the_end_of_time_says_nothing_about_a_clock() -> None:
    headers = {"date": "Fri, 31 Dec 9999 23:59:59 GMT", "age": "86400"}
    reply = Reply(status=200, headers=headers, body=b"")
    assert clock_skew(reply, now=datetime(2026, 6, 24, tzinfo=UTC)) is None
