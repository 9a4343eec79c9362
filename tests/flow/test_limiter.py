"""The rate limit: exact, fair, and free of polling."""

from __future__ import annotations

import asyncio

import pytest
from asyncio_throttle.throttler import Throttler

from collector.fetch.limiter import Limiter
from tests.support.virtual_time import VirtualLoop, run_virtual


def test_waiters_are_served_exactly_in_their_order() -> None:
    served: list[tuple[float, int]] = []

    async def wait(limiter: Limiter, n: int) -> None:
        async with limiter:
            served.append((asyncio.get_running_loop().time(), n))

    async def main() -> None:
        limiter = Limiter(50, 1.0)
        async with asyncio.TaskGroup() as tasks:
            for n in range(500):
                tasks.create_task(wait(limiter, n))

    run_virtual(main())
    assert [n for _, n in served] == list(range(500))
    assert served[-1][0] == pytest.approx(9 * 1.07)
    assert [at for at, _ in served] == [pytest.approx(n // 50 * 1.07) for n in range(500)]


def test_a_permit_counts_from_when_its_request_left() -> None:
    async def main() -> float:
        limiter = Limiter(1, 1.0)
        loop = asyncio.get_running_loop()
        permit = limiter.take()
        await asyncio.sleep(0.5)  # connecting
        permit.sent(loop.time())
        return limiter.ready_at(loop.time()) or 0.0

    assert run_virtual(main()) == pytest.approx(0.5 + 1.07)


def test_a_permit_whose_request_has_not_left_never_runs_out() -> None:
    """Connections that took longer than a period once let as many requests leave at once as were under way."""

    async def main() -> list[float | None]:
        limiter = Limiter(2, 1.0)
        loop = asyncio.get_running_loop()
        first, second = limiter.take(), limiter.take()
        await asyncio.sleep(5.0)  # connecting
        ready = [limiter.ready_at(loop.time())]
        first.sent(loop.time())
        ready.append(limiter.ready_at(loop.time()))
        await asyncio.sleep(0.5)
        second.end(loop.time())  # the connection was refused
        ready.append(limiter.ready_at(loop.time()))
        return ready

    assert run_virtual(main()) == [None, pytest.approx(6.07), pytest.approx(6.07)]


def test_a_stretched_period_lets_fewer_pass() -> None:
    async def main() -> float:
        limiter = Limiter(1, 1.0)
        limiter.stretch = 4.0
        loop = asyncio.get_running_loop()
        limiter.take().sent(loop.time())
        return limiter.ready_at(loop.time()) or 0.0

    assert run_virtual(main()) == pytest.approx(4 * 1.07)


def test_it_is_still_a_throttler() -> None:
    assert isinstance(Limiter(1, 1.0), Throttler)


def test_waiting_costs_no_polling() -> None:
    """500 waiters once woke 100 times a second each; now the loop turns a few times per waiter, in all."""
    turns = 0

    class CountingLoop(VirtualLoop):
        def _run_once(self) -> None:
            nonlocal turns
            turns += 1
            super()._run_once()  # type: ignore[misc]

    async def main() -> None:
        limiter = Limiter(50, 1.0)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(500):
                tasks.create_task(limiter.acquire())

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())
    assert turns < 3 * 500
