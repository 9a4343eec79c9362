"""Two limits: the wire's, and the practical one of a bare aiohttp loop in the collector's own environment."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from benchmarks.side_by_side.contenders import PEERS, Contender, Fetched
from benchmarks.side_by_side.job import POPULATIONS, Job, username
from benchmarks.side_by_side.measure import Command
from collector.core.request import PATH


def wrk() -> Contender:
    """Return the wire's limit: the job's requests over and over, for some seconds; no answer is parsed."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        requests = directory / "requests"
        requests.write_text("".join(f"{line}\n" for line in _requests(job)))
        args = ["wrk", "-t", "1", "-c", str(job.concurrency), "-d", "3s", "-s", str(PEERS / "slices.lua")]
        return [Command([*args, job.base_url, "--", str(requests)])]

    return Contender(name="wrk", title="wrk (parses nothing)", prepare=prepare)


def _requests(job: Job) -> list[str]:
    return [
        f"{b64encode(f'{username(org)}:key'.encode()).decode()} {PATH}?" + urlencode(query, quote_via=quote, safe=":")
        for day in job.dates
        for population in POPULATIONS
        for query in [{"from": f"{day} 00:00:00", "to": f"{day} 23:59:59", "timezone": "+00:00", "type": population}]
        for org in range(job.orgs)
    ]


def bare(python: str) -> Contender:
    """Return the practical limit: fetch and parse."""

    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        return [Command([python, PEERS / "bare_aiohttp.py", job.write(directory)])]

    def fetched(directory: Path) -> Fetched:
        return Fetched(**json.loads((directory / "stdout").read_text()))

    return Contender(name="bare", title="bare aiohttp loop", prepare=prepare, fetched=fetched)
