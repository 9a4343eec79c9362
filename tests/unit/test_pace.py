"""An org's pace after a 429 without a word on when to come back."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.estimate import estimate
from collector.core.pace import WIDEST, recover, slow_down

events = st.lists(st.sampled_from([slow_down, recover]), max_size=200)
rates = st.tuples(st.integers(1, 100), st.floats(0.1, 100.0))


@given(happened=events)
def test_the_pace_is_never_faster_than_configured_and_never_slower_than_the_widest(happened: list[object]) -> None:
    stretch = 1.0
    for event in happened:
        stretch = slow_down(stretch) if event is slow_down else recover(stretch)
        assert 1.0 <= stretch <= WIDEST


@given(stretch=st.floats(1.0, WIDEST))
def test_a_429_always_slows_and_a_success_never_does(stretch: float) -> None:
    assert slow_down(stretch) > stretch or stretch == WIDEST
    assert recover(stretch) < stretch or stretch == 1.0


@given(stretch=st.floats(1.0, WIDEST / 2))
def test_one_success_does_not_undo_a_429(stretch: float) -> None:
    assert recover(slow_down(stretch)) > stretch


def test_the_configured_pace_is_back_after_a_row_of_successes() -> None:
    assert reduce(lambda stretch, _: recover(stretch), range(33), WIDEST) == 1.0


@pytest.mark.parametrize(
    ("requests", "seconds"), [([], 0.0), ([0], 0.0), ([1], 0.0), ([2], 0.0), ([3], 1.0), ([4], 1.0), ([5], 2.0)]
)
def test_the_first_requests_of_an_org_leave_at_once(requests: list[int], seconds: float) -> None:
    assert estimate(requests, rate=(10, 1.0), org_rate=(2, 1.0)).seconds == seconds


@given(requests=st.lists(st.integers(0, 10_000), max_size=20), rate=rates, org_rate=rates)
def test_all_take_as_long_as_the_slowest_part(
    requests: list[int], rate: tuple[int, float], org_rate: tuple[int, float]
) -> None:
    whole = estimate(requests, rate=rate, org_rate=org_rate)
    assert len(whole.org_seconds) == len(requests)
    assert whole.seconds >= max(whole.org_seconds, default=0.0)
    limit, period_s = rate
    windows_of_all = -(-sum(requests) // limit)
    assert whole.seconds >= (windows_of_all - 1) * period_s
    assert whole.seconds in {*whole.org_seconds, max(0, windows_of_all - 1) * period_s}
