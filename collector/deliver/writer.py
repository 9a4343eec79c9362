"""The one owner of output and ledger: what is written and what is committed, in one order.

For each batch of slices that ended: look up what was emitted before, write the records that are
new or differ, make them durable, and only then commit the slices. A file is sealed by preparing what
it becomes, committing the intent, renaming, and committing that it is sealed. So a crash at any point leaves something
that `recover` can finish without reading sealed files (docs/ledger.md).

Synchronous, and called on the writer's thread only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.core.anomalies import Anomalies
from collector.core.emission import Emission, replaced
from collector.core.exit_codes import ExitCode
from collector.core.ledger_entries import CredentialUse, Replaced, SliceCommit, SliceKey, SliceRow, UnsealedFile
from collector.core.naming import Named, naming
from collector.core.normalise import Normalised, normalise, renamed
from collector.deliver.baseline import Baseline
from collector.errors import CollectorError, LedgerError, NotRenamedError, OutputError, OutputGoneError, Refused
from collector.events import SliceCommitted, SliceOutcome
from collector.model import Org, Population, Record, SliceState
from collector.ports import Clock, Ledger, SealedFile, Sink

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the records of a run have in common."""

    run_id: str
    trust_zero_for: timedelta
    restate_for: timedelta
    directory: str = ""  # the output's, where it has files
    directory_id: str | None = None  # where a path doesn't identify the directory
    unread: Sequence[datetime] = ()  # the ends of runs that a restored ledger doesn't know the records of


class Writer:
    """Sink and ledger of one run. `key_of` returns the ledger's key of an org."""

    def __init__(self, sink: Sink, *, ledger: Ledger, key_of: Callable[[Org], int], clock: Clock, rules: Rules) -> None:
        self._sink = sink
        self._ledger = ledger
        self._key_of = key_of
        self._clock = clock
        self._rules = rules
        self._baseline = Baseline(ledger)
        self._file: UnsealedFile | None = None
        self._refused: set[str] = set()  # orgs, in this run
        self.sealed: list[SealedFile] = []
        self.since = clock.now()  # no slice of the run was committed at an earlier time, whatever the clock does
        self._last_at: datetime | None = None
        self._newest: datetime | None = None  # `collected_at` of a record that was written

    def write(self, outcomes: Sequence[SliceOutcome]) -> list[SliceCommitted]:
        """Write and commit the ends of slices.

        Raises OutputError or LedgerError; then none of them is committed, or the reader of stdout went away.
        """
        before = [outcome for outcome in outcomes if outcome.as_before]
        outcomes = [outcome for outcome in outcomes if not outcome.as_before]
        outcomes.sort(key=lambda one: one.slice.window.start)  # each is compared with earlier windows
        keys = [self._slice_key(outcome) for outcome in outcomes]
        rows = self._ledger.rows(_with_twins(outcomes, keys))
        found = [self._normalise(outcome, key, rows) for outcome, key in zip(outcomes, keys, strict=True)]
        if records := [record for one in found if one for record in one.records]:
            self._append(records)
        commits = [
            _as_before(outcome, key, one, rows[key])
            if outcome.restates
            else self._commit(outcome, key, one, rows.get(key))
            for outcome, key, one in zip(outcomes, keys, found, strict=True)
        ]
        uses = self._uses([*before, *outcomes])
        self._ledger.commit(commits, self._position(), uses, lines=self._sink.take_lines())
        self._sink.committed()
        ended = zip([*before, *outcomes], [*[None] * len(before), *found], strict=True)
        return [_committed(outcome, one) for outcome, one in ended]

    @property
    def full(self) -> bool:
        """Whether the open file has the size at which it is to be sealed."""
        return self._sink.full

    def seal(self) -> None:
        """Seal the open file, if there is one."""
        committed = self._position()
        if files := self._sink.close_file(() if committed is None else self._ledger.kept(committed)):
            if committed:
                self._ledger.intend_seal(committed.file_id)
            self._publish(files)
            if committed and (along := self._sink.along):
                self._ledger.seal_along(committed, along)
            elif committed:
                self._ledger.sealed(committed.file_id)
            self._file = None
            self.sealed += files

    def _publish(self, files: Sequence[SealedFile]) -> None:
        """Give a file its names. If it is known to have kept its hidden name or to be gone, take the intent back."""
        try:
            self._sink.publish(files)
        except NotRenamedError:
            if self._file:
                with suppress(LedgerError):  # the failure of the output is reported
                    self._ledger.withdraw_seal(self._file.file_id)
            raise

    def finish(self, manifest: bytes, exit_code: int | None) -> None:
        """Seal the manifest, and commit the end of the run: also if the manifest can't be written."""
        try:
            self._sink.write_manifest(manifest)
        except OutputError:
            with suppress(LedgerError):  # the failure of the output is reported
                self._ledger.end_run(self._rules.run_id, ExitCode.OUTPUT, self._clock.now())
            raise
        self._ledger.end_run(self._rules.run_id, exit_code, self._clock.now())

    def loses(self, failure: CollectorError) -> bool:
        """Return whether a failure takes back what was written of the unsealed file: the next run can't seal it."""
        return self._file is not None and (not self._ledger.remembers or isinstance(failure, OutputGoneError))

    def give_up(self) -> None:
        """After a failure: leave what the next run recovers, and remove what it can't."""
        if self._file is None or not self._ledger.remembers:
            self._sink.discard()

    def ended_at(self) -> datetime:
        """Return the time of the clock, but none before a `collected_at`: a restored ledger goes on behind it."""
        now = self._clock.now()
        return max(now, self._newest) if self._newest else now

    def _append(self, records: Sequence[Record]) -> None:
        """Write records and make them durable; commit the name of a file before it is created."""
        if (name := self._sink.next_name()) is not None:
            rules = self._rules
            self._file = self._ledger.open_file(rules.run_id, rules.directory, name, place=rules.directory_id)
        self._sink.append(records)
        self._newest = max([record.collected_at for record in records] + ([self._newest] if self._newest else []))
        if self._ledger.remembers:  # what is committed has to last; without a ledger, sealing makes it durable
            self._sink.sync()

    def _normalise(self, outcome: SliceOutcome, key: SliceKey, rows: Mapping[SliceKey, SliceRow]) -> Normalised | None:
        if outcome.restates is not None:
            return self._renamed(outcome, outcome.restates, rows[key])
        if outcome.finding is None:
            return None
        row, twins = rows.get(key), _twins(outcome, key, rows)
        found = normalise(
            outcome.slice,
            outcome.finding,
            collected_at=self._rising_now(),
            run_id=self._rules.run_id,
            trust_zero_for=self._rules.trust_zero_for,
            previous=row.emission if row else None,
            restate_for=self._rules.restate_for,
            unread=self._rules.unread,
            anomalies=self._baseline.anomalies(outcome.slice, key, outcome.finding, twins=twins),
        )
        if outcome.finding.complete:
            self._baseline.note(outcome.slice, found.change.emission)
        return found

    def _renamed(self, outcome: SliceOutcome, organization: Named, row: SliceRow) -> Normalised | None:
        if row.emission is None:
            return None
        return renamed(
            outcome.slice,
            row.emission,
            organization,
            collected_at=self._rising_now(),
            run_id=self._rules.run_id,
            unread=self._rules.unread,
            anomalies=row.anomalies,
        )

    def _commit(
        self, outcome: SliceOutcome, key: SliceKey, found: Normalised | None, row: SliceRow | None
    ) -> SliceCommit:
        now = self._clock.now()
        self.since = min(self.since, now)
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
        return SliceCommit(
            slice=key,
            end=outcome.slice.window.end,
            state=state,
            code=code,
            asked_at=now,
            complete_at=complete_at,
            emission=emission,
            naming=_naming(outcome, found, row),
            anomalies=_standing_anomalies(found, row),
            replaced=self._replaced(found, row),
        )

    def _replaced(self, found: Normalised | None, row: SliceRow | None) -> Replaced | None:
        if found is None or row is None or not found.change.restated:
            return None
        before = replaced(row.emission, found.change.emission)
        return None if before is None else Replaced(emission=before, run_id=self._rules.run_id)

    def _uses(self, outcomes: Sequence[SliceOutcome]) -> list[CredentialUse]:
        """Return which orgs were answered, and then which were refused.

        A refusal stands for the rest of the run: an answer behind it is of a request that left before.
        """
        answered: dict[str, CredentialUse] = {}
        refused: dict[str, CredentialUse] = {}
        now = self._clock.now()
        for outcome in outcomes:
            org = outcome.slice.org
            if isinstance(outcome.failure, Refused):
                self._refused.add(org.name)
                refused[org.name] = CredentialUse(org=org, at=now, refused=outcome.failure)
            elif _is_answered(outcome) and org.name not in self._refused:
                answered[org.name] = CredentialUse(org=org, at=now)
        return [*answered.values(), *refused.values()]

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


def _is_answered(outcome: SliceOutcome) -> bool:
    """Return whether an answer of the API brought it about."""
    return outcome.finding is not None or (outcome.as_before and outcome.state is SliceState.COMPLETE)


def _committed(outcome: SliceOutcome, found: Normalised | None) -> SliceCommitted:
    if found is None:
        return SliceCommitted(outcome=outcome, records=0)
    return SliceCommitted(
        outcome=outcome,
        records=len(found.records),
        restated=found.change.restated,
        qualities=Counter(record.quality for record in found.records),
        flags=found.anomalies,
        kept=found.change.kept,
    )


def _as_before(outcome: SliceOutcome, key: SliceKey, found: Normalised | None, row: SliceRow) -> SliceCommit:
    """Return what is committed of a slice of which only the names and labels of its records change."""
    renamed_to = naming(outcome.slice.org, outcome.restates.org_name) if found and outcome.restates else row.naming
    return SliceCommit(
        slice=key,
        end=row.end,
        state=row.known.state,
        code=row.code,
        asked_at=row.asked_at,
        complete_at=row.known.complete_at,
        emission=found.change.emission if found else row.emission,
        naming=renamed_to,
        anomalies=row.anomalies,
    )


def _naming(outcome: SliceOutcome, found: Normalised | None, row: SliceRow | None) -> int | None:
    """Return the naming of all records of a slice; None if those that were not emitted now may have another."""
    before = row.naming if row else None
    if found is None or outcome.finding is None or not found.records:
        return before
    now = naming(outcome.slice.org, outcome.finding.org_name)
    all_emitted = len(found.records) == len(found.change.emission.products)
    return now if all_emitted or before == now else None


def _standing_anomalies(found: Normalised | None, row: SliceRow | None) -> Anomalies:
    """Return the anomalies of what was emitted: an answer that emits nothing takes none of them away."""
    before = row.anomalies if row else {}
    if found is None:
        return before
    return found.anomalies if found.records else {**before, **found.anomalies}


def _with_twins(outcomes: Sequence[SliceOutcome], keys: Sequence[SliceKey]) -> list[SliceKey]:
    """Return the slices that ended, and those of their orgs' other populations for the same windows."""
    both = dict.fromkeys(keys)
    for outcome, key in zip(outcomes, keys, strict=True):
        for population in outcome.slice.org.populations:
            both.setdefault(key._replace(population=population))
    return list(both)


def _twins(outcome: SliceOutcome, key: SliceKey, rows: Mapping[SliceKey, SliceRow]) -> dict[Population, Emission]:
    """Return what was emitted of the org's other populations in the same window, where that is complete."""
    found = {
        population: rows.get(key._replace(population=population))
        for population in outcome.slice.org.populations
        if population is not outcome.slice.population
    }
    return {
        population: row.emission
        for population, row in found.items()
        if row is not None and row.emission is not None and row.known.state is SliceState.COMPLETE
    }
