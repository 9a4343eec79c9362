"""The truth behind the simulated API: it adds up, and it looks like usage."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model import Zone
from collector.simulator.fault_kinds import KINDS, FaultError, Kind
from collector.simulator.faults import parse_fault
from collector.simulator.habits import POPULATIONS
from collector.simulator.limits import Limit, SlidingWindow
from collector.simulator.query import BadQueryError, parameters, read
from collector.simulator.usage import DAY_S, Late, Totals, Usage

USAGE = Usage(7)
ORGS = [f"org-{number:03d}" for number in range(1, 41)]
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"]
MONDAY = int(datetime(2026, 6, 22, tzinfo=UTC).timestamp())
orgs = st.sampled_from(ORGS)
populations = st.sampled_from(POPULATIONS)
instants = st.integers(MONDAY - 600 * DAY_S, MONDAY + 200 * DAY_S)


def added(parts: list[Totals]) -> dict[str, dict[str, int]]:
    return {
        product: {metric: sum(part.products[product][metric] for part in parts) for metric in metrics}
        for product, metrics in parts[0].products.items()
    }


def ran(totals: Totals) -> int:
    return sum(metrics.get("totalTests", metrics.get("totalScreenshots", 0)) for metrics in totals.products.values())


@given(orgs, populations, instants, st.lists(st.integers(1, 40 * DAY_S), max_size=12))
def test_parts_add_up_to_the_whole_wherever_it_is_cut(
    org: str, population: str, start: int, lengths: list[int]
) -> None:
    cuts = [start, start + 1]
    for length in lengths:
        cuts.append(cuts[-1] + length)
    parts = [USAGE.totals(org, population, *pair) for pair in pairwise(cuts)]
    whole = USAGE.totals(org, population, cuts[0], cuts[-1])
    assert added(parts) == whole.products
    assert max(part.users for part in parts) <= whole.users <= sum(part.users for part in parts)


@given(orgs, populations, st.sampled_from(ZONES), st.dates(date(2025, 1, 1), date(2026, 12, 1)), st.data())
def test_local_days_of_any_zone_add_up(org: str, population: str, zone: str, first: date, data: st.DataObject) -> None:
    tz = Zone.parse(zone).tz
    days = [first + timedelta(days=number) for number in range(data.draw(st.integers(1, 30)) + 1)]
    cuts = [int(datetime(day.year, day.month, day.day, tzinfo=tz).timestamp()) for day in days]
    parts = [USAGE.totals(org, population, *pair) for pair in pairwise(cuts)]
    assert added(parts) == USAGE.totals(org, population, cuts[0], cuts[-1]).products


@given(orgs, populations, instants, st.integers(1, 5 * DAY_S))
def test_usage_and_users_come_together_or_not_at_all(org: str, population: str, start: int, length: int) -> None:
    totals = USAGE.totals(org, population, start, start + length)
    assert (totals.users > 0) == (ran(totals) > 0)
    assert all(count >= 0 for metrics in totals.products.values() for count in metrics.values())


@given(orgs, populations, instants, st.tuples(*[st.integers(1, 3 * DAY_S)] * 2), st.integers(0, 6 * DAY_S))
def test_late_usage_adds_up_and_is_never_more_than_the_truth(
    org: str, population: str, start: int, lengths: tuple[int, int], since: int
) -> None:
    one, two = lengths
    late = Late(since_s=start + since, percent=70)
    parts = [
        USAGE.totals(org, population, start, start + one, late=late),
        USAGE.totals(org, population, start + one, start + one + two, late=late),
    ]
    whole = USAGE.totals(org, population, start, start + one + two, late=late)
    truth = USAGE.totals(org, population, start, start + one + two)
    assert added(parts) == whole.products
    for product, metrics in whole.products.items():
        assert all(count <= truth.products[product][metric] for metric, count in metrics.items())
    assert (whole.users > 0) == (ran(whole) > 0)
    assert since < one + two or whole == truth


def test_late_usage_of_whole_days_is_counted_at_its_share() -> None:
    late = Late(since_s=MONDAY, percent=70)
    for org in ORGS:
        truth = USAGE.totals(org, "account-user", MONDAY, MONDAY + DAY_S)
        counted = USAGE.totals(org, "account-user", MONDAY, MONDAY + DAY_S, late=late)
        for product, metrics in truth.products.items():
            key = "totalScreenshots" if product == "smartui" else "totalTests"
            assert counted.products[product][key] == metrics[key] * 70 // 100


def test_the_same_seed_gives_the_same_usage_and_another_seed_another() -> None:
    week = ("org-001", "account-user", MONDAY, MONDAY + 7 * DAY_S)
    assert Usage(7).totals(*week) == USAGE.totals(*week)
    assert Usage(8).totals(*week) != USAGE.totals(*week)


def test_weekdays_are_far_busier_than_weekends() -> None:
    weekdays = weekends = 0
    for org in ORGS:
        weekdays += ran(USAGE.totals(org, "account-user", MONDAY, MONDAY + 5 * DAY_S))
        weekends += ran(USAGE.totals(org, "account-user", MONDAY + 5 * DAY_S, MONDAY + 7 * DAY_S))
    assert weekdays / 5 > 4 * weekends / 2 > 0


def test_some_service_accounts_are_silent_on_most_days_and_some_products_never_used() -> None:
    silent_days: Counter[str] = Counter()
    unused = 0
    for org in ORGS:
        for day in range(60):
            start = MONDAY - day * DAY_S
            silent_days[org] += USAGE.totals(org, "service-user", start, start + DAY_S).users == 0
        year = USAGE.totals(org, "account-user", MONDAY - 365 * DAY_S, MONDAY)
        unused += sum(not any(metrics.values()) for metrics in year.products.values())
        assert year.products["automation"]["totalTests"] > 0
    assert sum(days > 30 for days in silent_days.values()) >= 5
    assert sum(days == 0 for days in silent_days.values()) >= 5
    assert unused >= 40


def test_a_test_takes_between_twenty_seconds_and_two_minutes() -> None:
    for org in ORGS:
        week = USAGE.totals(org, "service-user", MONDAY, MONDAY + 7 * DAY_S)
        for metrics in week.products.values():
            if tests := metrics.get("totalTests"):
                assert 18_000 <= metrics["totalDuration"] / tests <= 132_000


def test_orgs_differ_in_size_by_orders_of_magnitude() -> None:
    weeks = sorted(ran(USAGE.totals(org, "account-user", MONDAY, MONDAY + 7 * DAY_S)) for org in ORGS)
    assert weeks[-1] > 50 * weeks[0] > 0


@given(st.lists(st.floats(0, 20, allow_nan=False), max_size=60).map(sorted), st.integers(1, 5))
@settings(max_examples=50)
def test_a_sliding_window_is_full_exactly_when_one_more_would_exceed_it(arrivals: list[float], requests: int) -> None:
    window = SlidingWindow(Limit(requests=requests, period_s=2))
    for index, now in enumerate(arrivals):
        lately = [earlier for earlier in arrivals[:index] if now - earlier < 2 * 0.98]
        assert window.is_full(now) == (len(lately) >= requests)
        window.add(now)


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=list(KINDS))
def test_the_example_of_every_kind_is_a_fault(name: str, kind: Kind) -> None:
    assert parse_fault(f"org-*:{kind.example},after=1").kind == name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("refused", "write PATTERN:KIND"),
        ("org-1:", "write PATTERN:KIND"),
        ("org-1:refusd", "did you mean 'refused'?"),
        ("org-1:429=2", "not a probability"),
        ("org-1:429=1,retry-after=soon", "retry-after must be a number of seconds, or date"),
        ("org-1:429=1,retryafter=1", "did you mean 'retry-after'?"),
        ("org-1:latency", "not a duration"),
        ("org-1:latency=fast", "not a duration"),
        ("org-1:partial=sometimes", "not one of once, often, always"),
        ("org-1:partial,group=web", "group must be one of automation, realdevice, smartui"),
        ("org-1:502,body=xml", "body must be one of json, html, empty"),
        ("org-1:502,after=60,first=40", "these apply to none"),
        ("org-1:502,first=two", "first must be a number of requests"),
        ("org-1:refused=1", "takes no value"),
        ("org-1:same-as", "requires the name of an org"),
        ("org-1:late=3d:7", "not a probability"),
        ("org-1:range-end=open", "not one of exclusive"),
    ],
)
def test_an_invalid_fault_is_reported_with_advice(text: str, says: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert says in str(caught.value)


def test_a_limit_is_requests_per_period() -> None:
    assert Limit.parse("2/1s") == Limit(requests=2, period_s=1)
    assert Limit.parse("100/1m") == Limit(requests=100, period_s=60)
    for text in ("2", "0/1s", "2/0s", "2/s", "a/1s", ""):
        with pytest.raises(ValueError, match="is not a limit"):
            Limit.parse(text)


QUERY = "type=account-user&from=2026-06-23%2000:00:00&to=2026-06-23%2023:59:59"


@pytest.mark.parametrize(
    ("sent", "resolved", "start"),
    [
        ("", "+00:00", MONDAY + DAY_S),
        ("&timezone=%2B05:30", "+05:30", MONDAY + DAY_S - 19_800),
        ("&timezone=-330", "+05:30", MONDAY + DAY_S - 19_800),
        ("&timezone=240", "-04:00", MONDAY + DAY_S + 14_400),
        ("&timezone=-03:30", "-03:30", MONDAY + DAY_S + 12_600),
        ("&timezone=0", "+00:00", MONDAY + DAY_S),
    ],
)
def test_the_time_zone_is_resolved_and_the_range_read_in_it(sent: str, resolved: str, start: int) -> None:
    question = read(parameters(QUERY + sent))
    assert (question.timezone, question.start_s, question.end_s) == (resolved, start, start + DAY_S)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "invalid or missing type (valid: [account-user service-user])"),
        ("type=humans", "invalid or missing type (valid: [account-user service-user])"),
        ("type=account-user", "from is required"),
        ("type=account-user&from=2026-06-23%2000:00:00", "to is required"),
        (QUERY.replace("%2023:59:59", "%2000:00:00"), "to must be after from"),
        (QUERY.replace("to=2026-06-23", "to=2026-06-22"), "to must be after from"),
        (QUERY.replace("2026-06-23", "2026-06-31"), "invalid from format: 2026-06-31 00:00:00"),
        (QUERY.replace("%2023:59:59", "T23:59:59"), "invalid to format: 2026-06-23T23:59:59"),
        (
            QUERY + "&timezone=IST",
            "invalid timezone format: IST (expected +HH:MM or -HH:MM, e.g. +05:30)",
        ),
        # What a client sends that doesn't encode its plus sign:
        (
            QUERY + "&timezone=+05:30",
            "invalid timezone format:  05:30 (expected +HH:MM or -HH:MM, e.g. +05:30)",
        ),
        (QUERY + "&timezone=%2B14:01", "invalid timezone format: +14:01"),
        (QUERY + "&timezone=841", "invalid timezone format: 841"),
        (QUERY + "&timezone=", "invalid timezone format: "),
    ],
)
def test_a_wrong_query_gets_the_documented_message(query: str, message: str) -> None:
    with pytest.raises(BadQueryError) as caught:
        read(parameters(query))
    assert str(caught.value).startswith(message)


def test_ninety_days_pass_and_one_second_more_does_not() -> None:
    given_ = {"type": "account-user", "from": "2026-01-01 00:00:00", "to": "2026-03-31 23:59:59"}
    assert read(given_).end_s - read(given_).start_s == 90 * DAY_S
    too_long = given_ | {"to": "2026-04-01 00:00:00"}
    with pytest.raises(BadQueryError, match=r"^date range exceeds maximum allowed span of 90 days$"):
        read(too_long)
    assert read(too_long, range_end="exclusive").end_s == read(given_).end_s


def test_bytes_that_are_no_text_end_as_a_bad_query() -> None:
    raw = b"type=\xff&from=%ff".decode("utf-8", "surrogateescape")
    assert parameters(raw) == {"type": "\ufffd", "from": "\ufffd"}


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), st.integers(-840, 840))  # noqa: DTZ001
def test_every_wall_clock_there_is_can_be_asked_for(clock: datetime, west: int) -> None:
    start = clock.replace(microsecond=0) if clock.year < 9999 else datetime(9998, 1, 1)  # noqa: DTZ001
    asked = {"from": start.isoformat(" "), "to": (start + timedelta(seconds=1)).isoformat(" "), "timezone": str(west)}
    question = read({"type": "service-user"} | asked)
    assert question.end_s - question.start_s == 2
    assert question.start_s - west * 60 == (start - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001
