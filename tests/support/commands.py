"""The real commands as subprocesses: the collector, and the simulated API that it asks."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import click
import pytest

from collector.adapters.clock import SystemClock
from collector.adapters.sinks.reading import json_lines_of
from collector.cli.main import cli, run
from tests.support import forked

COLLECTOR = forked.COLLECTOR
HARDLY_EVER = "0 0 29 2 *"  # a schedule for a test in which no run begins by itself
_HARDLY_LIMITED = ["--limit", "200/1s", "--limit-all", "2000/1s"]
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(**more: str) -> dict[str, str]:
    """Ours without anything that would configure the collector by accident, and calm."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLLECTOR_")}
    return kept | calm() | more


def days_ago(number: int) -> str:
    """A day to begin at. `--last 40d` begins later once midnight has passed, which may happen between two commands."""
    return str(SystemClock().now().date() - timedelta(days=number))


def past_days(number: int) -> list[str]:
    """A range of days that are due already, whatever the time is in each zone: it is the same for each command."""
    return ["--from", days_ago(number + 1), "--to", days_ago(2)]


def calm(*, days: int = 0) -> dict[str, str]:
    """A `settle` of six hours and a bit, or of days more, by which no window becomes due while a file's tests run.

    Else one could between any two commands: the first one would leave out what the second one misses. Days end on a
    quarter of an hour, and the next one that becomes due does so seven minutes after `renew_calm`, or later.
    """
    return {"COLLECTOR_SCHEDULE__SETTLE": f"{(days * 24 + 6) * 60 + _minutes_more()}m"}


def renew_calm() -> None:
    """Begin with another `settle`: that of before may be over soon."""
    _minutes_more.cache_clear()


@functools.cache
def _minutes_more() -> int:
    return (time.gmtime().tm_min - 7) % 15


def without_rechecks(config: Path, directory: Path) -> Path:
    """A copy of a config by which no complete window is fetched again: at midnight, one is as old as `recheck` says."""
    copy = directory / "without_rechecks.yaml"
    copy.write_text(f"{config.read_text()}\nschedule: {{recheck: []}}\n")
    copy.chmod(0o600)
    return copy


def unmeasured(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For a process that coverage leaves alone: it may write nothing, is killed, or does what others do too."""
    return {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    def event(self, name: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == name)


def collector(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 120) -> Done:
    """Run a command to its end."""
    pipe = subprocess.PIPE
    with _command(args, cwd=cwd, stderr=pipe, env=environment(**(env or {}))) as process:
        stdout, stderr = process.communicate(timeout=timeout_s)
    return Done(process.returncode, stdout, stderr)


class Here:
    """Commands in this very process: they do the same, and Python needn't start for each."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._capfd, self._monkeypatch = capfd, monkeypatch
        monkeypatch.chdir(directory)
        for name in os.environ:
            if name.startswith("COLLECTOR_"):
                monkeypatch.delenv(name)

    def __call__(self, *args: str | Path, env: Mapping[str, str] | None = None, command: click.Command = cli) -> Done:
        self._capfd.readouterr()
        with self._monkeypatch.context() as patched:
            for name, value in (calm() | {**(env or {})}).items():
                patched.setenv(name, value)
            code = run(list(map(str, args)), command=command)
        said = self._capfd.readouterr()
        return Done(int(code), said.out, said.err)


@contextmanager
def started(*args: str | Path, cwd: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; it is ended, whatever happens."""
    env = unmeasured(environment(**more))
    with _command(args, cwd=cwd, stderr=subprocess.PIPE, env=env) as process:
        yield process


def with_file_handles(number: int) -> list[str]:
    """What goes before a command that may have so many files open, and no more."""
    return ["bash", "-c", f'ulimit -n {number}; exec "$@"', "bash"]


@contextmanager
def logging_to(
    log: Path, *args: str | Path, cwd: Path, prefix: Sequence[str] = (), **more: str
) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on, and says what it has to say into a file; it is ended, whatever happens."""
    env = environment(**more)
    with log.open("a") as file, _command(args, cwd=cwd, stderr=file, env=env, prefix=prefix) as process:
        yield process


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads, and that is full already: its read end, and its write end."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write_fd, b"." * 4096)
    os.set_blocking(write_fd, True)
    try:
        yield read_fd, write_fd
    finally:
        os.close(read_fd)
        os.close(write_fd)


@contextmanager
def _command(
    args: Sequence[str | Path], *, cwd: Path, stderr: int | IO[str], env: Mapping[str, str], prefix: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    command = [*prefix, *COLLECTOR, *map(str, args)]
    with forked.Command(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@dataclass(frozen=True)
class SimulatedApi:
    """A simulator in a process of its own."""

    base_url: str
    config: Path

    def get(self, path: str, **query: str | int) -> Any:
        url = f"{self.base_url}/_simulator/{path}?{urllib.parse.urlencode(query)}"
        with _NO_PROXY.open(url, timeout=120) as response:
            return json.load(response)

    def set_faults(self, *faults: str) -> None:
        url = f"{self.base_url}/_simulator/faults"
        body = json.dumps(faults).encode()
        with _NO_PROXY.open(urllib.request.Request(url, data=body, method="PUT"), timeout=120):
            pass

    @property
    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.get("stats")
        return stats

    def truth(self, org: str, population: str, start_s: int, end_s: int) -> dict[str, Any]:
        truth: dict[str, Any] = self.get("truth", org=org, type=population, start=start_s, end=end_s)
        return truth


@contextmanager
def simulated_api(
    directory: Path, *, orgs: int, faults: Iterable[str] = (), options: Iterable[str] = ()
) -> Iterator[SimulatedApi]:
    """Start `collector simulate` with a config that fits it; it ends with the block."""
    config = directory / "simulated.yaml"
    args = ["simulate", "--until-eof", "--port", "0", "--orgs", str(orgs), "--config-out", str(config)]
    args += [*_HARDLY_LIMITED, *options]
    for fault in faults:
        args += ["--fault", fault]
    with forked.Command(
        [*COLLECTOR, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=unmeasured(environment()),
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield SimulatedApi(json.loads(process.stdout.readline())["base_url"], config)
        finally:
            process.stdin.close()
            process.wait(120)


def records_in(directory: Path) -> list[dict[str, Any]]:
    """All records of the sealed files of any format, in no order that means anything."""
    return [
        json.loads(line)
        for file in sorted(directory.rglob("usage-*"))
        for line in json_lines_of(file.name, file.read_bytes()).splitlines()
    ]


def manifest_in(directory: Path) -> dict[str, Any]:
    """The manifest of the only run."""
    (file,) = directory.glob("run-*.json")
    manifest: dict[str, Any] = json.loads(file.read_text())
    return manifest
