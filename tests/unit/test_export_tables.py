"""The tables of an export: names from outside steer no terminal, and many rows are cut, but not their sum."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from rich.console import Console

from collector.cli.export_costs import ExportCosts
from collector.cli.export_tables import SHOWN, changed_table, group_table, record_table, unknown_table
from collector.core.costs import Metric
from collector.core.grouping import Groups, groups_of, parse_dimensions
from collector.core.ledger_entries import Restatement, SliceKey
from collector.core.org_coverage import CoverageState
from collector.core.present import PresentOrg, restated
from collector.core.prices import Price, PriceList
from collector.core.restated_sums import RestatedSums
from collector.model import Granularity, Quality
from tests.unit.test_present import START, emission, window
from tests.unit.test_restated_sums import restated_record

HOSTILE = PresentOrg(name="[/b]evil\x1b[31m", org_id="1", labels={"[red]": "[/nope]\u202e"})
PRODUCT = "[/link]x\r"


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=80, force_terminal=False), text


def test_names_from_outside_are_shown_as_they_are_and_steer_nothing() -> None:
    one = window(CoverageState.COMPLETE, {PRODUCT: Quality.MEASURED}, org=HOSTILE)
    gap = window(CoverageState.FAILED, None, org=HOSTILE, reason="[/]http_500")
    target, text = console()
    record_table(target, [one, gap], [])
    unknown_table(target, [(gap, None), (one, [PRODUCT])])
    dimensions = parse_dimensions(["label:[red]", "org,product"])
    everything = Groups(())
    everything.add(one)
    group_table(target, dimensions, groups_of(iter([one]), dimensions), everything.rows)
    key = SliceKey(key=1, population=one.population, start=START)
    before = emission({PRODUCT: Quality.MEASURED}, tests=4)
    changed_table(
        target, restated(one, [Restatement(slice=key, at=START, run_id="run", replaced=before)]), RestatedSums()
    )
    shown = text.getvalue()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[/b]evil\\u001b[31m" in shown
    assert "[/link]x\\u000d" in shown
    assert "[/nope]\\u202e" in shown
    assert "[/]http_500" in shown


def test_what_restated_records_add_up_to_has_what_was_unknown_before() -> None:
    sums, records = RestatedSums(), [restated_record(10, 12), restated_record(None, 1000)]
    for one in records:
        sums.add(one)
    target, text = console()
    changed_table(target, records, sums)
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert "all tests 10 1,012 +1,002" in lines
    assert "of it unknown before tests ? 1,000 +1,000" in lines


def test_of_very_many_rows_the_first_are_shown_and_all_are_summed() -> None:
    one = window(CoverageState.COMPLETE, {"automation": Quality.MEASURED})
    days = [START + timedelta(days=n) for n in range(SHOWN + 5)]
    many = [replace(one, window_start=day, window_end=day + timedelta(days=1)) for day in days]
    target, text = console()
    record_table(target, many, [])
    lines = text.getvalue().splitlines()
    assert sum("automation" in line for line in lines) == SHOWN
    assert f"{5 * (SHOWN + 5):,}" in next(line for line in lines if line.strip().startswith("all"))
    assert "5 rows more: write them to a file with -o, or sum with --by" in lines


def test_an_hour_is_shown_with_its_time() -> None:
    target, text = console()
    at = START + timedelta(hours=14)
    record_table(
        target,
        [window(CoverageState.COMPLETE, {"a": Quality.MEASURED}, granularity=Granularity.HOUR, window_start=at)],
        [],
    )
    assert "2026-06-23 14:00" in text.getvalue()


def test_costs_of_very_many_rows_are_summed_too_and_the_rounding_is_a_row() -> None:
    price = Price(metric=Metric.TESTS, unit_price=Decimal("0.001"), since=START.date())
    one = window(
        CoverageState.COMPLETE, {"automation": Quality.MEASURED}
    )  # of five tests: half a cent, shown as nothing
    days = [START + timedelta(days=n) for n in range(SHOWN + 5)]
    many = [replace(one, window_start=day, window_date=day.date(), window_end=day + timedelta(days=1)) for day in days]
    target, text = console()
    record_table(target, many, [], ExportCosts(PriceList([price], currency="USD"), []))
    dimensions, costs = parse_dimensions(["day"]), ExportCosts(PriceList([price], currency="USD"), [])
    everything = Groups((), (), costs.prices)
    for day in many:
        everything.add(day)
    group_table(target, dimensions, groups_of(iter(many), dimensions, (), costs.prices), everything.rows, costs)
    shown = text.getvalue()
    totals = [line.split() for line in shown.splitlines() if line.strip().startswith("all")]
    assert all(f"{5 * (SHOWN + 5) * Decimal('0.001'):.2f}" in line for line in totals)
    roundings = [line for line in shown.splitlines() if "of it: rounding" in line]
    assert len(totals) == len(roundings) == 2
    assert all("5.02" in line for line in roundings)


def test_what_has_no_cost_is_never_shown_as_nothing() -> None:
    price = Price(metric=Metric.TESTS, unit_price=Decimal(1), since=START.date(), product="automation")
    measured = window(CoverageState.COMPLETE, {"tunnel": Quality.MEASURED})
    gap = window(CoverageState.FAILED, None)
    target, text = console()
    record_table(target, [measured, gap], [], ExportCosts(PriceList([price], currency="USD"), []))
    lines = text.getvalue().splitlines()
    assert "no price" in next(line for line in lines if "tunnel" in line)
    assert next(line for line in lines if "failed" in line).split()[-2] == "?"
    assert next(line for line in lines if line.strip().startswith("all")).split()[-1] == "?"
