"""JSON Lines of records converted into every layout: nothing is lost, and the files say what they are."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.sinks import converting
from collector.adapters.sinks.converting import convert, whole_lines
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.reading import json_lines_of
from collector.core.layout import Compression, Layout, PartitionKey, RecordFormat, RecordsName, sealed_as
from collector.errors import OutputError
from collector.model import Record, Zone
from collector.ports import SealedFile
from tests.support.outputs import RUN_ID, records

LAYOUTS = [
    Layout(format=form, compression=compression, partition_by=keys)
    for form, compression, keys in itertools.product(
        RecordFormat, Compression, [(), (PartitionKey.MONTH,), (PartitionKey.MONTH, PartitionKey.ORG)]
    )
    if form is not RecordFormat.SINGER  # never in files
    if form is not RecordFormat.PARQUET or compression is Compression.NONE
]
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_COUNTS = st.none() | st.integers(0, 2**63 - 1)


def stems(layout: Layout) -> str:
    return f"{layout.format}-{layout.compression}-{len(layout.partition_by)}"


class _Kept(io.BytesIO):
    """Keeps what was written when it is closed."""

    def __init__(self, files: dict[str, bytes], name: str) -> None:
        super().__init__()
        self._files, self._name = files, name

    def close(self) -> None:
        self._files[self._name] = self.getvalue()
        super().close()


def converted(lines: bytes | Sequence[bytes], layout: Layout) -> tuple[list[SealedFile], dict[str, bytes]]:
    files: dict[str, bytes] = {}

    def create(name: str) -> BinaryIO:
        assert name not in files
        return _Kept(files, name)

    found = RecordsName.of(layout.working_name(RUN_ID, 1))
    assert found is not None
    pieces = [lines] if isinstance(lines, bytes) else lines
    return convert(pieces, found.sealed, layout, create=create, scratch=io.BytesIO), files


def read(files: dict[str, bytes]) -> list[Any]:
    lines = b"".join(json_lines_of(name, content) for name, content in files.items())
    return [orjson.loads(line) for line in lines.splitlines()]


def sorted_(records_: list[Any]) -> list[Any]:
    return sorted(records_, key=lambda one: str(one["record_id"]))


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    found = []
    for number, record in enumerate(records(draw(st.integers(1, 4)))):
        zone = Zone.parse(draw(st.sampled_from(["UTC", "America/New_York", "+05:30", "Pacific/Apia"])))
        start = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 400)))).astimezone(zone.tz)
        found.append(
            record._replace(
                record_id=str(number),
                org=draw(_TEXTS),
                org_name=draw(_TEXTS),
                product=draw(_TEXTS),
                labels=draw(st.dictionaries(_TEXTS, _TEXTS, max_size=2)),
                timezone=zone.name,
                window_date=start.date(),
                window_start=start,
                window_end=start + timedelta(days=1),
                total_tests=draw(_COUNTS),
                total_duration=draw(_COUNTS),
                org_users=draw(_COUNTS),
                anomalies=draw(st.lists(st.sampled_from(["shrunk", "unit_changed"]))),
                extra=draw(st.none() | st.dictionaries(_TEXTS, _COUNTS | _TEXTS | st.lists(_COUNTS), max_size=2)),
            )
        )
    return found


@pytest.mark.parametrize("layout", LAYOUTS, ids=stems)
@given(given_=_records())
@settings(max_examples=30)
def test_each_layout_is_read_back_as_the_records_that_it_was_made_of(layout: Layout, given_: list[Record]) -> None:
    lines = to_lines(given_)
    sealed, files = converted(lines, layout)
    assert sorted_(read(files)) == sorted_([orjson.loads(line) for line in lines.splitlines()])
    assert sum(file.records for file in sealed) == len(given_)


@pytest.mark.parametrize("layout", LAYOUTS, ids=stems)
def test_the_result_says_what_each_file_holds_and_is_the_same_again(layout: Layout) -> None:
    given_ = [*records(3), *records(2, day=40)]
    given_ = [record._replace(org=("a/b", "=c")[number % 2]) for number, record in enumerate(given_)]
    sealed, files = converted(to_lines(given_), layout)
    assert [(file.name, file.bytes, file.sha256) for file in sealed] == [
        (name, len(files[name]), hashlib.sha256(files[name]).hexdigest()) for name in sorted(files)
    ]
    assert converted([to_lines([record]) for record in given_], layout) == (sealed, files)
    for file in sealed:
        of = read({file.name: files[file.name]})
        assert len(of) == file.records
        assert {layout.directory_of(record) for record in of} == {file.name.rpartition("/")[0]}
        assert sealed_as(layout.working_name(RUN_ID, 1), [file.name]) == [file.name]
        assert not sealed_as(layout.working_name(RUN_ID, 2), [file.name])
    assert len(sealed) == {0: 1, 1: 2, 2: 4}[len(layout.partition_by)]


def test_a_working_name_says_what_is_to_become_of_the_file() -> None:
    for layout in LAYOUTS:
        found = RecordsName.of(layout.working_name(RUN_ID, 7))
        assert found is not None
        assert (found.layout, found.run_id, found.number) == (layout, RUN_ID, 7)
    for strange in ("usage-a-0001.jsonl.bz2", "usage-a-0001.by-week.csv", "x/usage-a-0001.csv", "usage-a-0001.xlsx"):
        assert RecordsName.of(strange) is None


def test_values_in_names_of_directories_are_escaped_as_hive_does_and_never_too_long() -> None:
    layout = Layout(partition_by=(PartitionKey.ORG,))
    cases = {"a/b=c%": "a%2Fb%3Dc%25", "ünï cöde": "ünï cöde", "\n": "%0A", "\u202e": "%E2%80%AE", "..": ".."}
    for value, escaped in cases.items():
        assert layout.directory_of({"org": value}) == f"org={escaped}"
    long = {layout.directory_of({"org": "/" * 299 + last}) for last in "ab"}
    assert len(long) == 2
    assert max(map(len, long)) <= 255


def test_labels_that_are_asked_for_have_columns_behind_the_others() -> None:
    given_ = [records(1)[0]._replace(labels={"team": "x", "other": "y"})]
    layout = Layout(format=RecordFormat.CSV, labels=("cost center", "team"))
    _, files = converted(to_lines(given_), layout)
    head, line, _ = next(iter(files.values())).decode().split("\r\n")
    assert head.split(",") == [*Record._fields, "label_cost center", "label_team"]
    assert line.endswith(",,,x")
    _, files = converted(to_lines(given_), replace(layout, format=RecordFormat.PARQUET))
    table = pq.read_table(io.BytesIO(next(iter(files.values()))))
    assert table.schema.names == [*Record._fields, "label_cost center", "label_team"]
    assert table.column("label_team").to_pylist() == ["x"]
    assert read(files) == [orjson.loads(to_lines(given_))]


def test_content_is_converted_in_pieces_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = to_lines(records(200))
    pieces = [lines[at : at + 1000] for at in range(0, len(lines), 1000)]
    largest = 0

    def watched(given_: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal largest
        for piece in whole_lines(given_):
            assert piece.endswith(b"\n")
            largest = max(largest, len(piece))
            yield piece

    monkeypatch.setattr(converting, "whole_lines", watched)
    _, files = converted(pieces, Layout(format=RecordFormat.CSV, partition_by=(PartitionKey.PRODUCT,)))
    assert len(files) == 200
    assert largest < 2000


def test_partitions_that_a_file_system_takes_for_one_directory_stay_apart() -> None:
    given_ = [record._replace(org=("Acme", "acme")[n]) for n, record in enumerate(records(2))]
    files: dict[str, bytes] = {}

    def create(name: str) -> BinaryIO:
        if name.casefold() in {one.casefold() for one in files}:
            raise FileExistsError(name)
        return _Kept(files, name)

    layout = Layout(partition_by=(PartitionKey.ORG,))
    name = "usage-r-0001.jsonl"
    sealed = convert([to_lines(given_)], name, layout, create=create, scratch=io.BytesIO)
    assert [file.records for file in sealed] == [1, 1]
    assert {one["org"] for one in read(files)} == {"Acme", "acme"}
    assert set(files) == {file.name for file in sealed}
    assert all(sealed_as("usage-r-0001.by-org.jsonl", [file.name]) for file in sealed)


@pytest.mark.parametrize("line", [b"{}\n", b"null\n", b"\0\0\n", b'{"labels": {}}\n'])
@pytest.mark.parametrize("layout", [Layout(format=RecordFormat.CSV), Layout(partition_by=(PartitionKey.ORG,))])
def test_what_is_no_record_is_an_error_and_no_row(line: bytes, layout: Layout) -> None:
    with pytest.raises(OutputError, match="no record"):
        converted(line, layout)


@pytest.mark.parametrize("layout", LAYOUTS, ids=stems)
def test_a_file_that_was_cut_is_found_damaged(layout: Layout) -> None:
    _, files = converted(to_lines(records(3)), layout)
    for name, content in files.items():
        if layout.compression is Compression.NONE and layout.format is not RecordFormat.PARQUET:
            continue  # text has no end of its own
        with pytest.raises(ValueError, match="it is no"):
            json_lines_of(name, content[:-9])
