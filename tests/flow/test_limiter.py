"""The rate limit: exact, and free of polling."""

from __future__ import annotations

import asyncio

import pytest

from collector.fetch.limiter import Limiter
from tests.support.virtual_time import run_virtual

PERIOD = 1.025  # of one second, with its margin


def test_a_permit_counts_from_when_its_request_left() -> None:
    async def main() -> float:
        limiter = Limiter(1, 1.0)
        loop = asyncio.get_running_loop()
        permit = limiter.take(loop.time())
        await asyncio.sleep(0.5)  # connecting
        permit.sent(loop.time())
        return limiter.ready_at(loop.time()) or 0.0

    assert run_virtual(main()) == pytest.approx(0.5 + PERIOD)


def test_a_permit_whose_request_has_not_left_never_runs_out() -> None:
    """Connections that took longer than a period once let as many requests leave at once as were under way."""

    async def main() -> list[float | None]:
        limiter = Limiter(2, 1.0)
        loop = asyncio.get_running_loop()
        first, second = limiter.take(0.0), limiter.take(0.0)
        await asyncio.sleep(5.0)  # connecting
        ready = [limiter.ready_at(loop.time())]
        first.sent(loop.time())
        ready.append(limiter.ready_at(loop.time()))
        await asyncio.sleep(0.5)
        second.end(loop.time())  # the connection was refused
        ready.append(limiter.ready_at(loop.time()))
        return ready

    assert run_virtual(main()) == [None, pytest.approx(5 + PERIOD), pytest.approx(5 + PERIOD)]


def test_a_stretched_period_lets_fewer_pass() -> None:
    async def main() -> float:
        limiter = Limiter(1, 1.0)
        limiter.stretch = 4.0
        loop = asyncio.get_running_loop()
        limiter.take(loop.time()).sent(loop.time())
        return limiter.ready_at(loop.time()) or 0.0

    assert run_virtual(main()) == pytest.approx(4 * PERIOD)


def asked_all_the_time(limiter: Limiter, requests: int, *, late_s: float = 0.0) -> list[float]:
    """When requests leave that never wait for anything else; each timer is that late."""

    async def main() -> list[float]:
        loop, left = asyncio.get_running_loop(), list[float]()
        while len(left) < requests:
            now = loop.time()
            if (free_at := limiter.ready_at(now)) is not None and free_at > now:
                await asyncio.sleep(free_at - now + late_s)
            limiter.take(loop.time()).sent(loop.time())
            left.append(loop.time())
        return left

    return run_virtual(main())


def test_after_a_first_burst_requests_leave_evenly_as_fast_as_the_limit_allows() -> None:
    left = asked_all_the_time(Limiter(50, 1.0), 500)
    assert left[:50] == [0.0] * 50
    assert left[50:] == [pytest.approx(n * PERIOD / 50) for n in range(50, 500)]


@pytest.mark.parametrize("late_s", [0.002, 0.015])  # more and less than requests at 100/s are apart
@pytest.mark.parametrize(("requests", "period_s", "most"), [(100, 1.0, 1.05), (7, 10.0, 1.02), (600, 60.0, 1.02)])
def test_what_is_lost_to_the_margin_is_little_also_with_timers_that_are_late(
    requests: int, period_s: float, most: float, late_s: float
) -> None:
    n = 10 * requests
    left = asked_all_the_time(Limiter(requests, period_s), n + 1, late_s=late_s)
    assert left[-1] <= most * n * period_s / requests + 0.01
    for first, beyond in zip(left, left[requests:], strict=False):
        assert beyond - first > period_s


def test_where_little_is_asked_nothing_waits() -> None:
    limiter = Limiter(10, 1.0)
    asked_all_the_time(limiter, 20)  # even from then on, until the limit delays nothing for a while

    async def main() -> list[bool]:
        loop, at_once = asyncio.get_running_loop(), list[bool]()
        await asyncio.sleep(10.0)
        for _ in range(30):
            at_once += [limiter.ready_at(loop.time()) == loop.time()] * 3
            for _ in range(3):
                limiter.take(loop.time()).sent(loop.time())
            await asyncio.sleep(1.0)
        return at_once

    assert all(run_virtual(main()))
