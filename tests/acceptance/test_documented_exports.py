"""The three questions of docs/export.md, as an analyst answers them: by `export`, and by DuckDB over the files."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import yaml

from collector.adapters.clock import SystemClock
from tests.support.commands import Done, calm, collector, records_in, simulated_api

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
RECORDS = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
SQL = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
FIRST = SystemClock().now().date() - timedelta(days=15)
CENTERS = ("0042", "1e5", "1e5", "TRUE", "2026-01-01")  # texts that a program could take for something else
MISSING = '{"product_missing": ["visual"]}'
QUICKLY = {"COLLECTOR_API__RETRY__ATTEMPTS": "2", "COLLECTOR_API__RETRY__BASE_DELAY": "1ms"}


def run(home: Path, *words: str, env: Mapping[str, str] | None = None) -> Done:
    return collector(*words, cwd=home, env={"COLLECTOR_CONFIG": "collector.yaml", **calm(days=1), **(env or {})})


def rows(home: Path, *words: str) -> list[dict[str, str]]:
    done = run(home, "export", *words)
    assert done.code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An invoice was made in between; then late numbers came, and numbers that were unknown. No month is whole.

    A population was never fetched, an answer had no record of a documented product, an API deleted what is old, and
    the newest days aren't due. Of org-002 only metrics that the API added later differ.
    """
    home = tmp_path_factory.mktemp("analyst")
    with simulated_api(home, orgs=len(CENTERS)) as api:
        values = yaml.safe_load(api.config.read_text())
        values["defaults"] = values.get("defaults", {}) | {"since": str(FIRST)}
        values["trust_zero_for"] = "8d"
        for org, center in zip(values["orgs"], CENTERS, strict=True):
            org["labels"] = {"cost_center": center}
        values["orgs"][0]["timezone"] = "America/New_York"
        (home / "collector.yaml").write_text(yaml.safe_dump(values))
        backfill = ("backfill", "--from", str(FIRST), "-o", "usage")
        api.set_faults("org-001:late=8d:0.7", "org-004:partial=always,group=automation", "org-005:retention=6d")
        assert run(home, *backfill, *others("org-003", "org-005"), env=QUICKLY).code == 3
        assert run(home, *backfill, "--org", "org-005", "--to", str(FIRST + timedelta(days=5))).code == 0
        api.set_faults()
        assert run(home, *backfill, "--org", "org-003", "--population", "account-user").code == 0
        (home / "invoice").write_text(f"{SystemClock().now().astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}")
        api.set_faults("org-002:extra-product", "org-004:retention=11d")
        assert run(home, *backfill, *others("org-003", "org-005"), "--force").code == 0
    with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger:
        newest = "SELECT max(start) FROM slice WHERE org = 1"
        ledger.execute(f"UPDATE slice SET anomalies = ? WHERE org = 1 AND start = ({newest})", [MISSING])
        ledger.commit()
    return home


def others(*but: str) -> list[str]:
    """Choose all orgs except these."""
    names = [f"org-{number:03}" for number in range(1, len(CENTERS) + 1)]
    return [word for name in names if name not in but for word in ("--org", name)]


@pytest.fixture
def db(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    monkeypatch.chdir(home)
    with closing(duckdb.connect()) as db:
        db.execute("SET TimeZone = 'UTC'")
        yield db


def answer(db: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """The answer to the last statement of a block; those before it make views."""
    found: list[tuple[Any, ...]] = db.execute(sql).fetchall()
    return found


def shown(line: str) -> list[str]:
    """The words of a command of the document."""
    assert line in DOCUMENT
    return line.removeprefix("collector export ").split()


def test_there_is_a_block_for_each_question() -> None:
    assert len(SQL) == 3


def test_tests_per_cost_center_and_month(home: Path, db: duckdb.DuckDBPyConnection) -> None:
    words = shown("collector export --from 2026-06-01 --to 2026-06-30 --by month,label:cost_center,product")[4:]
    expected = [
        (
            date.fromisoformat(row["month"]),
            row["cost_center"],
            row["product"],
            int(row["total_tests"]) if row["total_tests"] else None,
        )
        for row in rows(home, *words)
        if row["product"] != "visual"  # it has no record, and files don't show what is missing
    ]
    assert {one[1] for one in expected} == {*CENTERS}
    assert None is next(one[3] for one in expected if one[1] == "2026-01-01" and one[2] == "automation"), "never a 0"
    found = [(month.date(), *others) for month, *others in answer(db, SQL[0])]
    (by_org,) = re.findall(r"```sql\n(SELECT org_id.*?)```", RECORDS, re.DOTALL)
    assert sorted((row[1], str(row[2].date()), row[3]) for row in answer(db, by_org) if row[3] is not None) == sorted(
        (row["product"], row["month"], int(row["total_tests"]))
        for row in rows(home, "--by", "org,month,product")
        if row["total_tests"]
    )
    # A month of which nothing was fetched is in no file: that of org-005, where one began in the last ten days.
    in_files = {
        (date.fromisoformat(one["window_date"]).replace(day=1), one["labels"]["cost_center"], one["product"])
        for one in records_in(home / "usage")
    }
    assert sorted(found, key=str) == sorted((one for one in expected if one[:3] in in_files), key=str)
    assert {one[1:2] + one[3:] for one in expected if one[:3] not in in_files} <= {(CENTERS[-1], None)}
    run(home, "export", *words, "-o", "june.xlsx")
    sheet = openpyxl.load_workbook(home / "june.xlsx").active
    assert sheet is not None
    head, *cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    place = head.index("total_tests")
    values = [(row[0].date(), row[1], row[2], row[place]) for row in cells if row[2] != "visual"]  # type: ignore[union-attr]
    assert sorted(values, key=str) == sorted(expected, key=str)


def test_which_days_are_unknown(home: Path, db: duckdb.DuckDBPyConnection) -> None:
    words = ["--from", str(FIRST), *shown("collector export --from 2026-06-01 --to 2026-06-30 --unknown")[4:]]
    expected = [
        (row["org"], row["population"], row["window_date"], row["state"], row["reason"]) for row in rows(home, *words)
    ]
    found_states = {one[0]: {line[3] for line in expected if line[0] == one[0]} - {"not_due"} for one in expected}
    assert found_states["org-001"] >= {"complete"}, "a product is missing"
    assert found_states["org-003"] == {"missing"}
    assert found_states["org-004"] >= {"complete"}, "numbers of a product are not known"
    assert found_states["org-005"] == {"unverified", "missing"}
    assert {one[0] for one in expected if one[3] == "not_due"} == {org for org, *_ in expected} >= {"org-002"}
    answer(db, SQL[0])  # its views
    (home / "coverage.jsonl").write_text(run(home, "status", "--json", "--all").stdout)
    (billed,) = re.findall(r"```sql\n(SELECT org, population.*?)```", RECORDS, re.DOTALL)
    months = {(FIRST + timedelta(days=n)).replace(day=1) for n in range(17)}
    for month in months:
        of_month = answer(db, SQL[1].replace("2026-06-01", str(month)))
        assert sorted(answer(db, billed.replace("2026-06-01", str(month))), key=str) == sorted(of_month, key=str)
        found = [(*one[:2], str(one[2]), one[3], one[4] or "") for one in of_month]
        assert found == [one for one in expected if one[2].startswith(f"{month:%Y-%m}")]
    assert {one[2][:7] for one in expected} <= {f"{month:%Y-%m}" for month in months}


def test_what_changed_since_the_last_invoice(home: Path, db: duckdb.DuckDBPyConnection) -> None:
    invoice = (home / "invoice").read_text()
    moment = invoice.replace(" ", "T").replace("+00", "Z")
    assert shown("collector export --changed-since 2026-07-01")
    done = run(home, "export", "--changed-since", moment)
    restated = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    without = done.event("records.without_difference")["records"]
    expected = [
        (
            *(row[name] for name in ("org", "population", "product", "window_date")),
            *(
                int(row[f"total_tests{end}"]) if row[f"total_tests{end}"] else None
                for end in ("_before", "", "_difference")
            ),
        )
        for row in restated
    ]
    assert len(expected) > 20
    assert {one[4:] for one in expected if one[0] == "org-002" and one[4] != one[5]} == set(), "only `extra` differs"
    assert {one[0] for one in expected} == {"org-001", "org-002", "org-004"}
    answer(db, SQL[0])  # its views
    found = answer(db, SQL[2].replace("2026-07-01 00:00:00+00", invoice))
    zoned = "TIMESTAMP '2026-07-01 00:00' AT TIME ZONE timezone"
    assert f"`{zoned}`" in DOCUMENT
    today = SystemClock().now().date()
    in_zones = SQL[2].replace("TIMESTAMPTZ '2026-07-01 00:00:00+00'", zoned.replace("2026-07-01", str(today)))
    done = run(home, "export", "--changed-since", str(today))
    later = done.event("records.came_later")["records"] if "came_later" in done.stderr else 0
    assert len(answer(db, in_zones)) == len(done.stdout.splitlines()) - 1 - later
    credit = sum(int(row["total_tests"] or 0) - int(row["total_tests_before"] or 0) for row in restated)
    known = "sum(total_tests) FILTER (WHERE quality IN ('measured', 'inferred'))"
    ((now,), (then,)) = (
        db.execute(
            f"SELECT {known} FROM records WHERE collected_at < '{until}' AND record_id IN "
            f"(SELECT record_id FROM records WHERE collected_at < '{invoice}') "
            "AND (record_id, revision) IN (SELECT (record_id, max(revision)) FROM records "
            f"WHERE collected_at < '{until}' GROUP BY record_id)"
        ).fetchall()[0]
        for until in ("2999-01-01 00:00:00+00", invoice)
    )
    assert credit == now - then
    assert credit != sum(int(row["total_tests_difference"] or 0) for row in restated)
    assert without >= sum(row["total_tests_before"] == "" != row["total_tests"] for row in restated) > 0
    assert sorted(((*one[:3], str(one[3]), *one[4:]) for one in found), key=str) == sorted(expected, key=str)
