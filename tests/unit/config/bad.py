"""What a bad config is in the tables of this folder, and how it is put on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECRET = "s3cretMARKER"  # noqa: S105, RUF100 - every secret of every table, so that a leak is seen
ORG = "orgs:\n- {name: acme, token_env: T}\n"
DIRECTORY = "a directory where the config should be"
CONFIG = Path("collector.yaml")


@dataclass(frozen=True, kw_only=True)
class _Around:
    """What the config meets: variables, files beside it, options."""

    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    overrides: Mapping[str, object] = field(default_factory=dict)
    told: tuple[str, ...]


@dataclass(frozen=True)
class Bad(_Around):
    """A config that can't be used, and every line that is said of it."""

    promise: str
    yaml: str | bytes | None

    @property
    def variables(self) -> dict[str, str]:
        """The environment: `T` is always set."""
        return {"T": SECRET, **self.environ}

    def write(self) -> Path:
        """Put the config and the files beside it into the working directory."""
        if self.yaml == DIRECTORY:
            CONFIG.mkdir()
        elif self.yaml is not None:
            write(CONFIG, self.yaml)
        for name, content in self.files.items():
            write(Path(name), content)
        return CONFIG


def write(file: Path, content: str | bytes) -> Path:
    """Write a file, with the directories above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
