"""Running seeds: one by one, or many on several cores."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

from collector.adapters.ledger import SqlLedger
from tests.simulation.drawing import scenario_of
from tests.simulation.scenario import Scenario
from tests.simulation.trace import Broken
from tests.simulation.world import World
from tests.support.virtual_time import run_virtual

_SHM = Path("/dev/shm")  # noqa: S108 - memory, where there is any: nothing here has to last


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
    with tempfile.TemporaryDirectory(dir=_SHM if _SHM.is_dir() else None) as directory, quiet_logs():
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


@cache
def template() -> Path:
    """Return an empty ledger, migrated once: each seed begins with a copy."""
    directory = Path(tempfile.mkdtemp(dir=_SHM if _SHM.is_dir() else None))
    path = directory / "ledger.db"
    SqlLedger.open(f"sqlite:///{path}", command="template", now=lambda: scenario_of(0).start, durable=False).close()
    import atexit

    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    assert os.path.exists(path)
    return path
