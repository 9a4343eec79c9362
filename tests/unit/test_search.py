"""The search: what spans prove is never wrong, each window is settled or requested once, and it costs little."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.allowance import Allowance
from collector.core.search import Search
from collector.core.totals import totals_of
from collector.model import Answer, ProductUsage, Window

DAY = timedelta(days=1)
START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = [Window(START + n * DAY, START + (n + 1) * DAY) for n in range(365)]
MONTHS = [(datetime(2025, month, 1, tzinfo=UTC), datetime(2025, month + 1, 1, tzinfo=UTC)) for month in range(1, 12)]
MONTHS.append((datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)))
MAX_SPAN = timedelta(days=90)

Truth = dict[datetime, tuple[int, frozenset[int]]]  # tests and users by the start of a window; others are empty
Answers = Callable[[Window, Answer], Answer | None]


def truth_of(active: Sequence[bool], draw: random.Random) -> Truth:
    return {
        window.start: (draw.randint(1, 50), frozenset(draw.sample(range(9), draw.randint(1, 4))))
        for window, is_active in zip(YEAR, active, strict=False)
        if is_active
    }


def answer_for(truth: Truth, span: Window) -> Answer:
    days = (span.end - span.start) // DAY
    inside = [truth[start] for n in range(days) if (start := span.start + n * DAY) in truth]
    tests, users = sum(count for count, _ in inside), frozenset().union(*(users for _, users in inside))
    usage = ProductUsage(total_tests=tests, total_duration=tests * 40, extra={"minutes": tests * 2})
    return Answer(
        org_id="1",
        org_name="Acme",
        users=len(users),
        products={"automation": usage, "smartui": ProductUsage(total_screenshots=tests // 3 * 0)},
    )


def as_they_are(_span: Window, answer: Answer) -> Answer:
    return answer


@dataclass
class Found:
    """What a search came to."""

    requested: list[Window] = field(default_factory=list)
    single: list[Window] = field(default_factory=list)  # of those
    settled: list[Window] = field(default_factory=list)

    @property
    def ended(self) -> list[Window]:
        return sorted([*self.single, *self.settled], key=lambda window: window.start)


def batches(windows: Sequence[Window], search: Search, size: int = 90) -> list[Window]:
    """Return the next batch, as plans make it: until the end of a span, or so many windows."""
    end = search.end
    return [window for window in windows[:size] if end is None or window.end <= end]


def run(
    search: Search,
    truth: Truth,
    windows: Sequence[Window] = YEAR,
    *,
    answers: Answers = as_they_are,
    settles: Callable[[Window], bool] = lambda _: True,
    cut: Callable[[], bool] = lambda: False,
) -> Found:
    """Search all windows, batch by batch; `cut` says after which requests a batch is cut."""
    found, ended = Found(), 0
    while ended < len(windows):
        left = windows[ended:]
        batch = batches(left, search)
        search.begin(batch, settles, behind=len(left) - len(batch), considered=len(windows))
        while (window := search.next()) is not None:
            found.requested.append(window)
            if window.elapsed == DAY:
                found.single.append(window)
                ended += 1
            search.answered(window, answers(window, answer_for(truth, window)))
            for one in search.settle():
                found.settled += one.windows
                ended += len(one.windows)
            if cut():
                break
    return found


def sparse() -> Search:
    return Search(max_span=MAX_SPAN, allowance=Allowance())


activity = st.one_of(
    st.lists(st.booleans(), min_size=1, max_size=365),
    st.builds(
        lambda p, n, seed: [random.Random(seed + k).random() < p for k in range(n)],
        st.floats(0, 0.3),
        st.integers(1, 365),
        st.integers(0, 10**6),
    ),
)
seeds = st.integers(0, 10**6)


@settings(deadline=None, max_examples=200)
@given(active=activity, seed=seeds, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_what_is_settled_is_empty_and_each_window_ends_once_whatever_is_not_answered(
    active: list[bool], seed: int, share: float
) -> None:
    draw = random.Random(seed)
    truth, windows = truth_of(active, draw), YEAR[: len(active)]

    def in_part(_span: Window, answer: Answer) -> Answer | None:
        if draw.random() >= share:
            return answer
        return draw.choice([None, Answer(org_id="1", org_name="A", users=0, products={}, partial=True)])

    search = sparse()

    found = run(search, truth, windows, answers=in_part, cut=lambda: draw.random() < share / 5)

    assert found.ended == windows
    assert not [window for window in found.settled if window.start in truth]
    assert len(found.requested) <= len(windows) * 1.05


@settings(deadline=None)
@given(active=activity, seed=seeds)
def test_windows_end_in_their_order(active: list[bool], seed: int) -> None:
    search, windows = sparse(), YEAR[: len(active)]
    truth, ended = truth_of(active, random.Random(seed)), list[Window]()
    search.begin(windows, lambda _: True, behind=0, considered=len(windows))

    while (window := search.next()) is not None:
        ended += [window] if window in windows else []
        search.answered(window, answer_for(truth, window))
        ended += [window for settled in search.settle() for window in settled.windows]

    assert ended == windows


@settings(deadline=None)
@given(active=activity, seed=seeds, settles=st.sets(st.integers(0, 364)))
def test_only_windows_that_may_be_settled_are_part_of_spans(active: list[bool], seed: int, settles: set[int]) -> None:
    may = {YEAR[number].start for number in settles}

    found = run(sparse(), truth_of(active, random.Random(seed)), settles=lambda window: window.start in may)

    assert found.ended == YEAR
    assert all(window.start in may for window in found.settled)
    spans = [window for window in found.requested if window.elapsed > DAY]
    assert all(window.start in may for span in spans for window in YEAR if span.start <= window.start < span.end)


def requests(active: Sequence[bool], seed: int = 0) -> float:
    found = run(sparse(), truth_of(active, random.Random(seed)))
    assert found.ended == YEAR
    return len(found.requested) / len(YEAR)


def test_a_year_without_usage_costs_five_requests() -> None:
    assert requests([False] * 365) * 365 == 5


@pytest.mark.parametrize(("first", "end"), MONTHS)
def test_one_active_month_costs_at_most_13_percent(first: datetime, end: datetime) -> None:
    assert requests([first <= window.start < end for window in YEAR]) <= 0.13


@pytest.mark.parametrize("seed", range(100))
def test_five_percent_of_active_days_cost_at_most_35_percent(seed: int) -> None:
    days = set(random.Random(seed).sample(range(365), 18))

    assert requests([number in days for number in range(365)], seed) <= 0.35


@pytest.mark.parametrize("seed", range(30))
def test_half_of_the_weekdays_cost_at_most_5_percent_more(seed: int) -> None:
    draw = random.Random(seed)

    assert requests([window.start.weekday() < 5 and draw.random() < 0.5 for window in YEAR], seed) <= 1.05


def test_a_year_of_usage_costs_at_most_5_percent_more() -> None:
    assert requests([True] * 365) <= 1.05


@settings(deadline=None)
@given(active=activity, seed=seeds, every=st.integers(1, 30))
def test_what_is_known_is_kept_when_a_batch_is_cut(active: list[bool], seed: int, every: int) -> None:
    truth, windows = truth_of(active, random.Random(seed)), YEAR[: len(active)]
    sent = iter(range(10**6))

    cut = run(sparse(), truth, windows, cut=lambda: next(sent) % every == 0)

    assert cut.requested == run(sparse(), truth, windows).requested


@settings(deadline=None)
@given(active=activity, seed=seeds)
def test_no_difference_is_believed_before_one_was_checked_nor_after_a_wrong_one(active: list[bool], seed: int) -> None:
    """The numbers of spans are those of their first half: a difference never shows what the second has."""
    truth = truth_of(active, random.Random(seed))

    def first_half(span: Window, answer: Answer) -> Answer:
        days = (span.end - span.start) // DAY
        if days == 1 or answer.is_zero:
            return answer
        inside = Window(span.start, span.start + (days + 1) // 2 * DAY)
        first = answer_for(truth, inside)
        return answer if first.is_zero else first

    search, windows = sparse(), YEAR[: len(active)]

    found = run(search, truth, windows, answers=first_half)

    wrong = [window for window in found.settled if window.start in truth]
    assert found.ended == windows
    assert not wrong or search._checked  # a difference was checked, and was right by chance
    assert len(found.requested) <= len(windows) * 1.05


@settings(deadline=None)
@given(several=st.lists(st.tuples(activity, seeds), min_size=1, max_size=5), order=st.randoms(use_true_random=False))
def test_searches_that_share_an_allowance_cost_at_most_5_percent_together(
    several: list[tuple[list[bool], int]], order: random.Random
) -> None:
    allowance, open_, requested = Allowance(), [], 0
    for active, seed in several:
        search, windows = Search(max_span=MAX_SPAN, allowance=allowance), YEAR[: len(active)]
        search.begin(windows, lambda _: True, behind=0, considered=len(windows))
        open_.append((search, truth_of(active, random.Random(seed))))

    while open_:
        search, truth = order.choice(open_)
        if (window := search.next()) is None:
            open_.remove((search, truth))
            continue
        requested += 1
        search.answered(window, answer_for(truth, window))
        assert all(window.start not in truth for settled in search.settle() for window in settled.windows)

    assert requested <= 1.05 * sum(len(active) for active, _ in several)


def test_what_one_search_saves_another_may_use() -> None:
    """A month is too short to be searched by itself: each request for a span would cost more than 5 %."""
    month, truth = YEAR[:30], truth_of([number == 20 for number in range(30)], random.Random(0))
    alone, allowance = run(sparse(), truth, month), Allowance()

    run(Search(max_span=MAX_SPAN, allowance=allowance), {}, YEAR)
    beside = run(Search(max_span=MAX_SPAN, allowance=allowance), truth, month)

    assert len(beside.requested) < 10 < len(alone.requested) <= 31
    assert beside.ended == alone.ended == month


@pytest.mark.parametrize(
    "worse",
    [
        lambda answer: Answer(org_id="1", org_name="A", users=0, products=answer.products),
        lambda answer: Answer(org_id="1", org_name="A", users=9, products=answer.products),
        lambda answer: Answer(
            org_id="1",
            org_name="A",
            users=answer.users,
            products={**answer.products, "new": ProductUsage(total_tests=0)},
        ),
        lambda answer: Answer(
            org_id="1",
            org_name="A",
            users=answer.users,
            products={**answer.products, "new": ProductUsage(extra={"plan": "gold"})},
        ),
        lambda answer: Answer(
            org_id="1",
            org_name="A",
            users=answer.users,
            products={"automation": ProductUsage(total_tests=10**6, total_duration=0)},
        ),
    ],
    ids=["too few users", "too many users", "another product", "a text", "more than the whole"],
)
def test_nothing_is_concluded_by_a_difference_from_an_answer_that_does_not_fit(
    worse: Callable[[Answer], Answer],
) -> None:
    active = [number in (3, 12) for number in range(90)]
    search, truth = sparse(), truth_of(active, random.Random(0))
    search._checked = 90  # differences were right before
    whole = Window(START, START + 90 * DAY)

    found = run(
        search,
        truth,
        YEAR[:90],
        answers=lambda span, answer: answer if span == whole or span.elapsed == DAY else worse(answer),
    )

    assert found.ended == YEAR[:90]
    assert not [window for window in found.settled if window.start >= YEAR[45].start]


def test_an_answer_with_users_but_no_usage_settles_nothing() -> None:
    found = run(
        sparse(),
        {},
        answers=lambda _, answer: Answer(org_id="1", org_name="A", users=1, products=answer.products),
    )

    assert found.single == YEAR


def expected_of(truth: Truth) -> Mapping[datetime, Mapping[tuple[str, ...], int | float]]:
    return {window.start: totals_of(answer_for(truth, window)) for window in YEAR}


@settings(deadline=None)
@given(seed=seeds, changed=st.sets(st.integers(0, 364), max_size=4))
def test_a_changed_window_among_expected_ones_costs_at_most_eight_requests(seed: int, changed: set[int]) -> None:
    draw = random.Random(seed)
    truth = truth_of([draw.random() < 0.7 for _ in YEAR], draw)
    now = {**truth, **{YEAR[n].start: (truth.get(YEAR[n].start, (0, ()))[0] + 7, frozenset({1})) for n in changed}}

    found = run(Search(max_span=MAX_SPAN, allowance=None, expected=expected_of(truth)), now)

    assert {YEAR[number] for number in changed} <= set(found.single)
    assert {window for window in YEAR if window not in found.settled} == set(found.single)
    assert len(found.requested) <= 5 + 1 + 8 * len(changed)
