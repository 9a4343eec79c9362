"""The world that one seed makes: one machine with a ledger, a disk and a clock, one API, and processes over time."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from collector.config import LoadedConfig, Settings
from collector.core.ledger_entries import RECONCILE, RELABEL
from collector.ledger import SqlLedger
from collector.model import BasicCredential, Org, Zone
from tests.simulation import coverage
from tests.simulation.api import Api, number_of
from tests.simulation.disk import Disk
from tests.simulation.process import Process
from tests.simulation.scenario import Ending, Launch, OrgSpec, Scenario, Step
from tests.simulation.trace import Broken, Trace
from tests.simulation.truth import Truth
from tests.simulation.watch import Watch

LONG = 7 * 86400.0  # no process lives longer
BY_ITSELF = Ending()


class World:
    """Everything that is simulated, and everything that is real, of one seed."""

    def __init__(
        self, scenario: Scenario, directory: Path, template: Path, *, echo: Callable[[str], None] | None = None
    ) -> None:
        self.scenario = scenario
        self.loop = asyncio.get_running_loop()
        self.trace = Trace(self.now, echo=echo)
        self.rng = random.Random(f"world {scenario.seed}")
        self.disk = Disk(random.Random(f"disk {scenario.seed}"))
        truth = Truth(scenario.seed, scenario.start)
        self.api = Api(scenario, random.Random(f"api {scenario.seed}"), self.trace, truth)
        self.processes: list[Process] = []
        self.step = 0
        self._clock_offs: list[tuple[float, timedelta]] = [(0.0, timedelta(0))]  # from when on, by how much
        self.first_seen: dict[int, datetime] = {}  # by org: what the clock read when it was first wanted
        self.broken_first: Broken | None = None
        self.final_runs: set[str] = set()
        self.watch = Watch(self)
        self.ledger_path = directory / "ledger.db"
        shutil.copyfile(template, self.ledger_path)
        self._backup: tuple[Path, dict[int, datetime], float] | None = None  # with whom it had seen, and when
        self.forgotten: set[str] = set()  # runs that the ledger's backup doesn't have, or not to their end
        self._settings: dict[int, Settings] = {}  # by output directory: parsing them for each process takes long
        self.settings = self.config(0).settings

    # -- clocks

    def now(self) -> float:
        return self.loop.time()

    def wall_clock(self) -> datetime:
        return self.wall_clock_at(self.now())

    def wall_clock_at(self, at: float) -> datetime:
        """What clocks said at an instant."""
        off = next(off for since, off in reversed(self._clock_offs) if since <= at)
        return self.scenario.start + timedelta(seconds=at) + off

    @property
    def clock_off(self) -> timedelta:
        return self._clock_offs[-1][1]

    @clock_off.setter
    def clock_off(self, off: timedelta) -> None:
        self._clock_offs.append((self.now(), off))

    # -- what processes have in common

    def open_ledger(self, holder: str) -> SqlLedger:
        return SqlLedger.open(
            f"sqlite:///{self.ledger_path}",
            command=holder,
            now=self.wall_clock,
            durable=False,
            holder_id=f"holder-{holder}-{len(self.processes)}",
            patience_s=0.0,
        )

    def registered(self, orgs: Sequence[Org]) -> None:
        """Note what the clock reads when orgs are first wanted."""
        for org in orgs:
            self.first_seen.setdefault(number_of(org), self.wall_clock())

    def seen(self) -> list[tuple[datetime, OrgSpec]]:
        """Return the orgs that were ever wanted, and what the clock read then."""
        return [(at, self.scenario.orgs[number]) for number, at in self.first_seen.items()]

    def configured(self, step: int) -> list[OrgSpec]:
        return [spec for spec in self.scenario.orgs if spec.configured(step)]

    def spec(self, org: Org) -> OrgSpec:
        """Return the organization that an entry is for."""
        return self.scenario.orgs[number_of(org)]

    def names(self, only: tuple[int, ...], config: LoadedConfig) -> tuple[str, ...]:
        """Return the names of orgs in the config; all if none of them is in it."""
        there = {org.name for org in config.orgs}
        return tuple(name for number in only if (name := self.scenario.orgs[number].name(self.step)) in there)

    def config(self, directory: int) -> LoadedConfig:
        orgs = tuple(_org(spec, self.step, relabels=self.scenario.relabels) for spec in self.configured(self.step))
        if directory not in self._settings:
            self._settings[directory] = self._settings_of(directory)
        settings = self._settings[directory]
        return LoadedConfig(settings=settings, orgs=orgs, path=self.ledger_path, files=(), warnings=())

    def _settings_of(self, directory: int) -> Settings:
        limits, scenario = self.scenario.limits, self.scenario
        return Settings.model_validate(
            {
                "api": {
                    "timeout": scenario.timeout,
                    "concurrency": limits.concurrency,
                    "rate_limit": {"requests": limits.rate.requests, "period": limits.rate.period_s},
                    "org_concurrency": limits.org_concurrency,
                    "org_rate_limit": {"requests": limits.org_rate.requests, "period": limits.org_rate.period_s},
                    "retry": {
                        "attempts": limits.retry.attempts,
                        "base_delay": limits.retry.base_delay_s,
                        "max_delay": limits.retry.max_delay_s,
                        "budget": limits.retry.budget_s,
                    },
                },
                "trust_zero_for": scenario.trust_zero_for.total_seconds(),
                "output": {"path": f"/simulated/out-{directory}"},
                "state": {"url": f"sqlite:///{self.ledger_path}"},
                "schedule": scenario.schedule,
            }
        )

    # -- what goes wrong

    def broken(self, invariant: str, message: str) -> None:
        """Remember the first invariant that doesn't hold."""
        if self.broken_first is None:
            self.broken_first = Broken(invariant, message.removeprefix(f"{invariant}: "))
            self.trace("BROKEN", f"{invariant}: {message}")

    def crash(self, process: Process, *, power: bool) -> None:
        """Kill a process; with the power goes every process, and what isn't durable."""
        dying = [p for p in self.processes if p.ended is None and not p.dead] if power else [process]
        self.trace("world", f"{'power cut' if power else 'kill'}: {', '.join(p.run_id for p in dying)}")
        for one in dying:
            self.watch.crashed(one)
            one.die()
            self.api.forget(one.run_id)
        if power:
            self.disk.lose_power()

    # -- the history

    async def live(self) -> None:
        """Let the steps happen, one after the other."""
        restore = self.scenario.restore
        if restore is not None:
            self.loop.call_later(restore.backup, self._back_up)
        for number, step in enumerate(self.scenario.steps):
            self.step = number
            await asyncio.sleep(max(0.0, step.begins - self.now()))
            if restore is not None and number == restore.step:
                self._restore()
            await self.take(step)

    def _back_up(self) -> None:
        """Copy the ledger, whatever goes on."""
        path = self.ledger_path.with_suffix(".backup")
        with closing(sqlite3.connect(self.ledger_path)) as ledger, closing(sqlite3.connect(path)) as copy:
            ledger.backup(copy)
        self._backup = path, dict(self.first_seen), self.now()
        self.trace("someone", "makes a backup of the ledger")

    def _restore(self) -> None:
        """Replace the ledger by its backup while nobody works."""
        if self._backup is None:
            return
        path, self.first_seen, at = self._backup
        self.forgotten = {p.run_id for p in self.processes if p.ended is None or p.ended > at}
        for name in ("", "-wal", "-shm"):
            self.ledger_path.with_name(self.ledger_path.name + name).unlink(missing_ok=True)
        shutil.copyfile(path, self.ledger_path)
        known = {f".{name}.unsealed" for name in coverage.unsealed(self)}
        # Nobody seals a file of which nobody knows any more. None of its records was delivered.
        self.disk.cut.update(path for path in self.disk.hidden() if path.name not in known)
        self.trace("someone", "restores the ledger from the backup")

    async def take(self, step: Step) -> None:
        """Let one step happen, and all its processes end."""
        self.clock_off = step.clock_jump
        if step.readers_come:
            self.trace("readers", f"move {self.disk.readers_come()} files")
        readers = self.loop.create_task(self._readers()) if self.scenario.readers_every else None
        async with asyncio.TaskGroup() as tasks:
            for launch in step.launches:
                tasks.create_task(self._call(launch))
        if readers is not None:
            readers.cancel()
            with suppress(asyncio.CancelledError):
                await readers
        self.watch.quiet()
        self._raise()

    async def _call(self, launch: Launch) -> None:
        """Call a command until it isn't killed any more."""
        await asyncio.sleep(launch.delay)
        for ending in (*launch.endings, BY_ITSELF):
            process = await self.run(launch, ending)
            if not process.dead and process.exit_code not in (130, 143):
                return
            await asyncio.sleep(self.rng.choice((0.0, 0.5, 5.0, 60.0)))
            nobody_works = all(p.ended is not None for p in self.processes)
            if ending.tampered and nobody_works and (how := self.disk.tamper(coverage.intended(self))):
                self.trace("someone", how)

    async def settle(self) -> None:
        """Let all that goes wrong end, and time go on until nothing is left to do; then look at everything."""
        await asyncio.sleep(max(0.0, self.scenario.quiet_from + 60 - self.now()))
        self.clock_off = timedelta(0)
        collect = Launch(command="collect")
        for pause in (0, 1, 1, 2):
            await asyncio.sleep(pause * 86400.0)
            last = await self.run(collect)
        self.watch.collected(last)
        today = self.wall_clock().date()
        everything = Launch(command="backfill", first_day=self.watch.first_day(), last_day=today)
        self.watch.backfilled(await self.run(everything))
        again = today - timedelta(days=self.rng.randint(0, 12))
        week = Launch(command="backfill", first_day=again - timedelta(days=6), last_day=again, force=True)
        self.final_runs.add((await self.run(week)).run_id)
        nothing = await self.run(replace(collect, directory=1))
        self.watch.settled(nothing)
        if self.scenario.reconciles:
            await asyncio.sleep(self.rng.choice((1, 3)) * 86400.0)
            compare = replace(everything, command=RECONCILE)
            self.watch.archive.take(self.disk.sealed())
            before = self.watch.archive.newest()
            self.watch.reconciled(await self.run(compare), before)
        if self.scenario.relabels:
            long_ago = self.scenario.start.date() - timedelta(days=40)  # before all that any step asked for
            await self.run(replace(everything, command=RELABEL, first_day=long_ago))
            self.watch.relabelled()
        self._raise()

    def _raise(self) -> None:
        if self.broken_first is not None:
            raise self.broken_first

    async def run(self, launch: Launch, ending: Ending = BY_ITSELF) -> Process:
        """Run one process to its end."""
        number = len(self.processes) + 1
        process = Process(
            world=self,
            run_id=f"r{number:03}",
            launch=launch,
            ending=ending,
            config=self.config(launch.directory),
            rng=random.Random(f"process {self.scenario.seed} {number}"),
        )
        self.processes.append(process)
        if launch.command == RELABEL:
            self.watch.archive.relabels.add(process.run_id)
        running = [p for p in self.processes if p.ended is None]
        for one in running:
            one.neighbours.update(p.run_id for p in running)
        process.task = self.loop.create_task(process.live())
        timers = self._timers(process)
        done, _ = await asyncio.wait({process.task}, timeout=LONG)
        for timer in timers:
            timer.cancel()
        if not done:
            self.broken("ends", f"{process.run_id} runs for a week")
            self.crash(process, power=False)
            await asyncio.wait({process.task})
        self.watch.ended(process)
        return process

    def _timers(self, process: Process) -> list[asyncio.TimerHandle]:
        ending, jump = process.ending, process.launch.clock_jump
        timers = []
        if jump is not None:
            timers.append(self.loop.call_later(jump[0], self._clock_jumps, jump[1]))
        if ending.at is None:
            return timers
        if ending.signal is None:
            timers.append(self.loop.call_later(ending.at, self._killed, process, ending.power))
            return timers
        timers.append(self.loop.call_later(ending.at, self._signalled, process))
        if ending.again is not None:
            timers.append(self.loop.call_later(ending.at + ending.again, self._killed, process, False))
        return timers

    def _killed(self, process: Process, power: bool) -> None:
        if process.ended is None and not process.dead:
            self.crash(process, power=power)

    def _signalled(self, process: Process) -> None:
        if process.ended is None and not process.dead and process.ending.signal is not None:
            self.trace("world", f"{process.ending.signal.name} to {process.run_id}")
            process.signalled = True
            process.stop.request(process.ending.signal)

    def _clock_jumps(self, by: timedelta) -> None:
        self.clock_off += by
        self.trace("world", f"the clock jumps by {by}")

    async def _readers(self) -> None:
        while True:
            await asyncio.sleep(self.scenario.readers_every)
            try:
                self.disk.readers_come()
            except Broken as broken:
                self.broken(broken.invariant, str(broken))


def _org(spec: OrgSpec, step: int, *, relabels: bool) -> Org:
    return Org(
        name=spec.name(step),
        base_url="http://127.0.0.1:9",
        credential=BasicCredential(username=f"user-{spec.number}", access_key="key"),
        zone=Zone.parse(spec.zone),
        granularity=spec.granularity,
        populations=spec.populations,
        since=spec.since,
        org_id=spec.org_id if spec.pinned else None,
        labels={"n": str(spec.number)} | ({"step": str(step)} if relabels else {}),
    )
