"""A Singer tap in virtual time, and what a target makes of its messages."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from collector.app.command import Command
from collector.app.prepare import prepare
from collector.app.singer import begin_with, exit_code_of, messages_of
from collector.app.wiring import run_config
from collector.config import LoadedConfig, Settings
from collector.core.exit_codes import ExitCode
from collector.events import Event
from collector.ledger import SqlLedger
from collector.model import Org
from collector.run.run import Run
from collector.run.stop import Stop
from tests.flow.harness import FAST
from tests.flow.world import inline
from tests.support.fake_api import FakeApi, FakeClock
from tests.support.orgs import make_org
from tests.support.virtual_time import run_virtual

Message = dict[str, Any]
Table = dict[str, dict[str, Any]]  # by record_id


@dataclass
class Tap:
    """Orgs that are collected by a tap. Nothing outlasts a run but the STATE that it is handed."""

    directory: Path
    orgs: list[Org] = field(default_factory=lambda: [make_org("a"), make_org("b")])
    api: FakeApi = field(default_factory=FakeApi)
    schedule: dict[str, Any] = field(default_factory=dict)
    state_url: str | None = None
    code: int = -1
    runs: int = 0

    @property
    def config(self) -> LoadedConfig:
        values: dict[str, Any] = {"output": {"format": "singer"}, "schedule": self.schedule}
        if self.state_url:
            values["state"] = {"url": self.state_url}
        return LoadedConfig(
            settings=Settings(**values), orgs=tuple(self.orgs), path=self.directory, files=(), warnings=()
        )

    def run(
        self,
        now: datetime,
        state: Mapping[str, Any] | None = None,
        *,
        stop: Stop | None = None,
        emit: Callable[[Event], None] = lambda _event: None,
    ) -> list[Message]:
        """Make a run as a process would; return its messages."""
        self.runs += 1
        path = self.directory / f"stdout-{self.runs}"
        with begin_with(self.config, state or {}, now=now) as (config, messages):
            command = Command(name="collect", range_=None, messages=messages)
            work = self._run(config, command, path, clock=FakeClock(now), stop=stop or Stop(), emit=emit)
            code = run_virtual(work)
            self.code = exit_code_of(config, code, messages, now=now)
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def _run(
        self,
        config: LoadedConfig,
        command: Command,
        path: Path,
        *,
        clock: FakeClock,
        stop: Stop,
        emit: Callable[[Event], None],
    ) -> ExitCode:
        url = config.settings.state.url.get_secret_value()
        ledger = SqlLedger.open(url, command="collect", now=clock.now, durable=False)
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        sink = messages_of(ledger, config, command, clock)
        sink._fd = fd
        try:
            session = prepare(ledger, config, command, run_id := f"{self.runs:04}", clock)
            result = await Run(
                config=replace(run_config(config.settings, command, run_id), limits=FAST),
                session=session,
                transport=self.api,
                sink=sink,
                offload=inline,
                clock=clock,
                emit=emit,
                rng=random.Random(1),
                stop=stop,
            ).execute()
            return result.exit_code
        finally:
            os.close(fd)
            ledger.close()


def states(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [message["value"] for message in messages if message["type"] == "STATE"]


def loaded(messages: Iterable[Message], into: Table | None = None) -> Table:
    """The table of a target that merges by key: what comes last counts, and is the newest."""
    table = dict(into or {})
    for message in messages:
        if message["type"] == "RECORD":
            record = message["record"]
            before = table.get(record["record_id"])
            assert before is None or before["collected_at"] < record["collected_at"]
            assert before is None or before["revision"] <= record["revision"]
            table[record["record_id"]] = record
    return table


def numbers(table: Table) -> dict[tuple[str, ...], tuple[object, ...]]:
    """What a table says, whatever run brought it."""
    return {
        (record["org_id"], record["population"], record["product"], record["window_start"]): (
            record["total_tests"],
            record["total_duration"],
            record["total_screenshots"],
            record["org_users"],
            record["quality"],
        )
        for record in table.values()
    }
