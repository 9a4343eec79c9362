"""What would stop a run of a config before its first request, as `check` reports it. Sends nothing, creates nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from collector.adapters.sinks.converting import require
from collector.adapters.token_file import read_token
from collector.app.outputs import refuse_layout
from collector.app.places import open_place
from collector.app.prepare import refuse_file_as_output
from collector.config import Settings
from collector.core.layout import RecordFormat
from collector.core.outputs import STDOUT
from collector.errors import ConfigError, OutputError, Problem
from collector.service.otlp import check_otlp


def refuse_obstacles(settings: Settings) -> None:
    """Raise ConfigError for all that would stop each run: missing packages, an unusable output, unreadable headers."""
    layout = _package if settings.output.path == STDOUT else refuse_layout  # `-o` may name another output
    problems = [*_problems(settings, refuse_file_as_output, layout, _look_at_place, check_otlp)]
    if problems:
        raise ConfigError(problems)


def obstacles_of_some(settings: Settings) -> list[str]:
    """Return what would stop runs with the config's own output, and what would stop `serve`."""
    found = [f"`serve` would not start: {one}" for one in _problems(settings, _read_token)]
    if settings.output.path == STDOUT:
        found += [f"a run without `-o` would not start: {one}" for one in _problems(settings, refuse_layout)]
    return found


def _problems(settings: Settings, *looks: Callable[[Settings], object]) -> Iterator[Problem]:
    for look in looks:
        try:
            look(settings)
        except ConfigError as error:
            yield from error.problems
        except OutputError as error:
            yield Problem(message=str(error))


def _package(settings: Settings) -> None:
    if settings.output.format is not RecordFormat.SINGER:
        require(settings.output.layout)


def _look_at_place(settings: Settings) -> None:
    """Open an output that isn't a directory, which connects to nothing yet."""
    place = open_place(settings)
    if place is not None:
        place.close()


def _read_token(settings: Settings) -> None:
    if settings.service.token_file is not None:
        read_token(settings.service.token_file)
