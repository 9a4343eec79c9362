"""Which orgs are looked at: search, filters, orders, links that keep what was chosen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from collector.core.org_coverage import (
    CoverageState,
    CredentialStanding,
    CredentialStatus,
    OrgCoverage,
    PopulationCoverage,
)
from collector.model import Granularity, Population
from collector.service.web.choice import Choice, Shown, Sort, has_state, labels_of, ordered

AT = datetime(2026, 6, 2, tzinfo=UTC)
ACCEPTED, REFUSED = (
    CredentialStatus(standing=CredentialStanding.ACCEPTED),
    CredentialStatus(standing=CredentialStanding.REFUSED),
)


def org(name: str, *, credential: CredentialStatus = ACCEPTED, **counts: int) -> OrgCoverage:
    values: dict[str, Any] = {"first_gap": None, "last_success": AT, "newest_complete": AT, "newest_due": AT}
    population = PopulationCoverage(
        population=Population.ACCOUNT_USER,
        counts={CoverageState(state): count for state, count in counts.items()},
        oldest_usage=None,
        tests=(5, None),
        **values,
    )
    return OrgCoverage(
        name=name,
        org_id=f"id-{name}",
        org_name=f"Organization {name}",
        labels={"team": "search", "tier": name},
        timezone="UTC",
        granularity=Granularity.DAY,
        credential=credential,
        populations=[population],
        last_day=date(2026, 6, 3),
    )


def test_words_are_searched_in_names_ids_and_labels_all_of_them_in_any_case() -> None:
    acme = org("acme")
    for words in ("ACME", "id-ac", "organization", "team:search", "tier:acme me", " "):
        assert Choice.of([("q", words)]).matches(acme), words
    for words in ("acme nobody", "team:payments", "acmeid"):
        assert not Choice.of([("q", words)]).matches(acme), words


def test_labels_are_matched_whole_and_together() -> None:
    assert Choice.of([("label", "team:search"), ("label", "tier:acme")]).matches(org("acme"))
    assert Choice.of([("label", "team")]).matches(org("acme"))
    assert not Choice.of([("label", "team:sea")]).matches(org("acme"))
    assert not Choice.of([("label", "team:search"), ("label", "tier:other")]).matches(org("acme"))
    colon = replace(org("acme"), labels={"url": "http://x"})
    assert Choice.of([("label", "url:http://x")]).matches(colon)


def test_each_state_finds_the_orgs_that_have_it() -> None:
    orgs = [org("a", complete=3), org("b", complete=1, partial=1), org("c", failed=1), org("d", missing=2)]
    orgs += [org("e", credential=REFUSED, complete=3), org("f", in_doubt=1), org("g", unverified=1)]
    found = {shown: "".join(one.name for one in orgs if has_state(one, shown)) for shown in Shown}
    assert found == {
        Shown.ALL: "abcdefg",
        Shown.INCOMPLETE: "bcdf",
        Shown.REFUSED: "e",
        Shown.FAILED: "c",
        Shown.MISSING: "d",
        Shown.PARTIAL: "b",
        Shown.IN_DOUBT: "f",
        Shown.UNVERIFIED: "g",
        Shown.COMPLETE: "ag",
    }


def test_the_worst_come_first_and_equal_ones_as_in_the_config() -> None:
    orgs = [
        org("good"),
        org("also-good"),
        org("partial", partial=9),
        org("missing", missing=1),
        org("failed", failed=4),
    ]
    orgs.append(org("refused", credential=REFUSED))
    names = [one.name for one in ordered(orgs, Sort.WORST)]
    assert names == ["refused", "failed", "missing", "partial", "good", "also-good"]
    assert [one.name for one in ordered(orgs, Sort.NAME)][:2] == ["also-good", "failed"]
    assert ordered(orgs, Sort.TESTS)[0].name == "good"


def test_labels_are_offered_once_each_up_to_a_bound() -> None:
    assert labels_of([org("b"), org("a")], 10) == ["team:search", "tier:a", "tier:b"]
    assert labels_of([org("b"), org("a")], 1) == ["team:search"]


@given(
    st.text(max_size=50), st.sampled_from(Shown), st.sampled_from(Sort), st.integers(1, 10**6),
    st.lists(st.text(min_size=1, max_size=20), max_size=5),
)  # fmt: skip
def test_a_link_says_what_was_chosen(q: str, shown: Shown, sort: Sort, page: int, labels: list[str]) -> None:
    pairs = [
        ("q", q),
        ("state", shown.value),
        ("sort", sort.value),
        ("page", str(page)),
        *(("label", x) for x in labels),
    ]
    choice = Choice.of([(name, value.encode("utf-8", "replace").decode()) for name, value in pairs])
    again = Choice.of(parse_qsl(choice.href(page=choice.page).partition("?")[2], keep_blank_values=True))
    assert again == choice
    assert choice.href(shown=Shown.FAILED).count("page=") == 0


@given(st.lists(st.tuples(st.sampled_from(["q", "state", "sort", "page", "label", "x"]), st.text())))
def test_no_query_fails(pairs: list[tuple[str, str]]) -> None:
    choice = Choice.of(pairs)
    assert choice.page >= 1
    choice.matches(org("acme"))
