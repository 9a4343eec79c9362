"""Packages that only some formats, places and protocols need: extras of the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collector.errors import ConfigError


class MissingExtraError(ConfigError):
    """A package that is needed now isn't installed."""


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import within this what an extra brings. Raises MissingExtraError, with the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs packages that are not installed ({error.name}): "
            f"pip install 'usage-collector[{name}]'. The image has them"
        ) from error
