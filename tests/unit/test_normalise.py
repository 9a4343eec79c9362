"""Answers become records: what was counted, what is unknown, and never the one as the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.answer import DOCUMENTED_PRODUCTS
from collector.core.finding import Finding, absorb, missing_products
from collector.core.normalise import normalise, record_id
from collector.core.windows import Calendar, start_of_date
from collector.model import Answer, Granularity, Population, ProductUsage, Quality, Record, Slice, Window, Zone
from tests.support.orgs import make_org

DAY = Window(datetime(2026, 6, 23, tzinfo=UTC), datetime(2026, 6, 24, tzinfo=UTC))
SLICE = Slice(make_org(), Population.ACCOUNT_USER, DAY)
COLLECTED = datetime(2026, 6, 24, 10, 20, 3, 123456, tzinfo=UTC)
TRUST = timedelta(days=60)
ZERO = ProductUsage(total_tests=0, total_duration=0)
SOME = ProductUsage(total_tests=5, total_duration=70)

counts = st.integers(0, 3)
usages = st.one_of(
    st.just(ZERO),
    st.builds(ProductUsage, total_tests=counts, total_duration=counts),
    st.builds(ProductUsage, total_screenshots=counts),
    st.builds(ProductUsage, extra=st.dictionaries(st.sampled_from(["sessions", "minutes"]), counts, min_size=1)),
)
products = st.dictionaries(st.sampled_from([*DOCUMENTED_PRODUCTS, "new-one"]), usages)


def made(known: dict[str, ProductUsage], *, partial: bool = False, users: int = 3, name: str = "Acme Corp") -> Answer:
    return Answer(org_id="12345", org_name=name, users=users, products=known, partial=partial)


answers = st.builds(made, products, partial=st.booleans(), users=counts)
partials = st.builds(made, products, partial=st.just(True), users=counts)


def absorbed(answers_: Sequence[Answer]) -> Finding:
    finding: Finding | None = None
    for answer in answers_:
        finding = absorb(finding, answer)
    assert finding is not None
    return finding


def records(finding: Finding, *, slice_: Slice = SLICE, **changes: Any) -> dict[str, Record]:
    values: dict[str, Any] = {"collected_at": COLLECTED, "run_id": "r1", "trust_zero_for": TRUST}
    return {record.product: record for record in normalise(slice_, finding, **(values | changes)).records}


def numbers(record: Record) -> tuple[int | None, int | None, int | None, object]:
    return (record.total_tests, record.total_duration, record.total_screenshots, record.extra)


@given(answered=st.lists(partials, min_size=1, max_size=5))
def test_out_of_partial_answers_a_number_above_zero_is_measured_and_the_latest_stands(answered: list[Answer]) -> None:
    found = records(absorbed(answered))
    assert set(found) == {product for answer in answered for product in answer.products}
    for product, record in found.items():
        said = [answer.products[product] for answer in answered if product in answer.products]
        above = [usage for usage in said if not usage.is_zero]
        if above:
            assert record.quality is Quality.MEASURED
            latest = above[-1]
            assert numbers(record) == numbers_of(latest)
        else:
            assert record.quality is Quality.UNAVAILABLE
            assert numbers(record) == (None, None, None, None)
        assert record.org_users is None


def numbers_of(usage: ProductUsage) -> tuple[int | None, int | None, int | None, object]:
    return (usage.total_tests, usage.total_duration, usage.total_screenshots, usage.extra or None)


@given(before=st.lists(partials, max_size=3), complete=products, users=counts, after=st.lists(partials, max_size=3))
def test_a_complete_answer_wins_over_all_partial_ones(
    before: list[Answer], complete: dict[str, ProductUsage], users: int, after: list[Answer]
) -> None:
    finding = absorbed([*before, made(complete, users=users), *after])
    assert finding.complete
    found = records(finding)
    for product, usage in complete.items():
        assert numbers(found[product]) == numbers_of(usage)
        assert found[product].quality is Quality.MEASURED
    assert {record.org_users for record in found.values()} <= {users}


@given(answered=st.lists(answers, min_size=1, max_size=6))
def test_only_a_complete_answer_counts_the_users(answered: list[Answer]) -> None:
    complete = [answer.users for answer in answered if not answer.partial]
    finding = absorbed(answered)
    assert finding.complete is bool(complete)
    assert finding.users == (complete[-1] if complete else None)


@given(answered=st.lists(answers, min_size=1, max_size=6))
def test_a_zero_is_a_number_only_in_a_complete_answer(answered: list[Answer]) -> None:
    finding = absorbed(answered)
    for record in records(finding).values():
        totals = (record.total_tests, record.total_duration, record.total_screenshots)
        nothing_counted = not any(totals) and not any((record.extra or {}).values())
        if nothing_counted and not finding.complete:
            assert totals == (None, None, None)
            assert record.quality is Quality.UNAVAILABLE


def test_a_product_above_zero_in_a_partial_answer_outlives_a_complete_one_that_lacks_it() -> None:
    finding = absorbed([made({"new-one": SOME, "automation": ZERO}, partial=True), made({"automation": ZERO})])
    assert finding.complete
    assert records(finding)["new-one"].quality is Quality.MEASURED
    assert numbers(records(finding)["new-one"]) == numbers_of(SOME)


@pytest.mark.parametrize(
    "extra", [{"unit": "ms"}, {"tags": {"os": "linux"}}, {"live": True}, {"by_os": {"mac": 0}}, {"n": [0]}]
)
def test_what_is_no_count_above_zero_never_makes_a_partial_zero_real(extra: dict[str, object]) -> None:
    zero = replace(ZERO, extra=extra)
    record = records(absorbed([made({"automation": zero}, partial=True)]))["automation"]
    assert record.quality is Quality.UNAVAILABLE
    assert numbers(record) == (None, None, None, None)


@pytest.mark.parametrize("extra", [{"unit": "ms"}, {"by_os": {"mac": 0}}])
def test_an_answer_whose_counts_are_all_zero_is_zero_whatever_texts_stand_beside(extra: dict[str, object]) -> None:
    old = Slice(SLICE.org, SLICE.population, Window(DAY.start - timedelta(days=90), DAY.end - timedelta(days=90)))
    finding = absorbed([made({"automation": replace(ZERO, extra=extra)}, users=0)])
    assert records(finding, slice_=old)["automation"].quality is Quality.UNVERIFIED


@pytest.mark.parametrize("extra", [{"sessions": 1}, {"hours": 0.5}, {"by_os": {"mac": [0, 2]}}])
def test_a_new_metric_above_zero_makes_a_product_of_a_partial_answer_real(extra: dict[str, object]) -> None:
    usage = replace(ZERO, extra=extra)
    record = records(absorbed([made({"automation": usage}, partial=True)]))["automation"]
    assert record.quality is Quality.MEASURED
    assert numbers(record) == (0, 0, None, extra)


def test_documented_products_that_no_answer_mentioned_are_missing_and_get_no_record() -> None:
    finding = absorbed([made({"realtime": ZERO, "new-one": SOME}, partial=True), made({"smartui": SOME}, partial=True)])
    assert missing_products(finding) == ["automation", "app-automation", "hyperexecute", "realdevice"]
    assert set(records(finding)) == {"realtime", "new-one", "smartui"}
    assert missing_products(absorbed([made({})])) == list(DOCUMENTED_PRODUCTS)


def test_a_metric_that_a_product_lacks_is_null_and_no_zero() -> None:
    found = records(absorbed([made({"automation": SOME, "smartui": ProductUsage(total_screenshots=0)})]))
    assert numbers(found["automation"]) == (5, 70, None, None)
    assert numbers(found["smartui"]) == (None, None, 0, None)


def test_new_metrics_are_kept_under_extra() -> None:
    usage = ProductUsage(total_tests=1, extra={"sessions": 2, "by_os": {"mac": 3}})
    assert records(absorbed([made({"new-one": usage})]))["new-one"].extra == {"sessions": 2, "by_os": {"mac": 3}}


ages = st.timedeltas(timedelta(days=1), timedelta(days=200))


@given(answered=st.lists(answers, min_size=1, max_size=3), age=ages, trusted=ages)
def test_unverified_is_exactly_a_complete_all_zero_answer_for_an_old_window(
    answered: list[Answer], age: timedelta, trusted: timedelta
) -> None:
    finding = absorbed(answered)
    found = records(finding, collected_at=DAY.end + age, trust_zero_for=trusted)
    usages_ = [usage for usage in finding.products.values() if usage is not None]
    all_zero = finding.users == 0 and all(usage.is_zero for usage in usages_)
    expected = finding.complete and all_zero and age > trusted
    assert all((record.quality is Quality.UNVERIFIED) is expected for record in found.values())


@pytest.mark.parametrize(("seconds", "quality"), [(0, Quality.MEASURED), (1, Quality.UNVERIFIED)])
def test_a_zero_is_trusted_for_exactly_as_long_as_the_config_says(seconds: int, quality: Quality) -> None:
    collected_at = DAY.end + TRUST + timedelta(seconds=seconds)
    record = records(absorbed([made({"automation": ZERO}, users=0)]), collected_at=collected_at)["automation"]
    assert record.quality is quality
    assert numbers(record) == (0, 0, None, None)  # the zeros stand


def test_a_record_says_where_it_comes_from() -> None:
    org = make_org("acme", labels={"cost_center": "qa"}, zone=Zone.parse("Asia/Kolkata"), granularity=Granularity.HOUR)
    slice_ = Slice(org, Population.SERVICE_USER, DAY)
    record = records(absorbed([made({"realtime": SOME}, name='The "Acme"')]), slice_=slice_)["realtime"]
    assert (record.org, record.org_id, record.org_name) == ("acme", "12345", 'The "Acme"')
    assert record.labels == {"cost_center": "qa"}
    assert (record.population, record.granularity, record.timezone) == ("service-user", "hour", "Asia/Kolkata")
    assert (record.collected_at, record.run_id, record.revision) == (COLLECTED, "r1", 1)


@pytest.mark.parametrize(
    ("zone", "noon", "start", "end"),
    [
        ("America/New_York", "2026-03-08T16:00", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"),
        ("America/New_York", "2026-11-01T16:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"),
        ("America/Havana", "2026-03-08T16:00", "2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:00", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"),
        ("+05:30", "2026-06-23T06:00", "2026-06-23T00:00:00+05:30", "2026-06-24T00:00:00+05:30"),
        ("UTC", "2026-06-23T12:00", "2026-06-23T00:00:00+00:00", "2026-06-24T00:00:00+00:00"),
    ],
)
def test_windows_are_told_in_the_offsets_of_the_zone(zone: str, noon: str, start: str, end: str) -> None:
    org = make_org(zone=Zone.parse(zone))
    calendar = Calendar(org.zone, Granularity.DAY)
    moment = datetime.fromisoformat(noon).replace(tzinfo=UTC)
    slice_ = Slice(org, Population.ACCOUNT_USER, Window(calendar.floor(moment), calendar.after(moment)))
    record = records(absorbed([made({"realtime": SOME})]), slice_=slice_)["realtime"]
    assert (record.window_start.isoformat(), record.window_end.isoformat()) == (start, end)
    assert Window(record.window_start.astimezone(UTC), record.window_end.astimezone(UTC)) == slice_.window


@pytest.mark.parametrize(
    ("zone", "granularity", "at", "local"),
    [
        ("Asia/Kolkata", Granularity.MONTH, "2026-06-15T00:00", "2026-06-01"),  # begins in May, in UTC
        ("America/New_York", Granularity.MONTH, "2026-07-01T03:59", "2026-06-01"),
        ("America/New_York", Granularity.WEEK, "2026-06-24T12:00", "2026-06-22"),  # a Monday
        ("Pacific/Kiritimati", Granularity.DAY, "2026-06-23T10:00", "2026-06-24"),
        ("Pacific/Pago_Pago", Granularity.DAY, "2026-06-23T10:59", "2026-06-22"),
        ("America/Havana", Granularity.DAY, "2026-03-08T16:00", "2026-03-08"),  # has no midnight
        ("Pacific/Apia", Granularity.DAY, "2011-12-30T12:00", "2011-12-31"),  # the 30th was skipped
        ("America/St_Johns", Granularity.DAY, "2010-11-07T03:00", "2010-11-07"),  # though the clock shows the 6th again
        ("America/St_Johns", Granularity.HOUR, "2010-11-07T03:00", "2010-11-07"),
        ("America/New_York", Granularity.HOUR, "2026-11-01T05:30", "2026-11-01"),  # 01:30, before the shift
        ("America/New_York", Granularity.HOUR, "2026-11-01T06:30", "2026-11-01"),  # and after it
        ("America/New_York", Granularity.HOUR, "2026-11-01T03:30", "2026-10-31"),
        ("Asia/Kathmandu", Granularity.HOUR, "2026-06-23T18:20", "2026-06-24"),
    ],
)
def test_a_record_has_the_local_date_on_which_its_window_begins(
    zone: str, granularity: Granularity, at: str, local: str
) -> None:
    org = make_org(zone=Zone.parse(zone), granularity=granularity)
    calendar = Calendar(org.zone, granularity)
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    slice_ = Slice(org, Population.ACCOUNT_USER, Window(calendar.floor(moment), calendar.after(moment)))
    record = records(absorbed([made({"realtime": SOME})]), slice_=slice_)["realtime"]
    assert record.window_date.isoformat() == local


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "-11:00"])
def test_the_dates_of_a_year_of_days_are_all_days_of_the_year(zone: str) -> None:
    org = make_org(zone=Zone.parse(zone))
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(365)]
    span = Window(*(start_of_date(date(year, 1, 1), org.zone) for year in (2026, 2027)))
    answer = absorbed([made({"realtime": SOME})])
    found = [
        records(answer, slice_=Slice(org, Population.ACCOUNT_USER, window))["realtime"].window_date
        for window in Calendar(org.zone, Granularity.DAY).split(span)
    ]
    assert found == [day.date() for day in days]


def test_record_ids_are_the_same_for_ever() -> None:
    # Written down once and never to change: whoever stored records finds them again by these.
    assert record_id("12345", SLICE, "automation") == "c0131241-fd77-521a-bbe0-d2996f1e9abd"
    service = replace(SLICE, population=Population.SERVICE_USER)
    assert record_id("org-\u00e9\U0001f680", service, "new-one") == "a07ca7ac-4510-5952-b6f5-a97f829a9985"


def test_a_record_id_does_not_depend_on_what_the_config_says() -> None:
    plus_five = timezone(timedelta(hours=5, minutes=30))
    elsewhere = Window(DAY.start.astimezone(plus_five), DAY.end.astimezone(plus_five))
    finding = absorbed([made({"automation": SOME})])
    ids = {
        records(finding, slice_=Slice(org, Population.ACCOUNT_USER, window), **changes)["automation"].record_id
        for org in (
            make_org("acme"),
            make_org("renamed", labels={"a": "b"}, base_url="https://eu-api.lambdatest.com", org_id="12345"),
            make_org("acme", zone=Zone.parse("+00:00")),
            make_org("acme", zone=Zone.parse("Etc/UTC"), granularity=Granularity.HOUR),
            make_org("acme", zone=Zone.parse("Africa/Abidjan")),
        )
        for window in (DAY, elsewhere)
        for changes in ({}, {"run_id": "r2", "collected_at": COLLECTED + timedelta(days=3)})
    }
    ids.add(records(absorbed([made({"automation": ZERO}, name="Other")]))["automation"].record_id)
    assert len(ids) == 1


@given(
    keys=st.sets(
        st.tuples(
            st.sampled_from(["1", "12", "1,2", '1"', "a\\"]),
            st.sampled_from(Population),
            st.sampled_from(["automation", "2", '"', ""]),
            st.integers(0, 3),
            st.integers(1, 3),
        ),
        min_size=2,
    )
)
def test_a_record_id_differs_by_each_part_of_its_key(keys: set[tuple[str, Population, str, int, int]]) -> None:
    hour = timedelta(hours=1)
    ids = {
        record_id(org_id, Slice(SLICE.org, who, Window(DAY.start + at * hour, DAY.start + (at + n) * hour)), product)
        for org_id, who, product, at, n in keys
    }
    assert len(ids) == len(keys)
