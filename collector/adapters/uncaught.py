"""What nobody has caught, as log lines of ours: exceptions of threads and finalizers, and warnings of Python.

Python would print their texts to stderr: they may hold a secret or what a client sent, and they break a log in JSON.
Only the kind and the place are logged.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from collector.adapters.queued_stream import QueuedStream
from collector.errors import kind_of, place_of


def log_what_is_uncaught() -> None:
    """Replace the hooks by which Python prints; call it once, in a process of our own."""
    sys.excepthook = _at_the_top
    threading.excepthook = _in_a_thread
    sys.unraisablehook = _in_a_finalizer
    warnings.showwarning = _warned
    logging.lastResort = logging.NullHandler()  # it prints what is logged before there is a log of ours


def _log() -> Any:
    """Return the log if there is one already; a command that logs nothing doesn't pay for the import."""
    structlog = sys.modules.get("structlog")
    return structlog.get_logger("collector") if structlog and structlog.is_configured() else None


def _report(error: BaseException | None, **more: str) -> None:
    kind, where = (kind_of(error), place_of(error)) if error is not None else ("unknown", "nowhere")
    if (log := _log()) is not None:
        log.error("exception.uncaught", exception=kind, where=where, **more)
    else:
        sys.stderr.write(f"a defect of the collector: {kind} at {where}; please report it\n")


def _at_the_top(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    _report(error)
    if isinstance(sys.stderr, QueuedStream):
        sys.stderr.drain()  # the process ends


def _in_a_thread(args: threading.ExceptHookArgs) -> None:
    if not issubclass(args.exc_type, SystemExit):
        _report(args.exc_value, thread=args.thread.name if args.thread else "")


def _in_a_finalizer(args: sys.UnraisableHookArgs) -> None:
    _report(args.exc_value)


def _warned(  # noqa: PLR0917 - the signature is Python's
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    more: dict[str, Any] = {"library": category.__name__, "where": f"{Path(filename).name}:{lineno}"}
    if (log := _log()) is not None:
        log.warning("library.warning", **more)
