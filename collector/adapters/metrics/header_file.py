"""The headers of a push, which may be secrets: from a file that is read for each push."""

from __future__ import annotations

import re
from pathlib import Path

from collector.adapters.paths import named
from collector.errors import ConfigError

_MAX_SIZE = 64 * 2**10
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~\t]*[!-~])?)[ \t]*")


def read_headers(path: Path) -> dict[str, str]:
    """Return the headers in a file, one `Name: value` a line; empty lines and lines that begin with # are none.

    Raises ConfigError, whose message shows nothing of the content.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_SIZE + 1).decode("ascii")
    except FileNotFoundError:
        raise ConfigError(f"push.otlp.headers_file: the file {named(path)} doesn't exist") from None
    except UnicodeDecodeError:
        raise ConfigError(f"push.otlp.headers_file: {path} has a character that no header can have") from None
    except OSError as error:
        raise ConfigError(f"push.otlp.headers_file: the file {named(path)} can't be read: {error.strerror}") from None
    if len(text) > _MAX_SIZE:
        raise ConfigError(f"push.otlp.headers_file: {path} is larger than {_MAX_SIZE} bytes")
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not (found := _LINE.fullmatch(line)):
            raise ConfigError(f"push.otlp.headers_file: line {number} of {path} is no header: write `Name: value`")
        headers[found[1]] = found[2]
    return headers
