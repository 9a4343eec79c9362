"""Guards of the collector, each taken out in turn: what the simulation is worth is what it finds then.

A mutation says which invariant it must break. They patch the collector from outside, and only while a seed runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from sqlalchemy import update

from collector.adapters.sinks import DirectorySink
from collector.app import prepare
from collector.core import coverage, emission, finding, normalise, plan, response, retry, summary, wanted
from collector.core.coverage import Known
from collector.core.finding import Finding
from collector.core.identities import Identities
from collector.core.ledger_entries import UnsealedFile
from collector.deliver import adoption, recovery
from collector.deliver.writer import Writer
from collector.errors import Failure
from collector.fetch import dispatcher, lane, limiter, slice_fetch
from collector.fetch.dispatcher import Dispatcher
from collector.fetch.lane import Lane, Mood
from collector.fetch.limits import Limits
from collector.fetch.org_pace import OrgPace
from collector.fetch.outage import Outage
from collector.fetch.slice_fetch import SliceFetch
from collector.ledger import SqlLedger, holders, leases, runs, unsealed
from collector.model import Answer, Org, Population, Slice, Window
from collector.ports import Ledger
from collector.run import run
from collector.run.leasing import Leasing
from collector.run.org_task import OrgTask
from tests.simulation.disk import SimFiles

Patch = AbstractContextManager[Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A guard that is taken out, and the invariants of which one must be found broken (whichever is met first)."""

    name: str
    breaks: Collection[str]
    patches: Callable[[], Sequence[Patch]]

    def __str__(self) -> str:
        return self.name

    def applied(self) -> ExitStack:
        """Take the guard out for as long as the context lasts."""
        with ExitStack() as stack:
            for one in self.patches():
                stack.enter_context(one)
            return stack.pop_all()


def _nothing(*_: object, **__: object) -> None:
    return None


# --- what is durable, and when --------------------------------------------------------------


def _sync_never() -> Sequence[Patch]:
    return [patch.object(SimFiles, "sync", lambda self, path: self.hand.point(f"no sync {path.name}"))]


def _book_before_the_records() -> Sequence[Patch]:
    """The order of append and book turned round."""
    append, position_of = DirectorySink.append, Writer._position

    held: dict[int, list[Any]] = {}

    def later(self: DirectorySink, records: Sequence[Any]) -> None:
        held.setdefault(id(self), []).extend(records)
        self._records += 1  # the file counts as begun

    def position(self: Writer) -> UnsealedFile | None:
        return position_of(self)

    write = Writer.write

    def mutated(self: Writer, outcomes: Sequence[Any]) -> Any:
        with patch.object(DirectorySink, "append", later), patch.object(Writer, "_position", position):
            written = write(self, outcomes)
        sink = self._sink
        assert isinstance(sink, DirectorySink)
        if records := held.pop(id(sink), []):
            sink._records -= 1
            append(sink, records)
        return written

    return [patch.object(Writer, "write", mutated)]


def _seal_without_intent() -> Sequence[Patch]:
    return [patch.object(unsealed, "intend_seal", _nothing)]


def _name_never_durable() -> Sequence[Patch]:
    sync = SimFiles.sync

    def mutated(self: SimFiles, path: Any) -> None:
        if path in self.disk.names:
            self.disk.names[path].new = False
        sync(self, path)

    return [patch.object(SimFiles, "sync", mutated)]


def _seal_told_before_the_rename() -> Sequence[Patch]:
    publish = DirectorySink.publish

    def seal(self: Writer) -> Any:
        file = self._sink.close_file()
        if file is not None and self._ledger and self._file:
            self._ledger.sealed(self._file.file_id)
            self._file = None
            publish(self._sink, file)  # type: ignore[arg-type]
            self.sealed.append(file)
        return tuple(self.sealed)

    return [patch.object(Writer, "seal", seal)]


# --- what a crash leaves --------------------------------------------------------------------


def _recovery_never() -> Sequence[Patch]:
    return [patch.object(prepare, "recover", lambda *_args, **_kwargs: recovery.Recovered())]


def _recovery_cuts_nothing() -> Sequence[Patch]:
    return [patch.object(SimFiles, "truncate", lambda self, path, _size: self.sync(path))]


def _recovery_trusts_any_size() -> Sequence[Patch]:
    finish = recovery._finish

    def mutated(ledger: Ledger, files: Any, file: UnsealedFile, path: Any) -> None:
        size = files.size(path)
        booked = file if size is None or not file.records else replace(file, bytes=min(size, file.bytes))
        finish(ledger, files, booked, path)

    return [patch.object(recovery, "_finish", mutated)]


def _lost_without_prior() -> Sequence[Patch]:
    lost = unsealed.lost

    def mutated(tx: Any, file_id: int) -> int:
        table = unsealed.slice_
        tx.execute(update(table).where(table.c.file == file_id).values(prior=None))
        return lost(tx, file_id)

    return [patch.object(unsealed, "lost", mutated)]


def _restored_ledger_does_not_look() -> Sequence[Patch]:
    return [patch.object(prepare, "look", lambda *_: adoption.Unsettled())]


def _restored_ledger_takes_sealed_for_lost() -> Sequence[Patch]:
    return [patch.object(recovery, "_was_sealed", lambda *_: False)]


def _adopted_without_the_newest() -> Sequence[Patch]:
    """Only runs that the ledger doesn't know at all are looked at: not one that went on after the backup."""
    look = adoption.look

    def mutated(*args: Any) -> adoption.Unsettled:
        found = look(*args)
        return replace(found, begun={run_id: begun for run_id, begun in found.begun.items() if not begun})

    return [patch.object(prepare, "look", mutated)]


def _leases_of_the_dead_stay() -> Sequence[Patch]:
    return [patch.object(module, "remove_dead_holders", _nothing) for module in (leases, holders, unsealed, runs)]


def _gathered_for_a_minute() -> Sequence[Patch]:
    return [patch.object(run, "_GATHER_S", 60.0)]


# --- several processes ----------------------------------------------------------------------


def _lease_ignored() -> Sequence[Patch]:
    acquire = leases.acquire

    def mutated(*args: Any) -> dict[int, Any]:
        acquire(*args)
        return {}

    return [patch.object(leases, "acquire", mutated)]


def _released_before_it_is_committed() -> Sequence[Patch]:
    release = Leasing._release

    async def mutated(self: Leasing, tasks: Sequence[OrgTask]) -> None:
        if tasks:
            await self._offload(lambda: self._ledger.release([task.key for task in tasks]))
        await release(self, tasks)

    return [patch.object(Leasing, "_release", mutated)]


def _left_to_nobody() -> Sequence[Patch]:
    return [patch.object(SqlLedger, "waited_for", lambda *_args: ())]


def _released_while_retries_wait() -> Sequence[Patch]:
    return [patch.object(Lane, "waiting", False)]


# --- what is emitted ------------------------------------------------------------------------


def _emission_change(**mutated: Any) -> Callable[[], Sequence[Patch]]:
    return lambda: [patch.object(emission, name, value) for name, value in mutated.items()]


def _collected_at_follows_the_clock() -> Sequence[Patch]:
    change = normalise.change

    def mutated(*args: Any, now: datetime, **kwargs: Any) -> Any:
        changed = change(*args, now=now, **kwargs)
        return replace(changed, emission=replace(changed.emission, emitted_at=now))

    return [patch.object(normalise, "change", mutated)]


def _equal_is_emitted_again() -> Sequence[Patch]:
    change = normalise.change

    def mutated(previous: Any, found: Finding, **kwargs: Any) -> Any:
        changed = change(previous, found, **kwargs)
        again = {
            name: replace(one, revision=one.revision + 1)
            for name, one in (previous.products.items() if previous else ())
            if name not in changed.emitted
        }
        at = max(kwargs["now"], previous.emitted_at + emission._TICK) if again else changed.emission.emitted_at
        products = {**changed.emission.products, **again}
        return replace(
            changed,
            emitted={**changed.emitted, **again},
            emission=replace(changed.emission, products=products, emitted_at=at),
        )

    return [patch.object(normalise, "change", mutated)]


def _shrunk_is_always_restated() -> Sequence[Patch]:
    change = normalise.change

    def mutated(*args: Any, **kwargs: Any) -> Any:
        return change(*args, **(kwargs | {"emit_shrunk": True}))

    return [patch.object(normalise, "change", mutated)]


def _partial_zero_is_measured() -> Sequence[Patch]:
    absorb = finding.absorb

    def mutated(before: Finding | None, answer: Answer) -> Finding:
        found = absorb(before, answer)
        products = {name: usage or answer.products.get(name) for name, usage in found.products.items()}
        return replace(found, products=products)

    return [patch.object(slice_fetch, "absorb", mutated)]


def _partial_is_complete() -> Sequence[Patch]:
    return [patch.object(Finding, "complete", property(lambda _self: True))]


# --- what is asked --------------------------------------------------------------------------


def _cursor() -> Sequence[Patch]:
    """Coverage as the newest window that is complete: what is older is never asked again."""
    needed = plan.needed

    def mutated(
        org: Org, windows: Iterable[Window], known: Mapping[tuple[Population, datetime], Known], needs: Any
    ) -> list[Slice]:
        done = [start for (_, start), one in known.items() if one.state is coverage.SliceState.COMPLETE]
        slices = list(needed(org, windows, known, needs))
        return [slice_ for slice_ in slices if not done or slice_.window.start >= max(done)]

    return [patch.object(plan, "needed", mutated)]


def _never_rechecked() -> Sequence[Patch]:
    return [patch.object(coverage, "_recheck_due", lambda *_args, **_kwargs: False)]


def _failed_is_done() -> Sequence[Patch]:
    to_collect = coverage.to_collect

    def mutated(window: Window, known: Known | None, *args: Any, **kwargs: Any) -> bool:
        return known is None and to_collect(window, known, *args, **kwargs)

    return [
        patch.object(wanted, "to_collect", mutated),
        patch.object(wanted, "to_backfill", lambda known, *, force, **_: force or known is None),
    ]


# --- gentleness -----------------------------------------------------------------------------


def _no_margin() -> Sequence[Patch]:
    return [patch.object(limiter, "_MARGIN_S", 0.0), patch.object(limiter, "_MARGIN_RATIO", 0.0)]


def _permit_runs_out() -> Sequence[Patch]:
    take = limiter.Limiter.take

    def mutated(self: limiter.Limiter) -> limiter.Permit:
        permit = take(self)
        permit.sent(asyncio.get_running_loop().time())
        return permit

    def sent(self: limiter.Permit, now: float) -> None:
        if self.unsent:
            real(self, now)

    real = limiter.Permit.sent
    return [patch.object(limiter.Limiter, "take", mutated), patch.object(limiter.Permit, "sent", sent)]


def _retries_at_once() -> Sequence[Patch]:
    decide = lane.decide

    def mutated(*args: Any, **kwargs: Any) -> retry.Decision:
        decision = decide(*args, **kwargs)
        return retry.RetryIn(0.0) if isinstance(decision, retry.RetryIn) else decision

    return [patch.object(lane, "decide", mutated)]


def _retry_after_is_unheard() -> Sequence[Patch]:
    return [patch.object(OrgPace, "failed", _nothing)]


def _refused_is_asked_on() -> Sequence[Patch]:
    refuse = Lane._refuse

    def mutated(self: Lane, fetch: SliceFetch, refused: Any) -> Any:
        if self._refusals > 20:
            return refuse(self, fetch, refused)
        self.mood = Mood.REFUSED_ONCE
        return [self._retry(fetch, refused, now=fetch.sent_at + 10, delay_s=1.0)]

    return [patch.object(Lane, "_refuse", mutated), patch.object(lane, "_REFUSALS", 20)]


def _concurrency_ignored() -> Sequence[Patch]:
    of = Lane.of

    def mutated(org: Org, limits: Limits, outage: Outage) -> Lane:
        return of(org, replace(limits, org_concurrency=limits.org_concurrency * 2), outage)

    return [patch.object(Lane, "of", mutated)]


def _waiting_holds_the_loop() -> Sequence[Patch]:
    """A Retry-After that one org is told pauses all of them."""
    failed, ready_at, init = OrgPace.failed, OrgPace.ready_at, Dispatcher.__init__
    paused = {"until": 0.0}

    def failing(self: OrgPace, failure: Failure, **kwargs: float) -> None:
        failed(self, failure, **kwargs)
        paused["until"] = max(paused["until"], self.paused_until)

    def ready(self: OrgPace, now: float, **kwargs: int) -> float | None:
        when = ready_at(self, now, **kwargs)
        until = paused["until"]
        return when if when is None or until > now + 700 else max(when, until)

    def begin(self: Dispatcher, *args: Any, **kwargs: Any) -> None:
        paused["until"] = 0.0
        init(self, *args, **kwargs)

    return [
        patch.object(OrgPace, "failed", failing),
        patch.object(OrgPace, "ready_at", ready),
        patch.object(Dispatcher, "__init__", begin),
    ]


# --- what is told ---------------------------------------------------------------------------


def _not_asked_is_forgotten() -> Sequence[Patch]:
    return [patch.object(summary.PopulationSummary, "close", _nothing)]


def _identity_unchecked() -> Sequence[Patch]:
    def remember(self: Identities, org: Org, answer: Answer) -> None:
        self._known[org.name] = answer.org_id

    interpret = response.interpret

    def mutated(*args: Any, **kwargs: Any) -> Any:
        return interpret(*args, **(kwargs | {"pinned_org_id": None}))

    return [patch.object(Identities, "check", remember), patch.object(dispatcher, "interpret", mutated)]


MUTATIONS = (
    Mutation("nothing is ever synced", {"again", "lost", "sealed", "lines", "revisions", "truth"}, _sync_never),
    Mutation("booked before the records are written", {"manifest", "again", "revisions"}, _book_before_the_records),
    Mutation("no intent before the rename", {"lost", "revisions"}, _seal_without_intent),
    Mutation("the name of a new file is never made durable", {"lost"}, _name_never_durable),
    Mutation("told to be sealed before the rename", {"sealed", "revisions"}, _seal_told_before_the_rename),
    Mutation("what a killed run left is never finished", {"sealed", "revisions"}, _recovery_never),
    Mutation("recovery cuts nothing off", {"revisions", "lines"}, _recovery_cuts_nothing),
    Mutation("recovery takes a file that is too short", {"revisions", "lines", "truth"}, _recovery_trusts_any_size),
    Mutation("a lost file takes all revisions back", {"revisions"}, _lost_without_prior),
    Mutation("a restored ledger doesn't look at its files", {"revisions"}, _restored_ledger_does_not_look),
    Mutation("a file sealed after the backup is lost", {"lost"}, _restored_ledger_takes_sealed_for_lost),
    Mutation("a run that went on after the backup counts as known", {"revisions"}, _adopted_without_the_newest),
    Mutation("the dead keep their leases", {"coverage", "exit code", "sealed", "again"}, _leases_of_the_dead_stay),
    Mutation("a minute of work is gathered before it is booked", {"again"}, _gathered_for_a_minute),
    Mutation("released before it is booked", {"again"}, _released_before_it_is_committed),
    Mutation("an org is left to nobody who waits", {"waits"}, _left_to_nobody),
    Mutation("released while slices wait for retries", {"again"}, _released_while_retries_wait),
    Mutation("the lease is ignored", {"lease"}, _lease_ignored),
    Mutation(
        "a worse answer replaces a better",
        {"worse", "truth"},
        _emission_change(_RANK=dict.fromkeys(emission._RANK, 0)),
    ),
    Mutation("collected_at follows the clock", {"collected_at"}, _collected_at_follows_the_clock),
    Mutation("old windows that shrank are restated", {"shrunk"}, _shrunk_is_always_restated),
    Mutation("an equal record is emitted again", {"equal"}, _equal_is_emitted_again),
    Mutation("a partial answer's zero is measured", {"false zero"}, _partial_zero_is_measured),
    Mutation("a partial answer completes a slice", {"summary", "coverage", "exit code"}, _partial_is_complete),
    Mutation("coverage is a cursor", {"coverage"}, _cursor),
    Mutation("complete windows are never looked at again", {"recheck"}, _never_rechecked),
    Mutation("a slice that failed counts as done", {"coverage"}, _failed_is_done),
    Mutation("the limits have no margin", {"rate"}, _no_margin),
    Mutation("a permit counts from when it was taken", {"rate"}, _permit_runs_out),
    Mutation("slices are asked again at once", {"pace"}, _retries_at_once),
    Mutation("Retry-After is not heard", {"pace"}, _retry_after_is_unheard),
    Mutation("a refused org is asked on and on", {"refused"}, _refused_is_asked_on),
    Mutation("an org's concurrency is doubled", {"concurrency"}, _concurrency_ignored),
    Mutation("one org's Retry-After pauses all", {"healthy"}, _waiting_holds_the_loop),
    Mutation("what was not asked isn't counted", {"summary"}, _not_asked_is_forgotten),
    Mutation("another organization's answers are booked", {"identity", "answers"}, _identity_unchecked),
)
