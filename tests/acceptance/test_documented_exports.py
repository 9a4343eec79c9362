"""The three questions of docs/export.md, as an analyst answers them: by `export`, and by DuckDB over the files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import yaml

from collector.adapters.clock import SystemClock
from tests.support.commands import Done, collector, simulated_api

DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
SQL = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
MONTH = SystemClock().now().date().replace(day=1)
FIRST = SystemClock().now().date() - timedelta(days=15)


def run(home: Path, *words: str) -> Done:
    return collector(*words, cwd=home, env={"COLLECTOR_CONFIG": "collector.yaml"})


def rows(home: Path, *words: str) -> list[dict[str, str]]:
    done = run(home, "export", *words)
    assert done.code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An invoice was made in between; then late numbers came. A population was never fetched."""
    home = tmp_path_factory.mktemp("analyst")
    with simulated_api(home, orgs=3) as api:
        values = yaml.safe_load(api.config.read_text())
        values["defaults"] = values.get("defaults", {}) | {"since": str(FIRST)}
        for org, center in zip(values["orgs"], ["qa", "web", "web"], strict=True):
            org["labels"] = {"cost_center": center}
        (home / "collector.yaml").write_text(yaml.safe_dump(values))
        backfill = ("backfill", "--from", str(FIRST), "-o", "usage")
        api.set_faults("*:late=4d:0.7")
        assert run(home, *backfill, "--org", "org-001", "--org", "org-002").code == 0
        api.set_faults()
        assert run(home, *backfill, "--org", "org-003", "--population", "account-user").code == 0
        (home / "invoice").write_text(f"{SystemClock().now().astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}")
        assert run(home, *backfill, "--org", "org-001", "--org", "org-002", "--force").code == 0
    return home


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
    ]
    assert len(expected) >= 12
    found = [(month.date(), *others) for month, *others in answer(db, SQL[0])]
    assert sorted(found, key=str) == sorted(expected, key=str)
    run(home, "export", *words, "-o", "june.xlsx")
    sheet = openpyxl.load_workbook(home / "june.xlsx").active
    assert sheet is not None
    head, *cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    place = head.index("total_tests")
    assert sorted(((row[0].date(), row[1], row[2], row[place]) for row in cells), key=str) == sorted(expected, key=str)  # type: ignore[union-attr]


def test_which_days_are_unknown(home: Path, db: duckdb.DuckDBPyConnection) -> None:
    words = shown("collector export --from 2026-06-01 --to 2026-06-30 --unknown")[4:]
    expected = [
        (row["org"], row["population"], row["window_date"], row["state"], row["reason"]) for row in rows(home, *words)
    ]
    assert {one[:2] for one in expected} == {("org-003", "service-user")}
    (home / "coverage.jsonl").write_text(run(home, "status", "--json", "--all").stdout)
    found = []
    for month in sorted({(FIRST + timedelta(days=n)).replace(day=1) for n in range(16)}):
        found += answer(db, SQL[1].replace("2026-06-01", str(month)))
    assert [(*one[:2], str(one[2]), one[3], one[4] or "") for one in found] == expected


def test_what_changed_since_the_last_invoice(home: Path, db: duckdb.DuckDBPyConnection) -> None:
    invoice = (home / "invoice").read_text()
    moment = invoice.replace(" ", "T").replace("+00", "Z")
    assert shown("collector export --changed-since 2026-07-01")
    expected = [
        (
            *(row[name] for name in ("org", "population", "product", "window_date")),
            *(
                int(row[f"total_tests{end}"]) if row[f"total_tests{end}"] else None
                for end in ("_before", "", "_difference")
            ),
        )
        for row in rows(home, "--changed-since", moment)
    ]
    assert len(expected) > 20
    answer(db, SQL[0])  # its views
    found = answer(db, SQL[2].replace("2026-07-01 00:00:00+00", invoice))
    assert sorted(((*one[:3], str(one[3]), *one[4:]) for one in found), key=str) == sorted(expected, key=str)
