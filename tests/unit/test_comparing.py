"""The search for what changed: every changed window is found, at a bounded price, and nothing false is said."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.collected import added
from collector.core.comparing import CONTRADICTION, DELETED, NO_ANSWER, NOT_LOCATED, PRODUCT_GONE, Comparing
from collector.core.totals import Totals
from collector.errors import Failure
from collector.model import Answer, ProductUsage, Window

DAY = timedelta(days=1)
START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = [Window(START + n * DAY, START + (n + 1) * DAY) for n in range(365)]
QUARTER = YEAR[:90]
Tests = dict[int, int]  # by the number of the day
Answers = Callable[[Window, Answer], Answer | None]


def length_of(day: int) -> int:
    """Return how long a test of a day takes: changes of several days never add up to nothing."""
    return pow(31, day, 2**61 - 1)


def answer_for(tests: Tests, span: Window) -> Answer:
    first, end = (span.start - START) // DAY, (span.end - START) // DAY
    total = sum(tests.get(n, 0) for n in range(first, end))
    duration = sum(tests.get(n, 0) * length_of(n) for n in range(first, end))
    usage = ProductUsage(total_tests=total, total_duration=duration, extra={"rate": 0.1 if total else 0.0})
    return Answer(org_id="1", org_name="A", users=min(total, 3), products={"automation": usage})


def collected(tests: Tests) -> dict[datetime, Totals]:
    """What the ledger has, by the same numbers."""
    return {
        window.start: {
            ("automation", "total_tests"): tests[n],
            ("automation", "total_duration"): tests[n] * length_of(n),
        }
        if tests.get(n)
        else {}
        for n, window in enumerate(YEAR)
    }


@dataclass
class Found:
    """What a search came to."""

    requested: list[Window] = field(default_factory=list)
    single: list[Window] = field(default_factory=list)  # of those
    settled: list[Window] = field(default_factory=list)
    given_up: dict[Window, Failure] = field(default_factory=dict)
    windows: int = 0  # compared
    changed: int = 0  # windows with another number of tests, at least
    whole: bool = True  # whether all that changed were found
    api: Totals = field(default_factory=dict)
    collected: Totals = field(default_factory=dict)

    @property
    def ended(self) -> list[Window]:
        return sorted([*self.single, *self.settled, *self.given_up], key=lambda window: window.start)

    @property
    def days(self) -> set[int]:
        return {(window.start - START) // DAY for window in self.single}


def run(
    before: Tests,
    now: Tests,
    windows: Sequence[Window] = YEAR,
    *,
    answers: Answers = lambda _, answer: answer,
    deleted: Callable[[Window], bool] = lambda _: False,
    cut: Callable[[], bool] = lambda: False,
    restated: Callable[[Found], Mapping[datetime, Totals]] | None = None,
    known: Callable[[Window], bool] = lambda _: True,
) -> Found:
    """Compare all windows, batch by batch; `cut` says after which requests a batch is cut."""
    search, found = Comparing(max_span=90 * DAY, may_be_deleted=deleted), Found()
    expected = collected(before)
    while left := [window for window in windows if window not in found.ended]:
        end = search.end
        batch = [window for window in left[:90] if end is None or window.end <= end]
        search.expect(restated(found) if restated else expected)
        search.begin(batch, known, behind=len(left) - len(batch), considered=0)
        while (window := search.next()) is not None:
            found.requested.append(window)
            if window.elapsed == DAY:
                found.single.append(window)
            search.answered(window, answers(window, answer_for(now, window)))
            _take(search, found)
            if cut():
                break
    for compared in search.compared:
        found.windows += compared.windows
        found.changed += compared.differing.get(("automation", "total_tests"), 0)
        found.whole = found.whole and compared.is_searched
        found.api, found.collected = added(found.api, compared.api), added(found.collected, compared.collected)
    return found


def _take(search: Comparing, found: Found) -> None:
    for settled in search.settle():
        found.settled += settled.windows
    for one in search.take_given_up():
        found.given_up |= dict.fromkeys(one.windows, one.why)


usage = st.dictionaries(st.integers(0, 364), st.integers(1, 50), max_size=300)
changes = st.dictionaries(st.integers(0, 364), st.integers(-50, 50).filter(bool), max_size=5)
seeds = st.integers(0, 10**6)


def changed(before: Tests, by: Tests) -> Tests:
    return {n: tests for n in {*before, *by} if (tests := max(0, before.get(n, 0) + by.get(n, 0)))}


def differing(before: Tests, now: Tests) -> set[int]:
    return {n for n in {*before, *now} if before.get(n, 0) != now.get(n, 0)}


@settings(deadline=None, max_examples=50)
@given(before=usage, by=changes, every=st.integers(1, 40))
def test_each_changed_window_is_requested_at_a_bounded_price_also_where_batches_are_cut(
    before: Tests, by: Tests, every: int
) -> None:
    now = changed(before, by)
    sent = iter(range(10**6))

    found = run(before, now, cut=lambda: next(sent) % every == 0)

    late = differing(before, now)
    assert late <= found.days
    assert found.ended == YEAR
    assert not found.given_up
    assert len(found.requested) <= 5 + 8 * len(late) + 1
    assert found.windows == len(YEAR)
    assert sum(before.values()) == found.collected.get(("automation", "total_tests"), 0)
    assert sum(now.values()) == found.api.get(("automation", "total_tests"), 0)
    assert (found.changed, found.whole) == (len(late), True)


@settings(deadline=None, max_examples=50)
@given(before=usage, by=changes, seed=seeds, share=st.sampled_from([0.1, 0.5]))
def test_what_is_settled_is_as_it_was_collected_whatever_is_not_answered(
    before: Tests, by: Tests, seed: int, share: float
) -> None:
    draw, now = random.Random(seed), changed(before, by)

    def in_part(_span: Window, answer: Answer) -> Answer | None:
        if draw.random() >= share:
            return answer
        return draw.choice([None, replace(answer, partial=True, products={})])

    found = run(before, now, answers=in_part, cut=lambda: draw.random() < share / 5)

    assert found.ended == YEAR
    assert not differing(before, now) & {(window.start - START) // DAY for window in found.settled}
    assert {*found.given_up.values()} <= {NO_ANSWER, NOT_LOCATED}
    assert found.changed <= len(differing(before, now))
    assert len(found.requested) <= 5 + 8 * len(differing(before, now)) + 1 + 4  # spans that are cut are compared anew


@pytest.mark.parametrize("seed", range(20))
def test_totals_that_do_not_add_up_end_the_search_of_each_span_after_a_few_requests(seed: int) -> None:
    draw = random.Random(seed)
    before = {n: draw.randint(1, 50) for n in range(365)}

    def more(span: Window, answer: Answer) -> Answer:
        """Spans have a little more than their parts."""
        return (
            answer if span.elapsed == DAY else answer_for(before | {999: 0, first(span): 60 + len(parts(span))}, span)
        )

    found = run(before, before, answers=more)

    assert {*found.given_up.values()} == {CONTRADICTION}
    assert found.ended == YEAR
    assert len(found.requested) <= 5 * (1 + 8 + 1)


def first(span: Window) -> int:
    return (span.start - START) // DAY


def parts(span: Window) -> range:
    return range(first(span), (span.end - START) // DAY)


def test_numbers_that_change_while_they_are_compared_end_the_search_of_their_span_and_of_no_other() -> None:
    before, asked = dict.fromkeys(range(365), 3), iter(range(10**6))

    def growing(span: Window, _answer: Answer) -> Answer:
        late = {20: 5, 30: 4} if next(asked) < 3 else {20: 5, 30: 9}  # another one comes in between
        return answer_for(changed(before, late), span)

    found = run(before, before, answers=growing)

    assert {*found.given_up.values()} == {CONTRADICTION}
    assert all(window in QUARTER for window in found.given_up)
    assert {*YEAR[90:]} <= {*found.settled}


def test_zeros_of_windows_that_may_be_deleted_are_not_searched_and_what_is_newer_is() -> None:
    before = dict.fromkeys(range(365), 3)
    kept = dict.fromkeys(range(300, 365), 3) | {333: 9}

    found = run(before, kept, deleted=lambda window: window.start < START + 305 * DAY)

    assert found.ended == YEAR
    assert {*found.given_up.values()} == {DELETED}
    assert {*YEAR[:270]} <= {*found.given_up}
    assert 333 in found.days
    assert len(found.requested) <= 5 + 2 * 8 + 1
    assert found.api[("automation", "total_tests")] == sum(kept.values())


def test_a_product_that_the_api_no_longer_names_is_not_searched() -> None:
    before = dict.fromkeys(range(365), 3)

    def without(_span: Window, answer: Answer) -> Answer:
        return replace(answer, products={"smartui": ProductUsage(total_screenshots=0)})

    found = run(before, before, answers=without)

    assert {*found.given_up.values()} == {PRODUCT_GONE}
    assert len(found.requested) == 5


def test_a_window_that_another_process_corrected_in_between_is_compared_with_its_new_numbers() -> None:
    before, now = dict.fromkeys(range(90), 3), {**dict.fromkeys(range(90), 3), 60: 5}
    sent = iter(range(10**6))

    def restated(found: Found) -> Mapping[datetime, Totals]:
        return collected(now if len(found.requested) > 2 else before)

    found = run(before, now, QUARTER, cut=lambda: next(sent) == 2, restated=restated)

    assert found.ended == QUARTER
    assert not found.given_up
    assert found.windows == 90
    assert found.collected[("automation", "total_tests")] == 270
    assert found.api[("automation", "total_tests")] == 272


def test_a_window_with_an_unknown_number_is_requested_and_in_no_span() -> None:
    before = dict.fromkeys(range(90), 3)

    found = run(before, before, QUARTER, known=lambda window: window != YEAR[40])

    assert found.days == {40}
    assert len(found.requested) == 3
    assert found.windows == 89
    assert found.ended == QUARTER
