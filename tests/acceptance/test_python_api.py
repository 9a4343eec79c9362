"""`usage_collector`, as a program uses it: real runs against the simulated API, and what was collected."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import usage_collector
from collector.adapters.clock import SystemClock
from tests.support.commands import Here, SimulatedApi, records_in, simulated_api
from tests.support.waiting import wait_until
from usage_collector import LatestRecord, Record

ROOT = Path(__file__).parents[2]
RANGE = ("2026-06-01", "2026-06-20")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=3) as api:
        yield api


def collected(config: Path, **options: Any) -> tuple[list[Record], usage_collector.Result]:
    collection = usage_collector.collect(config, from_=RANGE[0], to=RANGE[1], **options)

    async def all_of_them() -> list[Record]:
        return [record async for record in collection]

    return asyncio.run(all_of_them()), collection.result


def numbers(records: list[Record]) -> dict[str, tuple[object, ...]]:
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: (record.total_tests, record.total_duration, record.org_users) for record in records}


def in_files(directory: Path) -> dict[str, tuple[object, ...]]:
    return {
        record["record_id"]: (record["total_tests"], record["total_duration"], record["org_users"])
        for record in records_in(directory)
    }


def test_a_run_yields_what_the_command_writes(api: SimulatedApi, here: Here, tmp_path: Path) -> None:
    records, result = collected(api.config)
    assert result.is_complete
    assert (result.planned, result.complete, result.records) == (120, 120, len(records))
    range_ = ["--from", RANGE[0], "--to", RANGE[1]]
    assert here("collect", "-c", api.config, *range_, "--state", "none", "-o", "usage").code == 0
    assert numbers(records) == in_files(tmp_path / "usage")


def test_what_its_reader_did_not_finish_comes_again(api: SimulatedApi, tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/ledger.db"

    class StopError(Exception):
        pass

    async def some(number: int) -> list[Record]:
        taken: list[Record] = []
        try:
            async for record in usage_collector.collect(api.config, from_=RANGE[0], to=RANGE[1], state=state):
                taken.append(record)
                if len(taken) == number:
                    raise StopError
        except StopError:
            pass
        return taken

    parts = [asyncio.run(some(number)) for number in (100, 300, -1)]
    assert len(parts[1]) == 300
    found = {record.record_id: record for part in parts for record in part}
    whole, _ = collected(api.config)
    assert numbers(list(found.values())) == numbers(whole)
    assert collected(api.config, state=state)[0] == []
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("writer")], "no thread is left")


def test_a_refused_org_is_in_the_result_and_hurts_no_other(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=2, faults=["org-001:refused"]) as api:
        records, result = collected(api.config)
        assert result.exit_code == 4
        assert not result.is_complete
        assert (result.complete, result.refused + result.not_asked) == (40, 40)
        assert {record.org for record in records} == {"org-002"}


def test_the_newest_of_each_record_is_the_same_from_every_source(api: SimulatedApi, here: Here, tmp_path: Path) -> None:
    range_ = ["--from", RANGE[0], "--to", RANGE[1]]
    ledgers = {}
    for name, options in {
        "jsonl": [],
        "csv": ["-f", "csv"],
        "parquet": ["-f", "parquet"],
    }.items():
        state = f"sqlite:///{tmp_path}/{name}.db"
        config = tmp_path / f"{name}.yaml"
        partitions = "output: {partition_by: [month, org]}\n" if name == "parquet" else ""
        config.write_text(partitions + api.config.read_text())
        for force in ([], ["--force"]):  # what is equal isn't emitted again
            done = here("backfill", "-c", config, *range_, "--state", state, "-o", name, *options, *force)
            assert done.code == 0, done.stderr
        ledgers[name] = tmp_path / f"{name}.db"
    truth = sorted(usage_collector.latest(ledgers["jsonl"]))
    assert len(truth) == 720
    assert [type(value) for value in truth[0]][:5] == [str, int, str, str, str]
    for name, ledger in ledgers.items():
        assert sorted(usage_collector.latest(f"sqlite:///{ledger}")) == truth
        of_files = sorted(usage_collector.latest(tmp_path / name))
        assert of_files == [one._replace(labels=two.labels) for one, two in zip(truth, of_files, strict=True)]
        assert all(one.labels for one in of_files)


def test_of_several_revisions_the_newest_counts(tmp_path: Path) -> None:
    (tmp_path / "usage-a-0001.jsonl").write_text(_line(1, "2026-06-03", 5) + _line(2, "2026-06-05", 7))
    (tmp_path / "usage-b-0001.jsonl").write_text(_line(3, "2026-06-04", 6) + _line(2, "2026-06-05", 7))
    (tmp_path / ".usage-c-0001.jsonl.unsealed").write_text(_line(4, "2026-06-06", 9))
    (found,) = usage_collector.latest(tmp_path)
    assert (found.revision, found.total_tests, found.window_date) == (2, 7, date(2026, 6, 1))


def _line(revision: int, collected_at: str, tests: int) -> str:
    record = {
        "record_id": "0c5f4a51-0000-5000-8000-000000000000",
        "revision": revision,
        "org": "a",
        "org_id": "1",
        "org_name": "A",
        "labels": {},
        "population": "account-user",
        "product": "automation",
        "granularity": "day",
        "timezone": "UTC",
        "window_start": "2026-06-01T00:00:00+00:00",
        "window_end": "2026-06-02T00:00:00+00:00",
        "total_tests": tests,
        "total_duration": 1,
        "total_screenshots": None,
        "org_users": 1,
        "quality": "measured",
        "collected_at": f"{collected_at}T00:00:00.000000Z",
        "run_id": "r",
    }
    return json.dumps(record) + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orgs": ["acme-x"]}, "acme-x"),
        ({"labels": ["x=y"]}, "x=y"),
        ({"state": "mysql://x"}, "state.url"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(api: SimulatedApi, options: dict[str, Any], message: str) -> None:
    with pytest.raises(usage_collector.ConfigError, match=message):
        usage_collector.collect(api.config, **options)


def test_options_that_contradict_and_a_second_iteration_are_errors(api: SimulatedApi) -> None:
    with pytest.raises(ValueError, match="not both"):
        usage_collector.collect(api.config, from_="2026-06-01", last=timedelta(days=1))
    with pytest.raises(ValueError, match="to needs from_"):
        usage_collector.collect(api.config, to="2026-06-01")
    collection = usage_collector.collect(api.config, orgs=["org-001"], last=timedelta(days=2))
    with pytest.raises(RuntimeError, match="has not ended"):
        _ = collection.result

    async def iterate() -> int:
        return len([record async for record in collection])

    assert asyncio.run(iterate()) > 0
    with pytest.raises(RuntimeError, match="iterated over once"):
        asyncio.run(iterate())


@pytest.mark.parametrize("source", ["nothing", "nothing.yaml", "sqlite:////nowhere/ledger.db"])
def test_a_source_that_is_not_there_is_an_error(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(usage_collector.CollectorError, match=r"exist|no ledger|no such"):
        list(usage_collector.latest(source))
    assert not list(tmp_path.iterdir())


def test_a_directory_that_no_collector_has_written_to_is_an_error(
    api: SimulatedApi, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "wrong").mkdir()
    with pytest.raises(usage_collector.ConfigError, match="no files of records"):
        list(usage_collector.latest(tmp_path / "wrong"))
    api.set_faults("*:refused")
    assert here("collect", "-c", api.config, "--last", "2d", "-o", "usage").code == 4
    api.set_faults()
    assert list(usage_collector.latest(tmp_path / "usage")) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "usage-a-0001.parquet").write_bytes(b"PAR1")
    with pytest.raises(usage_collector.OutputError, match=r"usage-a-0001\.parquet can't be read"):
        list(usage_collector.latest(tmp_path))


def test_logs_go_to_the_standard_library_and_nothing_to_stdout(
    api: SimulatedApi, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="collector")
    collected(api.config, orgs=["org-001"])
    assert capfd.readouterr().out == ""


def test_what_is_public_is_documented() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    for name in usage_collector.__all__:
        assert f"`{name}`" in text, name
    for parameter in inspect.signature(usage_collector.collect).parameters:
        assert re.search(rf"`{parameter}`", text), parameter
    for field in LatestRecord._fields:
        assert field in Record._fields
    assert set(Record._fields) - set(LatestRecord._fields) == {"collected_at", "run_id"}


def test_the_examples_of_the_documents_do_what_they_say(
    api: SimulatedApi, here: Here, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "collector.yaml").write_text(api.config.read_text() + "\ntrust_zero_for: 2d\n")
    out = ("-c", "collector.yaml", "-o", "usage", "--state", "sqlite:///state/ledger.db")
    assert here("collect", "--last", "3d", *out, "--org", "org-001", "--org", "org-002").code == 0
    today = SystemClock().now().date()
    old = ("--from", str(today - timedelta(days=9)), "--to", str(today - timedelta(days=6)))
    api.set_faults("org-003:retention=1h")
    assert here("backfill", *old, *out, "--org", "org-003").code == 0
    api.set_faults()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), {"__name__": "example"})  # noqa: S102 - our own documents
    shown = capfd.readouterr().out
    assert shown.count("automation") >= 3
    pandas_says = shown.partition("org-003")[2]
    assert re.match(r" +accessibility +NaN|[^\n]*\bNaN\n", pandas_says), "an unverified zero is none"
    assert re.findall(r"smartui\W+(\w+)", shown) == ["NaN", "NaN", "NaN", "null", "NULL"], (
        "no product has tests that aren't counted"
    )
