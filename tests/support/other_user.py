"""Commands of a user who isn't root. The interpreter may be readable for root only, so all is imported before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.commands import Done, environment, unmeasured
from tests.support.forked import import_everything

USER = 65532


def as_user(*args: str | Path, cwd: Path, **env: str) -> Done:
    """Run a command as a user who isn't root to its end. Takes root."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.other_user", str(cwd), *map(str, args)],
        env=unmeasured(environment(**env)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def become_user() -> None:
    """Import everything, then be that user."""
    import_everything()
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)


if __name__ == "__main__":
    become_user()
    os.chdir(sys.argv.pop(1))
    from collector.cli.main import main

    sys.exit(main())
