"""Days as shapes and as words: both say the same of every day."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.core.org_coverage import CoverageState
from collector.service.web.spark import spark
from collector.service.web.strip import MEANING, axis, in_words, strip

LAST = date(2026, 6, 30)
DAYS = st.lists(st.sampled_from(CoverageState), min_size=1, max_size=90)


def test_a_strip_in_words_names_each_run_of_days() -> None:
    days = (
        [CoverageState.NOT_WANTED] * 3
        + [CoverageState.COMPLETE] * 5
        + [CoverageState.MISSING] * 2
        + [CoverageState.NOT_DUE]
    )
    assert in_words(days, date(2026, 1, 2)) == (
        "2025-12-26 to 12-30 complete; 2025-12-31 to 2026-01-01 missing; 2026-01-02 not due yet"
    )
    assert in_words([CoverageState.NOT_WANTED] * 4, LAST) == "no day is wanted"


def test_what_changes_every_day_is_counted_and_only_its_newest_part_is_told() -> None:
    text = in_words([CoverageState.COMPLETE, CoverageState.FAILED] * 45, LAST)
    assert text.startswith("45 days complete, 45 days failed; the newest: 2026-06-19 complete; 2026-06-20 failed;")
    assert text.endswith("2026-06-30 failed")


def test_a_healthy_quarter_is_one_short_path() -> None:
    drawn = strip([CoverageState.COMPLETE] * 90, LAST)
    assert drawn.paths == [(CoverageState.COMPLETE, "M0 0h90v12h-90z")]


@given(DAYS)
def test_each_state_has_its_pieces_where_its_days_are(days: list[CoverageState]) -> None:
    covered: dict[int, set[CoverageState]] = {n: set() for n in range(len(days))}
    for state, path in strip(days, LAST).paths:
        for start, length in re.findall(r"M(\d+) [\d.]+h(\d+)", path):
            for n in range(int(start), int(start) + int(length)):
                covered[n].add(state)
    assert covered == {n: {state} - {CoverageState.NOT_WANTED} for n, state in enumerate(days)}


def test_no_two_states_have_the_same_shape() -> None:
    shapes = {state: dict(strip([state], LAST).paths).get(state, "") for state in CoverageState}
    assert len(set(shapes.values())) == len(MEANING) == len(CoverageState)


def test_months_are_marked_where_they_begin() -> None:
    assert axis(date(2026, 6, 30)) == [(0.0, "Apr"), (32.22, "May"), (66.67, "Jun")]
    assert [name for _, name in axis(date(2026, 11, 24))] == ["Sep", "Oct", "Nov"]  # August's five days have no room
    for n in range(400):
        places = [place for place, _ in axis(LAST + timedelta(days=n))]
        assert all(later - earlier >= 7 for earlier, later in pairwise(places))
        assert all(0 <= place <= 93 for place in places)


def test_a_day_that_is_not_known_is_a_gap_and_never_a_zero() -> None:
    drawn = spark([10, None, 0, 5], LAST, height=20)
    assert drawn.area == "M0 20V1H1V20zM2 20V19H3V10H4V20z"
    assert drawn.line == "M0 1V1H1M2 19V19H3V10H4"
    assert (drawn.most, drawn.newest) == (10, 5)
    assert drawn.text == "5 tests on 2026-06-30; at most 10 a day, of 3 known days"
    assert spark([None, None], LAST).text == "no usage is known"
    assert spark([0, None], LAST).text == "0 tests on 2026-06-29; at most 0 a day, of 1 known day"


@given(st.lists(st.none() | st.integers(0, 2**63), min_size=1, max_size=90))
def test_no_number_leaves_the_picture(tests: list[int | None]) -> None:
    for height in re.findall(r"V([\d.e+-]+)", spark(tests, LAST).area):
        assert 0 <= float(height) <= 20
