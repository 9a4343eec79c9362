"""The headline: is everything here?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import CredentialStanding, CredentialStatus, OrgCoverage
from collector.errors import Problem
from collector.model import SliceState
from collector.service.view import Observed, Part, RunView
from collector.service.web.choice import Choice, Shown
from collector.service.web.runs import runs
from collector.service.web.verdict import Tone, headline, tallies, verdict
from tests.unit.service.test_choice import org

NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)
REFUSED = CredentialStatus(standing=CredentialStanding.REFUSED)


def seen(*orgs: OrgCoverage, **more: Any) -> Observed:
    values: dict[str, Any] = {"version": "1", "started_at": NOW, "config_path": "c.yaml", "config_loaded_at": NOW}
    return Observed(**(values | {"orgs": {one.name: one for one in orgs}, "snapshot_at": NOW} | more))


@pytest.mark.parametrize(
    ("orgs", "tone", "text"),
    [
        ([org("a", complete=9), org("b", complete=9)], Tone.GOOD, "All due windows are complete"),
        ([org("a", complete=9, partial=1)], Tone.WARN, "1 org is incomplete"),
        ([org("a", complete=9, in_doubt=1)], Tone.WARN, "1 org is incomplete"),
        ([org("a", missing=1), org("b", failed=2)], Tone.BAD, "2 orgs are incomplete"),
        ([org("a", complete=9, credential=REFUSED)], Tone.BAD, "1 org is refused"),
        ([org("a", missing=3, credential=REFUSED), org("b")], Tone.BAD, "1 org is incomplete; 1 org is refused"),
        ([], Tone.WARN, "There are no orgs in the config"),
    ],
)
def test_the_headline_says_how_many_are_incomplete_or_refused(orgs: list[OrgCoverage], tone: Tone, text: str) -> None:
    assert headline(seen(*orgs), orgs) == (tone, text)


def run(exit_code: int | None = None, *, exception: str | None = None) -> RunView:
    return RunView(
        run_id="r",
        command="serve",
        started_at=NOW,
        ended_at=NOW,
        exit_code=exit_code,
        exception=exception,
        why="so",
        planned=4,
        states={SliceState.COMPLETE: 3, SliceState.PARTIAL: 1},
    )


@pytest.mark.parametrize(
    ("state", "tone", "text"),
    [
        ({"troubles": {Part.LEDGER: "gone"}}, Tone.BAD, "No run can do its work"),
        ({"troubles": {Part.OUTPUT: "gone"}, "snapshot_at": None}, Tone.BAD, "No run can do its work"),
        ({"troubles": {Part.LEDGER: "gone"}, "snapshot_at": None, "orgs": {}}, Tone.BAD, "No run can do its work"),
        ({"config_problems": [Problem(message="no")]}, Tone.BAD, "The new config is not in force"),
        (
            {"troubles": {Part.OUTPUT: "gone"}, "config_problems": [Problem(message="no")]},
            Tone.BAD,
            "No run can do its work; the new config is not in force",
        ),
        ({"runs": [run(5)]}, Tone.BAD, "No run can do its work"),
        ({"runs": [run(exception="LedgerError")]}, Tone.BAD, "No run can do its work"),
        ({"runs": [run(exception="ClockError")]}, Tone.BAD, "The last run failed"),
        ({"runs": [run(exception="ValueError"), run(0)]}, Tone.BAD, "The last run failed"),
        ({"runs": [run(0), run(exception="ValueError")]}, Tone.GOOD, "All due windows are complete"),
        ({"runs": [run(5)], "back_at": NOW}, Tone.GOOD, "All due windows are complete"),
        ({"snapshot_at": None, "orgs": {}}, Tone.CALM, "The ledger is being read"),
    ],
)
def test_the_headline_is_not_good_while_something_is_wrong_with_the_service(
    state: dict[str, Any], tone: Tone, text: str
) -> None:
    orgs = [org("a", complete=9)]
    assert headline(seen(*orgs, **state), orgs) == (tone, text)


def test_trouble_and_gaps_are_both_in_the_headline() -> None:
    orgs = [org("a", complete=9, partial=1)]
    assert headline(seen(*orgs, troubles={Part.LEDGER: "gone"}), orgs) == (
        Tone.BAD,
        "No run can do its work; 1 org is incomplete",
    )


def test_before_the_ledger_was_read_nothing_is_claimed() -> None:
    unread = seen(org("a", complete=9), snapshot_at=None)
    assert verdict(unread, now=NOW).headline == "The ledger is being read"
    assert verdict(unread, now=NOW).tone is Tone.CALM


def test_windows_are_counted_over_all_orgs() -> None:
    told = verdict(seen(org("a", complete=9, partial=1), org("b", complete=5)), now=NOW)
    assert (told.orgs, told.wanted, told.complete) == (2, 15, 14)
    assert told.newest_due is not None
    assert told.newest_due.brief == "2 d ago"


def test_filters_that_hold_nobody_are_left_out_but_for_the_one_that_is_chosen() -> None:
    orgs = [org("a", complete=9), org("b", missing=1)]
    assert [tally.shown for tally in tallies(orgs, Choice())] == [
        Shown.ALL,
        Shown.INCOMPLETE,
        Shown.MISSING,
        Shown.COMPLETE,
    ]
    chosen = tallies(orgs, Choice(shown=Shown.FAILED, q="x"))
    assert [(tally.orgs, tally.href) for tally in chosen if tally.current] == [(0, "?q=x&state=failed")]


@pytest.mark.parametrize(
    ("exit_code", "tone"),
    [
        (ExitCode.OK, Tone.GOOD),
        (ExitCode.INCOMPLETE, Tone.WARN),
        (ExitCode.BUSY, Tone.WARN),
        (ExitCode.REFUSED, Tone.BAD),
        (ExitCode.OUTPUT, Tone.BAD),
        (ExitCode.TERMINATED, Tone.CALM),
        (None, Tone.BAD),
    ],
)
def test_a_run_is_told_by_what_it_came_to(exit_code: int | None, tone: Tone) -> None:
    last = runs(seen(runs=[run(exit_code)]), now=NOW).last
    assert last is not None
    assert (last.tone, last.incomplete, last.outcome) == (tone, 1, "so")


def test_an_org_that_has_every_window_but_is_refused_is_not_complete() -> None:
    refused = replace(org("a", complete=9), credential=REFUSED)
    assert [tally.shown for tally in tallies([refused], Choice())] == [Shown.ALL, Shown.REFUSED]
