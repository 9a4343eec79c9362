"""The configs of this folder, good and bad, and how they are put on disk.

`good/NAME.yaml` is a config that loads. A bad config is `bad/GROUP/NAME.yaml`, and `NAME.txt` beside it holds
every line that is reported, word for word. If it needs more files, `NAME/` replaces `NAME.yaml` and holds
`collector.yaml` with the files beside it. `NAME.json` gives variables (`environ`) and options (`options`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

SECRET = "s3cretMARKER"  # noqa: S105, RUF100 - every secret of every bad config, so that a leak is seen
ORG = "orgs:\n- {name: acme, token_env: T}\n"
CONFIG = Path("collector.yaml")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Bad:
    """A config that can't be used, named by the file of its messages."""

    messages: Path

    @property
    def name(self) -> str:
        """Return `GROUP/NAME`."""
        return f"{self.messages.parent.name}/{self.messages.stem}"

    @property
    def expected(self) -> list[str]:
        """Return every line that is reported."""
        return self.messages.read_text(encoding="utf-8").splitlines()

    @property
    def around(self) -> dict[str, dict[str, str]]:
        """Return the variables and the options; `T` is always set."""
        file = self.messages.with_suffix(".json")
        given = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return {"environ": {"T": SECRET, **given.get("environ", {})}, "overrides": given.get("options", {})}

    def write(self) -> Path:
        """Put the config and the files beside it into the working directory."""
        if (folder := self.messages.with_suffix("")).is_dir():
            shutil.copytree(folder, ".", dirs_exist_ok=True)
        elif (file := self.messages.with_suffix(".yaml")).exists():
            shutil.copy(file, CONFIG)
        return CONFIG


GOOD = sorted((HERE / "good").glob("*.yaml"))
BAD = [Bad(file) for file in sorted((HERE / "bad").glob("*/*.txt"))]


def write(file: Path, content: str | bytes) -> Path:
    """Write a file, with the directories above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
