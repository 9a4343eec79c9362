"""The table of `status`: unverified windows are no gaps, wherever they are counted; and 60 columns are enough."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from collector.cli.status_notes import notes
from collector.cli.status_reading import Status
from collector.cli.status_table import coverage_table
from collector.cli.status_watch import heading_of
from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import (
    CoverageState,
    CredentialStanding,
    CredentialStatus,
    OrgCoverage,
    PopulationCoverage,
    gaps_of,
)
from collector.core.outputs import KnownOutputs
from collector.errors import RefusalReason
from collector.model import Granularity, Population, Window

NOW = datetime(2026, 11, 27, 2, 30, tzinfo=UTC)
COMPLETE, UNVERIFIED, MISSING = CoverageState.COMPLETE, CoverageState.UNVERIFIED, CoverageState.MISSING
REFUSED = CredentialStatus(standing=CredentialStanding.REFUSED, reason=RefusalReason.CREDENTIAL, since=NOW)


def org(
    name: str, *counts: Mapping[CoverageState, int], credential: CredentialStatus | None = None, **reasons: int
) -> OrgCoverage:
    populations = [
        PopulationCoverage(
            population=population,
            counts=of,
            first_gap=NOW if MISSING in of else None,
            last_success=NOW,
            newest_complete=NOW,
            newest_due=NOW,
            oldest_usage=None,
            reasons=reasons,
        )
        for population, of in zip(Population, counts, strict=False)
    ]
    return OrgCoverage(
        name=name,
        org_id="1",
        org_name="One",
        labels={},
        timezone="UTC",
        granularity=Granularity.DAY,
        credential=credential or CredentialStatus(),
        populations=populations,
        last_day=date(2026, 11, 26),
        wanted=[Window(datetime(2026, 1, 1, tzinfo=UTC), NOW)],
    )


ORGS = [
    org("a-name-of-some-length-gmbh", {COMPLETE: 300, MISSING: 33, CoverageState.FAILED: 32}, timeout=32),
    org("refused", {CoverageState.REFUSED: 365}, {CoverageState.REFUSED: 365}, credential=REFUSED),
    org("zeros", {COMPLETE: 305, UNVERIFIED: 60}, {COMPLETE: 365}),
]


def table(width: int, orgs: Sequence[OrgCoverage] = ORGS) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(coverage_table(console, orgs))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def status(orgs: Sequence[OrgCoverage]) -> Status:
    known = KnownOutputs(ledger_id="1", outputs=())
    return Status(orgs=orgs, awaited=(), left_out={}, removed=(), known=known)


@pytest.mark.parametrize("width", [60, 66, 71])
def test_in_a_narrow_terminal_each_population_is_one_line_with_the_worst_state_first(width: int) -> None:
    lines = table(width)
    assert all(len(line) <= width for line in lines)
    assert [line.split()[0] for line in lines[2:]] == [lines[2].split()[0], "refused", "refused", "zeros", "zeros"]
    assert "300 of 365  33 missing" in lines[2]
    assert "account    0 of 365  365 refused" in lines[3]
    assert lines[5].endswith("305 of 365  60 unverified")


@pytest.mark.parametrize("width", [72, 80, 100, 160])
def test_unverified_windows_stand_beside_the_reasons_and_not_among_the_gaps(width: int) -> None:
    lines = table(width, [ORGS[2]])
    title = next(line for line in lines if "population" in line)
    row = next(line for line in lines if "305 of 365" in line)
    assert row.index("60 unverified") >= title.index("first gap")


def test_status_its_heading_and_its_exit_code_count_unverified_windows_in_one_way() -> None:
    assert str(gaps_of(ORGS)) == "795 windows not complete, 60 unverified"
    assert status(ORGS).exit_code is ExitCode.INCOMPLETE
    assert heading_of(status(ORGS), NOW, 2, None, 100).endswith(" · 795 windows not complete, 60 unverified")
    assert status(ORGS[2:]).exit_code is ExitCode.OK
    assert heading_of(status(ORGS[2:]), NOW, 2, None, 100).endswith(" · 0 windows not complete, 60 unverified")
    shown_by_incomplete = list(notes(ORGS[:2], counted=ORGS))
    assert shown_by_incomplete[0] == "795 windows not complete, 60 unverified"
    assert any(note.startswith("60 windows of zeros unverified: ") for note in shown_by_incomplete)


def test_the_heading_of_a_narrow_window_begins_with_what_counts() -> None:
    heading = heading_of(status(ORGS), NOW, 2, None, 60)
    assert heading == "795 windows not complete, 60 unverified · Ctrl-C ends · 02:30:00"
