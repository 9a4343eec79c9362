"""Looks at ledger and output: each in a thread, with a deadline, never two at once at one place, and little logged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.sinks import OutputLook
from collector.core.exit_codes import ExitCode
from collector.errors import CollectorError, LedgerError, OutputError
from collector.service import readiness
from collector.service.health import unready
from collector.service.readiness import Readiness
from collector.service.view import Observed, Part
from tests.support.views import NOW, observed, org_view
from tests.support.waiting import wait_until_async
from tests.unit.service.test_verdict import run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERY_S", "DEADLINE_S", "_CHECK_PLACE_EVERY_S"):
        monkeypatch.setattr(readiness, name, 0.01)


@dataclass
class Place:
    """A place that fails, or hangs, as a test wants it."""

    error: Exception | None = None
    answering: threading.Event = field(default_factory=threading.Event)
    looks: int = 0
    closed: int = 0

    def __post_init__(self) -> None:
        self.answering.set()

    def __call__(self) -> None:
        self.looks += 1
        self.answering.wait()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


@dataclass
class World:
    """A service with a ledger and an output. `names` says which ledger the config names."""

    seen: Observed
    ledgers: dict[str, Place] = field(default_factory=lambda: {"a": Place(), "b": Place()})
    output: Place = field(default_factory=Place)
    name: str = "a"
    backs: int = 0

    def back(self) -> None:
        self.backs += 1


def watch(during: Callable[[World], Awaitable[None]]) -> list[dict[str, object]]:
    """Run both looks beside `during`; return what was logged."""
    world = World(observed(orgs={"acme": org_view()}))

    async def main() -> None:
        begin = asyncio.Event()
        begin.set()
        ledger = Readiness(
            Part.LEDGER,
            begin=begin,
            place=lambda: world.name,
            look_of=world.ledgers.__getitem__,
            observed=world.seen,
            clock=SystemClock(),
            on_back=world.back,
        )
        output = Readiness(
            Part.OUTPUT,
            begin=begin,
            place=lambda: None,
            look_of=lambda _: world.output,
            observed=world.seen,
            clock=SystemClock(),
            on_back=world.back,
        )
        tasks = [asyncio.create_task(one.run()) for one in (ledger, output)]
        try:
            await during(world)
        finally:
            for place in (*world.ledgers.values(), world.output):
                place.answering.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    with structlog.testing.capture_logs() as logs:
        asyncio.run(main())
    return [dict(line) for line in logs]


async def several_looks_at(place: Place) -> None:
    before = place.looks
    await wait_until_async(lambda: place.looks >= before + 5)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LedgerError("the ledger is\naway"), "the ledger is away"),
        (KeyError("s3cret"), "a defect of the collector: KeyError at "),
    ],
)
def test_what_goes_away_and_comes_back_is_logged_once_each_and_shown_until_then(error: Exception, why: str) -> None:
    async def during(world: World) -> None:
        place = world.ledgers["a"]
        await several_looks_at(place)
        assert unready(world.seen) is None
        place.error = error
        await several_looks_at(place)
        assert (unready(world.seen) or "").startswith(why)
        place.error = CollectorError("for another reason")
        await several_looks_at(place)
        assert unready(world.seen) == "for another reason"
        place.error = None
        await several_looks_at(place)
        assert unready(world.seen) is None
        assert world.backs == 1

    logs = watch(during)
    assert [line["event"] for line in logs] == ["ledger.down", "ledger.up"]
    assert "s3cret" not in str(logs)


def test_a_place_that_hangs_is_reported_and_looked_at_once_and_holds_up_no_other_look() -> None:
    async def during(world: World) -> None:
        place = world.ledgers["a"]
        place.answering.clear()
        await wait_until_async(lambda: unready(world.seen))
        assert "has not answered for" in str(unready(world.seen))
        looks = place.looks
        await several_looks_at(world.output)
        assert place.looks == looks
        assert place.closed == 0
        place.answering.set()
        await several_looks_at(place)
        assert unready(world.seen) is None

    assert [line["event"] for line in watch(during)] == ["ledger.down", "ledger.up"]


def test_a_new_config_s_ledger_is_looked_at_although_a_look_at_the_old_one_hangs() -> None:
    async def during(world: World) -> None:
        world.ledgers["a"].answering.clear()
        await wait_until_async(lambda: unready(world.seen))
        world.name = "b"
        await several_looks_at(world.ledgers["b"])
        assert unready(world.seen) is None
        world.ledgers["a"].answering.set()
        await wait_until_async(lambda: world.ledgers["a"].closed == 1)

    watch(during)


@pytest.mark.parametrize(("back_at", "ready"), [(None, False), (NOW.replace(year=2025), False), (NOW, True)])
def test_a_failed_run_counts_until_what_failed_is_back(back_at: datetime | None, ready: bool) -> None:
    failed = run(ExitCode.OUTPUT)
    assert failed.ended_at <= datetime(2026, 6, 3, 12, tzinfo=UTC)
    seen = observed(orgs={"acme": org_view()}, runs=[failed], back_at=back_at)
    assert (unready(seen) is None) == ready


def test_an_output_that_never_was_is_created_by_a_run_and_one_that_was_has_to_stay(tmp_path: Path) -> None:
    look, directory = OutputLook(str(tmp_path / "new" / "out")), tmp_path / "new" / "out"
    look()
    directory.mkdir(parents=True)
    look()
    directory.rename(tmp_path / "aside")
    with pytest.raises(OutputError, match="is gone: move it back"):
        look()
    directory.touch()
    with pytest.raises(OutputError, match="can't be written: Not a directory"):
        look()
    directory.unlink()
    (tmp_path / "aside").rename(directory)
    look()
    OutputLook("-")()
