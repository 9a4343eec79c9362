"""The token of the status page, from its file: read anew whenever the file changes."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from collector.errors import ConfigError

log = structlog.get_logger("collector")

_AT_MOST = 4096  # bytes


class TokenFile:
    """The token in a file. One that can't be read locks the page: nothing is shown for want of a token."""

    def __init__(self) -> None:
        self._seen: tuple[Path, int, int] | None = None
        self._token = ""

    def token(self, path: Path) -> str:
        """Return the token that stands in the file now."""
        try:
            status = path.stat()
            seen = (path, status.st_ino, status.st_mtime_ns)
            if seen != self._seen:
                self._token = read_token(path)
                self._seen = seen
        except (OSError, ConfigError) as error:
            if self._seen is not None or not self._token:
                log.error("token.not_read", message="the page is locked", exception=type(error).__name__)
            self._seen, self._token = None, secrets.token_hex(32)
        return self._token


def read_token(path: Path) -> str:
    """Return the token in a file. Raises ConfigError if there is none; the message shows nothing of it."""
    try:
        with path.open("rb") as file:
            token = file.read(_AT_MOST + 1).decode("ascii").strip()
    except FileNotFoundError:
        raise ConfigError(f"service.token_file: there is no such file: {path}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"service.token_file: {path} holds no token: letters, digits and signs on one line") from None
    except OSError as error:
        raise ConfigError(f"service.token_file: {path} can't be read: {error.strerror}") from None
    if not token or len(token) > _AT_MOST or not token.isprintable() or " " in token:
        raise ConfigError(f"service.token_file: {path} holds no token: letters, digits and signs on one line")
    return token
