"""A table of PostgreSQL as the output: rows are merged, and a second table has what a directory has beside records."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.adapters.sinks.directory import journal_of
from collector.adapters.sinks.directory_id import ensure_id, id_of
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.outbox import OutboxPlace
from collector.app.places import open_place, output_look
from collector.config.settings import Settings
from collector.core.delivered import slices_of
from collector.errors import OutputError
from collector.model import Record
from tests.support.outputs import records
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server

pytestmark = pytest.mark.slow


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


@pytest.fixture
def name(server: Server) -> str:
    """A schema that nobody uses, and a table in it whose name is a word of SQL."""
    schema = f"t{secrets.token_hex(6)}"
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    return f"{schema}.order"


@pytest.fixture
def settings(server: Server, name: str, password: Path) -> Settings:
    return settings_of(server, name, password)


def settings_of(server: Server, name: str, password: Path | None, state: str = "none") -> Settings:
    url = f"postgresql://{USER}@127.0.0.1:{server.port}/{DATABASE}/{name}"
    output = {"path": url} | ({"password_file": str(password)} if password else {})
    return Settings.model_validate({"output": output, "state": {"url": state}})


def place_of(settings: Settings) -> OutboxPlace:
    place = open_place(settings)
    assert place is not None
    return place


def rows(server: Server, name: str) -> list[dict[str, Any]]:
    schema, _, table = name.partition(".")
    found = server.sql(f'SELECT to_json(t) FROM "{schema}"."{table}" AS t ORDER BY record_id', DATABASE)
    return [row for (row,) in found]


def record(day: int) -> Record:
    return records(1, day)[0]


def lines_of(*records: Record) -> Sequence[bytes]:
    return [to_lines(records)]


def test_of_each_record_the_newest_stays_whatever_comes_again_and_in_which_order(
    server: Server, name: str, settings: Settings
) -> None:
    place = place_of(settings)
    first, second = record(1), record(2)
    later = first._replace(revision=2, collected_at=first.collected_at.replace(year=2027), total_tests=99)
    for lines in (lines_of(first, second), lines_of(later, first), lines_of(first), lines_of(second, later, later)):
        place.deliver("rows-run-0001", lines)
    found = {row["record_id"]: row for row in rows(server, name)}
    assert found.keys() == {first.record_id, second.record_id}
    assert (found[first.record_id]["revision"], found[first.record_id]["total_tests"]) == (2, 99)
    written = orjson.loads(to_lines([second]))
    kept = found[second.record_id]
    assert {key: kept[key] for key in ("org", "labels", "quality", "anomalies", "window_date", "total_tests")} == {
        key: written[key] for key in ("org", "labels", "quality", "anomalies", "window_date", "total_tests")
    }
    place.close()


def test_a_nul_in_a_name_that_no_server_keeps_stops_nobody(server: Server, name: str, settings: Settings) -> None:
    place = place_of(settings)
    odd = record(1)._replace(org_name="a\0b\\u0000c")
    place.deliver("rows-run-0001", lines_of(odd))
    assert [row["org_name"] for row in rows(server, name)] == ["a\ufffdb\\u0000c"]
    place.close()


def test_it_has_an_id_an_owner_and_manifests_as_a_directory_has(settings: Settings) -> None:
    place = place_of(settings)
    assert id_of(place.files, place.path) is None  # nothing is created by a look
    given = ensure_id(place.files, place.path)
    other = place_of(settings)
    assert ensure_id(other.files, other.path) == given == place.id
    place.ledger_id = "a" * 32
    place.note("run-1")
    assert journal_of(other.files, other.path).ledger_id == "a" * 32
    place.write("run-run-1.json", b"{}")
    place.write("run-run-1.json", b"other")
    assert place.files.read(place.path / "run-run-1.json") == b"{}"
    assert sorted(place.files.names(place.path)) == [".collector-output-id", "run-run-1.json"]
    for one in (place, other):
        one.close()


def test_a_restored_ledger_reads_from_the_rows_what_each_run_has_delivered(settings: Settings) -> None:
    place = place_of(settings)
    old, new = record(1)._replace(run_id="run-1"), record(2)._replace(run_id="run-1")
    replaced = old._replace(revision=2, run_id="run-2", collected_at=old.collected_at.replace(year=2027))
    place.deliver("rows-run-1-0001", lines_of(old, new))
    place.deliver("rows-run-2-0001", lines_of(replaced))
    assert sorted(place.files.names(place.path)) == ["usage-run-1-0001.jsonl", "usage-run-2-0001.jsonl"]
    content = place.files.read(place.path / "usage-run-2-0001.jsonl")
    (slice_,) = slices_of(content or b"")
    assert slice_.emission.products[old.product].revision == 2
    assert slice_.window.start == old.window_start
    place.close()


def test_a_session_that_broke_is_made_anew(server: Server, name: str, settings: Settings) -> None:
    place = place_of(settings)
    place.deliver("rows-run-0001", lines_of(record(1)))
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")
    place.deliver("rows-run-0002", lines_of(record(2)))
    assert len(rows(server, name)) == 2
    place.close()


def test_a_table_of_another_kind_is_named(server: Server, name: str, settings: Settings) -> None:
    schema = name.partition(".")[0]
    server.sql(f'CREATE TABLE {schema}."order" (record_id text PRIMARY KEY, run_id text)', DATABASE)
    server.sql(f'ALTER TABLE {schema}."order" OWNER TO {USER}', DATABASE)
    place = place_of(settings)
    with pytest.raises(OutputError, match=rf"table {schema}\.order of the output can't be used: it lacks columns"):
        place.deliver("rows-run-0001", lines_of(record(1)))
    place.close()


def test_a_wrong_password_or_a_server_that_is_away_is_reported_without_a_secret(
    server: Server, name: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-s3cret\n")
    for settings, why in (
        (settings_of(server, name, wrong), "refused the user name or password: .*output.password_file"),
        (settings_of(server, name, tmp_path / "none"), "output.password_file can't be read"),
    ):
        with pytest.raises(OutputError, match=why) as failed:
            place_of(settings).files.names(place_of(settings).path)
        assert "s3cret" not in str(failed.value)


def test_a_ledger_in_the_same_database_delivers_in_its_own_transaction(
    server: Server, name: str, settings: Settings, password: Path
) -> None:
    same = f"postgresql://{USER}@127.0.0.1:{server.port}/{DATABASE}?schema=other"
    another = f"postgresql://{USER}@127.0.0.1:{server.port}/postgres"
    assert place_of(settings_of(server, name, password, same)).along is not None
    assert place_of(settings_of(server, name, password, another)).along is None
    assert place_of(settings).along is None


def test_a_look_reads_the_id_and_notices_another_one(settings: Settings) -> None:
    place = place_of(settings)
    look = output_look(settings.output)
    look()
    ensure_id(place.files, place.path)
    for one in (look, output_look(settings.output)):
        one()
        one.close()
    place.close()


def test_rows_of_a_transaction_that_fails_are_not_there(server: Server, name: str, settings: Settings) -> None:
    place = place_of(settings)
    place.deliver("rows-run-0001", lines_of(record(1)))
    broken = [to_lines([record(2)]), b'{"record_id": null}\n']
    with pytest.raises(OutputError):
        place.deliver("rows-run-0002", broken)
    assert len(rows(server, name)) == 1
    place.close()
