"""The real command with another database of time zones in the system, and with an older `tzdata`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tzdata
import yaml

from collector.zone_rules import VERSION
from tests.support.commands import SimulatedApi, collector, simulated_api

pytestmark = pytest.mark.slow
VANCOUVER = Path("zoneinfo", "America", "Vancouver")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    directory = tmp_path_factory.mktemp("zones")
    with simulated_api(directory, orgs=1, options=["--now", "2026-11-20T12:00:00Z"]) as api:
        yield api


@pytest.fixture
def config(api: SimulatedApi, tmp_path: Path) -> Path:
    return configure(api, tmp_path / "c.yaml", timezone="America/Vancouver")


def configure(api: SimulatedApi, path: Path, **org: str) -> Path:
    content = yaml.safe_load(api.config.read_text())
    content["orgs"][0] |= org
    path.write_text(yaml.safe_dump(content))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with an older `tzdata`, in which Vancouver's clocks go back on 1 November as in Los Angeles."""
    directory = tmp_path_factory.mktemp("older")
    with as_file(files(tzdata)) as present:
        shutil.copytree(present, directory / "tzdata", ignore=shutil.ignore_patterns("__pycache__"))
    package = directory / "tzdata"
    package.joinpath("__init__.py").write_text('IANA_VERSION = "2025b"\n')
    shutil.copy(package / "zoneinfo" / "America" / "Los_Angeles", package / VANCOUVER)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))}


def of_range(config: Path, first: str, last: str) -> list[str | Path]:
    return ["backfill", "-c", config, "--from", first, "--to", last, "--population", "account-user", "-o", "out"]


def sealed(directory: Path) -> list[dict[str, Any]]:
    lines = (line for file in directory.glob("out/usage-*.jsonl") for line in file.read_text().splitlines())
    return [json.loads(line) for line in lines]


def test_the_rules_of_the_system_change_no_day(config: Path, older: dict[str, str], tmp_path: Path) -> None:
    path = Path(older["PYTHONPATH"].split(os.pathsep)[0], "tzdata", "zoneinfo")
    done = collector(*of_range(config, "2026-11-02", "2026-11-03"), cwd=tmp_path, env={"PYTHONTZPATH": str(path)})
    assert done.code == 0, done.stderr
    assert done.event("run.started")["tzdata"] == VERSION
    assert {record["window_start"] for record in sealed(tmp_path)} == {
        "2026-11-02T00:00:00-07:00",
        "2026-11-03T00:00:00-07:00",
    }


def test_an_update_of_tzdata_counts_no_hour_twice(
    api: SimulatedApi, config: Path, older: dict[str, str], tmp_path: Path
) -> None:
    before = collector(*of_range(config, "2026-11-01", "2026-11-10"), cwd=tmp_path, env=older)
    assert before.code == 0, before.stderr
    assert before.event("run.started")["tzdata"] == "2025b"
    records = sealed(tmp_path)
    for code, command in (
        (4, of_range(config, "2026-11-01", "2026-11-15")),
        (0, ["plan", "-c", config]),
        (4, ["check", "-c", config]),
        (3, ["status", "-c", config]),
    ):
        refused = collector(*command, cwd=tmp_path, env={"COLUMNS": "2000"})
        assert refused.code == code, refused.stderr
        text = refused.stdout + refused.stderr
        assert "through 2026-11-11T01:00:00-07:00 with the rules of tzdata 2025b" in text
        assert f"with those of tzdata {VERSION} its windows would overlap" in text
        assert "set `since: 2026-11-12`" in text
    assert collector(*of_range(config, "2026-11-01", "2026-11-10"), cwd=tmp_path, env=older).code == 0
    assert sealed(tmp_path) == records

    configure(api, config, timezone="America/Vancouver", since="2026-11-12")
    after = collector(*of_range(config, "2026-11-01", "2026-11-15"), cwd=tmp_path)
    assert after.code == 0, after.stderr
    records = sealed(tmp_path)
    assert len({record["record_id"] for record in records}) == len(records)
    spans = sorted({(record["window_start"], record["window_end"]) for record in records})
    assert len(spans) == 10 + 4
    seconds = [(int(at(start).timestamp()), int(at(end).timestamp())) for start, end in spans]
    assert all(one[1] <= other[0] for one, other in pairwise(seconds))
    expected = sum(counted(api.truth("org-001", "account-user", *span)) for span in seconds)
    assert sum(record["total_tests"] or 0 for record in records) == expected > 0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def counted(truth: dict[str, Any]) -> int:
    return sum(metrics.get("totalTests", 0) for metrics in truth["products"].values())


def test_an_alias_of_a_zone_fetches_nothing_again(api: SimulatedApi, config: Path, tmp_path: Path) -> None:
    for name in ("Europe/Kiev", "Europe/Kyiv"):
        configure(api, config, timezone=name)
        done = collector(*of_range(config, "2026-11-01", "2026-11-03"), cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert {record["timezone"] for record in sealed(tmp_path)} == {"Europe/Kiev"}
        assert len({record["window_start"] for record in sealed(tmp_path)}) == 3
    assert collector("plan", "-c", config, cwd=tmp_path).code == 0
    assert collector("check", "-c", config, cwd=tmp_path).code == 0
