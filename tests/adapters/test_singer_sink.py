"""Records as Singer messages: what stands in them, and when a STATE is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.sinks import SingerSink
from collector.errors import OutputError
from tests.support.outputs import records


@dataclass
class Carried:
    """What a ledger is said to know."""

    slices: int = 0
    asked: list[bool] = field(default_factory=list)

    def __call__(self, *, ended: bool) -> Mapping[str, Any]:
        self.asked.append(ended)
        return {"tap": "usage-collector", "ended": ended, "slices": self.slices}


@dataclass
class Stream:
    """A file where stdout would be."""

    path: Path
    fd: int

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    path = tmp_path / "stdout"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    yield Stream(path, fd)
    os.close(fd)


def test_schema_comes_first_and_a_state_last_also_if_there_are_no_records(stream: Stream) -> None:
    SingerSink(stream.fd).write_manifest(b"")
    assert stream.types == ["SCHEMA", "STATE"]
    assert stream.messages[1]["value"] == {"bookmarks": {}}


def test_a_run_without_records_hands_the_bookmark_on(stream: Stream) -> None:
    SingerSink(stream.fd, bookmark="2026-06-01T00:00:00Z").write_manifest(b"")
    assert stream.messages[1]["value"]["bookmarks"]["usage"]["replication_key_value"] == "2026-06-01T00:00:00Z"


def test_the_bookmark_is_the_newest_time_of_collection(stream: Stream) -> None:
    sink = SingerSink(stream.fd, bookmark="2026-06-01T00:00:00Z")
    sink.append(records(3))
    sink.committed()
    sink.write_manifest(b"")
    assert stream.types == ["SCHEMA", "RECORD", "RECORD", "RECORD", "STATE"]
    newest = max(message["time_extracted"] for message in stream.messages[1:4])
    assert stream.messages[4]["value"]["bookmarks"]["usage"]["replication_key_value"] == newest


def test_before_the_first_record_a_state_says_that_a_run_has_begun(stream: Stream) -> None:
    carry = Carried()
    sink = SingerSink(stream.fd, carry=carry)
    sink.append(records(1))
    assert stream.types == ["SCHEMA", "STATE", "RECORD"]
    assert stream.messages[1]["value"]["ledger"]["ended"] is False
    sink.committed()
    sink.write_manifest(b"")
    assert stream.messages[-1]["value"]["ledger"]["ended"] is True


def test_a_run_that_ends_with_records_which_are_not_committed_says_so(stream: Stream) -> None:
    sink = SingerSink(stream.fd, carry=Carried())
    sink.append(records(1))
    sink.write_manifest(b"")
    assert stream.messages[-1]["value"]["ledger"]["ended"] is False


@pytest.mark.parametrize(("slices", "every"), [(0, 1000), (999, 1000), (4000, 4000)])
def test_states_cost_no_more_than_the_records_between_them(stream: Stream, slices: int, every: int) -> None:
    sink = SingerSink(stream.fd, carry=Carried(slices))
    for _ in range(80):
        sink.append(records(100))
        sink.committed()
    between = "".join("s" if kind == "STATE" else "r" for kind in stream.types[2:]).split("s")
    assert {len(part) for part in between if part} == {every}


def test_no_state_comes_before_its_records_are_committed(stream: Stream) -> None:
    sink = SingerSink(stream.fd)
    sink.append(records(1500))
    assert "STATE" not in stream.types
    sink.committed()
    assert stream.types[-1] == "STATE"


def test_fields_that_are_not_selected_are_in_no_message(stream: Stream) -> None:
    sink = SingerSink(stream.fd, selected=["record_id", "org", "collected_at"])
    sink.append(records(1))
    assert set(stream.messages[0]["schema"]["properties"]) == {"record_id", "org", "collected_at"}
    assert set(stream.messages[1]["record"]) == {"record_id", "org", "collected_at"}


def test_a_text_that_would_steer_a_terminal_is_escaped(stream: Stream) -> None:
    sink = SingerSink(stream.fd)
    sink.append([record._replace(org_name="a\u009b31m") for record in records(1)])
    assert b"\\u009b" in stream.path.read_bytes()
    assert stream.messages[1]["record"]["org_name"] == "a\u009b31m"


def test_after_the_reader_went_away_nothing_more_is_written() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    sink = SingerSink(write_fd, carry=Carried())
    with pytest.raises(OutputError, match="reader went away"):
        sink.append(records(1))
    sink.write_manifest(b"")
    os.close(write_fd)


def test_a_run_that_had_to_end_while_nobody_read_ends_without_another_message() -> None:
    read_fd, write_fd = os.pipe()
    sink = SingerSink(write_fd, carry=Carried())
    sink.abandon()
    sink.write_manifest(b"")
    os.close(write_fd)
    assert os.read(read_fd, 10) == b""
    os.close(read_fd)
