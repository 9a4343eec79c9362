"""The loop of the service: it waits for the next run's time, a changed config or the end, and runs.

Runs never overlap. However many runs were missed, because one took longer than its interval, the
machine slept or the service was down, a single run makes up for them. A failed run doesn't end
the loop: the failure is logged, and the loop waits a little longer before the next run.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from signal import Signals

import structlog

from collector import __version__
from collector.app.command import Command
from collector.app.invocation import plain_path
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.core.exit_codes import CAME_TO_ITS_END, ExitCode
from collector.core.schedule import Schedule
from collector.core.summary import RunSummary
from collector.errors import CollectorError, Refused, kind_of, place_of
from collector.events import Event, LaneEnded, Listener, RequestEnded, all_of
from collector.model import Org
from collector.ports import Clock
from collector.run.manifest import RunResult, in_words
from collector.run.progress import Progress
from collector.run.stop import Stop
from collector.service.config_reload import ConfigReload
from collector.service.first_contact import first_contact
from collector.service.host import Host
from collector.service.quarantine import Quarantine, doubtful, entry_of, touched
from collector.service.reconciling import Reconciling
from collector.service.run_views import crashed, ended_view
from collector.service.timetable import Timetable
from collector.service.view import RUNS_SHOWN, CurrentRun, Observed, RunView

log = structlog.get_logger("collector")

COMMAND = "serve"
_DOUBTFUL = "these refusals may be the fault of the host or of a gateway, not of credentials: the next run tries again"


class Loop:
    """Runs until it is stopped. All of it is used in one event loop only."""

    def __init__(
        self,
        host: Host,
        config: LoadedConfig,
        *,
        clock: Clock,
        new_run_id: Callable[[], str],
        scope: Scope = EVERYTHING,
        rng: random.Random | None = None,
    ) -> None:
        now = clock.now()
        self.quarantine = Quarantine()
        self.observed = Observed(
            version=__version__,
            started_at=now,
            config_path=plain_path(config.path),
            config_loaded_at=now,
            shard=str(scope.shard) if scope.shard else None,
            shards=scope.shard.of if scope.shard else 1,
        )
        self._config_reload = ConfigReload(host, config, observed=self.observed, clock=clock, on_change=self._change)
        self._host = host
        self._clock = clock
        self._new_run_id = new_run_id
        self.accepted = asyncio.Event()  # the ledger has the orgs of the first config
        self.on_event: Listener = all_of()
        self.on_run: Callable[[RunView], None] = lambda _: None  # called at the end of each run
        self._scope = scope
        self._rng = rng or random.SystemRandom()
        self._refused: list[tuple[Org, Refused]] = []  # in the run under way
        self._answering: set[str] = set()  # hosts that answered in the run under way
        self._runs: deque[RunView] = deque(maxlen=RUNS_SHOWN)
        self._woken = asyncio.Event()
        self._stop: Stop | None = None  # of the run under way
        self._signal: Signals | None = None
        self._touched: set[str] = set()  # orgs to fetch at once: new ones, and those with another secret
        self._times = Timetable(*_schedule(config), next_at=now)
        self._reconciling = Reconciling(config, now)

    @property
    def config(self) -> LoadedConfig:
        """The config in force."""
        return self._config_reload.config

    @property
    def stopping(self) -> bool:
        """Whether the service was told to stop."""
        return self._signal is not None

    def stop(self, signal_: Signals) -> None:
        """Drain the run under way, and end."""
        if self._signal is None:
            self._signal = signal_
            self.observed.stopping = True
            if self._stop is not None:
                self._stop.request(signal_)
            self._woken.set()

    def reload(self) -> None:
        """Reload the config, and try refused orgs again: a person requested it (SIGHUP)."""
        self._config_reload.request()

    def retry(self) -> None:
        """End the pause after a failed run: what failed may be back."""
        self._times.not_before = 0.0
        self._woken.set()

    async def run(self) -> None:
        """Run until `stop`. Raises ConfigError or LedgerError only if the service can't start; waits for a server."""
        past = await first_contact(self._open_ledger, observed=self.observed, stopped=self._woken)
        if past is None:
            return
        self.accepted.set()
        self._runs.extend(past)
        self._plan_first()
        async with asyncio.TaskGroup() as tasks:
            reloading = tasks.create_task(self._config_reload.run())
            while not self.stopping:
                self._woken.clear()
                self._check_clock()
                self._show()
                if not self._times.may_run(asyncio.get_running_loop().time()):
                    await self._wait()
                elif self._times.due(self._clock.now()):
                    await self._run_all()
                elif self._touched:
                    await self._run_some()
                elif self._reconciling.due(self._clock.now(), asyncio.get_running_loop().time()):
                    await self._reconcile()
                else:
                    await self._wait()
            reloading.cancel()
        self._show()

    async def _open_ledger(self) -> Sequence[RunView]:
        """Register the orgs in the ledger, and return the runs that ended before."""
        await self._host.accept(self.config)
        return await self._host.recent_runs(self.config)

    def _plan_first(self) -> None:
        """Plan the first runs by those that ended before the service began."""
        now = self._clock.now()
        ours = (run for run in self._runs if run.command == COMMAND)
        ended = (run.started_at for run in ours if run.exit_code in CAME_TO_ITS_END)
        self._times.first(next(ended, None), now, chance=self._rng.random())
        self._reconciling.first(self._runs, now, chance=self._rng.random())

    async def _wait(self) -> None:
        now, time_s = self._clock.now(), asyncio.get_running_loop().time()
        sleep_s = self._times.sleep_s(now, time_s, at_once=bool(self._touched))
        if self._times.may_run(time_s):  # else a reconcile waits for the end of that pause, too
            sleep_s = min(sleep_s, self._reconciling.sleep_s(now, time_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(sleep_s):
                await self._woken.wait()

    def _check_clock(self) -> None:
        planned = self._times.next_at
        if self._times.check_clock(self._clock.now()):
            log.warning("clock.set_back", planned=planned.isoformat(), next_run=self._times.next_at.isoformat())
        self._reconciling.check_clock(self._clock.now())

    async def _run_all(self) -> None:
        self._times.began(self._clock.now(), chance=self._rng.random())
        self._touched.clear()
        if await self._collect({org.name for org in self.config.orgs}):
            self._times.rest = True

    async def _run_some(self) -> None:
        names, self._touched = self._touched, set()
        if await self._collect(names):
            self._touched |= names

    async def _collect(self, names: set[str]) -> bool:
        """Execute one run over these orgs, except quarantined ones; return whether a reload cut it short."""
        scope = self._scope_of(names)
        if not scope.orgs:
            return False
        _, early = await self._run(Command(name=COMMAND, range_=None, scope=scope), self._times)
        return early

    async def _reconcile(self) -> None:
        """Compare the orgs that are not quarantined with the API's totals, until a run is due."""
        assert self._reconciling.times is not None  # noqa: S101 - it is due
        all_ = [org.name for org in self.config.orgs]
        scope = self._scope_of(self._reconciling.begin(all_, self._clock.now(), chance=self._rng.random()))
        if not scope.orgs:
            self._reconciling.ended(RunSummary(), early=False)
            return
        giving_way = asyncio.create_task(self._give_way())
        try:
            result, early = await self._run(self._reconciling.command(scope), self._reconciling.times)
        finally:
            giving_way.cancel()
        came = result is not None and result.exit_code is not ExitCode.OUTPUT
        self._reconciling.ended(result.summary if result is not None and came else None, early=early)

    async def _give_way(self) -> None:
        """End the run under way when a run of all orgs is due."""
        while not self._times.due(now := self._clock.now()):  # noqa: ASYNC110 - nothing tells that the clock is there
            await asyncio.sleep(self._times.sleep_s(now, asyncio.get_running_loop().time(), at_once=False))
        if self._stop is not None:
            self._stop.give_way()

    def _scope_of(self, names: set[str]) -> Scope:
        """Return the scope of those orgs that are not quarantined. It may have none."""
        names = names - self.quarantine.waiting(self._clock.now())
        return replace(self._scope, orgs=tuple(o.name for o in self._scope.of(self.config.orgs) if o.name in names))

    async def _run(self, command: Command, times: Timetable) -> tuple[RunResult | None, bool]:
        """Execute one run; return its result, and whether it was cut short for a new config or another run."""
        run_id = self._new_run_id()
        current = CurrentRun(run_id=run_id, command=command.name, started_at=self._clock.now(), progress=Progress())
        stop = self._stop = Stop()
        if self._signal is not None:
            stop.request(self._signal)
        self.observed.current = current
        self._refused, self._answering = [], set()
        listener = all_of(current.progress.note, self._note_refusals, self.on_event)
        result = None
        try:
            result = await self._host.run(self.config, command, run_id=run_id, stop=stop, watch=listener)
        except CollectorError as error:
            self._failed(current, times, kind_of(error), str(error))
        except Exception as error:  # noqa: BLE001 - the service outlives every defect of a run
            log.error("run.crashed", run_id=run_id, exception=kind_of(error), where=place_of(error))
            self._failed(current, times, kind_of(error), crashed(error))
        else:
            self._ended(result, times, stop)
        finally:
            self._stop = None
            self.observed.current = None
            self._release_doubtful()
        return result, stop.wound_up.is_set()

    def _note_refusals(self, event: Event) -> None:
        match event:
            case LaneEnded(failure=Refused() as refused):
                self.quarantine.quarantine(event.org.name, refused, self._clock.now())
                self._refused.append((event.org, refused))
            case RequestEnded(result="ok" | "partial"):
                self.quarantine.accepted(event.slice.org.name)
                self._answering.add(event.slice.org.host)
            case _:
                pass

    def _release_doubtful(self) -> None:
        """Let the next run try the orgs again whose refusal may be the fault of their host, or of a gateway."""
        if doubted := doubtful(self._refused, self._answering):
            self.quarantine.release(doubted, self._clock.now())
            log.warning("refusals.doubtful", orgs=len(doubted), message=_DOUBTFUL)

    def _ended(self, result: RunResult, times: Timetable, stop: Stop) -> None:
        if result.exit_code is ExitCode.OUTPUT:
            pause_s = times.failed(asyncio.get_running_loop().time())
            log.error("output.failed", message=str(result.output_error), next_try_s=pause_s)
        else:
            times.succeeded()
        level = log.info if result.exit_code is ExitCode.OK else log.warning
        level("run.finished", **in_words(result))
        self._note(ended_view(result, stop))

    def _failed(self, run: CurrentRun, times: Timetable, kind: str, why: str) -> None:
        pause_s = times.failed(asyncio.get_running_loop().time())
        log.error("run.failed", run_id=run.run_id, exception=kind, message=why, next_try_s=pause_s)
        now = self._clock.now()
        self._note(
            RunView(
                run_id=run.run_id,
                command=run.command,
                started_at=run.started_at,
                ended_at=now,
                exit_code=None,
                why=why,
                exception=kind,
            )
        )

    def _note(self, view: RunView) -> None:
        self._runs.appendleft(view)
        self._show()
        self.on_run(view)

    def _change(self, config: LoadedConfig, requested: bool) -> None:
        """Continue with another config. A run under way finishes only the slices that it has begun."""
        old, now = self.config, self._clock.now()
        names = touched(old.orgs, config.orgs)
        self.quarantine.keep(org.name for org in config.orgs)
        again = list(self.quarantine.quarantined) if requested else self.quarantine.duplicates()
        names = list(dict.fromkeys([*names, *again]))
        self.quarantine.release(names, now)
        self._touched = {org.name for org in config.orgs} & (self._touched | set(names))
        self._times.change(*_schedule(config), now, chance=self._rng.random())
        self._reconciling.change(config, now, chance=self._rng.random())
        differs = old.settings != config.settings or list(map(entry_of, old.orgs)) != list(map(entry_of, config.orgs))
        if differs or names:
            log.info("config.loaded", orgs=len(config.orgs), asked_at_once=len(names))
        if differs and self._stop is not None:
            self._stop.reload()
        self._woken.set()

    def _show(self) -> None:
        now = self._clock.now()
        self.observed.next_run = (
            None if self.stopping else now if self._times.due(now) or self._touched else self._times.next_at
        )
        self.observed.next_reconcile = None if self.stopping else self._reconciling.next_at
        self.observed.runs = tuple(self._runs)


def _schedule(config: LoadedConfig) -> tuple[Schedule, timedelta]:
    schedule = config.settings.schedule
    return Schedule(schedule.cron, schedule.timezone), schedule.jitter
