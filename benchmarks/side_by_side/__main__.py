"""The collector against a bare aiohttp loop and other tools: the same slices, in turns, in one run.

python -m benchmarks.side_by_side [--only collector,bare] [--turns 5]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.side_by_side.contenders import Contender
from benchmarks.side_by_side.contenders.bare import bare
from benchmarks.side_by_side.contenders.collector import collector
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import ContenderError
from benchmarks.side_by_side.ratios import ratios
from benchmarks.side_by_side.server import missing, serving
from benchmarks.side_by_side.turns import Results, take_turns


def contenders(args: argparse.Namespace) -> list[Contender]:
    """Return who takes part, in the order of their turns."""
    python = args.python
    everyone = [
        bare(python),
        collector(python, name="collector", title="collector, files and ledger"),
        collector(python, name="no-ledger", title="collector, files only", ledger=False),
    ]
    only = args.only.split(",") if args.only else [one.name for one in everyone]
    if unknown := set(only) - {one.name for one in everyone}:
        raise SystemExit(f"--only: unknown: {', '.join(unknown)}; known: {', '.join(one.name for one in everyone)}")
    return [one for one in everyone if one.name in only]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, separated by commas: bare, collector, no-ledger; default: all")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--orgs", type=int, default=100)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--concurrency", type=int, default=32, help="requests in flight")
    parser.add_argument("--python", default=sys.executable, help="that of the collector and of the bare loop")
    parser.add_argument("--results", type=Path, help="keep the turns in this file, and go on from it")
    args = parser.parse_args()
    if problem := missing():
        raise SystemExit(problem)
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        job = Job.recent(server.base_url, orgs=args.orgs, days=args.days, concurrency=args.concurrency)
        about = {"orgs": job.orgs, "days": job.days, "concurrency": job.concurrency, "last": str(job.last)}
        results = Results(args.results, about)
        try:
            for turn in take_turns(contenders(args), job, server, results, turns=args.turns):
                print(turn, flush=True)
        except ContenderError as error:
            raise SystemExit(str(error)) from error
    for ratio in ratios(results.turns):
        print(ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
