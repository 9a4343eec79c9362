"""The config of the service: reloaded when its files change, or on request.

A config is applied as a whole or not at all. One that has an error, or doesn't fit the ledger, is
refused with all its problems, and the one before stays in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from collector.config import LoadedConfig
from collector.errors import CollectorError, ConfigError, place_of
from collector.ports import Clock
from collector.service.host import Host
from collector.service.view import Observed
from collector.service.watcher import Watcher

log = structlog.get_logger("collector")

LOOK_EVERY_S = 2.0
_AGAIN_EVERY_S = 30.0  # an error may be fixed in a file that is not watched


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
        self._failed = False  # the last try failed, because of the ledger or a defect
        self._watcher = Watcher()
        self._show()

    def request(self) -> None:
        """Reload the config at the next look, changed or not."""
        self._requested = True

    async def run(self) -> None:
        """Look at the files every two seconds, until cancelled.

        The config is loaded once more after the first looks: a file may have changed since the service was started
        with it, and before anything watched.
        """
        tried_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = asyncio.get_running_loop().time()
            try:
                if await self._is_due(since_s=now - tried_at):
                    tried_at = now
                    await self._load()
            except Exception as error:  # noqa: BLE001 - the service outlives it, with the config that it has
                self._failed = True
                log.error("config.not_loaded", exception=type(error).__name__, where=place_of(error))

    async def _is_due(self, *, since_s: float) -> bool:
        changed = self._watcher.changed(await self._host.look(self.config))
        if self._failed or self._observed.config_problems:
            return changed or since_s >= _AGAIN_EVERY_S
        return changed or self._requested

    async def _load(self) -> None:
        seen = await self._host.look(self.config)
        try:
            config = await self._host.load()
            await self._host.accept(config)
        except ConfigError as error:
            self._refuse(error)
        except CollectorError as error:  # the ledger is away: the new config is loaded once it is back
            self._failed = True
            log.error("config.not_loaded", message=str(error), next_try_s=_AGAIN_EVERY_S)
            return
        else:
            if config.files != self.config.files:
                seen = await self._host.look(config)
            requested, self._requested = self._requested, False
            self._apply(config, requested=requested)
        self._failed = False
        self._watcher.loaded(seen)

    def _refuse(self, error: ConfigError) -> None:
        if tuple(map(str, self._observed.config_problems)) != tuple(map(str, error.problems)):
            for problem in error.problems:
                log.error("config.refused", problem=str(problem), message="the config before stays in force")
        self._observed.config_problems = error.problems
        self._observed.config_refused_at = self._clock.now()

    def _apply(self, config: LoadedConfig, *, requested: bool) -> None:
        before, after = self.config.settings.service, config.settings.service
        if (before.host, before.port) != (after.host, after.port):
            log.warning("config.needs_restart", message="service.host and service.port take effect after a restart")
        if self._observed.config_problems:
            log.info("config.mended")
        self._observed.config_problems = ()
        self._observed.config_refused_at = None
        self._observed.config_loaded_at = self._clock.now()
        self._on_change(config, requested)
        self.config = config
        self._show()

    def _show(self) -> None:
        schedule = self.config.settings.schedule
        self._observed.cron, self._observed.timezone = schedule.cron, schedule.timezone.name
        self._observed.warnings = tuple(map(str, self.config.warnings))
