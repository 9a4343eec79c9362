"""Sums over windows: equal to adding up by hand, and nothing that isn't known is ever zero."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.anomalies import Anomaly
from collector.core.export_rows import group_columns, group_row
from collector.core.grouping import By, Dimension, divides, groups_of, order, parse_dimensions, parts, period_of
from collector.core.org_coverage import COUNTED, CoverageState
from collector.core.present import KNOWN, PresentOrg, PresentWindow
from collector.model import Granularity, Population, Quality
from tests.unit.test_present import START, emission, window

HUGE = 2**63
ORGS = [
    PresentOrg(name=name, org_id=f"id-{name}", labels=labels)
    for name, labels in {"a": {"team": "x"}, "b": {"team": "y"}, "c": {"team": "x"}, "d": {}}.items()
]
PRODUCTS = ["automation", "smartui"]
EMISSIONS = st.none() | st.builds(
    lambda qualities, tests: emission(qualities, tests=tests),
    st.dictionaries(st.sampled_from(PRODUCTS), st.sampled_from(Quality)),
    st.integers(0, HUGE),
)


@st.composite
def windows(draw: st.DrawFn) -> list[PresentWindow]:
    found = []
    for org in ORGS:
        for n in draw(st.sets(st.integers(0, 60), max_size=4)):
            population, start = draw(st.sampled_from(Population)), START + timedelta(days=n)
            state = draw(st.sampled_from(COUNTED))
            emitted = None if state is CoverageState.MISSING else draw(EMISSIONS)
            found.append(
                window(
                    state,
                    None,
                    org=org,
                    population=population,
                    window_date=start.date(),
                    window_start=start,
                    window_end=start + timedelta(days=1),
                    emission=emitted,
                )
            )
    return found


DIMENSIONS = st.lists(
    st.sampled_from(["month", "org", "population", "product", "label:team"]), min_size=1, unique=True
).map(parse_dimensions)


def ordered(found: list[PresentWindow], dimensions: tuple[Dimension, ...]) -> list[PresentWindow]:
    part_of = parts(dimensions)
    return sorted(found, key=lambda one: order(part_of(one.org)))


@given(found=windows(), dimensions=DIMENSIONS)
def test_groups_add_up_to_the_sum_of_all_known_numbers(
    found: list[PresentWindow], dimensions: tuple[Dimension, ...]
) -> None:
    numbers = [
        emitted.usage.total_tests
        for one in found
        for emitted in one.products.values()
        if emitted.quality in KNOWN and emitted.usage.total_tests is not None
    ]
    groups = list(groups_of(iter(ordered(found, dimensions)), dimensions))
    assert sum(group.sum.tests for group in groups if group.sum.tests is not None) == sum(numbers)
    assert len({(group.key, group.org_id) for group in groups}) == len(groups)
    if not any(one.by is By.PRODUCT for one in dimensions):
        assert sum(group.sum.windows for group in groups) == len(found)
        assert sum(group.sum.unknown for group in groups) == sum(one.is_unknown() for one in found)


@given(found=windows(), dimensions=DIMENSIONS)
def test_a_group_without_a_known_number_has_none_and_says_how_many_windows_are_unknown(
    found: list[PresentWindow], dimensions: tuple[Dimension, ...]
) -> None:
    places = {one.by: n for n, one in enumerate(dimensions)}

    def belongs(one: PresentWindow, key: tuple[object, ...]) -> bool:
        values: dict[By, object] = {
            By.MONTH: one.window_date.replace(day=1),
            By.ORG: one.org.name,
            By.POPULATION: one.population.value,
            By.LABEL: one.org.labels.get("team"),
        }
        return all(key[place] == values[by] for by, place in places.items() if by is not By.PRODUCT)

    for group in groups_of(iter(ordered(found, dimensions)), dimensions):
        mine = [one for one in found if belongs(one, group.key)]
        product = group.key[places[By.PRODUCT]] if By.PRODUCT in places else None
        products = PRODUCTS if product is None else [str(product)]
        known = [
            one.products[name]
            for one in mine
            for name in products
            if name in one.products and one.products[name].quality in KNOWN
        ]
        assert (group.sum.tests is None) == all(one.usage.total_tests is None for one in known)
        if product is not None:
            assert group.sum.unknown == sum(not one.knows(str(product)) for one in mine)
            assert group.sum.windows == sum(not one.knows(str(product)) or product in one.products for one in mine)


def test_an_unknown_window_is_unknown_for_each_product_of_its_part() -> None:
    day = timedelta(days=1)
    known = window(CoverageState.COMPLETE, {"automation": Quality.MEASURED, "smartui": Quality.MEASURED})
    missing = window(CoverageState.MISSING, window_date=START.date() + 40 * day)
    groups = list(groups_of(iter([known, missing]), parse_dimensions(["month,product"])))
    assert [(*group.key, group.sum.tests, group.sum.windows, group.sum.unknown) for group in groups] == [
        (date(2026, 6, 1), "automation", 5, 1, 0),
        (date(2026, 6, 1), "smartui", 5, 1, 0),
        (date(2026, 8, 1), "automation", None, 1, 1),
        (date(2026, 8, 1), "smartui", None, 1, 1),
    ]
    (alone,) = groups_of(iter([missing]), parse_dimensions(["product"]))
    assert (alone.key, alone.sum.tests, alone.sum.unknown) == ((None,), None, 1)
    (chosen,) = groups_of(iter([missing]), parse_dimensions(["product"]), ["smartui"])
    assert chosen.key == ("smartui",)


def test_of_chosen_products_the_others_are_neither_summed_nor_unknown() -> None:
    partial = window(CoverageState.PARTIAL, {"automation": Quality.MEASURED, "smartui": Quality.UNAVAILABLE})
    for dimensions in (parse_dimensions(["month"]), parse_dimensions(["product"])):
        (group,) = groups_of(iter([partial]), dimensions, ["automation"])
        assert (group.sum.tests, group.sum.windows, group.sum.unknown) == (5, 1, 0)


def test_a_product_that_an_answer_had_not_is_unknown_in_its_group() -> None:
    one = window(
        CoverageState.COMPLETE, {"automation": Quality.MEASURED}, anomalies={Anomaly.PRODUCT_MISSING: ["smartui"]}
    )
    found = {group.key[0]: group.sum for group in groups_of(iter([one]), parse_dimensions(["product"]))}
    assert (found["automation"].unknown, found["smartui"].unknown, found["smartui"].tests) == (0, 1, None)


def test_sums_beyond_64_bits_are_exact() -> None:
    one = window(CoverageState.COMPLETE, None, emission=emission({"automation": Quality.MEASURED}, tests=2**63 - 1))
    (group,) = groups_of(iter([one] * 10), parse_dimensions(["month"]))
    assert group.sum.tests == 10 * (2**63 - 1)


def test_an_empty_label_counts_as_none() -> None:
    windows = [
        window(CoverageState.COMPLETE, {"a": Quality.MEASURED}, org=PresentOrg(name=name, org_id=name, labels=labels))
        for name, labels in {"b": {"team": ""}, "c": {}}.items()
    ]
    (group,) = groups_of(iter(windows), parse_dimensions(["label:team"]))
    assert (group.key, group.sum.tests) == ((None,), 10)


def test_orgs_of_one_name_are_apart() -> None:
    another = window(CoverageState.MISSING, org=PresentOrg(name="acme", org_id="2", labels={}, in_config=False))
    dimensions = parse_dimensions(["org"])
    mine = window(CoverageState.COMPLETE, {"automation": Quality.MEASURED})
    rows = [group_row(dimensions, group) for group in groups_of(iter([mine, another]), dimensions)]
    assert [row[:3] for row in rows] == [("acme", "1", 5), ("acme", "2", None)]


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["year"], "expected day, week, month, org, population, product or label:KEY"),
        (["label"], "expected day"),
        (["label:"], "expected day"),
        (["org:acme"], "expected day"),
        (["month,,org"], "expected day"),
        (["month", "day"], "one of day, week and month"),
        (["org,product", "org"], "twice"),
    ],
)
def test_a_dimension_that_there_is_not_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_dimensions(texts)


def test_periods_begin_on_their_first_day_and_longer_windows_are_not_divided() -> None:
    assert period_of(date(2026, 6, 28), By.WEEK) == date(2026, 6, 22)
    assert period_of(date(2026, 6, 28), By.MONTH) == date(2026, 6, 1)
    assert period_of(date(2026, 6, 28), By.DAY) == date(2026, 6, 28)
    fits = {
        (window, period) for window in Granularity for period in (By.DAY, By.WEEK, By.MONTH) if divides(window, period)
    }
    assert {period for window, period in fits if window is Granularity.WEEK} == {By.WEEK, By.MONTH}
    assert {period for window, period in fits if window is Granularity.MONTH} == {By.MONTH}
    assert len(fits) == 3 + 3 + 2 + 1


def test_a_label_that_is_called_as_another_column_has_a_name_of_its_own() -> None:
    dimensions = parse_dimensions(["label:product", "label:label_product", "product", "label:team", "org"])
    names = [column.name for column in group_columns(dimensions)]
    assert names[:6] == ["label_product", "label_label_product", "product", "team", "org", "org_id"]
    assert names[6:] == ["total_tests", "total_duration", "total_screenshots", "windows", "windows_unknown"]
    assert len(set(names)) == len(names)
