"""What operators see is read anew, an org at a time; a ledger that fails is told, and what was seen stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from collector.adapters import heap
from collector.app.coverage import CoverageReader
from collector.config import LoadedConfig, Settings
from collector.core.ledger_entries import RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.errors import LedgerError, Rejected
from collector.events import LaneEnded
from collector.model import Org, SliceState
from collector.service.quarantine import Quarantine
from collector.service.view import Observed, Part, RunView
from collector.service.viewer import Viewer
from tests.support.fake_api import FakeClock
from tests.support.orgs import make_org
from tests.support.views import NOW, observed, org_view
from tests.support.virtual_time import run_virtual

ORGS = (make_org("acme"), make_org("globex"))


def ended(org: Org) -> LaneEnded:
    return LaneEnded(org=org, state=SliceState.FAILED, failure=Rejected(code="busy", message="busy"), remaining=1)


@dataclass
class Reads:
    """Answers with made-up views, or fails."""

    views: dict[str, OrgCoverage]
    error: Exception | None = None
    asked: list[list[str]] = field(default_factory=list)
    beside: Sequence[RunView] = ()
    gone: Sequence[RemovedOrg] = ()

    async def coverage(
        self, config: LoadedConfig, reader: CoverageReader, names: Iterable[str]
    ) -> Mapping[str, OrgCoverage]:
        del config, reader
        self.asked.append(list(names))
        if self.error is not None:
            raise self.error
        return {name: replace(self.views[name]) for name in self.asked[-1]}  # equal, and not the same

    async def runs_beside(self, config: LoadedConfig) -> Sequence[RunView]:
        del config
        if self.error is not None:
            raise self.error
        return self.beside

    async def removed(self, config: LoadedConfig) -> Sequence[RemovedOrg]:
        del config
        return self.gone


def view(during: Callable[[Viewer, Reads, Observed], Awaitable[None]]) -> None:
    config = LoadedConfig(settings=Settings(), orgs=ORGS, path=Path(), files=(), warnings=())
    seen, reads = observed(), Reads({org.name: org_view(org.name) for org in ORGS})

    async def main() -> None:
        viewer = Viewer(reads, config=lambda: config, observed=seen, quarantine=Quarantine(), clock=FakeClock(NOW))
        task = asyncio.create_task(viewer.run())
        await asyncio.sleep(5)
        await during(viewer, reads, seen)
        task.cancel()

    run_virtual(main())


def test_an_org_of_which_nothing_changed_stays_the_same_object() -> None:
    async def during(viewer: Viewer, reads: Reads, seen: Observed) -> None:
        before = dict(seen.orgs)
        reads.views["globex"] = org_view("globex", labels={"team": "qa"})
        for org in ORGS:
            viewer.note(ended(org))
        reads.asked.clear()
        await asyncio.sleep(5)
        assert [names for names in reads.asked if names] == [["acme", "globex"]]
        assert seen.orgs["acme"] is before["acme"]
        assert seen.orgs["globex"].labels == {"team": "qa"}

    view(during)


def test_where_nothing_happens_it_looks_for_files_in_doubt_and_reads_no_org(monkeypatch: pytest.MonkeyPatch) -> None:
    async def during(viewer: Viewer, reads: Reads, seen: Observed) -> None:
        monkeypatch.setattr(viewer._reader, "stale", lambda _: [])
        before, read_at = seen.orgs, seen.snapshot_at
        reads.asked.clear()
        await asyncio.sleep(60)
        assert reads.asked.count([]) == len(reads.asked) == 20
        assert (seen.orgs is before, seen.snapshot_at) == (True, read_at)

    view(during)


def test_orgs_that_a_run_finds_removed_or_a_person_forgets_are_shown_so_within_seconds() -> None:
    async def during(viewer: Viewer, reads: Reads, seen: Observed) -> None:
        del viewer
        assert not seen.removed
        reads.gone = [RemovedOrg(key=1, name="gone", org_id=None, org_name=None, since=NOW)]
        await asyncio.sleep(5)
        assert [one.name for one in seen.removed] == ["gone"]
        reads.gone = []
        await asyncio.sleep(5)
        assert not seen.removed

    view(during)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (LedgerError("the ledger is away"), "the ledger is away"),
        (KeyError("x"), "a defect of the collector: KeyError"),
    ],
)
def test_a_ledger_that_fails_is_told_and_asked_again(error: Exception, trouble: str) -> None:
    async def during(viewer: Viewer, reads: Reads, seen: Observed) -> None:
        before = dict(seen.orgs)
        reads.error = error
        viewer.note(ended(ORGS[0]))
        await asyncio.sleep(5)
        troubles = [seen.troubles.get(Part.COVERAGE)]
        assert seen.orgs == before
        reads.error, reads.views["acme"] = None, org_view(labels={"team": "qa"})
        await asyncio.sleep(30)
        assert [*troubles, seen.troubles.get(Part.COVERAGE)] == [trouble, None]
        assert seen.orgs["acme"].labels == {"team": "qa"}

    view(during)


def test_memory_is_given_back_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []

    async def main() -> None:
        monkeypatch.setattr(heap, "give_back", lambda: times.append(asyncio.get_running_loop().time()))
        task = asyncio.create_task(heap.keep_giving_back())
        await asyncio.sleep(200)
        task.cancel()

    run_virtual(main())
    assert times == [60, 120, 180]
