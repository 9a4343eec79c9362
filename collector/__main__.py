"""The commands `collector`, also as `python -m collector`, and `collector-singer`."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from types import FrameType

from collector.adapters.process import protect_credentials

# So many more objects made than freed, and the youngest are looked through for cyclic garbage. Commands make many and
# few cycles. With Python's 700, it takes a tenth of a command's start, and a fifth of a run.
_ALLOCATIONS = 10_000


class _End:
    """Ends the process after everything that Python does at its end but one thing: freeing each object and module.

    The kernel frees them, too, and in no time: Python takes a fifth of a short command's.
    """

    def __init__(self) -> None:
        self._code: int | None = None

    def with_code(self, code: int) -> None:
        """End the process once its threads have ended and its other exit functions have run."""
        self._code = code
        sys.exit(code)

    def __call__(self) -> None:
        if self._code is None:
            return  # an exception, which Python is to show
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
        except (OSError, ValueError):
            return  # Python finds that, too, and has an exit code for it
        os._exit(self._code)


def main() -> None:
    """Run a command and end the process with its exit code."""
    end, warnings = _begin()
    try:
        from collector.cli.main import main as run  # noqa: PLC0415 - Ctrl-C may come while modules are read
    except KeyboardInterrupt:
        sys.exit(130)
    end.with_code(run(warnings=warnings))


def singer() -> None:
    """Run as the tap that Meltano calls, and end the process with its exit code."""
    end, warnings = _begin()
    try:
        from collector.cli.commands import singer as tap  # noqa: PLC0415 - see above
        from collector.cli.main import main as run  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(130)
    end.with_code(run(warnings=warnings, command=tap.singer, name=tap.NAME))


def _begin() -> tuple[_End, list[str]]:
    """Set the process up; return its end, and what to warn of."""
    end = _End()
    atexit.register(end)  # the first one, which is called last
    gc.set_threshold(_ALLOCATIONS)
    if os.getpid() == 1:  # a container's first process: the kernel drops what it has no handler for
        signal.signal(signal.SIGTERM, _stop)
    return end, protect_credentials(os.environ)


def _stop(number: int, _: FrameType | None) -> None:
    """End at once, as everywhere else the kernel does: nothing has begun. A run replaces this and drains."""
    os._exit(128 + number)


if __name__ == "__main__":
    main()
