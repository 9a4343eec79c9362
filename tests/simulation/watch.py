"""When which invariants are looked at: as processes end or are killed, when nobody works, and at the very end."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from collector.model import Zone
from tests.simulation import answers, coverage, gentleness, outcomes, reconciling
from tests.simulation.archive import Archive, Newest
from tests.simulation.trace import Broken

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World


class Watch:
    """Holds the world against what it promises; the first thing that doesn't hold is kept by the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.archive = Archive()

    def crashed(self, process: Process) -> None:
        """A process is about to be killed: what it was answered a while ago must be booked by now."""
        self._look(lambda: coverage.booked_soon(self.world, process))

    def ended(self, process: Process) -> None:
        """A process has ended, in whatever way."""
        self._look(lambda: gentleness.check(self.world, process))
        if not process.dead:
            self._look(lambda: outcomes.check(self.world, process))

    def quiet(self) -> None:
        """Nobody works."""
        self._look(lambda: self.archive.take(self.world.disk.sealed()))
        self._look(lambda: coverage.note_identified(self.world))

    def collected(self, last: Process) -> None:
        """Nothing has gone wrong for days, and `collect` was called each day."""
        self.quiet()
        self._look(lambda: coverage.check_collected(self.world, last))

    def backfilled(self, last: Process) -> None:
        """All gaps were filled."""
        self.quiet()
        self._look(lambda: coverage.check_complete(self.world, last))

    def settled(self, last: Process) -> None:
        """Everything was asked again, and then nothing was left to ask."""
        self.quiet()
        self._look(lambda: coverage.check_nothing_left(self.world, last))
        self._look(self._records)

    def relabelled(self) -> None:
        """Everything was restated with the present names and labels."""
        self.quiet()
        self._look(self._names)

    def reconciled(self, last: Process, before: Newest) -> None:
        """Everything was compared with the API's totals, and what differed was fetched again."""
        self.quiet()
        self._look(lambda: reconciling.check(self.world, last, before, self.archive.newest()))

    def first_day(self) -> date:
        """Return from when on anything is wanted without end."""
        world = self.world
        lookback = world.settings.schedule.lookback
        days = [
            spec.since or (seen - lookback).astimezone(Zone.parse(spec.zone).tz).date() for seen, spec in world.seen()
        ]
        return min(days, default=world.scenario.start.date())

    def _records(self) -> None:
        histories = list(self.archive.histories())
        disk = self.world.disk
        hidden = [path.name for path in disk.hidden() if path not in disk.cut]
        if not disk.cut:
            hidden += [path.name for path in disk.names if path.name.endswith(".staged")]
        if hidden and not disk.losses:  # the removal of an empty left-over need not survive a loss of power
            raise Broken("sealed", f"{hidden} are left over")
        # A file that a reader moves away before the next run begins can't be listed by it any more.
        if not disk.taken and (unlisted := outcomes.unlisted(disk.sealed())):
            raise Broken("manifest", f"no manifest names {sorted(unlisted)}")
        if unsealed := coverage.unsealed(self.world):
            raise Broken("sealed", f"{unsealed} were never sealed")
        answers.check(self.world, histories)
        answers.check_truth(self.world, self.archive.newest())

    def _names(self) -> None:
        list(self.archive.histories())
        right = {org.name: tuple(sorted(org.labels.items())) for org in self.world.config(0).orgs}
        for rows in self.archive.newest().values():
            for row in rows.values():
                name, _, labels = row.names
                if right.get(str(name), labels) != labels:
                    raise Broken("relabel", f"{row} has the labels {labels} of before")

    def _look(self, check: object) -> None:
        try:
            check()  # type: ignore[operator]
        except Broken as broken:
            self.world.broken(broken.invariant, str(broken))
