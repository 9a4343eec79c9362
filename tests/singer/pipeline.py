"""A pipeline as Meltano makes it: the tap, a target in an environment of its own, and the STATE between their runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.commands import environment, unmeasured
from tests.support.needs import left_out

ROOT = Path(__file__).parents[2]
TAP = [sys.executable, "-c", "from collector.__main__ import singer; singer()"]  # as `collector-singer` does
Message = dict[str, Any]


@dataclass
class Pipeline:
    """A tap with its config, and a target with its own; `sent` are all messages that targets were given."""

    directory: Path
    config: Path
    target: list[str]
    state: Path | None = None
    sent: list[Message] = field(default_factory=list)
    runs: int = 0

    def run(
        self, *, until: Callable[[list[Message]], bool] = lambda _sent: False, kill: str = "tap"
    ) -> tuple[int, int]:
        """Run once and keep the STATE that the target prints last; return the exit codes of tap and target.

        As soon as `until` says so of the messages of this run, tap or target are killed.
        """
        self.runs += 1
        said = self.directory / f"target-{self.runs}.out"
        sent: list[Message] = []
        with said.open("wb") as out, self._started(out) as (tap, target):
            assert tap.stdout is not None
            assert target.stdin is not None
            try:
                for line in tap.stdout:
                    target.stdin.write(line)
                    sent.append(json.loads(line))
                    if until(sent):
                        (tap if kill == "tap" else target).kill()
                        break
                target.stdin.close()
            except BrokenPipeError:
                pass
            if kill == "target" and until(sent):
                tap.kill()
            codes = tap.wait(60), target.wait(120)
        self.sent += sent
        printed = [line for line in said.read_text().splitlines() if line.startswith("{")]
        if printed:
            self.state = self.directory / f"state-{self.runs}.json"
            self.state.write_text(printed[-1])
        return codes

    @contextmanager
    def _started(self, out: Any) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
        state = ["--state", str(self.state)] if self.state else []
        env = unmeasured(environment(PYTHONPATH=str(ROOT)))
        errors = (self.directory / f"errors-{self.runs}.log").open("wb")
        tap = subprocess.Popen(
            [*TAP, "--config", str(self.config), *state],
            cwd=self.directory,
            env=env,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        env.pop("PYTHONPATH")
        target = subprocess.Popen(
            self.target, cwd=self.directory, env=env, stdin=subprocess.PIPE, stdout=out, stderr=errors
        )
        try:
            yield tap, target
        finally:
            errors.close()
            for process in (tap, target):
                if process.poll() is None:
                    process.kill()
                    process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()

    @property
    def errors(self) -> str:
        """What tap and target logged in the last run."""
        return (self.directory / f"errors-{self.runs}.log").read_text()


def target(name: str, program: str, config: Path, **settings: Any) -> list[str]:
    """The command line of a target that `make .venv-targets/NAME/ready` has installed."""
    path = ROOT / ".venv-targets" / name / "bin" / program
    if not path.exists():
        left_out(f"{program} isn't installed (make .venv-targets/{name}/ready)")
    config.write_text(json.dumps(settings))
    return [str(path), "--config", str(config)]


def newest(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The newest record of each id."""
    return {record["record_id"]: record for record in sorted(records, key=lambda one: str(one["collected_at"]))}
