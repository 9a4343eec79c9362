"""The token of the status page. Its file is read again whenever it changes."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from collector.adapters.paths import named
from collector.errors import ConfigError

log = structlog.get_logger("collector")

_MAX_SIZE = 4096  # bytes


class TokenFile:
    """The token in a file. While the file can't be read, a random token locks the page."""

    def __init__(self) -> None:
        self._seen: tuple[Path, int, int] | None = None
        self._token = ""

    def token(self, path: Path) -> str:
        """Return the current token of the file."""
        try:
            status = path.stat()
            seen = (path, status.st_ino, status.st_mtime_ns)
            if seen != self._seen:
                self._token = read_token(path)
                self._seen = seen
        except (OSError, ConfigError) as error:
            if self._seen is not None or not self._token:
                log.error(
                    "token.not_read",
                    message="the token file can't be read: the status page is locked until it can",
                    exception=type(error).__name__,
                )
            self._seen, self._token = None, secrets.token_hex(32)
        return self._token


def read_token(path: Path) -> str:
    """Return the token in a file. Raises ConfigError, whose message shows nothing of the content."""
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_SIZE + 1).decode("ascii").strip()
    except FileNotFoundError:
        raise ConfigError(f"service.token_file: the file {named(path)} doesn't exist") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"service.token_file: {path} must contain a token: one line of printable ASCII characters without spaces"
        ) from None
    except OSError as error:
        raise ConfigError(f"service.token_file: the file {named(path)} can't be read: {error.strerror}") from None
    if not token or len(token) > _MAX_SIZE or not token.isprintable() or " " in token:
        raise ConfigError(
            f"service.token_file: {path} must contain a token: one line of printable ASCII characters without spaces"
        )
    return token
