"""The table of `reconcile`: what differs first, and 80 columns are enough."""

from __future__ import annotations

import io

from rich.console import Console

from collector.cli.reconcile_table import comparison_table, notes
from collector.core.comparison import Comparison
from collector.core.exit_codes import ExitCode
from collector.core.extent import Extent
from collector.core.summary import RunSummary
from collector.model import Population, Window
from collector.run.compared import populations_as_json, totals_as_json
from tests.support.orgs import START, make_org
from tests.unit.test_comparing import DAY

ACCOUNT, SERVICE = Population
DURATION = ("app-automation", "total_duration")


def extent(*days: int) -> Extent:
    found = Extent()
    for day in days:
        found.add(Window(START + day * DAY, START + (day + 1) * DAY))
    return found


def summary_of(**comparisons: Comparison) -> RunSummary:
    summary = RunSummary()
    for name, comparison in comparisons.items():
        summary.org(make_org(name)).populations[SERVICE].comparison = comparison
    return summary


def same() -> Comparison:
    comparison = Comparison()
    comparison.add(30, api={DURATION: 5}, collected={DURATION: 5})
    return comparison


def different(**changes: Extent) -> Comparison:
    comparison = Comparison(**changes)  # type: ignore[arg-type]
    comparison.add(
        90,
        api={("automation", "total_tests"): 7, DURATION: 123_456_789_345},
        collected={("automation", "total_tests"): 7, DURATION: 123_456_789_000},
    )
    comparison.add(1, api={("automation", "total_tests"): 1}, collected={("automation", "total_tests"): 1})
    return comparison


def printed(summary: RunSummary, *, terminal: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=80 if terminal else 1000, force_terminal=terminal, color_system=None)
    console.print(comparison_table(console, summary))
    for note in notes(summary):
        console.print(note)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_what_differs_comes_first_and_nothing_is_cut_in_80_columns() -> None:
    lines = printed(summary_of(same=same(), acme=different()))
    names = [line.strip() for line in lines if "service-user" in line]
    assert names == ["acme service-user", "same service-user"]
    row = next(line.split() for line in lines if "app-automation" in line)
    assert row == ["app-automation", "duration", "123,456,789,345", "123,456,789,000", "+345"]
    at = [n for n, line in enumerate(lines) if "app-automation duration" in line]
    assert at[0] < next(n for n, line in enumerate(lines) if "automation tests" in line)
    assert all(len(line) <= 80 for line in lines)


def test_notes_say_what_became_of_the_differences_and_what_was_left_out() -> None:
    comparison = different(restated=extent(3, 4), kept=extent(9))
    comparison.left_out = {"missing": extent(20)}
    text = "\n".join(printed(summary_of(acme=comparison), terminal=False))
    assert "acme service-user: 2 windows restated: 2026-06-04 to 2026-06-05" in text
    assert "acme service-user: in 1 window the larger numbers that were collected stay" in text
    assert "1 window not compared, missing: 2026-06-21" in text


def test_a_difference_or_a_window_that_was_left_out_gives_exit_code_3() -> None:
    assert summary_of(acme=same()).exit_code is ExitCode.OK
    assert summary_of(acme=different()).exit_code is ExitCode.INCOMPLETE
    left_out = same()
    left_out.left_out = {"missing": extent(1)}
    assert summary_of(acme=left_out).exit_code is ExitCode.INCOMPLETE


def test_json_has_a_row_for_each_number_and_names_all_windows() -> None:
    summary = summary_of(acme=different(restated=extent(3)), same=same())
    (one,) = totals_as_json(summary, only_differing=True)
    assert one == {
        "org": "acme",
        "org_id": None,
        "population": "service-user",
        "product": "app-automation",
        "metric": "total_duration",
        "api": 123_456_789_345,
        "collected": 123_456_789_000,
        "difference": 345,
    }
    assert len(totals_as_json(summary, only_differing=False)) == 3
    (first, _) = populations_as_json(summary)
    assert (first["windows"], first["restated"]["slices"]) == (91, 1)
    assert first["restated"]["windows"] == [{"start": "2026-06-04T00:00:00+00:00", "end": "2026-06-05T00:00:00+00:00"}]
