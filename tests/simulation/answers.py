"""Records against what the API really said: nothing measured that wasn't answered, no zero that wasn't told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.archive import Row
from tests.simulation.faults import Answered
from tests.simulation.scenario import Scenario
from tests.simulation.trace import Broken
from tests.simulation.truth import SliceId

if TYPE_CHECKING:
    from tests.simulation.api import Request
    from tests.simulation.world import World

_NAMES = ("totalTests", "totalDuration", "totalScreenshots")
Given = Mapping[tuple[str, SliceId], Sequence[Answered]]


def check(world: World, histories: Sequence[Sequence[Row]]) -> None:
    """Hold every revision against the answers of the run that wrote it."""
    given: dict[tuple[str, SliceId], list[Answered]] = defaultdict(list)
    for request in world.api.requests:
        if request.answer is not None and request.ended is not None:
            given[request.run, request.slice].append(request.answer)
    spans = [r for r in world.api.requests if r.is_span and r.answer is not None and not r.answer.partial]
    for history in histories:
        before: Row | None = None
        for row in history:
            if row.run_id in world.watch.archive.relabels:
                before = row
                continue
            if row.quality == "inferred":
                _check_inferred(world, row, before, [span for span in spans if span.run == row.run_id])
            else:
                _check_row(world.scenario, row, before, given.get((row.run_id, row.slice), []))
            if before is not None:
                _check_shrunk(world.scenario, row, before)
            before = row


def _check_row(scenario: Scenario, row: Row, before: Row | None, answers: Sequence[Answered]) -> None:
    if not answers:
        raise Broken("answers", f"{row} was never answered in its run")
    told = [a for a in answers if row.product in a.numbers.products and a.org_id == row.slice.org_id]
    same_as_before = before is not None and before.numbers == row.numbers and before.quality == row.quality
    given = [(values(a.numbers.products[row.product]), a.partial) for a in told]
    if row.quality == "unavailable":
        if any(number is not None for number in row.numbers) or any(not partial for _, partial in given):
            raise Broken("answers", f"{row} is unavailable, but {told[-1]} was answered")
        return
    whole = [numbers for numbers, partial in given if not partial]
    if row.is_zero and not same_as_before and (row.numbers, False) not in given:
        raise Broken("false zero", f"{row} is zero, but {answers[-1]} was answered")
    if not same_as_before and all(row.numbers != numbers for numbers, _ in given):
        raise Broken("answers", f"{row} is measured, but {answers[-1]} was answered")
    if whole and not same_as_before and row.numbers != whole[-1]:
        raise Broken("answers", f"{row} is measured, but the whole answer was {whole[-1]}")
    if row.quality == "unverified" and not (row.is_zero and any(a.numbers.is_zero for a in told)):
        raise Broken("answers", f"{row} is unverified, but not all was zero")
    old = row.collected_at - row.slice.end > scenario.trust_zero_for + timedelta(hours=8)
    if before is None and old and row.quality == "measured" and told and told[-1].numbers.is_zero:
        raise Broken("false zero", f"{row} is measured, though older than zeros are trusted")


def _check_inferred(world: World, row: Row, before: Row | None, spans: Sequence[Request]) -> None:
    """An inferred zero was answered for an enclosing span, or was true when the span's answer came."""
    if before is not None and before.quality == row.quality:
        return  # what differs is the number of users, or that it is emitted again at all
    enclosing = [span for span in spans if _encloses(span, row.slice)]
    if not enclosing or not row.is_zero:
        raise Broken("inferred", f"{row} isn't the zero of any span")
    if any(span.answer is not None and span.answer.numbers.is_zero for span in enclosing):
        return
    spec = next(spec for spec in world.scenario.orgs if spec.org_id == row.slice.org_id)
    truths = [world.api.truth.of(spec, row.slice, world.api.instant(span.ended or 0.0)) for span in enclosing]
    if not any(not any(values(truth.products.get(row.product, {}))) for truth in truths):
        raise Broken("inferred", f"{row} is inferred to be empty, but {truths[0].products[row.product]} was used")


def _encloses(span: Request, slice_: SliceId) -> bool:
    same = (span.slice.org_id, span.slice.population) == (slice_.org_id, slice_.population)
    right = span.answer is not None and span.answer.org_id == slice_.org_id
    return same and right and span.slice.start <= slice_.start and slice_.end <= span.slice.end


def _check_shrunk(scenario: Scenario, row: Row, before: Row) -> None:
    """What shrank is told downstream only while the window is young: later it may be retention."""
    if smaller(row.numbers, before.numbers) and row.collected_at - row.slice.end > restate_for(scenario):
        raise Broken("shrunk", f"{row} is smaller than {before.numbers}, and too old for that")


def check_truth(world: World, newest: Mapping[SliceId, Mapping[str, Row]]) -> None:
    """After everything was asked again, what counts downstream is what the API says, or rightly better."""
    last = {
        request.slice: (request.answer, request.ended)
        for request in world.api.requests
        if request.answer is not None
        and not request.answer.partial
        and request.ended is not None
        and request.answer.org_id == request.slice.org_id
        and request.run in world.final_runs
    }
    for slice_, (answer, at) in last.items():
        age = world.api.instant(at) - slice_.end
        rows = newest.get(slice_, {})
        held_back = False
        for product, metrics in answer.numbers.products.items():
            row = rows.get(product)
            if row is None:
                raise Broken("truth", f"there is no record of {slice_}/{product}")
            held_back |= _is_held_back(world, row, values(metrics), answer, age)
        users = {row.users for row in rows.values()}
        if users != {answer.numbers.users} and not held_back:
            raise Broken("truth", f"{slice_} has {users} users, not {answer.numbers.users}")


def _is_held_back(world: World, row: Row, truth: tuple[int | None, ...], answer: Answered, age: timedelta) -> bool:
    """Say whether a record rightly differs from the truth: an old window shrank. Raises Broken otherwise."""
    if row.quality == "unavailable":
        raise Broken("truth", f"{row} is unavailable, but the answer was whole")
    if row.numbers == truth:
        return row.quality == "measured" and answer.numbers.is_zero
    is_smaller = smaller(truth, row.numbers)
    forgotten = answer.numbers.is_zero and age > world.scenario.trust_zero_for - timedelta(minutes=5)
    if is_smaller and (age > restate_for(world.scenario) - timedelta(minutes=5) or forgotten):
        return True
    raise Broken("truth", f"{row} counts downstream, but the truth is {truth}")


def restate_for(scenario: Scenario) -> timedelta:
    """Return up to which age smaller numbers are emitted."""
    return timedelta(days=float(scenario.schedule["restate_for"].removesuffix("d")))


def smaller(new: Sequence[int | None], old: Sequence[int | None]) -> bool:
    return any(a is not None and b is not None and a < b for a, b in zip(new, old, strict=True))


def values(metrics: Mapping[str, int]) -> tuple[int | None, ...]:
    return tuple(metrics.get(name) for name in _NAMES)
