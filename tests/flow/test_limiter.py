"""The rate limit: exact, and free of polling."""

from __future__ import annotations

import asyncio

import pytest

from collector.fetch.limiter import Limiter
from tests.support.virtual_time import run_virtual


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


def test_permits_are_free_in_exactly_the_bursts_that_the_limit_allows() -> None:
    async def main() -> list[float]:
        limiter, loop, left = Limiter(50, 1.0), asyncio.get_running_loop(), list[float]()
        while len(left) < 500:
            now = loop.time()
            if (free_at := limiter.ready_at(now)) is not None and free_at > now:
                await asyncio.sleep(free_at - now)
            limiter.take().sent(loop.time())
            left.append(loop.time())
        return left

    assert run_virtual(main()) == [pytest.approx(n // 50 * 1.07) for n in range(500)]
