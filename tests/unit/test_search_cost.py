"""What a plan says of a sparse backfill's requests holds for the search, whatever was used."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.app.range_notes import shared
from collector.core.allowance import Allowance
from collector.core.search import Search
from collector.core.search_cost import Requests, cost
from collector.model import Population
from tests.unit.test_search import MAX_SPAN, YEAR, activity, answer_for, seeds, truth_of

PEOPLE = Population.ACCOUNT_USER


def test_a_year_takes_five_requests_at_least_and_5_percent_more_than_days_at_most() -> None:
    requests = Requests.of([{PEOPLE: cost(YEAR, lambda _: True, max_span=MAX_SPAN)}])
    assert str(requests.all) == str(requests.orgs[0]) == "5 to 383"


def test_what_is_not_searched_takes_a_request_each() -> None:
    requests = Requests.of([{PEOPLE: cost(YEAR[:40], lambda _: False, max_span=timedelta(0))}])
    assert str(requests.all) == "40"


def test_few_windows_are_not_searched() -> None:
    requests = Requests.of([{PEOPLE: cost(YEAR[:19], lambda _: True, max_span=MAX_SPAN)}])
    assert str(requests.all) == "19"


def test_that_the_largest_numbers_of_orgs_do_not_add_up_is_a_note_that_says_why() -> None:
    costs = {PEOPLE: cost(YEAR[:30], lambda _: True, max_span=MAX_SPAN)}
    assert not shared(Requests.of([costs]))
    (note,) = shared(Requests.of([costs] * 4))
    assert "add up to 144, and all take 126 at most" in note.text


@settings(deadline=None)
@given(several=st.lists(st.tuples(activity, seeds), min_size=1, max_size=4))
def test_searches_that_share_an_allowance_stay_within_the_bounds(several: list[tuple[list[bool], int]]) -> None:
    allowance, sent = Allowance(), []
    bounds = Requests.of(
        [{PEOPLE: cost(YEAR[: len(active)], lambda _: True, max_span=MAX_SPAN)} for active, _ in several]
    )

    for active, seed in several:
        search, truth = Search(max_span=MAX_SPAN, allowance=allowance), truth_of(active, random.Random(seed))
        search.begin(YEAR[: len(active)], lambda _: True, behind=0, considered=len(active))
        sent.append(0)
        while (window := search.next()) is not None:
            sent[-1] += 1
            search.answered(window, answer_for(truth, window))
            search.settle()

    assert bounds.all.least <= sum(sent) <= bounds.all.most
    assert all(one.least <= requests <= one.most for one, requests in zip(bounds.orgs, sent, strict=True))
