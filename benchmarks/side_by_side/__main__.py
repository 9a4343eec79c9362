"""The collector against a bare aiohttp loop, other tools and its own past: the same work, in turns, in one run.

    python -m benchmarks.side_by_side [--only collector,bare] [--turns 5] [--results FILE] [--write]

Each contender fetches the same slices from the same nginx. A turn is the whole process, with its start. It fails if a
contender did not fetch exactly the slices, or if the median of a ratio misses its target.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.side_by_side.contenders.everyone import check_out, chosen, everyone, revision
from benchmarks.side_by_side.job import Job
from benchmarks.side_by_side.measure import ContenderError
from benchmarks.side_by_side.ratios import ratios
from benchmarks.side_by_side.report import write_report
from benchmarks.side_by_side.server import missing, serving
from benchmarks.side_by_side.turns import Results, take_turns

BEFORE = "8ab79a61a399bc6feca9103ddc2662825b7da53b"  # the last one before anything was done for speed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of contenders, separated by commas; the default is all")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--orgs", type=int, default=100)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--concurrency", type=int, default=32, help="requests in flight")
    parser.add_argument("--python", default=sys.executable, help="the Python of the collector and of the bare loop")
    parser.add_argument("--before", default=BEFORE, metavar="REV", help="an earlier revision, or none")
    parser.add_argument(
        "--results", type=Path, help="a file for the turns: a run of the same revision and job goes on from it"
    )
    parser.add_argument("--write", action="store_true", help="write the table and the picture into docs/")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if problem := missing():
        raise SystemExit(problem)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with_before = args.before != "none"
        contenders = chosen(everyone(args.python, directory / "before"), args.only, with_before=with_before)
        if any(one.name.endswith("-before") for one in contenders):
            check_out(args.before, directory / "before")
        server = stack.enter_context(serving(directory))
        job = Job.recent(server.base_url, orgs=args.orgs, days=args.days, concurrency=args.concurrency)
        about = job.about() | {"before": args.before, "revision": revision()}
        results = Results(args.results, about)
        try:
            for turn in take_turns(contenders, job, server, results, turns=args.turns):
                print(turn, flush=True)
        except ContenderError as error:
            raise SystemExit(str(error)) from error
    found = ratios(results.turns)
    for ratio in found:
        print(ratio)
    if args.write:
        write_report(results, {one.name: one.title for one in contenders}, args.python)
    return 0 if all(ratio.kept for ratio in found) else 1


if __name__ == "__main__":
    sys.exit(main())
