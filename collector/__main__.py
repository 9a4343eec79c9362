"""The command `collector`, also as `python -m collector`."""

from __future__ import annotations

from collector.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
