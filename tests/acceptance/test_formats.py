"""Records in every format, read by the programs that people read them with, as docs/records.md shows it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.adapters.sinks.reading import json_lines_of
from collector.model import Record
from tests.support.commands import (
    COLLECTOR,
    SimulatedApi,
    collector,
    environment,
    manifest_in,
    records_in,
    simulated_api,
    unmeasured,
)
from tests.support.truth import assert_equal_to_truth

ROOT = Path(__file__).parents[2]
BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "records.md").read_text(), re.DOTALL)
    if "records = " in block
]
FORMATS = {"jsonl": "JSON Lines", "csv": "CSV", "parquet": "Parquet"}
OUTPUTS: list[dict[str, Any]] = [
    {"format": "jsonl"},
    {"format": "jsonl", "compression": "gzip", "partition_by": ["month"]},
    {"format": "csv"},
    {"format": "csv", "compression": "gzip", "partition_by": ["month", "org"], "labels": ["center", "team"]},
    {"format": "parquet"},
    {"format": "parquet", "partition_by": ["year", "population", "product"], "labels": ["center"]},
]
TEXTS = ("record_id", "org", "org_id", "org_name", "population", "product", "timezone", "quality", "run_id")
QUICKLY = {"COLLECTOR_API__RETRY__ATTEMPTS": "2", "COLLECTOR_API__RETRY__BASE_DELAY": "1ms"}
COUNTS = ("total_tests", "total_duration", "total_screenshots", "org_users")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    faults = ["org-002:partial=always"]  # some totals are null
    with simulated_api(tmp_path_factory.mktemp("formats"), orgs=3, faults=faults) as api:
        yield api


def configured(api: SimulatedApi, directory: Path, **output: Any) -> Path:
    """Return a config of the simulated orgs, whose labels look like numbers, truth values, dates and nothing."""
    config = yaml.safe_load(api.config.read_text())
    for org, center in zip(config["orgs"], ("0042", "1e5", "2026-01-01"), strict=True):
        org["labels"] = {"center": center}
    config["orgs"][0]["labels"]["team"] = "TRUE"
    config["orgs"][1]["labels"]["team"] = "NA"
    path = directory / "collector.yaml"
    path.write_text(yaml.safe_dump(config | {"output": {"path": "usage", **output}}))
    return path


@pytest.fixture(scope="module", params=OUTPUTS, ids=lambda output: "-".join(map(str, output.values())))
def output(
    request: pytest.FixtureRequest, api: SimulatedApi, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("written")
    config = configured(api, directory, **request.param)
    for last in ("32d", "34d"):  # two runs, and two months: several files
        assert collector("backfill", "-c", config, "--last", last, cwd=directory, env=QUICKLY).code in (0, 3)
    return directory, request.param


def listed_in(directory: Path) -> list[dict[str, Any]]:
    """Return the files that manifests list."""
    return [file for path in directory.glob("run-*.json") for file in json.loads(path.read_text())["files"]]


def rows(records: Any) -> list[dict[str, Any]]:
    """Return what a program has read, as Python's own values."""
    match type(records).__module__.partition(".")[0]:
        case "pandas":
            found = records.astype(object).to_dict("records")
        case "polars":
            found = records.to_dicts()
        case _:
            names = records.columns
            found = [dict(zip(names, row, strict=True)) for row in records.fetchall()]
    return [{name: None if _is_missing(value) else value for name, value in row.items()} for row in found]


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in {"NAType", "NaTType"}
        or (isinstance(value, float) and math.isnan(value))
    )


def canonical(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON would have it, and hold the types of its values."""
    for name in ("window_start", "window_end", "collected_at"):
        assert isinstance(row[name], datetime)
        assert row[name].tzinfo is not None
    assert isinstance(row["window_date"], date)
    assert {type(row[name]) for name in COUNTS} <= {int, type(None)}
    assert {type(row[name]) for name in TEXTS} == {str}
    return {
        **{name: row[name] for name in Record._fields if name not in {"labels", "extra", "anomalies"}},
        "window_date": str(row["window_date"])[:10],
        **{name: row[name].timestamp() for name in ("window_start", "window_end", "collected_at")},
        "labels": _plain(row["labels"]),
        "anomalies": list(_plain(row["anomalies"])),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {one["key"]: one["value"] for one in value}
    if isinstance(value, dict):  # polars has the labels of all orgs in each
        return {name: one for name, one in value.items() if one is not None}
    return value


@pytest.mark.parametrize("program", ["duckdb", "pandas", "polars"])
def test_each_program_reads_the_same_rows_and_types_and_they_are_the_truth(
    api: SimulatedApi, output: tuple[Path, dict[str, Any]], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, given = output
    (block,) = (one for one in BLOCKS if one.startswith(f"import {program}") and FORMATS[given["format"]] in one)
    monkeypatch.chdir(directory)
    space: dict[str, Any] = {}
    exec(block, space)  # noqa: S102 - it is a document's
    read = rows(space["records"])
    files = [
        file for path in (directory / "usage").glob("run-*.json") for file in json.loads(path.read_text())["files"]
    ]
    assert len(read) == sum(file["records"] for file in files) > 500
    whole = records_in(directory / "usage")
    texts = {"window_start", "window_end", "collected_at"}
    expected = [
        {name: datetime.fromisoformat(value).timestamp() if name in texts else value for name, value in one.items()}
        for one in whole
    ]
    for one in expected:
        one.pop("extra", None)
    key = lambda one: (one["record_id"], one["revision"])  # noqa: E731
    assert sorted(map(canonical, read), key=key) == sorted(expected, key=key)
    assert any(one["total_tests"] is None for one in read)
    labels = [name for name in read[0] if name.startswith("label_")]
    assert labels == [f"label_{name}" for name in given.get("labels", ())]
    assert all(
        one[f"label_{name}"] == _plain(one["labels"]).get(name) for one in read for name in given.get("labels", ())
    )
    known = [one for one in whole if one["quality"] != "unavailable" and one["org"] != "org-002"]
    assert_equal_to_truth(api, known)


def test_the_manifest_lists_each_file_of_a_partition_as_it_is(output: tuple[Path, dict[str, Any]]) -> None:
    directory, given = output
    usage = directory / "usage"
    listed = listed_in(usage)
    there = {str(path.relative_to(usage)) for path in usage.rglob("usage-*")}
    assert {file["name"] for file in listed} == there
    for file in listed:
        content = (usage / file["name"]).read_bytes()
        lines = json_lines_of(file["name"], content)
        assert (len(content), lines.count(b"\n")) == (file["bytes"], file["records"])
        for line in map(json.loads, lines.splitlines()):
            keys = [part.partition("=") for part in file["name"].split("/")[:-1]]
            values = {name: value for name, _, value in keys}
            assert list(values) == given.get("partition_by", [])
            assert all(line[name] == value for name, value in values.items() if name in line)
            assert all(line["window_date"].startswith(values[name]) for name in ("year", "month") if name in values)
    assert not list(usage.rglob(".usage-*"))


def test_csv_on_stdout_has_its_names_once_also_where_a_file_is_appended_to(api: SimulatedApi, tmp_path: Path) -> None:
    config = configured(api, tmp_path, labels=["center"])
    command = [*COLLECTOR, "collect", "-c", str(config), "--state", "none", "-q", "-o", "-", "-f", "csv"]
    for last in ("3d", "5d"):
        with (tmp_path / "usage.csv").open("ab") as file:
            subprocess.run(
                [*command, "--last", last], cwd=tmp_path, stdout=file, check=False, env=unmeasured(environment())
            )
    content = (tmp_path / "usage.csv").read_bytes().decode()
    found = list(csv.DictReader(io.StringIO(content)))
    assert list(found[0]) == [*Record._fields, "label_center"]
    assert content.count("record_id") == 1
    assert len(found) > 50


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_stdout_is_compressed_where_it_is_no_terminal(
    api: SimulatedApi, tmp_path: Path, form: str, compression: str
) -> None:
    args = ["--state", "none", "--last", "3d", "-q", "-o", "-", "-f", form, "--compression", compression]
    done = subprocess.run(
        [*COLLECTOR, "collect", "-c", str(api.config), *args],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env=environment(),
    )
    assert done.returncode in (0, 3)
    ending = {"gzip": "gz", "zstd": "zst"}[compression]
    lines = json_lines_of(f"usage-r-0001.{form}.{ending}", done.stdout).splitlines()
    assert len(lines) > 50
    if compression == "gzip":
        assert gzip.decompress(done.stdout).count(b"\n") == len(lines) + (form == "csv")


@pytest.mark.parametrize(
    ("args", "output", "why"),
    [
        (["-f", "parquet"], {"path": "-"}, "Parquet can't be written to stdout"),
        ([], {"path": "-", "partition_by": ["month"]}, "stdout has no directories"),
        (["-f", "parquet", "-o", "usage"], {"compression": "gzip"}, "Parquet compresses itself"),
    ],
)
def test_what_no_format_can_do_is_refused_before_anything_is_requested(
    api: SimulatedApi, tmp_path: Path, args: list[str], output: dict[str, Any], why: str
) -> None:
    before = api.stats["total"]["asked"]
    config = configured(api, tmp_path, **output)
    done = collector("collect", "-c", config, *args, cwd=tmp_path)
    assert (done.code, why in done.stderr) == (2, True)
    assert api.stats["total"]["asked"] == before
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("args", "extra"), [(["-f", "parquet"], "parquet"), (["-f", "csv", "--compression", "zstd"], "zstd")]
)
@pytest.mark.parametrize("command", ["collect", "serve", "check"])
def test_a_missing_package_is_named_before_anything_is_requested(
    api: SimulatedApi, tmp_path: Path, args: list[str], extra: str, command: str
) -> None:
    """The packages are hidden from Python, as in an installation without the extra."""
    hiding = (
        "import sys\nfor name in ('pyarrow', 'backports.zstd', 'compression.zstd'):\n    sys.modules[name] = None\n"
        "from collector.__main__ import main\nmain()"
    )
    before = api.stats["total"]["asked"]
    given = dict(zip(("FORMAT", "COMPRESSION"), args[1::2], strict=False)) | {"PATH": "usage"}
    env = {f"COLLECTOR_OUTPUT__{key}": value for key, value in given.items()} if command == "check" else {}
    options = [] if command == "check" else ["-o", "usage", *args]
    done = subprocess.run(
        [sys.executable, "-c", hiding, command, "-c", str(api.config), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=unmeasured(environment(PYTHONPATH=os.environ.get("PYTHONPATH", ""), **env)),
    )
    assert done.returncode == 2
    assert f"pip install 'usage-collector[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert api.stats["total"]["asked"] == before


def test_a_format_that_changes_between_runs_leaves_files_of_both(api: SimulatedApi, tmp_path: Path) -> None:
    config = configured(api, tmp_path)
    assert collector("backfill", "-c", config, "--last", "5d", cwd=tmp_path).code in (0, 3)
    first = manifest_in(tmp_path / "usage")["files"][0]["name"]
    env = {"COLLECTOR_OUTPUT__FORMAT": "parquet"}
    assert collector("backfill", "-c", config, "--last", "9d", cwd=tmp_path, env=env).code in (0, 3)
    assert {path.suffix for path in (tmp_path / "usage").glob("usage-*")} == {".jsonl", ".parquet"}
    assert first.endswith(".jsonl")
    found = [(one["record_id"], one["revision"]) for one in records_in(tmp_path / "usage")]
    assert len(set(found)) == len(found)
