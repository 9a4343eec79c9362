"""What the tests of all ways to run it share: a config laid out with made-up secrets, a command parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from collector.cli.main import cli
from collector.config import LoadedConfig, load

DEPLOY = Path(__file__).parents[2] / "deploy"


def assert_taken(args: Sequence[str]) -> None:
    """Fail unless the command exists and takes those arguments."""
    context = cli.make_context("collector", [args[0], "--help"], resilient_parsing=True)
    command = cli.get_command(context, args[0])
    assert command is not None, f"there is no command {args[0]}"
    command.make_context(args[0], list(args[1:]), parent=context)


def load_with_secrets(file: Path, secrets: Sequence[str], environ: Mapping[str, str] | None = None) -> LoadedConfig:
    """Load a config whose secrets are files beside it."""
    for name in secrets:
        secret = file.parent / name
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("made-up")
        secret.chmod(0o400)
    return load(file, environ=environ or {})
