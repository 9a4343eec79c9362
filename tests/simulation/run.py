"""Running seeds: one by one, or many on several cores."""

from __future__ import annotations

import gc
import os
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import structlog

from tests.simulation.drawing import scenario_of
from tests.simulation.ledgers import SCRATCH, compiled_once, template
from tests.simulation.scenario import Scenario
from tests.simulation.trace import Broken
from tests.simulation.world import World
from tests.support.virtual_time import run_virtual


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one seed."""

    seed: int
    digest: str
    requests: int
    processes: int
    broken: str | None = None  # the invariant
    message: str = ""
    tail: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.broken is None:
            return f"seed {self.seed}: {self.processes} processes, {self.requests} requests, {self.digest}"
        return "\n".join(
            [
                str(scenario_of(self.seed)),
                "",
                *self.tail,
                "",
                f"seed {self.seed} breaks `{self.broken}`: {self.message}",
                f"replay: python -m tests.simulation --seed {self.seed} --trace",
            ]
        )


def run_seed(seed: int, *, echo: Callable[[str], None] | None = None, scenario: Scenario | None = None) -> Verdict:
    """Live through a seed and return what came of it."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as directory, quiet_logs(), compiled_once(), garbage_kept():
        return run_virtual(_live(scenario or scenario_of(seed), Path(directory), echo))


async def _live(scenario: Scenario, directory: Path, echo: Callable[[str], None] | None) -> Verdict:
    world = World(scenario, directory, template(), echo=echo)
    broken, message = None, ""
    try:
        await world.live()
        await world.settle()
    except Broken as error:
        broken, message = error.invariant, str(error)
    except Exception as error:  # noqa: BLE001 - also a defect of the simulation is a seed that fails
        broken, message = "simulation", "".join(traceback.format_exception(error))
    return Verdict(
        seed=scenario.seed,
        digest=world.trace.digest,
        requests=len(world.api.requests),
        processes=len(world.processes),
        broken=broken,
        message=message,
        tail=tuple(world.trace.tail) if broken else (),
    )


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep the collector from logging: what it would say is in the trace."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Collect no garbage during a seed: there is little, and looking for it takes a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run_seeds(seeds: Iterable[int], *, jobs: int) -> Iterator[Verdict]:
    """Live through seeds on several cores; yield what came of them, in their order."""
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with (
        patch.dict(os.environ, unmeasured, clear=True),  # what is measured takes twice as long
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        yield from pool.map(run_seed, seeds, chunksize=4)
