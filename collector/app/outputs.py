"""Whether a run may deliver to its output: the ledger knows where its records are, and a directory whose it is.

A run that delivered elsewhere would lose its records: their windows are complete, and the readers look in another
place. And a ledger that isn't the directory's would emit again what is there (docs/ledger.md).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path

from collector.adapters.paths import place_path
from collector.adapters.sinks.converting import require
from collector.adapters.sinks.directory import journal_of, note, output_error
from collector.adapters.sinks.directory_id import ensure_id, id_of
from collector.adapters.sinks.files import OutputFiles
from collector.adapters.sinks.stdout import is_terminal
from collector.adapters.text import shell_word
from collector.app.command import Command, Permits
from collector.config import Settings
from collector.core.layout import Compression, Layout, RecordFormat
from collector.core.outputs import STDOUT, Fit, Journal, KnownOutputs, Output, fit_of, is_remote
from collector.errors import ConfigError, OutputError
from collector.ports import Ledger

_NAMED = 3  # directories, in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOutput:
    """The output of a run, and what is known of it: by the ledger, and by the journal of its directory."""

    output: Output
    directory: Path | None
    known: KnownOutputs
    journal: Journal


def check_output(ledger: Ledger, settings: Settings, command: Command, files: OutputFiles) -> OwnOutput:
    """Return the output of a run if it may deliver there. Creates nothing.

    Raises ConfigError for an output that isn't the ledger's, and OutputError for a directory that isn't the one that
    was at its path, or that belongs to another ledger.
    """
    directory, known = directory_of(settings), ledger.known_outputs()
    if not ledger.remembers:
        return OwnOutput(output=_output(command, directory), directory=directory, known=known, journal=Journal())
    here = _output(command, directory, id_of(files, directory) if directory else None)
    fit = fit_of(here, known, across_machines=ledger.across_machines)
    if fit is Fit.ELSEWHERE and not command.permits.elsewhere:
        raise ConfigError(_elsewhere(here, known))
    if fit is Fit.REPLACED and not command.permits.elsewhere:
        raise OutputError(_replaced(here, known))
    journal = journal_of(files, directory) if directory else Journal()
    if journal.ledger_id not in {None, known.ledger_id} and not command.permits.adopt:
        raise OutputError(_of_another_ledger(here.path))
    return OwnOutput(output=here, directory=directory, known=known, journal=journal)


def refuse_layout(settings: Settings) -> None:
    """Raise ConfigError if what the config says of formats can't be written: before anything is requested."""
    layout = settings.output.layout
    if layout.format is RecordFormat.SINGER:
        _refuse_messages(settings)
        return
    require(layout)
    if settings.output.path.startswith("postgresql://") and layout != Layout():
        raise ConfigError(
            "output: a table has no `format`, `compression`, `partition_by` or `labels`: leave them away. Its column "
            "labels has all labels"
        )
    if settings.output.path != STDOUT:
        return
    if layout.format is RecordFormat.PARQUET:
        raise ConfigError(
            "output: Parquet can't be written to stdout, since its index comes last: name a directory (`-o usage/`), "
            "or write `--format csv`"
        )
    if layout.partition_by:
        raise ConfigError(
            "output: stdout has no directories for `output.partition_by`: name a directory (`-o usage/`), or leave "
            "`partition_by` away"
        )
    if layout.compression is not Compression.NONE and is_terminal():
        raise ConfigError(
            "output: compressed records can't be shown on a terminal: redirect stdout (`> usage.csv.gz`), or write "
            "`--compression none`"
        )


def _refuse_messages(settings: Settings) -> None:
    """Raise ConfigError if a target can't read the messages."""
    output = settings.output
    if output.path != STDOUT:
        raise ConfigError(
            f"output: the messages of Singer go to stdout, not to {output.path}: write `-o -`, and let a target "
            "write files"
        )
    if output.compression is not Compression.NONE:
        raise ConfigError("output: targets read no compressed messages of Singer: write `--compression none`")


def refuse_new_ledger(settings: Settings, permits: Permits, files: OutputFiles) -> None:
    """Raise OutputError if the output belongs to a ledger, so that a ledger created now would be another one."""
    directory = directory_of(settings)
    if directory and not permits.adopt and journal_of(files, directory).ledger_id is not None:
        raise OutputError(_of_another_ledger(str(directory)))


def claim_output(ledger: Ledger, settings: Settings, command: Command, files: OutputFiles) -> OwnOutput:
    """Note in ledger and directory that they belong together; return the output. Raises what `check_output` does."""
    own = check_output(ledger, settings, command, files)
    if not ledger.remembers:
        return own
    if (directory := own.directory) is not None:
        own = replace(own, output=_output(command, directory, ensure_id(files, directory)))
        if own.journal.ledger_id not in {None, own.known.ledger_id}:
            try:
                note(files, directory, None, own.known.ledger_id)
            except OSError as error:
                raise output_error(directory, error) from error
    if directory is not None or not own.known.directories:  # else it is meant for this time
        ledger.deliver_to(own.output)
    return own


def directory_of(settings: Settings) -> Path | None:
    """Return where files go, if they do: a directory, or the URL of a place."""
    path = settings.output.path
    if path == STDOUT:
        return None
    return place_path(path) if is_remote(path) else Path(path).resolve()


def _output(command: Command, directory: Path | None, directory_id: str | None = None) -> Output:
    shard = str(command.scope.shard) if command.scope.shard else ""
    path = str(directory or STDOUT)
    host = "" if is_remote(path) else socket.gethostname()
    return Output(path=path, directory_id=directory_id, host=host, shard=shard)


def _elsewhere(here: Output, known: KnownOutputs) -> str:
    if known.directories:
        paths = list(dict.fromkeys(one.path for one in known.directories))
        where = f"in {' and '.join(paths[:_NAMED])}"
        right = f"add `-o {shell_word(paths[0])}`"
    else:
        where, right = "where stdout went", "leave `-o` away"
    meant = "goes to stdout" if here.path == STDOUT else f"goes to {here.path}"
    other = "use `--state none`" if here.path == STDOUT else "use a ledger of its own (`--state`)"
    return (
        f"output: the records of this ledger are {where}. What {meant} would be missing there, and would not be "
        f"fetched again: {right}. For a second copy of the records, {other}. If the records are to go another way from "
        "now on, say `--elsewhere`"
    )


def _replaced(here: Output, known: KnownOutputs) -> str:
    is_there = is_remote(here.path) or Path(here.path).is_dir()
    what = "has another id" if here.directory_id else "has no id" if is_there else "isn't there"
    others = [one.path for one in known.directories if one.path != here.path]
    also = f" Its records are also in {' and '.join(others[:_NAMED])}." if others else ""
    return (
        f"the output directory {here.path} isn't the one that this ledger's records are in: it {what}. A disk may not "
        f"be mounted, or the directory was moved away: mount it, or move it back.{also} If its files are to begin anew "
        "here, run once with `--elsewhere`"
    )


def _of_another_ledger(path: str) -> str:
    return (
        f"the output directory {path} belongs to another ledger: this one doesn't know what was delivered there. "
        "Name the right ledger (`--state`, and the directory that a relative path begins in), or restore a backup of "
        "it. If it is lost for good, run once with `--adopt`: this ledger takes over what the files there say, and "
        "fetches their windows again"
    )
