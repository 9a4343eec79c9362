"""The commands of docs/warehouses.md are run as they are shown, twice, over files of a real run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from collector.adapters.clock import SystemClock
from collector.core.record_sql import TABLE, VIEW
from tests.support.commands import COLLECTOR, environment, records_in, simulated_api
from tests.support.commands import collector as call
from tests.support.needs import need
from tests.support.postgresql import DATABASE, PASSWORD, Server

DOCUMENT = Path(__file__).parents[2] / "docs" / "warehouses.md"
# DuckDB's command is no Python package of ours, its engine is: it runs SQL from stdin or from -c.
DUCKDB = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as database:
    if sys.argv[2:3] == ["-c"]:
        for row in database.execute(sys.argv[3]).fetchall():
            print(*("" if cell is None else cell for cell in row), sep="|")
    else:
        database.execute(sys.stdin.read())
"""


def shown(section: str) -> str:
    (block,) = re.findall(rf"^## {section}\n.*?```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with records of some days, and commands on its PATH. What team old used may be deleted."""
    with simulated_api(tmp_path, orgs=3, faults=["org-003:retention=1h"]) as api:
        config: dict[str, Any] = yaml.safe_load(api.config.read_text())
        for org, team in zip(config["orgs"], ("qa", "web", "old"), strict=True):
            org["labels"] = {"team": team}
        api.config.write_text(yaml.safe_dump(config | {"trust_zero_for": "2d"}))
        today = SystemClock().now().date()
        days = ("--from", str(today - timedelta(days=9)), "--to", str(today - timedelta(days=5)))
        assert call("backfill", *days, "--org", "org-003", "-c", api.config, "-o", "usage", cwd=tmp_path).code == 0
        config["orgs"] = config["orgs"][:2]
        api.config.write_text(yaml.safe_dump(config))
        assert call("collect", "--last", "3d", "-c", api.config, "-o", "usage", cwd=tmp_path).code == 0
        assert call("backfill", "--last", "9d", "-c", api.config, "-o", "usage", cwd=tmp_path).code == 0
    for name, command in {"collector": COLLECTOR, "duckdb": [sys.executable, "-c", DUCKDB]}.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        script.chmod(0o755)
    return tmp_path


def run(script: str, home: Path, **more: str) -> list[str]:
    """Run lines of a shell; return what they print, cells and all."""
    env = environment(**more)
    env["PATH"] = f"{home / 'bin'}:{os.environ['PATH']}"
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [re.sub(r"\s*\|\s*", "|", line.strip()) for line in done.stdout.splitlines()]


def sums(home: Path) -> list[str]:
    """Tests by team and month that are known, of the newest record of each id."""
    newest: dict[str, dict[str, Any]] = {}
    for record in records_in(home / "usage"):
        earlier = newest.get(record["record_id"])
        if earlier is None or earlier["collected_at"] < record["collected_at"]:
            newest[record["record_id"]] = record
    found: dict[tuple[str, str], int | None] = {}
    for record in newest.values():
        key = (record["labels"]["team"], f"{record['window_date'][:7]}-01")
        known = record["total_tests"] is not None and record["quality"] == "measured"
        found[key] = (found.get(key) or 0) + record["total_tests"] if known else found.get(key)
    assert found["old", max(month for team, month in found if team == "old")] is None
    return [f"{team}|{month}|{'' if tests is None else tests}" for (team, month), tests in sorted(found.items())]


def test_duckdb_answers_as_the_files_do(home: Path) -> None:
    script = shown("DuckDB")
    first = run(script, home)
    assert first == sums(home) == run(script, home)
    for name in (TABLE, VIEW):
        (count,) = run(f'duckdb usage.duckdb -c "SELECT count(*), count(DISTINCT record_id) FROM {name}"', home)
        rows, ids = count.split("|")
        assert rows == ids == str(len({record["record_id"] for record in records_in(home / "usage")}))


@pytest.mark.slow  # needs PostgreSQL
def test_postgresql_answers_as_the_files_do(home: Path, server: Server) -> None:
    need("psql", package="postgresql-client")
    address = urlsplit(server.url())
    where = {
        "PGHOST": str(address.hostname),
        "PGPORT": str(address.port),
        "PGUSER": str(address.username),
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": DATABASE,
        "PGOPTIONS": "--client-min-messages=warning",
    }
    script = shown("PostgreSQL")
    for _ in range(2):
        rows = [line for line in run(script, home, **where) if re.match(r"\w+\|\d{4}-", line)]
        assert rows == sums(home)


def test_bigquery_and_snowflake_are_written_into_a_file(home: Path) -> None:
    assert run(shown("BigQuery and Snowflake"), home) == []
    assert "COPY INTO usage_staging" in (home / "usage.sql").read_text()
