"""The config of the service: reloaded when its files change, or on request.

A config is applied as a whole or not at all. If it has an error, doesn't fit the ledger, or its ledger can't be
reached, the one before stays in force. Page, metric and log then show the same reasons; the log shows each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from collector.app.invocation import invocation_of
from collector.config import LoadedConfig
from collector.errors import CollectorError, ConfigError, Problem, place_of
from collector.ports import Clock
from collector.service.host import Host
from collector.service.view import Observed
from collector.service.watcher import Watcher

log = structlog.get_logger("collector")

LOOK_EVERY_S = 5.0  # a look at 10,000 files costs 30 ms
_SETTLED_AFTER_S = 1.0  # a file that changed is looked at again so soon: it may still be written
_AGAIN_AFTER_S = (10.0, 30.0, 60.0)  # the ledger may be back, or an error fixed in a file that is not watched


class ConfigReload:
    """Has the config in force. `run` runs beside the loop; `on_change` gets each new config, and whether on request."""

    def __init__(
        self,
        host: Host,
        config: LoadedConfig,
        *,
        observed: Observed,
        clock: Clock,
        on_change: Callable[[LoadedConfig, bool], None],
    ) -> None:
        self.config = config
        self._host = host
        self._observed = observed
        self._clock = clock
        self._on_change = on_change
        self._requested = False
        self._woken = asyncio.Event()
        self._failures = 0  # tries of the newest config that failed
        self._pause_s = 0.0  # between the last failure and the next try
        self._again_at = 0.0  # the event loop's time
        self._watcher = Watcher()
        self._show()

    def request(self) -> None:
        """Reload the config now, changed or not."""
        self._requested = True
        self._woken.set()

    async def run(self) -> None:
        """Look at the files every few seconds, until cancelled.

        The config is loaded once more after the first looks: a file may have changed since the service was started
        with it, and before anything watched.
        """
        while True:
            requested = await self._pause()
            try:
                if requested or await self._is_due():
                    await self._load()
            except Exception as error:  # noqa: BLE001 - the service outlives it, with the config that it has
                kind = type(error).__name__
                if self._fail([Problem(message=f"a defect of the collector: {kind}; please report it")]):
                    log.error("config.not_loaded", exception=kind, where=place_of(error), next_try_s=self._pause_s)

    async def _pause(self) -> bool:
        """Wait until the next look, or until a reload is requested; return whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S if self._watcher.settled else _SETTLED_AFTER_S):
                await self._woken.wait()
        requested = self._woken.is_set()
        self._woken.clear()
        return requested

    async def _is_due(self) -> bool:
        if self._watcher.changed(await self._host.look(self.config)):
            self._failures = 0
            return True
        return self._failures > 0 and asyncio.get_running_loop().time() >= self._again_at

    async def _load(self) -> None:
        seen = await self._host.look(self.config)
        self._watcher.loaded(seen)
        try:
            config = await self._host.load()
            await self._host.accept(config)
        except ConfigError as error:
            if self._fail(error.problems):
                for problem in error.problems:
                    log.error("config.refused", problem=str(problem), message="the config before stays in force")
        except CollectorError as error:  # the ledger is away: the new config is loaded once it is back
            if self._fail([Problem(message=str(error))]):
                log.error("config.not_loaded", message=str(error), next_try_s=self._pause_s)
        else:
            if config.files != self.config.files:
                self._watcher.loaded(await self._host.look(config))
            requested, self._requested = self._requested, False
            self._apply(config, requested=requested)

    def _fail(self, problems: Sequence[Problem]) -> bool:
        """Note why the newest config is not in force, and when to try again; return whether the reason is a new one."""
        self._pause_s = _AGAIN_AFTER_S[min(self._failures, len(_AGAIN_AFTER_S) - 1)]
        self._again_at = asyncio.get_running_loop().time() + self._pause_s
        self._failures += 1
        if tuple(map(str, self._observed.config_problems)) == tuple(map(str, problems)):
            return False
        self._observed.config_problems = tuple(problems)
        self._observed.config_refused_at = self._clock.now()
        return True

    def _apply(self, config: LoadedConfig, *, requested: bool) -> None:
        before, after = self.config.settings.service, config.settings.service
        if (before.host, before.port) != (after.host, after.port):
            log.warning("config.needs_restart", message="service.host and service.port take effect after a restart")
        if self._observed.config_problems:
            log.info("config.mended")
        self._failures = 0
        self._observed.config_problems = ()
        self._observed.config_refused_at = None
        self._observed.config_loaded_at = self._clock.now()
        self._on_change(config, requested)
        self.config = config
        self._show()

    def _show(self) -> None:
        schedule = self.config.settings.schedule
        self._observed.cron, self._observed.timezone = schedule.cron, schedule.timezone.name
        self._observed.reconcile_cron = schedule.reconcile.cron
        invocation = invocation_of(self.config)
        self._observed.state, self._observed.output = invocation.state, invocation.output
        self._observed.warnings = tuple(map(str, self.config.warnings))
