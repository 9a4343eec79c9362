"""The rate limit: exact, fair, and free of polling."""

from __future__ import annotations

import asyncio
import time

import pytest
from asyncio_throttle import Throttler

from collector.dispatch.limiter import Limiter
from tests.support.virtual_time import run_virtual


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
        stamp = limiter.take(loop.time())
        await asyncio.sleep(0.5)  # connecting
        limiter.sent(stamp, loop.time())
        return limiter.ready_at(loop.time())

    assert run_virtual(main()) == pytest.approx(0.5 + 1.07)


def test_a_stretched_period_lets_fewer_pass() -> None:
    async def main() -> float:
        limiter = Limiter(1, 1.0)
        limiter.stretch = 4.0
        loop = asyncio.get_running_loop()
        limiter.take(loop.time())
        return limiter.ready_at(loop.time())

    assert run_virtual(main()) == pytest.approx(4 * 1.07)


def test_it_is_still_a_throttler() -> None:
    assert isinstance(Limiter(1, 1.0), Throttler)


async def test_waiting_costs_no_polling() -> None:
    """Real time, but no threshold of time: it counts how often the loop is woken."""
    limiter = Limiter(20, 0.05)
    loop = asyncio.get_running_loop()
    woken = 0

    async def wait() -> None:
        nonlocal woken
        await limiter.acquire()
        woken += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(wait())
        before = time.process_time()
    assert woken == 100
    assert loop.time() > 0
    assert before >= 0
