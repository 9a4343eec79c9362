"""An output that has no files: its records are gone when they are written, and nothing is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.ports import SealedFile


class WithoutFiles:
    """All of a `collector.ports.Sink` but how records are written, and how that is given up."""

    full = False
    written = (0, 0)
    along = None

    def next_name(self) -> str | None:
        """Return None: there are no files."""
        return None

    def sync(self) -> None:
        """Do nothing: what is written can't be synced or taken back."""

    def committed(self) -> None:
        """Do nothing: records say nothing of the ledger."""

    def take_lines(self) -> bytes:
        """Return nothing: what is written is gone."""
        return b""

    def close_file(self, kept: Iterable[bytes] = ()) -> Sequence[SealedFile]:
        """Return nothing: there are no files."""
        del kept
        return ()

    def publish(self, files: Sequence[SealedFile]) -> None:
        """Do nothing: there are no files."""
        del files

    def append_coverage(self, lines: bytes, count: int) -> None:
        """Do nothing: the output is for records only."""
        del lines, count

    def seal_coverage(self) -> SealedFile | None:
        """Return None: there are no files."""
        return None

    def write_manifest(self, manifest: bytes) -> None:
        """Do nothing: the output is for records only."""
        del manifest

    def discard(self) -> None:
        """Do nothing: what is written can't be taken back."""

    def close(self) -> None:
        """Do nothing: nothing is open that is ours."""
