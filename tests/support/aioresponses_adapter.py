"""aioresponses for an aiohttp that it doesn't know yet. To be deleted when its issue #289 is fixed.

aioresponses 0.7.9 builds responses without `stream_writer`, which aiohttp 3.14 requires:
`ClientResponse.__init__() missing 1 required keyword-only argument: 'stream_writer'`
(github.com/pnuckowski/aioresponses, issue #289). It also feeds a body into a stream that nobody
reads from a socket: beyond the stream's limit aiohttp 3.14 would pause that socket, and there is none.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from aiohttp import ClientResponse, StreamReader
from aiohttp.client_proto import ResponseHandler
from aioresponses import aioresponses


class _Response(ClientResponse):
    """A response whose request was sent by nobody."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"stream_writer": SimpleNamespace(output_size=0)} | kwargs))


def _wide_reader(loop: Any = None) -> StreamReader:
    return StreamReader(ResponseHandler(loop=loop), limit=2**30, loop=loop)


class Responses(aioresponses):
    """aioresponses, with responses that this aiohttp can build."""

    def start(self) -> None:
        """Begin to answer in the session's place."""
        self._readers = patch("aioresponses.core.stream_reader_factory", _wide_reader)
        self._readers.start()
        super().start()

    def stop(self) -> None:
        """Let the session be itself again."""
        super().stop()
        self._readers.stop()

    def add(self, url: Any, method: str = "GET", *args: Any, **kwargs: Any) -> None:
        """Answer a request of that method and URL so."""
        super().add(url, method, *args, **({"response_class": _Response} | kwargs))
