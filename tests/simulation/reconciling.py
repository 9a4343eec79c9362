"""What a reconcile of everything came to: exactly what changed is restated, at a bounded price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from collector.core.exit_codes import ExitCode
from collector.model import Zone
from tests.simulation import answers, coverage
from tests.simulation.archive import Newest, Row
from tests.simulation.scenario import OrgSpec
from tests.simulation.trace import Broken
from tests.simulation.truth import Numbers, SliceId

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_MAX_SPAN = timedelta(days=90)
_HALVINGS = 8  # of a span of days, and the window itself


def check(world: World, process: Process, before: Newest, after: Newest) -> None:
    """Hold what counts downstream before and after it against what the API says."""
    if process.exit_code not in (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.REFUSED):
        raise Broken("exit code", f"{process.exit_code} of a reconcile when nothing goes wrong")
    for spec in coverage.healthy(world):
        for population in spec.populations:
            slices = [one for one in before if one.org_id == spec.org_id and one.population is population]
            compared = sorted((one for one in slices if _is_compared(world, process, spec, one)), key=lambda s: s.start)
            changed = {one for one in compared if _differs(before[one], _truth(world, process, spec, one))}
            for slice_ in compared:
                _restated(world, process, slice_, after[slice_], _truth(world, process, spec, slice_))
            _price(world, process, spec, compared, changed, before)
            if changed and process.exit_code is ExitCode.OK:
                raise Broken("reconciled", f"exit code 0, although {next(iter(changed))} had changed")
    _nothing_else(process, before, after)


def _is_compared(world: World, process: Process, spec: OrgSpec, slice_: SliceId) -> bool:
    """Return whether it is in the range, and whether its numbers stood while it was compared."""
    first = process.launch.first_day
    day = slice_.start.astimezone(Zone.parse(spec.zone).tz).date()
    ended = world.api.truth.of(spec, slice_, world.api.instant(process.ended or world.now()))
    return first is not None and day >= first and ended == _truth(world, process, spec, slice_)


def _truth(world: World, process: Process, spec: OrgSpec, slice_: SliceId) -> Numbers:
    return world.api.truth.of(spec, slice_, world.api.instant(process.began))


def _differs(rows: Mapping[str, Row], truth: Numbers) -> bool:
    if any(row.quality == "unavailable" for row in rows.values()):
        return True
    return any(
        _zeros(rows[product].numbers if product in rows else ()) != _zeros(answers.values(metrics))
        for product, metrics in truth.products.items()
    )


def _zeros(numbers: Iterable[int | None]) -> tuple[int, ...]:
    """Return the numbers above zero: what is not there is as good as zero."""
    return tuple(number for number in numbers if number)


def _restated(world: World, process: Process, slice_: SliceId, rows: Mapping[str, Row], truth: Numbers) -> None:
    """What counts downstream is the truth by now, or rightly larger."""
    age = world.api.instant(process.began) - slice_.end
    forgotten = truth.is_zero and age > world.scenario.trust_zero_for - timedelta(hours=1)
    for product, metrics in truth.products.items():
        row, right = rows.get(product), answers.values(metrics)
        if _zeros(row.numbers if row else ()) == _zeros(right):
            continue
        smaller = row is not None and answers.smaller(right, row.numbers)
        if not (smaller and (forgotten or age > answers.restate_for(world.scenario) - timedelta(hours=1))):
            raise Broken("reconciled", f"{slice_}/{product} is {row and row.numbers}, but the truth is {right}")


def _price(
    world: World, process: Process, spec: OrgSpec, compared: list[SliceId], changed: set[SliceId], before: Newest
) -> None:
    """A span costs one request, a changed window one for each halving; windows with an unknown number cut spans."""
    if not compared or process.neighbours != {process.run_id}:
        return
    spans, first = 1, compared[0].start
    for one, following in pairwise(compared):
        if following.start != one.end or following.end - first > _MAX_SPAN:
            spans, first = spans + 1, following.start
    unknown = sum(any(row.quality == "unavailable" for row in before[one].values()) for one in compared)
    most = spans + unknown + _HALVINGS * len(changed) + 1
    mine = (compared[0].org_id, compared[0].population)
    sent = [r for r in world.api.of_run(process.run_id) if (r.slice.org_id, r.slice.population) == mine]
    if len(sent) > most:
        raise Broken("reconciled", f"{spec.org_id} took {len(sent)} requests for {len(changed)} changed windows")


def _nothing_else(process: Process, before: Newest, after: Newest) -> None:
    """No record is emitted of a window that nobody had collected."""
    emitted: dict[SliceId, int] = defaultdict(int)
    for slice_, rows in after.items():
        emitted[slice_] += sum(row.run_id == process.run_id for row in rows.values())
    unknown = [slice_ for slice_, records in emitted.items() if records and slice_ not in before]
    if unknown:
        raise Broken("reconciled", f"{unknown[0]} was never collected, and has records of {process.run_id}")
