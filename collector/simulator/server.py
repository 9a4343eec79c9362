"""Assemble and run the simulator as a server on loopback.

Owns the socket, the signals and the two entry points: `running_simulator` within a program, `serve` for
the command. Decides no answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from collector.simulator import config_file
from collector.simulator.answer import Reporter
from collector.simulator.control import ControlPlane
from collector.simulator.endpoint import PATH, Endpoint
from collector.simulator.fault_script import FaultScript
from collector.simulator.journal import Journal
from collector.simulator.limits import Gate
from collector.simulator.orgs import Directory, Org
from collector.simulator.scenario import Scenario
from collector.simulator.usage import Usage

_SHUTDOWN_S = 0.5
_BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `collector simulate`. `config` is the config file to write, if any."""

    scenario: Scenario
    config: Path | None = None
    until_eof: bool = False


class Simulator:
    """A simulated API. It listens within `running_simulator`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.directory = Directory.from_seed(scenario.seed, scenario.orgs)
        self.usage = Usage(scenario.seed)
        self.journal = Journal(limit=scenario.limit, limit_all=scenario.limit_all)
        self.script = FaultScript(scenario.faults, directory=self.directory, seed=scenario.seed)
        self.base_url = ""
        self._now_s = None if scenario.now is None else int(scenario.now.timestamp())

    @property
    def orgs(self) -> tuple[Org, ...]:
        """All orgs, with their credentials."""
        return self.directory.orgs

    def org(self, name: str) -> Org:
        """Return the org of that name. Raises KeyError."""
        if (found := self.directory.get(name)) is None:
            raise KeyError(name)
        return found

    def now_s(self) -> int:
        """Return the simulator's time. There is no usage after it."""
        return int(time.time()) if self._now_s is None else self._now_s  # noqa: TID251 -- the only clock of the simulator

    def set_faults(self, faults: Sequence[str]) -> None:
        """Replace all active faults. Raises FaultError."""
        self.script.replace(faults)

    def write_config(self, path: Path) -> None:
        """Write a collector config for this simulator. Raises ForeignFileError and OSError."""
        config_file.write(path, base_url=self.base_url, scenario=self.scenario, orgs=self.orgs)

    def app(self) -> web.Application:
        """Return the web application: the endpoint and the control plane."""
        scenario = self.scenario
        gate = Gate(limit=scenario.limit, limit_all=scenario.limit_all) if scenario.enforce else None
        reporter = Reporter(usage=self.usage, directory=self.directory, script=self.script)
        endpoint = Endpoint(
            directory=self.directory,
            script=self.script,
            reporter=reporter,
            journal=self.journal,
            gate=gate,
            now_s=self.now_s,
        )
        control = ControlPlane(
            directory=self.directory,
            script=self.script,
            reporter=reporter,
            journal=self.journal,
            now_s=self.now_s,
            base_url=lambda: self.base_url,
        )
        app = web.Application()
        app.router.add_route("*", PATH, endpoint.handle)
        app.router.add_routes(control.routes())
        return app


@asynccontextmanager
async def running_simulator(scenario: Scenario | None = None) -> AsyncIterator[Simulator]:
    """Run a simulator in this event loop until the block ends."""
    simulator = Simulator(scenario or Scenario())
    runner = web.AppRunner(simulator.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    if (protocols := runner.server) is None:
        raise RuntimeError("the runner has no server after its setup")

    def accept() -> asyncio.BaseProtocol:
        simulator.journal.connections += 1
        return protocols()

    # The socket is opened here and not by aiohttp's TCPSite, to count the accepted connections.
    host = "127.0.0.1" if simulator.scenario.host == "localhost" else simulator.scenario.host
    try:
        server = await asyncio.get_running_loop().create_server(accept, host, simulator.scenario.port, backlog=_BACKLOG)
        port = server.sockets[0].getsockname()[1]
        simulator.base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        try:
            yield simulator
        finally:
            server.close()
    finally:
        await runner.cleanup()


def serve(options: Options, *, announce: Callable[[Simulator], None] = lambda _: None) -> int:
    """Run a simulator until a signal (or the end of stdin) stops it, and return the exit code.

    Calls `announce` once it accepts connections and the config is written. Raises FaultError, OSError if the
    port can't be used, ForeignFileError if the config would replace another file.
    """
    return asyncio.run(_serve(options, announce))


async def _serve(options: Options, announce: Callable[[Simulator], None]) -> int:
    if options.config is not None:
        config_file.check(options.config)
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _stop_on_signals(stopped)
    async with running_simulator(options.scenario) as simulator:
        if options.config is not None:
            simulator.write_config(options.config)
        announce(simulator)
        if options.until_eof:
            _stop_on_eof(stopped)
        return await stopped


def _stop_on_signals(stopped: asyncio.Future[int]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, 128 + number)


def _stop_on_eof(stopped: asyncio.Future[int]) -> None:
    """Stop when stdin ends. A thread reads it, since an event loop can't wait for a regular file."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with suppress(OSError):  # a closed stdin counts as ended
            while os.read(0, 4096):
                pass
        with suppress(RuntimeError):  # the loop was closed for another reason
            loop.call_soon_threadsafe(_stop, stopped, 0)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


def _stop(stopped: asyncio.Future[int], code: int) -> None:
    if not stopped.done():
        stopped.set_result(code)
