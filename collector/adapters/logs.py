"""Logs on stderr: readable text on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

from collector.adapters.text import printable

Format = Literal["auto", "console", "json"]


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


def configure_logs(*, level: str, format_: Literal["console", "json"]) -> None:
    """Send all logs of at least that level to stderr."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False)
        if format_ == "console"
        else None
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_make_visible] if renderer else []),
            renderer or structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(_CurrentStderr()),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    # Libraries use the standard logging module; only their warnings matter to an operator.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s", force=True)
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def _make_visible(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Escape terminal control characters in values, which may come from the API or the config."""
    del logger, method
    return {key: printable(value, 1000) if isinstance(value, str) else value for key, value in event.items()}
