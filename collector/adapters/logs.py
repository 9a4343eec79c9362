"""Logs on stderr: readable text on a terminal, JSON elsewhere. What libraries log is part of them."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog

from collector.adapters.queued_stream import QueuedStream
from collector.adapters.repeats import Repeats
from collector.adapters.text import printable
from collector.core.visible import visible

Format = Literal["auto", "console", "json"]
_OF_THE_SLICE = frozenset({"window", "asked"})  # fields that don't make a warning another one
_LONGEST_LIST = 300  # characters of a list or mapping, on a terminal
_CALLBACK = re.compile(r"(?<=^Exception in callback )([\w.]*).*")  # asyncio appends its arguments


class _CurrentStderr:
    """Writes to the current sys.stderr: a progress bar replaces sys.stderr while it is shown."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def resolve_format(format_: Format, stream: TextIO) -> Literal["console", "json"]:
    """Return the format; `auto` means console on a terminal, else JSON."""
    if format_ == "auto":
        return "console" if stream.isatty() else "json"
    return format_


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether to write colours: on a terminal, unless NO_COLOR is set; elsewhere with FORCE_COLOR."""
    return not environ.get("NO_COLOR") and (bool(environ.get("FORCE_COLOR")) or stream.isatty())


def configure_logs(*, level: str, format_: Literal["console", "json"], once: bool = False) -> None:
    """Send all logs of at least that level to stderr, and warnings of libraries with them.

    With `once`, a warning that repeats is logged once an hour.
    """
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=has_colours(sys.stderr, os.environ), pad_event_to=0, pad_level=False)
        if format_ == "console"
        else None
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([_Once()] if once else []),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([_make_visible] if renderer else []),
            renderer or structlog.processors.JSONRenderer(_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_CurrentStderr()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLogs()], force=True)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    if isinstance(sys.stderr, QueuedStream):
        sys.stderr.dropped = _dropped


def _dropped(lines: int) -> str:
    """Return the line that stands where lines are missing, in the format of the others."""
    log = structlog.wrap_logger(structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(0))
    return f"{log.warning('log.dropped', lines=lines, message='stderr was not read, or not writable, for a while')}\n"


def lines_dropped() -> int:
    """Return the number of log lines that this process has lost, because nobody read them or the disk was full."""
    return int(getattr(sys.stderr, "lines_dropped", 0))  # a progress bar's stand-in forwards it


class LibraryLogs(logging.Handler):
    """Logs warnings of libraries as events of ours. Of one that is repeated, it logs one in ten seconds.

    It logs the text that is in the library's code: what is laid into it, and texts of exceptions, may be a client's or
    may hold a secret.
    """

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, or count it."""
        message = _CALLBACK.sub(r"\1", str(record.msg).partition("\n")[0])
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        repeated = self._repeats.due((record.name, message, kind))
        if repeated is None:
            return
        more: dict[str, Any] = {"exception": kind} if kind else {}
        if repeated:
            more["repeated"] = repeated
        structlog.get_logger("collector").log(
            record.levelno, "library.warning", library=record.name, message=message, **more
        )


class _Once:
    """Drops warnings that were logged within the last hour: what is the same but for its window is one."""

    def __init__(self) -> None:
        self._repeats = Repeats(3600.0, kinds=50_000)

    def __call__(self, logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        del logger
        if method != "warning":
            return event
        repeated = self._repeats.due(str({name: value for name, value in event.items() if name not in _OF_THE_SLICE}))
        if repeated is None:
            raise structlog.DropEvent
        return {**event, "repeated": repeated} if repeated else event


def _to_json(event: structlog.types.EventDict, **options: Any) -> str:
    return visible(json.dumps(event, **options).encode()).decode()


def _make_visible(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Escape terminal control characters in values, and replace long lists by their length: JSON has them whole.

    Values may come from the API or the config.
    """
    del logger, method
    return {key: printable(value, 1000) if isinstance(value, str) else _short(value) for key, value in event.items()}


def _short(value: object) -> object:
    if not isinstance(value, list | tuple | dict) or len(str(value)) <= _LONGEST_LIST:
        return value
    return f"{len(value)} (whole with --log-format json)"
