"""The command `collector`, also as `python -m collector`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a command and end the process with its exit code."""
    try:
        from collector.cli.main import main as run  # noqa: PLC0415 - Ctrl-C may come while modules are read
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
