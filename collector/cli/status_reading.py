"""What `collector status` reads of the ledger. It reads again cheaply: only the orgs that changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from collector.adapters.clock import SystemClock
from collector.app.calendars import refused_calendars
from collector.app.command import has_ledger
from collector.app.coverage import CoverageReader
from collector.app.ledgers import open_ledger_to_read, warn_of_missing_ledger
from collector.app.scope import EVERYTHING
from collector.cli.context import Context
from collector.core.coverage_lines import CoverageLine
from collector.core.exit_codes import ExitCode
from collector.core.ledger_entries import CutOver, RemovedOrg
from collector.core.org_coverage import CoverageState, OrgCoverage
from collector.core.outputs import KnownOutputs
from collector.errors import LedgerError
from collector.ledger import AwaitedFile, NoLedger, Readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of the chosen orgs at one instant; `known` is None if there is no ledger."""

    orgs: Sequence[OrgCoverage]
    awaited: Sequence[AwaitedFile]
    left_out: Mapping[str, CutOver]
    removed: Sequence[RemovedOrg]
    known: KnownOutputs | None

    @property
    def exit_code(self) -> ExitCode:
        """The code with which the command ends."""
        is_gap = self.known is None or self.awaited or any(org.incomplete for org in self.orgs)
        return ExitCode.INCOMPLETE if is_gap else ExitCode.OK


class StatusReading:
    """Reads one status after another. `close` it at the end."""

    def __init__(self, context: Context) -> None:
        """Open the ledger. Raises UsageError if the config has none, and LedgerError."""
        if not has_ledger(context.config):
            raise click.UsageError("there is no ledger: `state.url` is none")
        self._config, self._scope = context.config, context.scope
        self._reader = CoverageReader(context.config, context.scope, days=None)
        self._orgs: dict[str, OrgCoverage] = {}
        self._ledger: Readable | None = open_ledger_to_read(context.config)
        self._seen: Readable | None = None  # the ledger that `_orgs` are of
        if isinstance(self._ledger, NoLedger):
            warn_of_missing_ledger(context.config, "all windows are missing")
        refused_calendars(self._ledger, context.config, context.scope.of(context.config.orgs))  # warns of time left out

    def close(self) -> None:
        """Close the ledger; the next read opens it again."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def read(self) -> Status:
        """Return the status as it is now. After a LedgerError the next read opens the ledger again."""
        try:
            return self._read()
        except LedgerError:
            self.close()
            raise

    def windows(self, org: OrgCoverage) -> Iterator[CoverageLine]:
        """Yield each wanted window of an org that was read, if it has ended."""
        return self._reader.windows(self._opened(), org, SystemClock().now())

    def _read(self) -> Status:
        ledger, now = self._opened(), SystemClock().now()
        if ledger is not self._seen:
            self._orgs, self._seen = self._reader.read_all(ledger, now), ledger
        else:
            self._reader.read(ledger, (), now)
            names = {*self._reader.changed(), *self._reader.stale(now)}
            if not isinstance(ledger, NoLedger):  # it may have got a row for an org that it didn't know
                names |= {name for name, org in self._orgs.items() if org.org_id is None}
            self._orgs |= self._reader.read(ledger, names, now)
        orgs = list(self._orgs.values())
        # Files are of other orgs unless all are chosen, or one of these is in doubt.
        in_doubt = self._scope == EVERYTHING or any(org.count(CoverageState.IN_DOUBT) for org in orgs)
        return Status(
            orgs=orgs,
            awaited=ledger.awaited() if in_doubt else (),
            left_out={org.name: cut for org in orgs if (cut := self._reader.left_out(ledger, org, now)) is not None},
            removed=ledger.removed([org.name for org in self._config.orgs]),
            known=None if isinstance(ledger, NoLedger) else ledger.known_outputs(),
        )

    def _opened(self) -> Readable:
        """Return the ledger; one that was missing may be there by now."""
        if self._ledger is None or isinstance(self._ledger, NoLedger):
            found = open_ledger_to_read(self._config)
            if self._ledger is None or not isinstance(found, NoLedger):
                self._ledger = found
        return self._ledger
