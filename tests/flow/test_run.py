"""A whole run in virtual time, with and without a ledger, into an output in memory that fails when a test says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any, TypeVar

import pytest

from collector import __version__
from collector.adapters.sinks.jsonl import to_lines
from collector.core.answer import DOCUMENTED_PRODUCTS
from collector.core.exit_codes import ExitCode
from collector.ledger import NoLedger, SqlLedger
from collector.model import Population, Record, SliceState
from collector.ports import Clock, Ledger
from collector.run.manifest import in_words
from tests.flow.harness import COMPLETE, FAILED, NOT_ASKED, PARTIAL, REFUSED
from tests.flow.memory_run import FULL, Days, MemorySink, Ran, fails_at, orgs, run
from tests.support.fake_api import NOT_ADMIN, RESET, UNAUTHORIZED, FakeApi, FakeClock, answer, for_org, status
from tests.support.orgs import make_org

T = TypeVar("T")
DAY = timedelta(days=1)


BAD = for_org(
    {
        "org-0": lambda *_: UNAUTHORIZED,
        "org-1": lambda org, request, _n: answer(org, request, partial=True),
        "org-2": lambda *_: RESET,
        "org-3": lambda *_: status(400),
    }
)
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "healthy": lambda: {"asked": orgs(5)},
    "bad orgs": lambda: {"asked": orgs(6), "api": FakeApi(script=BAD)},
    "no windows": lambda: {"asked": orgs(1, 0)},
    "api down": lambda: {"asked": orgs(5, 20), "api": FakeApi(script=lambda *_: status(502))},
    "api goes down": lambda: {
        "asked": orgs(5, 20),
        "api": FakeApi(script=lambda _o, _r, n: status(502) if n > 9 else None),
    },
    "stopped": lambda: {"asked": orgs(5, 20), "api": FakeApi(latency_s=lambda _: 5.0), "stop_at": 12},
    "stopped before the start": lambda: {"asked": orgs(2), "stop_at": -1},
    "stopped without grace": lambda: {
        "asked": orgs(5, 20),
        "api": FakeApi(latency_s=lambda _: 5.0),
        "stop_at": 12,
        "grace_s": 0,
    },
    "first write fails": lambda: {"asked": orgs(5, 20), "sink": fails_at("append", 1)},
    "a later write fails": lambda: {"asked": orgs(5, 200), "sink": fails_at("append", 5)},
    "a write fails among bad orgs": lambda: {
        "asked": orgs(6, 200),
        "api": FakeApi(script=BAD),
        "sink": fails_at("append", 5),
    },
    "a rename fails": lambda: {"asked": orgs(5, 200), "sink": fails_at("publish", 2)},
    "the last seal fails": lambda: {"asked": orgs(5), "sink": fails_at("close_file", 1)},
    "the manifest fails": lambda: {"asked": orgs(5), "sink": fails_at("write_manifest", 1)},
    "stopped while the output fails": lambda: {"asked": orgs(5, 200), "sink": fails_at("append", 3), "stop_at": 2.2},
}
KINDS = ("no ledger", "ledger")
ENDINGS = [(case, kind) for case in CASES for kind in KINDS]


@pytest.fixture
def end(tmp_path: Path) -> Iterator[Callable[[str, str], Ran]]:
    """Run a case to its end, without a ledger or with one in a file."""
    with ExitStack() as stack:

        def ended(case: str, kind: str) -> Ran:
            ledger: Ledger = NoLedger()
            if kind == "ledger":
                url, clock = f"sqlite:///{tmp_path}/ledger.db", FakeClock()
                ledger = SqlLedger.open(url, command="collect", now=clock.now, durable=False)
                stack.callback(ledger.close)
            return run(**CASES[case](), ledger=ledger)

        yield ended


End = Callable[[str, str], Ran]


@pytest.mark.parametrize(("case", "kind"), ENDINGS)
def test_every_planned_slice_is_accounted_for_however_the_run_ends(case: str, kind: str, end: End) -> None:
    ran = end(case, kind)
    summary = ran.result.summary
    assert summary.planned == sum(ran.states.values()) == CASES[case]()["asked"].slices
    for org in summary.orgs.values():
        for population in org.populations.values():
            tally = population.tally
            assert population.planned == tally.states.total()
            incomplete = population.planned - tally.states[COMPLETE]
            assert sum(cause.slices for cause in tally.causes.values()) == incomplete


@pytest.mark.parametrize(("case", "kind"), ENDINGS)
def test_what_is_counted_is_what_is_sealed_however_the_run_ends(case: str, kind: str, end: End) -> None:
    ran = end(case, kind)
    summary, sink = ran.result.summary, ran.sink
    kept = list(sink.sealed)
    if kind == "ledger":  # the next run seals what is committed
        kept += sink.ended + sink.unsealed
    slices = {(r.org, r.population, r.window_start) for r in kept}
    assert ran.states.get(COMPLETE, 0) + ran.states.get(PARTIAL, 0) == len(slices)
    assert summary.records == len(kept)
    assert sum(file.records for file in ran.result.files) == len(sink.sealed)
    assert ran.result.files == tuple(sink.files)
    assert kind == "ledger" or sink.unsealed == []


@pytest.mark.parametrize(("case", "kind"), ENDINGS)
def test_the_manifest_says_what_the_result_says_and_is_sealed_last(case: str, kind: str, end: End) -> None:
    ran = end(case, kind)
    if not ran.sink.manifests:
        assert ran.result.output_error is not None
        return
    summary, manifest = ran.result.summary, ran.manifest
    slices = dict(manifest["slices"])
    assert slices.pop("planned") == summary.planned == sum(slices.values())
    assert slices == {state.value: summary.count(state) for state in SliceState}
    assert set(slices) == {"complete", "partial", "failed", "refused", "not_asked"}
    assert manifest["records"] == summary.records
    assert manifest["exit_code"] == ran.result.exit_code
    assert ran.sink.calls[-1][1] == "write_manifest"


@pytest.mark.parametrize(("case", "kind"), ENDINGS)
def test_every_request_is_counted(case: str, kind: str, end: End) -> None:
    ran = end(case, kind)
    if ran.result.output_error is None:
        assert ran.result.summary.requests == len(ran.api.asked)


def test_the_summary_of_a_run_with_every_kind_of_org() -> None:
    ran = run(orgs(6, 10), FakeApi(script=BAD))
    assert ran.states == {COMPLETE: 40, PARTIAL: 20, FAILED: 20 + 20, REFUSED: 20}
    assert ran.result.exit_code is ExitCode.REFUSED
    assert ran.result.summary.records == (40 + 20) * 2
    per_org = {
        name: ({s.value: n for s in SliceState if (n := org.count(s))}, org.requests, org.records)
        for name, org in ran.result.summary.orgs.items()
    }
    assert per_org == {
        "org-0": ({"refused": 20}, 2, 0),
        "org-1": ({"partial": 20}, 60, 40),
        "org-2": ({"failed": 20}, 120, 0),
        "org-3": ({"failed": 20}, 20, 0),
        "org-4": ({"complete": 20}, 20, 40),
        "org-5": ({"complete": 20}, 20, 40),
    }
    reasons = {(e["org"], e["state"], e["reason"]): e["slices"] for e in ran.manifest["not_complete"]}
    assert reasons == {
        ("org-0", "refused", "refused_credential"): 10,
        ("org-1", "partial", "partial"): 10,
        ("org-2", "failed", "connection_lost"): 10,
        ("org-3", "failed", "http_400"): 10,
    }
    # Where that is, is told of all of them: org-0 was refused at its first slice.
    assert len({str(entry["windows"]) for entry in ran.manifest["not_complete"]}) == 1


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({}, ExitCode.OK),
        ({"org-0": lambda *_: RESET}, ExitCode.INCOMPLETE),
        ({"org-0": lambda org, request, _n: answer(org, request, partial=True)}, ExitCode.INCOMPLETE),
        ({"org-0": lambda *_: NOT_ADMIN}, ExitCode.REFUSED),
        ({"org-0": lambda *_: NOT_ADMIN, "org-1": lambda *_: RESET}, ExitCode.REFUSED),
    ],
)
def test_the_exit_code_says_the_worst_and_a_person_who_is_needed_wins(script: dict[str, Any], code: ExitCode) -> None:
    ran = run(orgs(5), FakeApi(script=for_org(script)))
    assert ran.result.exit_code is code
    assert ran.manifest["exit_code"] == int(code)


def test_the_manifest_of_a_healthy_run_word_for_word() -> None:
    org = make_org("acme", populations=(Population.ACCOUNT_USER,))
    ran = run(Days([org], 20), None, MemorySink(seal_every=30))
    files = ran.manifest.pop("files")
    assert ran.manifest == {
        "run_id": "run-1",
        "command": "collect",
        "version": __version__,
        "started_at": "2026-06-24T10:20:00.000000Z",
        "ended_at": ran.result.ended_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "exit_code": 0,
        "slices": {"planned": 20, "complete": 20, "partial": 0, "failed": 0, "refused": 0, "not_asked": 0},
        "inferred": 0,
        "in_doubt": 0,
        "records": 40,
        "restated": 0,
        "requests": 20,
        "suspicious": {"product_missing": 20},
        "compared": None,
        "coverage": None,  # without a ledger nothing is known at the end
        "recovered": [],
        "adopted": None,
        "ranges": [],
        "not_complete": [],
        "anomalies": [
            {
                "org": "acme",
                "org_id": ran.sink.sealed[0].org_id,
                "population": "account-user",
                "anomaly": "product_missing",
                "message": "a documented product is not in the answer",
                "slices": 20,
                "products": [name for name in DOCUMENTED_PRODUCTS if name not in {r.product for r in ran.sink.sealed}],
                "windows": [{"start": "2026-06-01T00:00:00+00:00", "end": "2026-06-21T00:00:00+00:00"}],
                "more_windows": False,
            }
        ],
    }
    assert [file["records"] for file in files] == [30, 10]
    for file, lines in zip(files, (to_lines(ran.sink.sealed[:30]), to_lines(ran.sink.sealed[30:])), strict=True):
        assert (file["bytes"], file["sha256"]) == (len(lines), hashlib.sha256(lines).hexdigest())


class Still:
    """A clock that stands."""

    at = datetime(2026, 6, 24, 10, 20, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class GoingBack(Still):
    """A clock that someone keeps setting back."""

    def now(self) -> datetime:
        self.at -= timedelta(seconds=7)
        return self.at


@pytest.mark.parametrize("clock", [FakeClock(), Still(), GoingBack()])
def test_collected_at_rises_with_every_slice_whatever_the_clock_does(clock: Clock) -> None:
    ran = run(orgs(3), clock=clock)
    of_slice: dict[tuple[object, ...], set[datetime]] = {}
    for record in ran.sink.sealed:
        of_slice.setdefault((record.org, record.population, record.window_start), set()).add(record.collected_at)
    assert len(of_slice) == 30
    assert {len(moments) for moments in of_slice.values()} == {1}
    in_order = [moments.pop() for moments in of_slice.values()]
    assert all(earlier < later for earlier, later in pairwise(in_order))


def test_an_output_failure_stops_the_asking_at_once_and_waits_for_no_answer() -> None:
    api = FakeApi(latency_s=lambda org: 60.0 if org.name == "org-0" else 0.1)
    ran = run(orgs(5, 100), api, MemorySink(fails=lambda method, n: method == "append" and n == 3))
    _, _, failed_at = [at for at, method in ran.sink.calls if method == "append"]
    assert max(at for at, _ in api.asked) <= failed_at
    assert ran.ended_at == pytest.approx(failed_at)
    assert (ran.result.exit_code, ran.result.output_error) == (ExitCode.OUTPUT, FULL)
    causes = [cause for org in ran.result.summary.orgs.values() for _, cause in org.causes]
    assert {(cause.state, cause.code) for cause in causes} == {(FAILED, "output"), (NOT_ASKED, "output")}
    assert ran.states == {FAILED: len(api.asked), NOT_ASKED: 5 * 100 * 2 - len(api.asked)}
    unknown = [entry["windows"] for entry in in_words(ran.result)["not_complete"] if entry["state"] == "failed"]
    assert set(unknown) == {None}


@pytest.mark.parametrize("method", ["close_file", "publish", "write_manifest"])
def test_an_output_that_fails_at_the_very_end_is_told_as_well(method: str) -> None:
    ran = run(orgs(2), None, MemorySink(fails=lambda name, _n: name == method))
    assert (ran.result.exit_code, ran.result.output_error) == (ExitCode.OUTPUT, FULL)


@pytest.mark.parametrize(("signal", "code"), [(SIGINT, 130), (SIGTERM, 143)])
def test_a_stop_writes_everything_that_was_asked(signal: Signals, code: int) -> None:
    api = FakeApi(latency_s=lambda _: 5.0)
    ran = run(orgs(5, 20), api, MemorySink(takes_s=2.0), stop_at=12, signal=signal)
    assert max(at for at, _ in api.asked) <= 12
    written = {(r.org, r.population, r.window_start) for r in ran.sink.sealed}
    assert len(written) == len(api.asked) > 0
    assert ran.states == {COMPLETE: len(written), NOT_ASKED: 200 - len(written)}
    assert {e["reason"] for e in ran.manifest["not_complete"]} == {"stopped"}
    assert ran.result.exit_code == ran.manifest["exit_code"] == code


def test_a_stop_before_the_start_asks_nothing_and_still_leaves_a_manifest() -> None:
    ran = run(orgs(2), stop_at=-1)
    assert ran.api.asked == []
    assert (ran.states, ran.manifest["files"], ran.manifest["exit_code"]) == ({NOT_ASKED: 20}, [], 143)


def test_what_was_found_of_a_slice_that_a_stop_cuts_is_still_written() -> None:
    api = FakeApi(script=lambda org, request, n: answer(org, request, partial=True) if n == 0 else None)
    api.latency_s = lambda org: 0.1 if api.count[org.name] == 1 else 60.0
    ran = run(orgs(1), api, stop_at=12, grace_s=20)
    assert (ran.result.exit_code, ran.result.output_error) == (ExitCode.TERMINATED, None)
    assert ran.ended_at == pytest.approx(32)
    assert ran.states[PARTIAL] == 1
    assert len(ran.sink.sealed) == 2


def test_a_stop_ends_a_run_whose_reader_takes_nothing_any_more() -> None:
    ran = run(orgs(20, 100), None, MemorySink(stuck=True), stop_at=12, grace_s=20)
    assert 32 <= ran.ended_at <= 32 + 30
    assert ran.result.exit_code is ExitCode.TERMINATED
    assert ran.api.asked == []
    assert ran.states == {NOT_ASKED: 4000}


@dataclass
class BatchSink(MemorySink):
    """Notes how many records each batch has, and how many answers had come by then."""

    batches: list[int] = field(default_factory=list)

    def append(self, records: Sequence[Record]) -> None:
        super().append(records)
        self.batches.append(len(records))


def test_a_batch_of_answers_with_many_products_is_bounded_by_its_records() -> None:
    products = {f"product-{n}": {"totalTests": 1} for n in range(1000)}
    api = FakeApi(script=lambda org, request, _n: answer(org, request, products=products))
    sink = BatchSink(takes_s=30.0)  # so that outcomes queue up
    ran = run(orgs(2, days=10), api, sink)
    assert ran.states == {COMPLETE: 40}
    assert sum(sink.batches) == 40_000
    assert max(sink.batches) <= 3000
