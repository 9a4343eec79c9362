"""The table of `reconcile`: what differs first, and 80 columns are enough."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from collector.cli.reconcile_table import comparison_table, notes
from collector.core.comparing import DELETED, Compared
from collector.core.comparison import Comparison
from collector.core.exit_codes import ExitCode
from collector.core.extent import Extent
from collector.core.summary import RunSummary
from collector.model import Population, SliceState, Window
from collector.run.compared import populations_as_json, totals_as_json
from tests.support.orgs import START, make_org
from tests.unit.test_comparing import DAY

ACCOUNT, SERVICE = Population
TESTS = ("automation", "total_tests")
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
    comparison.add(Compared(30, {DURATION: 5}, {DURATION: 5}, searched=30))
    return comparison


def different(**changes: Extent) -> Comparison:
    comparison = Comparison(**changes)  # type: ignore[arg-type]
    comparison.add(
        Compared(
            90,
            api={TESTS: 7, DURATION: 123_456_789_345},
            collected={TESTS: 7, DURATION: 123_456_789_000},
            changed=Counter({DURATION: 12}),
            searched=90,
        )
    )
    comparison.add(Compared(1, {TESTS: 1}, {TESTS: 1}, searched=1))
    return comparison


def re_dated(*, searched: int = 90) -> Comparison:
    """What one span has more, another one has less."""
    comparison = Comparison()
    comparison.add(Compared(90, {TESTS: 7}, {TESTS: 9}, changed=Counter({TESTS: 2}), searched=90))
    comparison.add(Compared(90, {TESTS: 6}, {TESTS: 4}, changed=Counter({TESTS: 1}), searched=searched))
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
    assert row == ["app-automation", "duration", "123,456,789,345", "123,456,789,000", "+345", "12", "days"]
    at = [n for n, line in enumerate(lines) if "app-automation duration" in line]
    assert at[0] < next(n for n, line in enumerate(lines) if "automation tests" in line)
    assert all(len(line) <= 80 for line in lines)


def test_numbers_that_changed_and_cancel_are_shown_with_the_windows_that_changed() -> None:
    lines = printed(summary_of(same=same(), acme=re_dated(), other=re_dated(searched=3)))
    names = [line.strip() for line in lines if "service-user" in line]
    assert names == ["acme service-user", "other service-user", "same service-user"]
    shown = [line.split()[2:] for line in lines if "automation tests" in line]
    assert shown == [["13", "13", "0", "3", "days"], ["13", "13", "0", "3+", "days"]]
    assert summary_of(acme=re_dated()).exit_code is ExitCode.INCOMPLETE
    (one,) = totals_as_json(summary_of(acme=re_dated()), only_differing=True)
    assert (one["difference"], one["changed_windows"], one["more_windows"]) == (0, 3, False)


def test_what_was_restated_differs_although_no_sum_did() -> None:
    comparison = same()
    comparison.committed(extent(3).spans[0], restated=1, kept=())
    assert summary_of(acme=comparison).exit_code is ExitCode.INCOMPLETE
    assert populations_as_json(summary_of(acme=comparison))[0]["differs"]


def test_orgs_that_were_not_compared_say_why_and_do_not_look_like_orgs_without_usage() -> None:
    idle, empty = Comparison(), Comparison(looked=True)
    idle.add(Compared(30, {}, {}, searched=30))
    missing = Comparison(left_out={"missing": extent(1, 2)})
    summary = summary_of(idle=idle, empty=empty, early=Comparison(), refused=Comparison(), missing=missing)
    population = summary.orgs["refused"].populations[SERVICE]
    population.planned = 30
    population.close(SliceState.REFUSED, "refused_credential", "its credential is refused", extent(*range(30)).spans)
    lines = [line.strip() for line in printed(summary)]
    where = {line.split()[0]: n for n, line in enumerate(lines) if line.endswith(" service-user")}
    below = {name: " ".join(lines[n + 1 : n + 3]) for name, n in where.items()}
    assert [*where][-1] == "idle"
    assert below["refused"].startswith("not compared: refused credential")
    assert below["missing"].startswith("not compared: missing")
    assert below["idle"].startswith("no usage")
    assert below["empty"].startswith("not compared: nothing due")
    assert below["early"].startswith("not compared: not reached")
    text = "\n".join(printed(summary, terminal=False))
    assert "refused service-user: 30 windows not compared, refused credential: 2026-06-01 to 2026-06-30" in text
    assert "empty service-user: not compared, nothing due" in text
    found = {one["org"]: one["not_compared"] for one in populations_as_json(summary) if one["not_compared"]}
    assert found["refused"]["refused_credential"]["message"] == "its credential is refused"
    assert found["missing"]["missing"]["slices"] == 2
    assert "collector status" in found["missing"]["missing"]["message"]


def test_windows_of_which_it_stays_unknown_whether_they_changed_are_named() -> None:
    summary = summary_of(acme=re_dated(searched=0))
    population = summary.orgs["acme"].populations[SERVICE]
    population.end(SliceState.FAILED, extent(4).spans[0], why=(DELETED.code, DELETED.message), records=0)
    text = "\n".join(printed(summary, terminal=False))
    assert "acme service-user: 1 window changed in part, unknown which, maybe deleted: 2026-06-05" in text
    (one, *_) = populations_as_json(summary)
    assert (one["not_compared"], [*one["unresolved"]]) == ({}, ["maybe_deleted"])


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
        "changed_windows": 12,
        "more_windows": False,
    }
    assert len(totals_as_json(summary, only_differing=False)) == 3
    (first, _) = populations_as_json(summary)
    assert (first["windows"], first["restated"]["slices"]) == (91, 1)
    assert first["restated"]["windows"] == [{"start": "2026-06-04T00:00:00+00:00", "end": "2026-06-05T00:00:00+00:00"}]
