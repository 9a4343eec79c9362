"""What a process says of itself: its summary, its manifest and its exit code agree with what happened."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from collector.adapters.sinks.reading import json_lines_of
from collector.core.exit_codes import ExitCode
from collector.core.layout import is_partition
from collector.core.ledger_entries import RECONCILE, RELABEL
from collector.model import SliceState
from collector.run.manifest import RunResult
from tests.simulation.scenario import LONG_WAIT_S
from tests.simulation.trace import Broken

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

OK, OUTPUT, REFUSED, BUSY = ExitCode.OK, ExitCode.OUTPUT, ExitCode.REFUSED, ExitCode.BUSY


def check(world: World, process: Process) -> None:
    """Look at a process that ended by itself."""
    if process.exit_code in (ExitCode.DEFECT, ExitCode.USAGE):
        raise Broken("defect", f"{process.run_id} ended with {process.exit_code}: {process.error!r}")
    _exit_code(world, process)
    _waits(world, process)
    if process.result is not None:
        _counts(world, process, process.result)
        _slices_end_once(world, process)
        if process.result.output_error is None:
            _manifest(world, process, process.result)


def _counts(world: World, process: Process, result: RunResult) -> None:
    """Planned = complete + partial + failed + refused + not asked, for each population; nothing asked is left out."""
    asked: Counter[tuple[str, str]] = Counter()
    for slice_ in {request.slice for request in world.api.of_run(process.run_id) if not request.is_span}:
        asked[slice_.org_id, slice_.population.value] += 1
    for org in result.summary.orgs.values():
        spec = world.spec(org.org)
        for population, summary in org.populations.items():
            states = summary.tally.states
            if summary.planned != states.total() or min([0, *states.values()]) < 0:
                raise Broken("summary", f"{org.org.name}: {summary.planned} planned, but {dict(states)}")
            if summary.planned < asked[spec.org_id, population.value]:
                raise Broken("summary", f"{org.org.name}: more asked than the {summary.planned} planned")
    requests = len(world.api.of_run(process.run_id))
    if result.summary.requests != requests and not process.failed_by and not process.signalled:
        raise Broken("summary", f"{result.summary.requests} requests are told, {requests} were sent")


def _slices_end_once(world: World, process: Process) -> None:
    """Each slice that was asked has one outcome, and one that was answered is complete."""
    ends = Counter((o.slice.org.name, o.slice.population, o.slice.window) for o in process.outcomes)
    twice = [key for key, n in ends.items() if n > 1]
    if twice:
        raise Broken("summary", f"{twice[0]} ended twice in {process.run_id}")
    if process.launch.command == RELABEL:
        return
    whole = [r for r in world.api.of_run(process.run_id) if r.answer and not r.answer.partial and r.ended]
    complete = {r.slice for r in whole if not r.is_span}
    told = sum(
        outcome.state is SliceState.COMPLETE
        and not outcome.as_before
        and not (outcome.finding and outcome.finding.inferred)
        for outcome in process.outcomes
    )
    if told > len(complete):
        raise Broken("summary", f"{told} slices are told to be complete, {len(complete)} were answered")


def _manifest(world: World, process: Process, result: RunResult) -> None:
    """The manifest says what the result says, and its files are there as it says."""
    directory = Path(process.config.settings.output.path).resolve()
    sealed = world.disk.sealed()
    content = sealed.get(directory / f"run-{process.run_id}.json")
    if content is None:
        raise Broken("manifest", f"{process.run_id} has none")
    told = orjson.loads(content)
    counts = {state.value: result.summary.count(state) for state in SliceState}
    if told["slices"] != {"planned": sum(counts.values())} | counts or told["exit_code"] != process.exit_code:
        raise Broken("manifest", f"{process.run_id} tells {told['slices']} and exit code {told['exit_code']}")
    by_name = {_name(path): content for path, content in sealed.items()}  # a recovered file may be in another directory
    for file in (*told["files"], *(file for file in told["recovered"] if file["sha256"])):
        there = by_name.get(file["name"], b"")
        if hashlib.sha256(there).hexdigest() != file["sha256"] or _records(file["name"], there) != file["records"]:
            raise Broken("manifest", f"{file['name']} is not as {process.run_id} tells")
    if told["coverage"] is not None:
        _coverage(process, told["coverage"], by_name.get(told["coverage"]["name"], b""))
    if sum(file["records"] for file in told["files"]) != told["records"]:
        raise Broken("manifest", f"{process.run_id} tells of {told['records']} records, not those of its files")


def _coverage(process: Process, told: Mapping[str, Any], content: bytes) -> None:
    """Each window that was fetched has a line, and is complete if it was answered so."""
    lines = [orjson.loads(line) for line in content.splitlines()]
    if hashlib.sha256(content).hexdigest() != told["sha256"] or len(lines) != told["windows"]:
        raise Broken("coverage", f"{told['name']} is not as {process.run_id} tells")
    states = {(line["org"], line["population"], datetime.fromisoformat(line["window_start"])): line for line in lines}
    if len(states) != len(lines):
        raise Broken("coverage", f"{told['name']} tells of a window twice")
    for outcome in process.outcomes:
        if outcome.as_before:
            continue
        slice_ = outcome.slice
        line = states.get((slice_.org.name, slice_.population.value, slice_.window.start))
        if line is None and not told["orgs_left_out"]:
            raise Broken("coverage", f"{told['name']} has no line for {slice_}")
        if line is None or outcome.state is not SliceState.COMPLETE or outcome.finding is None:
            continue
        right = {"complete", "unverified"} if outcome.finding.is_zero else {"complete"}
        if line["state"] not in right:
            raise Broken("coverage", f"{told['name']} says that {slice_} is {line['state']}")


def unlisted(sealed: Mapping[Path, bytes]) -> set[str]:
    """Return the files of records that no manifest names."""
    manifests = [orjson.loads(content) for path, content in sealed.items() if path.name.startswith("run-")]
    named = {file["name"] for told in manifests for file in (*told["files"], *told["recovered"])}
    return {_name(path) for path in sealed if path.name.startswith("usage-")} - named


def _name(path: Path) -> str:
    """Return the name of a sealed file, with the directories of its partition."""
    directories = [part for part in path.parts if is_partition(part)]
    return "/".join([*directories, path.name])


def _records(name: str, content: bytes) -> int:
    return json_lines_of(name, content).count(b"\n")


def _exit_code(world: World, process: Process) -> None:
    """The exit code is the one that what happened calls for."""
    code, result = process.exit_code, process.result
    requests = world.api.of_run(process.run_id)
    # After a signal, what the run never came to is counted as far as the ledger can be read.
    uncounted = process.signalled and all(trouble.endswith(" at coverage") for trouble in process.failed_by)
    if process.failed_by and code != OUTPUT and not uncounted:
        raise Broken("exit code", f"{code} although {process.failed_by[0]}")
    if code == OUTPUT:
        if not process.failed_by:
            raise Broken("exit code", f"5 for {process.error or (result and result.output_error)}")
        return
    signal = process.ending.signal
    if signal is not None and code == 128 + signal:
        return
    if code == BUSY and len(process.neighbours) < 2:
        raise Broken("exit code", "6 although nobody else worked")
    refusals = Counter(r.slice.org_id for r in requests if r.refused or _swapped(r.slice.org_id, r.answer))
    if code == REFUSED and not refusals:
        raise Broken("exit code", "4 although no org was refused")
    if code != REFUSED and any(n > 1 for n in refusals.values()) and not _recovered(world, process):
        raise Broken("exit code", f"{code} although {refusals.most_common(1)} refused")
    complete = {r.slice for r in requests if r.answer and not r.answer.partial}
    lacking = {r.slice for r in requests if not r.is_span} - complete
    if code == OK and lacking:
        raise Broken("exit code", f"0 although {next(iter(lacking))} isn't complete")
    summary = result.summary if result else None
    all_complete = summary is not None and summary.count(SliceState.COMPLETE) == summary.planned
    if code == ExitCode.INCOMPLETE and all_complete and process.launch.command != RECONCILE:
        raise Broken("exit code", "3 although all is complete")


def _waits(world: World, process: Process) -> None:
    """A process that waits gets each org after a batch of another, unless retries make a batch long."""
    scenario = world.scenario
    long = process.launch.wait >= LONG_WAIT_S
    if process.exit_code == BUSY and long and not scenario.episodes and len(process.neighbours) == 2:
        raise Broken("waits", f"{process.run_id} was not left an org within {process.launch.wait:g} s")


def _swapped(org_id: str, answer: object) -> bool:
    return answer is not None and getattr(answer, "org_id", org_id) != org_id


def _recovered(world: World, process: Process) -> bool:
    """Whether every org that refused answered in between, so that none was refused twice on end."""
    last: dict[str, bool] = {}
    for request in world.api.of_run(process.run_id):
        refused = request.refused
        if refused and last.get(request.slice.org_id):
            return False
        last[request.slice.org_id] = refused
    return True
