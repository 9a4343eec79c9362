"""The collector: sealed JSON Lines files, with its ledger or without one; from this checkout or from another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.contenders import ROOT, Contender, Fetched
from benchmarks.side_by_side.job import Job, username
from benchmarks.side_by_side.measure import Command


def collector(python: str, *, name: str, title: str, checkout: Path = ROOT, ledger: bool = True) -> Contender:
    """Return a `backfill` of the job's days."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        write_config(job, directory)
        state = f"sqlite:///{directory}/ledger.db" if ledger else "none"
        args = ["backfill", "-q", "--from", str(job.first), "--to", str(job.last), "-o", "out", "--state", state]
        return [command(python, checkout, *args)]

    return Contender(name=name, title=title, prepare=prepare, fetched=_fetched)


def command(python: str, checkout: Path, *args: str, **env: str) -> Command:
    """Return a command of the collector of a checkout."""
    return Command([python, "-m", "collector", *args], env={"PYTHONPATH": str(checkout)} | env)


def write_config(job: Job, directory: Path) -> None:
    """Write a config whose limits limit nothing but the requests in flight."""
    off = "{requests: 100000, period: 1s}"
    limits = f"concurrency: {job.concurrency}, org_concurrency: {job.concurrency}, "
    limits += f"rate_limit: {off}, org_rate_limit: {off}"
    orgs = "".join(f"- {{name: org-{n:03}, username: {username(n)}, access_key: key}}\n" for n in range(job.orgs))
    config = directory / "config" / "collector.yaml"
    config.parent.mkdir()
    config.write_text(f"api: {{base_url: '{job.base_url}', {limits}}}\norgs:\n{orgs}")
    config.chmod(0o600)


def _fetched(directory: Path) -> Fetched:
    return Fetched.of(
        ((record["org"], record["population"], record["window_start"]), record["total_tests"])
        for record in _records(directory)
        if record["product"] == "automation"
    )


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    for file in (directory / "out").glob("usage-*.jsonl"):
        with file.open() as lines:
            yield from map(json.loads, lines)
