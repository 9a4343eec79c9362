"""The commands `collector`, also as `python -m collector`, and `collector-singer`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

from collector.adapters.process import protect_credentials

# So many more objects made than freed, and the youngest are looked through for cyclic garbage. Commands make many and
# few cycles. With Python's 700, it takes a tenth of a command's start, and a fifth of a run.
_ALLOCATIONS = 10_000


def main() -> None:
    """Run a command and end the process with its exit code."""
    warnings = _begin()
    try:
        from collector.cli.main import main as run  # noqa: PLC0415 - Ctrl-C may come while modules are read
    except KeyboardInterrupt:
        sys.exit(130)
    run(warnings=warnings)


def singer() -> None:
    """Run as the tap that Meltano calls, and end the process with its exit code."""
    warnings = _begin()
    try:
        from collector.cli.commands import singer as tap  # noqa: PLC0415 - see above
        from collector.cli.main import main as run  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(130)
    run(warnings=warnings, command=tap.singer, name=tap.NAME)


def _begin() -> list[str]:
    """Set the process up; return what to warn of."""
    gc.set_threshold(_ALLOCATIONS)
    if os.getpid() == 1:  # a container's first process: the kernel drops what it has no handler for
        signal.signal(signal.SIGTERM, _end)
    return protect_credentials(os.environ)


def _end(number: int, _: FrameType | None) -> None:
    """End at once, as everywhere else the kernel does: nothing has begun. A run replaces this and drains."""
    os._exit(128 + number)


if __name__ == "__main__":
    main()
