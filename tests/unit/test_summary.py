"""What a run came to: every planned slice is counted exactly once, in bounded space, and the exit code says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.exit_codes import ExitCode
from collector.core.summary import Cause, RunSummary
from collector.core.windows import merge
from collector.errors import RefusalReason, Refused
from collector.model import Org, Population, SliceState, Window
from tests.support.orgs import make_org

START = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
COMPLETE, PARTIAL, FAILED, REFUSED, NOT_ASKED = SliceState
PEOPLE, SERVICES = Population
REFUSAL = Refused(reason=RefusalReason.CREDENTIAL, message="the credential is refused (401)")

states = st.sampled_from([COMPLETE, PARTIAL, FAILED, REFUSED])
codes = st.sampled_from(["partial", "http_500", "timeout"])


def day(n: int) -> Window:
    return Window(START + n * DAY, START + (n + 1) * DAY)


def ended(summary: RunSummary, *ends: tuple[SliceState, int], org: str = "acme", who: Population = PEOPLE) -> None:
    for state, n in ends:
        why = None if state is COMPLETE else ("http_500", "the API answered 500")
        summary.orgs[org].populations[who].end(state, day(n), why=why, records=6)


def close_all(summary: RunSummary, state: SliceState = NOT_ASKED) -> None:
    for org in summary.orgs.values():
        for population in org.populations.values():
            population.close(state, "stopped", "the run was told to stop")


def of(*orgs: str, days: int = 2) -> RunSummary:
    return planned(*(make_org(org) for org in orgs), days=days)


def planned(*orgs: Org, days: int) -> RunSummary:
    summary = RunSummary.of(orgs)
    for org in orgs:
        summary.plan(org, dict.fromkeys(org.populations, days))
    return summary


@given(
    orgs=st.lists(st.lists(st.tuples(states, codes), max_size=12), min_size=1, max_size=4),
    spare=st.integers(0, 5),
    closing=st.sampled_from([FAILED, REFUSED, NOT_ASKED]),
)
def test_planned_is_complete_and_partial_and_failed_and_refused_and_not_asked(
    orgs: list[list[tuple[SliceState, str]]], spare: int, closing: SliceState
) -> None:
    days = max(map(len, orgs)) + spare
    summary = of(*(f"org-{n}" for n in range(len(orgs))), days=days)
    assert summary.planned == len(orgs) * days * 2
    for n, ends in enumerate(orgs):
        for at, (state, code) in enumerate(ends):
            why = None if state is COMPLETE else (code, code)
            summary.orgs[f"org-{n}"].populations[SERVICES].end(state, day(at), why=why, records=at)
    close_all(summary, closing)
    assert sum(summary.count(state) for state in SliceState) == summary.planned
    for org in summary.orgs.values():
        assert sum(org.count(state) for state in SliceState) == org.planned
        for population in org.populations.values():
            caused = sum(cause.slices for cause in population.tally.causes.values())
            assert caused == population.planned - population.tally.states[COMPLETE]
            for (state, _), cause in population.tally.causes.items():
                assert cause.state is state
    assert summary.records == sum(sum(range(len(ends))) for ends in orgs)


@given(closing=st.sampled_from([FAILED, REFUSED, NOT_ASKED]), times=st.integers(1, 3))
def test_closing_counts_what_was_never_issued_once(closing: SliceState, times: int) -> None:
    summary = of("acme", days=5)
    ended(summary, (COMPLETE, 0), (FAILED, 1))
    for _ in range(times):
        close_all(summary, closing)
    assert sum(summary.count(state) for state in SliceState) == summary.planned == 10
    assert summary.count(COMPLETE) == 1


@given(days=st.lists(st.integers(0, 60), unique=True, min_size=1))
def test_where_slices_lack_is_told_in_few_merged_spans(days: list[int]) -> None:
    cause = Cause(FAILED, "http_500", "the API answered 500")
    for n in days:
        cause.add(day(n))
    exact = merge(map(day, days))
    assert cause.slices == len(days)
    assert len(cause.spans) <= 8
    assert cause.spans == merge(cause.spans)
    assert all(any(span.start >= whole.start and span.end <= whole.end for whole in exact) for span in cause.spans)
    if not cause.more_spans:
        assert cause.spans == exact
    if len(exact) > 8:
        assert cause.more_spans


@given(days=st.integers(1, 400))
def test_slices_that_lack_in_a_row_are_one_span(days: int) -> None:
    cause = Cause(FAILED, "http_500", "the API answered 500")
    for n in range(days):
        cause.add(day(n))
    assert cause.spans == [Window(START, START + days * DAY)]
    assert not cause.more_spans


def test_a_backfill_of_a_decade_takes_no_more_space_than_a_week() -> None:
    cause = Cause(FAILED, "http_500", "the API answered 500")
    for n in range(0, 3653, 2):
        cause.add(day(n))
    assert cause.slices == 1827
    assert cause.spans == [day(n) for n in range(0, 16, 2)]  # the oldest are kept
    assert cause.more_spans


@pytest.mark.parametrize(
    ("ends", "exit_code"),
    [
        ([(COMPLETE, 0), (COMPLETE, 1)], ExitCode.OK),
        ([(COMPLETE, 0), (PARTIAL, 1)], ExitCode.INCOMPLETE),
        ([(COMPLETE, 0), (FAILED, 1)], ExitCode.INCOMPLETE),
        ([(COMPLETE, 0)], ExitCode.INCOMPLETE),
        ([(COMPLETE, 0), (REFUSED, 1)], ExitCode.REFUSED),
        ([(REFUSED, 0), (FAILED, 1)], ExitCode.REFUSED),
        ([(REFUSED, 0), (PARTIAL, 1)], ExitCode.REFUSED),
        ([], ExitCode.INCOMPLETE),
    ],
)
def test_the_exit_code_says_the_worst_and_a_refusal_wins(
    ends: list[tuple[SliceState, int]], exit_code: ExitCode
) -> None:
    org = make_org(populations=(PEOPLE,))
    summary = planned(org, days=2)
    ended(summary, *ends)
    close_all(summary)
    assert summary.exit_code is exit_code
    assert exit_code == {ExitCode.OK: 0, ExitCode.INCOMPLETE: 3, ExitCode.REFUSED: 4}[exit_code]


def test_a_run_without_anything_to_ask_is_fine() -> None:
    summary = planned(make_org(), days=0)
    close_all(summary)
    assert summary.exit_code is ExitCode.OK
    assert not summary.orgs["acme"].causes
    assert RunSummary.of([]).exit_code is ExitCode.OK


def test_an_org_that_is_refused_before_anything_was_asked_needs_a_person() -> None:
    summary = of("acme", "other")
    for who in Population:
        ended(summary, (COMPLETE, 0), (COMPLETE, 1), org="other", who=who)
        summary.orgs["acme"].populations[who].close(REFUSED, REFUSAL.code, REFUSAL.message)
    assert summary.exit_code is ExitCode.REFUSED


def test_an_org_that_is_refused_after_its_last_slice_came_in_part_needs_a_person() -> None:
    summary = planned(make_org(populations=(PEOPLE,)), days=1)
    why = (REFUSAL.code, REFUSAL.message)
    summary.orgs["acme"].populations[PEOPLE].end(PARTIAL, day(0), why=why, records=6)
    close_all(summary, REFUSED)
    assert summary.count(PARTIAL) == summary.planned
    assert summary.exit_code is ExitCode.REFUSED


def test_one_population_that_fails_is_told_apart_from_the_other() -> None:
    summary = of("acme")
    ended(summary, (COMPLETE, 0), (COMPLETE, 1))
    ended(summary, (FAILED, 0), (FAILED, 1), who=SERVICES)
    assert [(who, cause.state, cause.code, cause.slices) for who, cause in summary.orgs["acme"].causes] == [
        (SERVICES, FAILED, "http_500", 2)
    ]
    assert summary.orgs["acme"].causes[0][1].spans == [Window(START, START + 2 * DAY)]


def test_causes_are_told_apart_by_state_and_code() -> None:
    summary = of("acme", days=4)
    population = summary.orgs["acme"].populations[PEOPLE]
    for n, (state, code) in enumerate([(PARTIAL, "partial"), (PARTIAL, "timeout"), (FAILED, "timeout")]):
        population.end(state, day(n), why=(code, f"because of {code}"), records=0)
    close_all(summary)
    assert [(c.state, c.code, c.slices) for _, c in summary.orgs["acme"].causes[:4]] == [
        (PARTIAL, "partial", 1),
        (PARTIAL, "timeout", 1),
        (FAILED, "timeout", 1),
        (NOT_ASKED, "stopped", 1),
    ]


def test_who_needs_a_person_comes_first_then_who_lacks_most() -> None:
    summary = of("fine", "lacks-one", "refused", "lacks-two", days=2)
    for org in summary.orgs:
        ended(summary, (COMPLETE, 0), (COMPLETE, 1), org=org, who=SERVICES)
    ended(summary, (COMPLETE, 0), (COMPLETE, 1), org="fine")
    ended(summary, (COMPLETE, 0), (FAILED, 1), org="lacks-one")
    ended(summary, (FAILED, 0), (PARTIAL, 1), org="lacks-two")
    ended(summary, (COMPLETE, 0), (REFUSED, 1), org="refused")
    assert [org.org.name for org in summary.worst_first] == ["refused", "lacks-two", "lacks-one", "fine"]


def test_what_is_rolled_back_is_what_was_counted_since_the_last_mark() -> None:
    summary = of("acme", days=4)
    population = summary.orgs["acme"].populations[PEOPLE]
    ended(summary, (COMPLETE, 0), (FAILED, 1))
    summary.mark()
    ended(summary, (COMPLETE, 2), (FAILED, 3))
    population.requests += 4
    summary.roll_back()
    assert (summary.count(COMPLETE), summary.count(FAILED), summary.records, summary.requests) == (1, 1, 12, 4)
    assert [(cause.slices, cause.spans) for _, cause in summary.orgs["acme"].causes] == [(1, [day(1)])]
    ended(summary, (FAILED, 2))
    summary.roll_back()
    assert summary.count(FAILED) == 1
