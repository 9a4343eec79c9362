"""Each format of `collector export` has the same rows and types for those who read it; and what a person sees."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas
import polars
import pytest
import yaml

from collector.adapters.clock import SystemClock
from tests.support.commands import COLLECTOR, Done, collector, environment, simulated_api
from tests.support.terminals import at_terminal

DAY = timedelta(days=1)
RECENT = SystemClock().now().date() - 4 * DAY
LAST = RECENT if RECENT.day >= 9 else RECENT.replace(day=1) - DAY  # nine days of one month
RANGE = ("--from", str(LAST - 8 * DAY), "--to", str(LAST))
LONG = "an-org-with-quite-a-long-name-of-its-own"
NUMBERS = ("total_tests", "total_duration", "total_screenshots", "org_users")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("formats")
    with simulated_api(home, orgs=3) as api:
        values = yaml.safe_load(api.config.read_text())
        values["orgs"][2]["name"] = LONG
        for org, center in zip(values["orgs"], ["qa-platform", "web", "web"], strict=True):
            org["labels"] = {"cost_center": center}
        (home / "collector.yaml").write_text(yaml.safe_dump(values))
        (home / "collector.yaml").chmod(0o600)
        api.set_faults("*:late=60d:0.7")
        words = ("backfill", *RANGE, "-o", "usage")
        assert run(home, *words, "--org", "org-*").code == 0
        api.set_faults("*:500")
        impatient = {"COLLECTOR_API__RETRY__ATTEMPTS": "1", "COLLECTOR_API__RETRY__BUDGET": "1s"}
        assert run(home, *words, "--org", LONG, "--population", "service-user", **impatient).code == 3
        api.set_faults()
        assert run(home, *words, "--org", "org-*", "--force").code == 0
        assert run(home, *words, "--org", LONG, "--population", "account-user").code == 0
    return home


def run(home: Path, *words: str, **env: str) -> Done:
    return collector(*words, cwd=home, env={"COLLECTOR_CONFIG": "collector.yaml"} | env)


def exported(home: Path, name: str, *words: str) -> Path:
    done = run(home, "export", "-o", name, *words)
    assert done.code == 0, done.stderr
    assert done.stdout == ""
    return home / name


def plain(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def value(one: Any) -> Any:
        return None if one is None or one != one or one is pandas.NaT else int(one) if not isinstance(one, str) else one  # noqa: PLR0124

    return [
        (row["org"], row["population"], row["product"], str(row["window_date"])[:10], *(value(row[n]) for n in NUMBERS))
        for row in rows
    ]


def test_duckdb_pandas_and_polars_read_the_same_rows_of_each_format(home: Path) -> None:
    parquet, lines, text = (exported(home, f"usage.{ending}") for ending in ("parquet", "jsonl", "csv"))
    truth = plain([json.loads(line) for line in lines.read_text().splitlines()])
    assert len(truth) == 5 * 9 * 6
    columns = "org, population, product, CAST(window_date AS VARCHAR), " + ", ".join(NUMBERS)
    with closing(duckdb.connect()) as db:
        for source in (f"'{parquet}'", f"'{lines}'", f"'{text}'"):
            found = db.execute(f"SELECT {columns} FROM {source}").fetchall()
            assert [(*row[:3], row[3][:10], *row[4:]) for row in found] == truth, source
        described = {name: kind for name, kind, *_ in db.execute(f"DESCRIBE SELECT * FROM '{parquet}'").fetchall()}
        assert [described[name] for name in ("window_date", "window_start", "total_tests", "labels", "anomalies")] == [
            "DATE",
            "TIMESTAMP WITH TIME ZONE",
            "BIGINT",
            "MAP(VARCHAR, VARCHAR)",
            "VARCHAR[]",
        ]
    assert plain(pandas.read_parquet(parquet).to_dict("records")) == truth
    assert plain(pandas.read_csv(text).to_dict("records")) == truth
    assert plain(pandas.read_json(lines, lines=True).to_dict("records")) == truth
    assert plain(polars.read_parquet(parquet).to_dicts()) == truth
    assert plain(polars.read_csv(text).to_dicts()) == truth
    assert plain(polars.read_ndjson(lines).to_dicts()) == truth


def test_a_spreadsheet_has_the_same_rows(home: Path) -> None:
    sheet = openpyxl.load_workbook(exported(home, "sums.xlsx", "--by", "month,label:cost_center,product")).active
    assert sheet is not None
    head, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    by_csv = list(csv.reader(io.StringIO(run(home, "export", "--by", "month,label:cost_center,product").stdout)))
    assert head == by_csv[0]
    assert [
        ["" if value is None else str(value)[:10] if n == 0 else str(value) for n, value in enumerate(row)]
        for row in rows
    ] == by_csv[1:]


@pytest.mark.parametrize("ending", ["parquet", "xlsx", "jsonl", "csv"])
def test_into_a_pipe_come_the_same_bytes_as_into_a_file(home: Path, ending: str) -> None:
    words = ["export", "--by", "org,product", "-f", ending]
    env = environment(COLLECTOR_CONFIG="collector.yaml")
    piped = subprocess.run([*map(str, COLLECTOR), *words], cwd=home, env=env, capture_output=True, check=True).stdout
    path = exported(home, f"other.{ending}", "--by", "org,product")
    if ending == "xlsx":  # it has the time at which it was made
        values = [
            [[cell.value for cell in row] for row in openpyxl.load_workbook(source).active.iter_rows()]  # type: ignore[union-attr]
            for source in (io.BytesIO(piped), path)
        ]
        assert values[0] == values[1]
    else:
        assert piped == path.read_bytes()


@pytest.mark.parametrize("words", [("--by", "day"), ("--unknown",), ("--changed-since", "2026-01-01"), RANGE])
def test_each_view_is_written_in_each_format(home: Path, words: tuple[str, ...]) -> None:
    counts = {
        "csv": len(list(csv.reader(io.StringIO(exported(home, "view.csv", *words).read_text())))) - 1,
        "jsonl": len(exported(home, "view.jsonl", *words).read_text().splitlines()),
        "parquet": len(pandas.read_parquet(exported(home, "view.parquet", *words))),
    }
    sheet = openpyxl.load_workbook(exported(home, "view.xlsx", *words)).active
    assert sheet is not None
    assert {*counts.values(), sheet.max_row - 1} == {counts["csv"]}
    assert counts["csv"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ("--from", str(LAST - 2 * DAY), "--to", str(LAST)),
        (*RANGE, "--by", "month,label:cost_center,product"),
        (*RANGE, "--by", "org,population"),
        (*RANGE, "--unknown"),
        ("--changed-since", "2026-01-01"),
    ],
)
def test_a_table_fits_80_columns_and_ends_with_all(home: Path, words: tuple[str, ...]) -> None:
    env = {"COLLECTOR_CONFIG": "collector.yaml", "COLLECTOR_LOG__LEVEL": "error"}
    with at_terminal([*COLLECTOR, "export", *words], cwd=home, env=env, rows=400, columns=80) as terminal:
        assert terminal.end() == 0
        text = terminal.text
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "…" not in text
    if "month,label:cost_center,product" in words:
        assert re.search(r"web +automation +[\d,]+ +[\d,]+ +9 of 36", text)
        assert re.search(r"qa-platform automation +[\d,]+ +[\d,]+ *$", text, re.MULTILINE)
        rows = csv.DictReader(io.StringIO(run(home, "export", *words).stdout))
        total = sum(int(row["total_tests"] or 0) for row in rows)
        assert re.search(rf"^ *all .* {total:,} ", text, re.MULTILINE)
        assert "9 of 54" in next(line for line in lines if line.strip().startswith("all"))
    elif "--unknown" in words:
        assert "9 windows of which not every number is known" in text
    elif "org,population" in words:
        assert re.search(r"service-user +\? +\? +\? +9 of 9", text)
    elif "--changed-since" in words:
        assert re.search(r"automation +tests +[\d,]+ +[\d,]+ +\+[\d,]+", text)
    else:
        assert re.search(r"\d +any +\? +\? +\? failed", text)
        assert "3 of 18 unknown" in text


def test_binary_formats_are_refused_at_a_terminal(home: Path) -> None:
    env = {"COLLECTOR_CONFIG": "collector.yaml"}
    with at_terminal([*COLLECTOR, "export", "-f", "parquet"], cwd=home, env=env) as terminal:
        assert terminal.end() == 2
        assert "parquet is not for a terminal" in " ".join(terminal.text.split())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--by", "year"), "expected day, week, month"),
        (("--by", "label:nope"), "no org in the config has a label of that key; the labels are cost_center"),
        (("--by", "org", "--unknown"), "give one of --by, --unknown and --changed-since"),
        (("--changed-since", "yesterday"), "the ledger knows no run of that id"),
        (("-o", "usage.txt"), "give --format, or a file that ends in"),
        (("-o", "usage.csv", "-f", "table"), "a table is for people"),
        (("-o", "usage.xlsx", "-f", "csv"), "--format csv, and a file that ends in .xlsx"),
        (("--state", "state/ledger.db"), "write sqlite:///state/ledger.db"),
        (("-o", "nowhere/usage.csv"), "nowhere is not an existing directory"),
        (("--to", "2026-01-01"), "--to needs --from"),
        (("--org", "nobody"), "no org in the config is called"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "before it starts"),
    ],
)
def test_a_call_that_makes_no_sense_says_what_is_right(home: Path, words: tuple[str, ...], why: str) -> None:
    before = {path.name for path in home.iterdir()}
    done = run(home, "export", *words)
    assert done.code == 2
    assert why in " ".join(done.stderr.split())
    assert {path.name for path in home.iterdir()} == before


def test_windows_that_are_longer_than_a_period_are_not_divided(home: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((home / "collector.yaml").read_text())
    for org in values["orgs"]:
        org["granularity"] = "month"
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "state").mkdir()
    source = sqlite3.connect(home / "state" / "ledger.db")
    with closing(source), closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as copy:
        source.backup(copy)
        copy.execute("UPDATE calendar SET granularity = 'month'")
        copy.commit()
    done = run(tmp_path, "export", "--by", "week", "-o", "week.csv")
    assert done.code == 2
    assert "is collected by month, and such windows can't be divided: sum over month" in done.stderr
    assert not list(tmp_path.glob("*week.csv*"))
    assert run(tmp_path, "export", "--by", "month").code == 0


def test_windows_of_a_range_that_are_not_due_or_not_wanted_are_not_passed_over(home: Path) -> None:
    """Who bills a month on its last day must not read a day that isn't due, or that nobody wanted, as zero."""
    today = SystemClock().now().date()
    settle = {"COLLECTOR_SCHEDULE__SETTLE": "72h"}
    words = ("--org", "org-001", "--population", "account-user", "--from", str(today - 3 * DAY))
    states = [
        json.loads(line)["state"]
        for line in run(home, "export", *words, "--unknown", "-f", "jsonl", **settle).stdout.splitlines()
    ]
    assert states
    assert {*states} == {"not_due"}
    (total,) = csv.DictReader(io.StringIO(run(home, "export", *words, "--by", "org", **settle).stdout))
    assert (total["total_tests"], total["windows_unknown"]) == ("", str(len(states)))

    next_month = ("--from", str(today + 40 * DAY), "--to", str(today + 50 * DAY))
    for by in (("--unknown",), ("--by", "month")):
        future = run(home, "export", *words[:4], *next_month, *by, "-q")
        assert (future.code, len(future.stdout.splitlines())) == (0, 1)
        assert "the range is in the future" in future.event("range.changed")["message"]
    ahead = run(home, "export", *words, "--to", str(today + 9 * DAY), "--by", "org")
    assert "later days have not ended yet" in ahead.event("range.changed")["message"]
    early = run(home, "export", *words[:4], "--from", str(LAST - 18 * DAY), "--to", str(LAST), "--by", "org")
    assert early.event("windows.not_wanted")["windows"] == 10
    (total,) = csv.DictReader(io.StringIO(early.stdout))
    assert (total["windows"], total["windows_unknown"]) == ("9", "0")


def test_a_ledger_that_does_not_know_all_restatements_says_so(home: Path, tmp_path: Path) -> None:
    """As one that was migrated, or restored without some files."""
    shutil.copytree(home / "state", tmp_path / "state")
    shutil.copy(home / "collector.yaml", tmp_path)
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
        ledger.execute("UPDATE ledger SET restated_from = ?", [int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1e6)])
        ledger.commit()
    done = run(tmp_path, "export", "--changed-since", "2026-01-01")
    assert done.code == 0
    assert (
        "restatements before 2026-02-01 00:00:00 UTC are not all known"
        in done.event("restatements.not_known")["message"]
    )
    assert done.stdout == run(home, "export", "--changed-since", "2026-01-01").stdout
    later = run(tmp_path, "export", "--changed-since", "2026-02-02")
    assert not any(event["event"] == "restatements.not_known" for event in later.events)
