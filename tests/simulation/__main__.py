"""The simulation by hand: one seed with all that happened in it, or any number of them on several cores.

python -m tests.simulation --seed 4711 [--trace]
python -m tests.simulation --seeds 5000 [--from 1] [--jobs 2]
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import click

from tests.simulation.run import run_seed, run_seeds


@click.command()
@click.option("--seed", type=int, help="live through this one")
@click.option("--trace", is_flag=True, help="with all that happens")
@click.option("--seeds", type=int, default=500, show_default=True, help="how many")
@click.option("--from", "first", type=int, default=1, show_default=True, help="the first of them")
@click.option("--jobs", type=int, default=2, show_default=True, help="processes")
def main(seed: int | None, *, trace: bool, seeds: int, first: int, jobs: int) -> None:
    """Live through seeds; exit 1 if an invariant is broken."""
    if seed is not None:
        verdict = run_seed(seed, echo=click.echo if trace else None)
        click.echo(verdict)
        sys.exit(verdict.broken is not None)
    sys.exit(_many(range(first, first + seeds), jobs))


def _many(seeds: range, jobs: int) -> int:
    began, broken, requests = time.monotonic(), Counter[str](), 0
    for n, verdict in enumerate(run_seeds(seeds, jobs=jobs), 1):
        requests += verdict.requests
        if verdict.broken is not None:
            broken[verdict.broken] += 1
            click.echo(f"{verdict}\n")
        if n % 100 == 0 or n == len(seeds):
            each_s = (time.monotonic() - began) / n
            click.echo(f"{n} of {len(seeds)} seeds, {requests} requests, {each_s:.2f} s each, broken: {dict(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    main()
