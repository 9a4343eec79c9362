"""Real targets from PyPI: killed in the middle, and started again from the STATE that they handed back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.singer.pipeline import Message, Pipeline, newest, target
from tests.support.commands import SimulatedApi, simulated_api
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server
from tests.support.truth import assert_equal_to_truth

pytestmark = pytest.mark.slow

DAYS = 70
ORGS = 3


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=ORGS, faults=["*:latency=20ms"]) as api:
        yield api


def config_of(api: SimulatedApi, directory: Path) -> Path:
    """The config as Meltano writes it: JSON. A run takes some seconds, so that it can be killed at work."""
    config = yaml.safe_load(api.config.read_text())
    config["api"]["rate_limit"] = {"requests": 100, "period": "1s"}
    config["schedule"] = {"lookback": f"{DAYS}d"}
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    return path


def after(records: int) -> Any:
    """When a run has sent so many records, and a STATE among them."""

    def until(sent: list[Message]) -> bool:
        kinds = [message["type"] for message in sent]
        return kinds.count("RECORD") >= records and "STATE" in kinds[3:]

    return until


def killed_and_completed(pipeline: Pipeline) -> None:
    """Kill the tap, then the target, then the target before it has any batch; then let a run end."""
    codes = pipeline.run(until=after(1100))
    assert codes == (-9, 0), pipeline.errors
    assert pipeline.state is not None
    assert json.loads(pipeline.state.read_text())["ledger"]["ended"] is False
    state = pipeline.state
    pipeline.run(until=lambda sent: len(sent) > 400, kill="target")
    pipeline.state = state  # the same STATE once more: the target's last one got lost
    pipeline.run(until=lambda sent: len(sent) > 20, kill="target")
    codes = pipeline.run()
    assert codes == (0, 0), pipeline.errors
    last = json.loads(pipeline.state.read_text())
    assert last["ledger"]["ended"] is True
    assert pipeline.run() == (0, 0)
    assert [message["type"] for message in pipeline.sent[-2:]] == ["SCHEMA", "STATE"], "nothing is left to fetch"


def records_sent(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [message["record"] for message in pipeline.sent if message["type"] == "RECORD"]


def assert_complete(api: SimulatedApi, records: list[dict[str, Any]]) -> None:
    windows = assert_equal_to_truth(api, records)
    assert len(windows) == ORGS * 2
    assert all(DAYS - 1 <= len(spans) <= DAYS for spans in windows.values())


def test_files_of_target_jsonl_have_each_record_and_its_newest_revision(api: SimulatedApi, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    command = target("jsonl", "target-jsonl", tmp_path / "target.json", destination_path=str(files))
    pipeline = Pipeline(tmp_path, config_of(api, tmp_path), command)
    killed_and_completed(pipeline)
    found = [json.loads(line) for file in files.iterdir() for line in file.read_text().splitlines()]
    assert_complete(api, found)
    assert newest(found) == newest(records_sent(pipeline))


@pytest.fixture
def far_server(server: Server) -> Iterator[Server]:
    """A server of another time zone, whose role is set to UTC, as docs/singer.md says; other tests use it too.

    Their tables are also called `usage`, in other schemas and with other types.
    """
    server.sql(f"ALTER DATABASE {DATABASE} SET timezone = 'Asia/Kolkata'")
    server.sql(f"ALTER ROLE {USER} SET timezone = 'UTC'")
    server.sql(
        "CREATE SCHEMA other CREATE TABLE usage (total_tests text, window_date text, window_start text, labels text)"
        f"; GRANT ALL ON SCHEMA other TO {USER}; GRANT ALL ON other.usage TO {USER}",
        DATABASE,
    )
    yield server
    server.sql("DROP SCHEMA other CASCADE", DATABASE)
    server.sql(f"ALTER ROLE {USER} RESET timezone")
    server.sql(f"ALTER DATABASE {DATABASE} RESET timezone")


def test_a_table_of_target_postgres_has_each_record_once_in_its_newest_revision_and_at_its_instant(
    api: SimulatedApi, far_server: Server, tmp_path: Path
) -> None:
    command = target(
        "postgres",
        "target-postgres",
        tmp_path / "target.json",
        host="127.0.0.1",
        port=far_server.port,
        user=USER,
        password=PASSWORD,
        database=DATABASE,
        default_target_schema="singer",
        batch_size_rows=100,
    )
    pipeline = Pipeline(tmp_path, config_of(api, tmp_path), command)
    killed_and_completed(pipeline)
    with psycopg.connect(far_server.url()) as connection:
        rows = connection.execute(
            "SELECT to_jsonb(usage) - 'window_start' - 'window_end', window_start::timestamptz, window_end::timestamptz"
            " FROM singer.usage"
        ).fetchall()
        types: dict[str, str] = dict(
            connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'singer' AND table_name = 'usage'"
            ).fetchall()
        )
    assert types["total_tests"] == "bigint"
    assert types["window_date"] == "date"
    assert types["window_start"].startswith("timestamp"), "with a zone or without one: a target's own choice"
    assert types["labels"] == "jsonb"
    found = [row | {"window_start": start.isoformat(), "window_end": end.isoformat()} for row, start, end in rows]
    assert len(found) == len({row["record_id"] for row in found})
    assert_complete(api, found)
    sent = newest(records_sent(pipeline))
    assert {row["record_id"]: (row["revision"], row["total_tests"], row["run_id"]) for row in found} == {
        key: (record["revision"], record["total_tests"], record["run_id"]) for key, record in sent.items()
    }
