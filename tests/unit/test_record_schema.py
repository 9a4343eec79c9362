"""The schema that we publish, and the lines that we write, held against one another."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.sinks.jsonl import to_lines
from collector.core.finding import absorb
from collector.core.normalise import normalise
from collector.core.record_schema import record_schema
from collector.core.windows import Calendar
from collector.model import Answer, Granularity, Population, ProductUsage, Quality, Record, Slice, Window, Zone
from tests.support.orgs import make_org

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
EXAMPLE: dict[str, Any] = {
    "record_id": "c0131241-fd77-521a-bbe0-d2996f1e9abd",
    "revision": 1,
    "org": "acme",
    "org_id": "12345",
    "org_name": "Acme Corp",
    "labels": {"cost_center": "qa-platform"},
    "population": "account-user",
    "product": "automation",
    "granularity": "day",
    "timezone": "America/New_York",
    "window_date": "2026-06-23",
    "window_start": "2026-06-23T00:00:00-04:00",
    "window_end": "2026-06-24T00:00:00-04:00",
    "total_tests": 8450,
    "total_duration": 312540,
    "total_screenshots": None,
    "org_users": 12,
    "quality": "measured",
    "anomalies": [],
    "collected_at": "2026-06-24T10:20:03.123456Z",
    "run_id": "20260624T102003Z-5f3a",
}
ORDER = list(EXAMPLE)


def _is_date_time(value: object) -> bool:
    if isinstance(value, str):
        if not RFC_3339.fullmatch(value):
            raise ValueError(value)
        datetime.fromisoformat(value)
    return True


# jsonschema looks at date-time only with another package beside it; this is its rule.
FORMATS = jsonschema.FormatChecker(["uuid", "date"])
FORMATS.checkers["date-time"] = (_is_date_time, ValueError)
VALIDATOR = jsonschema.Draft202012Validator(record_schema(), format_checker=FORMATS)

MOST = 2**63 - 1
counts = st.none() | st.integers(0, MOST)
extras = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers(-5, MOST) | st.text(max_size=5), max_size=2
)
usages = st.builds(ProductUsage, total_tests=counts, total_duration=counts, total_screenshots=counts, extra=extras)
answers = st.builds(
    Answer,
    org_id=st.text(min_size=1, max_size=20),
    org_name=st.text(max_size=20),
    users=st.integers(0, MOST),
    products=st.dictionaries(st.text(min_size=1, max_size=10), usages, min_size=1, max_size=4),
    partial=st.booleans(),
)
zones = st.sampled_from(["UTC", "+05:30", "-03:30", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
instants = st.datetimes(datetime(2015, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def lines(records: list[Record]) -> list[dict[str, Any]]:
    written = to_lines(records)
    assert written.endswith(b"\n") or not records
    return [json.loads(line) for line in written.splitlines()]


def records(answer: Answer, zone: str = "America/New_York", at: datetime | None = None, **org: Any) -> list[Record]:
    owner = make_org("acme", zone=Zone.parse(zone), **org)
    calendar = Calendar(owner.zone, owner.granularity)
    moment = at or datetime(2026, 6, 23, 12, tzinfo=UTC)
    slice_ = Slice(owner, Population.ACCOUNT_USER, Window(calendar.floor(moment), calendar.after(moment)))
    return normalise(
        slice_,
        absorb(None, answer),
        collected_at=datetime(2026, 6, 24, 10, 20, 3, 123456, tzinfo=UTC),
        run_id="20260624T102003Z-5f3a",
        trust_zero_for=timedelta(days=60),
    ).records


def faults(document: object) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())


def test_the_example_of_the_contract_is_valid_and_is_what_is_written() -> None:
    assert not faults(EXAMPLE)
    usage = ProductUsage(total_tests=8450, total_duration=312540)
    answer = Answer(org_id="12345", org_name="Acme Corp", users=12, products={"automation": usage})
    (line,) = lines(records(answer, labels={"cost_center": "qa-platform"}))
    assert line | {"record_id": ""} == EXAMPLE | {"record_id": ""}
    assert list(line) == ORDER


@settings(max_examples=200)
@given(answer=answers, zone=zones, at=instants, granularity=st.sampled_from(Granularity))
def test_every_line_that_is_written_is_valid(answer: Answer, zone: str, at: datetime, granularity: Granularity) -> None:
    made = records(answer, zone, at, granularity=granularity, labels={"a": "b"})
    written = lines(made)
    assert len(written) == len(made) == len(answer.products)
    for line, record in zip(written, made, strict=True):
        assert not faults(line)
        assert line["product"] == record.product
        assert line["quality"] in set(Quality)
        assert datetime.fromisoformat(line["window_start"]) == record.window_start
        assert line["window_date"] == line["window_start"][:10]
        assert datetime.fromisoformat(line["collected_at"]) == record.collected_at
        assert line.get("extra") == record.extra
        assert ("extra" in line) is bool(record.extra)


def test_the_documented_names_are_all_there_and_only_extra_may_be_absent() -> None:
    schema = record_schema()
    assert list(schema["properties"]) == [*ORDER, "extra"]
    assert schema["required"] == ORDER
    assert all(part["description"] for part in schema["properties"].values())


@pytest.mark.parametrize("name", ORDER)
def test_a_record_that_lacks_a_field_is_rejected(name: str) -> None:
    assert faults({key: value for key, value in EXAMPLE.items() if key != name}) == ["$"]


@pytest.mark.parametrize("name", ["total_users", "Extra", "product_name", ""])
def test_an_unknown_field_is_rejected(name: str) -> None:
    assert faults(EXAMPLE | {name: 1}) == ["$"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("record_id", "12345"),
        ("revision", 0),
        ("revision", 1.5),
        ("org_id", 12345),
        ("labels", {"a": 1}),
        ("labels", []),
        ("population", "robots"),
        ("granularity", "year"),
        ("window_date", "2026-06-23T00:00:00-04:00"),
        ("window_date", None),
        ("window_start", "2026-06-23"),
        ("window_start", "2026-06-23T00:00:00"),
        ("window_end", "2026-06-31T00:00:00Z"),
        ("window_end", None),
        ("total_tests", -1),
        ("total_tests", 1.5),
        ("total_tests", "8450"),
        ("total_tests", True),
        ("total_duration", 2**63),
        ("org_users", -1),
        ("quality", "guessed"),
        ("anomalies", None),
        ("anomalies", "shrunk"),
        ("anomalies", {}),
        ("collected_at", "yesterday"),
        ("extra", None),
        ("extra", [1]),
    ],
)
def test_a_value_of_another_kind_is_rejected_where_it_stands(name: str, value: object) -> None:
    assert [fault.split(".")[1] for fault in faults(EXAMPLE | {name: value})] == [name]


@pytest.mark.parametrize("name", ["total_tests", "total_duration", "total_screenshots", "org_users"])
@pytest.mark.parametrize("value", [None, 0, MOST])
def test_a_total_is_a_64_bit_count_or_null(name: str, value: int | None) -> None:
    assert not faults(EXAMPLE | {name: value})


def test_products_and_metrics_that_come_later_are_valid() -> None:
    assert not faults(EXAMPLE | {"product": "new-one", "extra": {"sessions": 5, "by_os": {"mac": [1]}}})


def test_no_records_are_no_lines() -> None:
    assert to_lines([]) == b""


def test_a_line_holds_no_line_break_whatever_the_names_are() -> None:
    answer = Answer(
        org_id="1\n2", org_name="\r\n\u2028\u2029\u0085\u0000", users=1, products={"a\nb": ProductUsage(total_tests=1)}
    )
    written = to_lines(records(answer, labels={"a\n": "\n"}))
    assert written.count(b"\n") == 1
    assert json.loads(written)["org_name"] == "\r\n\u2028\u2029\u0085\u0000"


def test_counts_are_written_exactly() -> None:
    usage = ProductUsage(total_tests=MOST, total_duration=2**53 + 1, total_screenshots=0)
    written = to_lines(records(Answer(org_id="1", org_name="x", users=MOST, products={"automation": usage})))
    assert (
        f'"total_tests":{MOST},"total_duration":{2**53 + 1},"total_screenshots":0,"org_users":{MOST}'.encode()
        in written
    )
