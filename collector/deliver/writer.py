"""The one owner of output and ledger: what is written and what is booked, in one order.

For each batch of ended slices: look up what was emitted before, write the records that are
new or differ, make them durable, and only then book the slices. A file is sealed by committing
the intent, renaming, and committing that it is done. So a crash at any point leaves something
that `recover` can finish without looking at sealed files (docs/ledger.md).

Synchronous, and called on the writer's thread only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.core.anomalies import Anomaly
from collector.core.emission import Emission
from collector.core.finding import missing_products
from collector.core.ledger_entries import SliceCommit, SliceKey, SliceRow, UnsealedFile
from collector.core.normalise import Normalised, normalise
from collector.deliver.baseline import Baseline
from collector.events import SliceCommitted, SliceOutcome
from collector.model import Org, Population, SliceState
from collector.ports import Clock, Ledger, SealedFile, Sink

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the records of a run have in common."""

    run_id: str
    trust_zero_for: timedelta
    restate_for: timedelta
    directory: str = ""  # the output's, where it has files
    place: str | None = None  # the directory's id, where paths don't tell


class Writer:
    """Sink and ledger of one run. Without a ledger nothing is known of before, and nothing is kept."""

    def __init__(
        self,
        sink: Sink,
        *,
        clock: Clock,
        rules: Rules,
        ledger: Ledger | None = None,
        key_of: Callable[[Org], int] = lambda _org: 0,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._rules = rules
        self._ledger = ledger
        self._key_of = key_of
        self._doubts = Baseline(ledger)
        self._file: UnsealedFile | None = None
        self.sealed: list[SealedFile] = []
        self.all_kept = True  # whether no failure of the output can take back what was written
        self._last_at: datetime | None = None

    def write(self, outcomes: Sequence[SliceOutcome]) -> list[SliceCommitted]:
        """Write and book the ends of slices. Raises OutputError or LedgerError; then nothing of them is booked."""
        keys = [self._slice_key(outcome) for outcome in outcomes]
        rows = self._ledger.rows(_with_twins(outcomes, keys)) if self._ledger else {}
        found = [self._normalise(outcome, rows.get(key)) for outcome, key in zip(outcomes, keys, strict=True)]
        records = [record for one in found if one for record in one.records]
        if records:
            if self._ledger and (name := self._sink.next_name()) is not None:
                rules = self._rules
                self._file = self._ledger.open_file(rules.run_id, rules.directory, name, place=rules.place)
            self._sink.append(records)
        if self._ledger:
            if records:
                self._sink.sync()
            commits = [
                commit
                for outcome, key, one in zip(outcomes, keys, found, strict=True)
                if (commit := self._booking(outcome, key, one, rows.get(key)))
            ]
            self._ledger.commit(commits, self._position())
        self.all_kept = self._ledger is not None or not self._sink.written[1]  # booked, or on stdout
        if self._sink.full:
            self.seal()
        return [self._booked(outcome, key, one, rows) for outcome, key, one in zip(outcomes, keys, found, strict=True)]

    def seal(self) -> tuple[SealedFile, ...]:
        """Seal the open file, if there is one, and return all sealed files of this run."""
        file = self._sink.close_file()
        if file is not None:
            if self._ledger and self._file:
                self._ledger.intend_seal(self._file.file_id)
            self._sink.publish(file)
            if self._ledger and self._file:
                self._ledger.sealed(self._file.file_id)
            self._file = None
            self.all_kept = True
            self.sealed.append(file)
        return tuple(self.sealed)

    def finish(self, manifest: bytes, exit_code: int | None) -> None:
        """Seal the manifest, and book the end of the run."""
        self._sink.write_manifest(manifest)
        if self._ledger:
            self._ledger.end_run(self._rules.run_id, exit_code, self._clock.now())

    def give_up(self) -> None:
        """After a failure: leave what is booked to be recovered, remove what nobody knows of."""
        if self._file is None:
            self._sink.discard()

    def _normalise(self, outcome: SliceOutcome, row: SliceRow | None) -> Normalised | None:
        if outcome.finding is None:
            return None
        return normalise(
            outcome.slice,
            outcome.finding,
            collected_at=self._rising_now(),
            run_id=self._rules.run_id,
            trust_zero_for=self._rules.trust_zero_for,
            previous=row.emission if row else None,
            restate_for=self._rules.restate_for,
        )

    def _booking(
        self, outcome: SliceOutcome, key: SliceKey, found: Normalised | None, row: SliceRow | None
    ) -> SliceCommit | None:
        now = self._clock.now()
        before = row.known if row else None
        state, code = outcome.state, outcome.failure.code if outcome.failure else None
        if state is SliceState.COMPLETE:
            complete_at: datetime | None = now
        else:
            complete_at = before.complete_at if before else None
            if before and before.state is SliceState.COMPLETE:
                state, code = before.state, None  # a worse answer never replaces a better one
            elif before and before.state is SliceState.PARTIAL and found is None:
                state = before.state
        emission: Emission | None = found.change.emission if found else (row.emission if row else None)
        shrunk = None
        if found and found.change.shrunk and outcome.finding:
            shrunk = {
                name: usage for name in found.change.shrunk if (usage := outcome.finding.products.get(name)) is not None
            }
        return SliceCommit(
            slice=key,
            end=outcome.slice.window.end,
            state=state,
            code=code,
            asked_at=now,
            complete_at=complete_at,
            emission=emission,
            shrunk=shrunk,
        )

    def _booked(
        self, outcome: SliceOutcome, key: SliceKey, found: Normalised | None, rows: Mapping[SliceKey, SliceRow]
    ) -> SliceCommitted:
        finding = outcome.finding
        if found is None or finding is None:
            return SliceCommitted(outcome=outcome, records=0)
        about = {Anomaly.SHRUNK: found.change.shrunk, Anomaly.PRODUCT_MISSING: missing_products(finding)}
        flags = self._doubts.flags(outcome.slice, key, finding, twins=_twins(outcome, key, rows))
        if finding.complete:
            self._doubts.note(outcome.slice, found.change.emission)
        return SliceCommitted(
            outcome=outcome,
            records=len(found.records),
            restated=found.change.restated,
            qualities=Counter(record.quality for record in found.records),
            flags=dict.fromkeys(flags, ()) | {flag: products for flag, products in about.items() if products},
        )

    def _position(self) -> UnsealedFile | None:
        if self._file is None:
            return None
        size, records = self._sink.written
        return UnsealedFile(
            file_id=self._file.file_id,
            run_id=self._file.run_id,
            directory=self._file.directory,
            name=self._file.name,
            bytes=size,
            records=records,
            seal_intended=False,
        )

    def _slice_key(self, outcome: SliceOutcome) -> SliceKey:
        slice_ = outcome.slice
        return SliceKey(key=self._key_of(slice_.org), population=slice_.population, start=slice_.window.start)

    def _rising_now(self) -> datetime:
        """Return the time of the clock, or a little more: the newest `collected_at` wins downstream."""
        now = self._clock.now()
        if self._last_at is not None and now <= self._last_at:
            now = self._last_at + _TICK
        self._last_at = now
        return now


def _with_twins(outcomes: Sequence[SliceOutcome], keys: Sequence[SliceKey]) -> list[SliceKey]:
    """Return the slices that ended, and those of their orgs' other populations for the same windows."""
    both = dict.fromkeys(keys)
    for outcome, key in zip(outcomes, keys, strict=True):
        for population in outcome.slice.org.populations:
            both.setdefault(replace(key, population=population))
    return list(both)


def _twins(outcome: SliceOutcome, key: SliceKey, rows: Mapping[SliceKey, SliceRow]) -> dict[Population, Emission]:
    """Return what was emitted of the org's other populations in the same window, where that is complete."""
    found = {
        population: rows.get(replace(key, population=population))
        for population in outcome.slice.org.populations
        if population is not outcome.slice.population
    }
    return {
        population: row.emission
        for population, row in found.items()
        if row is not None and row.emission is not None and row.known.state is SliceState.COMPLETE
    }
