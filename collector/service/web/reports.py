"""Reports for the page: each is written by a process of its own, `collector report --html -`.

What draws charts needs memory and the interpreter for seconds. A process gives both back, and no run waits for it. One
report is written at a time; one that was just written is shown again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from collector.adapters.text import printable
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Moment
from collector.service.web.rendering import Body

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
_METRICS = ("tests", "duration", "screenshots", "cost")
_PARAMETERS = ("from", "to", "metric")
_FRESH_S = 60.0
_KEPT = 4  # reports
_LONGEST_S = 600.0
_LONGEST_MESSAGE = 600
_ERROR = "error: "


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody chose of a report: options of the command."""

    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Chosen:
        """Read a query string; what is empty is left to the command. Raises ValueError that says what is right."""
        if unknown := [name for name in query if name not in _PARAMETERS]:
            raise ValueError(f"there is no {printable(unknown[0])}, only {', '.join(_PARAMETERS)}")
        options: list[str] = []
        days: list[date] = []
        for name in ("from", "to"):
            if text := query.get(name, "").strip():
                day = Moment.parse(text).value
                if isinstance(day, datetime):
                    raise ValueError(f"a report is of whole days: write {day:%Y-%m-%d}")
                options += [f"--{name}", day.isoformat()]
                days.append(day)
            elif name == "from" and query.get("to", "").strip():
                raise ValueError("`to` needs `from`, too")
        if len(days) == 2 and days[1] < days[0]:
            raise ValueError("`to` is before `from`: swap them")
        if metric := query.get("metric", ""):
            if metric not in _METRICS:
                raise ValueError(f"metric is one of {', '.join(_METRICS)}")
            options += ["--metric", metric]
        return cls(tuple(options))


class ReportError(Exception):
    """A report that could not be written. Its text says why; `is_chosen` whether another choice would do."""

    def __init__(self, why: str, *, is_chosen: bool = False) -> None:
        super().__init__(why)
        self.is_chosen = is_chosen


@dataclass(frozen=True, slots=True)
class _Written:
    body: Body
    at_s: float


class Reports:
    """Writes reports. `options` returns those that make the command mean the service's config, ledger and scope."""

    def __init__(self, options: Callable[[], Sequence[str]]) -> None:
        self._options = options
        self._one_at_a_time = asyncio.Lock()
        self._written: dict[Chosen, _Written] = {}  # the newest is the last

    async def get(self, chosen: Chosen) -> Body:
        """Return the page of a report. Raises ReportError."""
        async with self._one_at_a_time:
            now_s = asyncio.get_running_loop().time()
            known = self._written.pop(chosen, None)
            if known is None or now_s - known.at_s > _FRESH_S:
                body = await asyncio.to_thread(Body.of, await self._write(chosen))
                known = _Written(body, now_s)
            self._written[chosen] = known
            while len(self._written) > _KEPT:
                del self._written[next(iter(self._written))]
            return known.body

    async def _write(self, chosen: Chosen) -> bytes:
        words = [sys.executable, "-m", "collector", "report", "--html", "-", "--quiet"]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                *self._options(),
                *chosen.options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=2**20,
            )
        except OSError as error:
            raise ReportError(f"no process can be started for it: {error.strerror}") from error
        try:
            async with asyncio.timeout(_LONGEST_S):
                page, said = await process.communicate()
        except TimeoutError:
            raise ReportError("it took too long: choose fewer days") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            why = _why(process.returncode, said.decode("utf-8", "replace").splitlines())
            raise ReportError(why, is_chosen=process.returncode == ExitCode.USAGE)
        return page


def options_of(config: Path, *, state: str | None, scope: Iterable[tuple[str, str]]) -> list[str]:
    """Return the options that make a command mean a config, a ledger and orgs."""
    return [
        *("--config", str(config)),
        *(("--state", state) if state is not None else ()),
        *(word for name, value in scope for word in (f"--{name}", value)),
    ]


def _why(code: int, said: Sequence[str]) -> str:
    """Return why a command failed: its own error, without what it logged."""
    errors = [line[len(_ERROR) :] for line in said if line.lower().startswith(_ERROR)]
    return printable("; ".join(errors), _LONGEST_MESSAGE) or f"`collector report` ended with exit code {code}"
