"""Other tools, each with the smallest honest program for the job, in the environment that make has made for it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.contenders import PEERS, ROOT, Contender, Fetched
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import Command

ENVIRONMENTS = ROOT / ".venv-bench"


def python_of(peer: str) -> Path:
    """Return the Python of a peer's environment."""
    return ENVIRONMENTS / peer / "bin" / "python"


def dlt() -> Contender:
    """Return a pipeline into dlt's own files, with as many threads as there may be requests in flight."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        env = {
            "DLT_DATA_DIR": str(directory / "data"),
            "EXTRACT__WORKERS": str(job.concurrency),
            "EXTRACT__MAX_PARALLEL_ITEMS": str(2 * job.concurrency),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        return [Command([python_of("dlt"), PEERS / "dlt_pipeline.py", job.write(directory)], env=env)]

    def fetched(directory: Path) -> Fetched:
        return Fetched.of(map(_slice, _gzipped(directory.glob("out/usage/usage/*.jsonl.gz"))))

    return Contender(name="dlt", title="dlt", prepare=prepare, fetched=fetched)


def _gzipped(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with gzip.open(file) as lines:
            yield from map(json.loads, lines)


def singer() -> Contender:
    """Return a tap whose messages go to a file; the SDK sends one request at a time."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        return [Command([python_of("singer"), PEERS / "singer_tap.py", "--config", job.write(directory)])]

    def fetched(directory: Path) -> Fetched:
        return Fetched.of(_slice(line["record"]) for line in _messages(directory) if line["type"] == "RECORD")

    return Contender(name="singer", title="Meltano Singer SDK", prepare=prepare, fetched=fetched)


def airbyte() -> Contender:
    """Return a declarative source whose messages go to a file, with as many threads as requests in flight."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        config, catalog = directory / "config.json", directory / "catalog.json"
        given = json.loads(job.write(directory).read_text())
        orgs = {org["username"]: org["access_key"] for org in given.pop("orgs")}
        given |= {"usernames": list(orgs), "access_keys": orgs}
        given |= {"first": f"{job.first} 00:00:00", "last": f"{job.last} 23:59:59"}
        config.write_text(json.dumps(given))
        stream = {"name": "usage", "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
        synced = {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"}
        catalog.write_text(json.dumps({"streams": [synced]}))
        program = [python_of("airbyte"), PEERS / "airbyte_source.py"]
        return [Command([*program, "read", "--config", config, "--catalog", catalog])]

    def fetched(directory: Path) -> Fetched:
        return Fetched.of(_slice(line["record"]["data"]) for line in _messages(directory) if line["type"] == "RECORD")

    return Contender(name="airbyte", title="Airbyte CDK", prepare=prepare, fetched=fetched)


def _messages(directory: Path) -> Iterator[dict[str, Any]]:
    with (directory / "stdout").open() as lines:
        yield from map(json.loads, lines)


def _slice(row: dict[str, Any]) -> tuple[tuple[str, str, str], int]:
    products = row["products"]
    if isinstance(products, str):  # as dlt writes what it doesn't spread over tables
        products = json.loads(products)
    return (row["username"], row["population"], row["day"][:10]), int(products["automation"]["totalTests"])
