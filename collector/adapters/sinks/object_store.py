"""Records in an object store: Amazon's S3, Google Cloud Storage, Azure's Blob Storage, and what speaks their protocols.

Each file is one object, written by one request that creates it: all of it is there, or nothing. An object that has the
name already was written by an earlier attempt, since its name holds the run's id. Credentials come from the
environment (docs/outputs.md).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.tabular.extras import extra
from collector.errors import OutputError, kind_of

log = structlog.get_logger("collector")
T = TypeVar("T")

_TIMEOUT = timedelta(seconds=90)  # of one attempt, the upload of a file included
_CONNECT_TIMEOUT = timedelta(seconds=10)
_RETRY_FOR = timedelta(seconds=90)  # the library's retries, of what it may repeat
_RETRIES = 8
_ATTEMPTS = 3  # ours, of an upload whose answer did not come: the library doesn't repeat those
_LOOK_EVERY_S = 0.25  # whether a run that waits for an upload has to end
_WORD = 5  # letters: names that are shorter have none of the words that are looked for
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_HIDDEN = "Check what the environment says of the store; the library's text isn't shown, as it may hold a secret"
# By parts of the library's texts: first the addresses that credentials come from when the environment has none.
_BY_TEXT = (
    (
        re.compile(r"169\.254\.|latest/api/token|meta-?data/|computeMetadata|oauth2|//sts\.|credential", re.IGNORECASE),
        "no credentials were found in the environment, or they could not be used (docs/outputs.md)",
    ),
    (re.compile("BadScheme"), "http:// is not encrypted: use https://, or set AWS_ALLOW_HTTP=true if that is meant"),
    (re.compile("HTTP error|error sending request"), "the store doesn't answer: check its name, region and network"),
)
_DENIED = "access is denied: these credentials may not do that. The collector lists, reads and creates objects"
_FIXES = {
    "NoSuchBucket": "there is no such bucket: create it, or correct output.path",
    "ContainerNotFound": "there is no such container: create it, or correct output.path",
    "AccessDenied": _DENIED,
    "AuthorizationPermissionMismatch": "access is denied: the identity needs the role Storage Blob Data Contributor",
    "InvalidAccessKeyId": "the access key is unknown there: check the credentials in the environment",
    "SignatureDoesNotMatch": "the secret key is wrong: check the credentials in the environment",
    "ExpiredToken": "the credentials have expired: get new ones",
    "SlowDown": "the store answered that requests come too fast, also after retries: run again later",
}
_BY_STATUS = {
    "301": "the bucket is in another region: set AWS_REGION",
    "401": "the credentials are refused: check them in the environment",
    "403": _DENIED,
    "404": "there is no such bucket or container: create it, or correct output.path",
    "429": "the store answered that requests come too fast, also after retries: run again later",
    "503": "the store is not available, or requests come too fast, also after retries: run again later",
}


class ObjectStore:
    """The objects below a URL (`blobs.Blobs`)."""

    def __init__(self, url: str, *, timeout: timedelta = _TIMEOUT, retry_for: timedelta = _RETRY_FOR) -> None:
        self.url = url
        scheme, _, path = url.partition("://")
        with extra(scheme, f"an output in an object store ({scheme}://)"):
            import obstore  # noqa: PLC0415 - heavy, and an extra
            from obstore import exceptions, store  # noqa: PLC0415

        self._obstore: Any = obstore
        self._failures = (exceptions.BaseError, OSError)
        self._exists = exceptions.AlreadyExistsError
        self._denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        self._abandoned = threading.Event()
        options: dict[str, Any] = {
            "client_options": {"timeout": timeout, "connect_timeout": _CONNECT_TIMEOUT, "allow_http": _allow_http()},
            "retry_config": {"max_retries": _RETRIES, "retry_timeout": retry_for},
        }
        with self._as_output_error("used"):
            if scheme == "az":
                account, container, *rest = path.split("/", 2)
                self._store: Any = store.AzureStore(
                    container, prefix=rest[0] if rest else None, account_name=account, **options
                )
            else:
                bucket, _, prefix = path.partition("/")
                kind = store.S3Store if scheme == "s3" else store.GCSStore
                self._store = kind(bucket, prefix=prefix or None, **options)

    def create(self, name: str, content: bytes) -> bool:
        """Create an object; return False if its name is taken.

        An upload without an answer is repeated, by the library or here: if it did arrive, its name is taken by then.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._as_output_error("written"):
                    self._waiting(lambda: self._obstore.put(self._store, name, content, mode="create"))
                return True
            except _TakenError:
                return False
            except _UnansweredError as error:
                if attempt == _ATTEMPTS:
                    raise
                log.warning("output.retried", object=f"{self.url}/{name}", attempt=attempt, message=str(error))
        raise AssertionError

    def replace(self, name: str, content: bytes) -> None:
        """Write an object, whatever is there."""
        with self._as_output_error("written"):
            self._waiting(lambda: self._obstore.put(self._store, name, content, use_multipart=False))

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        with self._as_output_error("read"):
            try:
                return bytes(self._obstore.get(self._store, name).bytes())
            except FileNotFoundError as error:
                _require_bucket(error)
                return None

    def size(self, name: str) -> int | None:
        """Return the size of an object; None if there is none."""
        with self._as_output_error("read"):
            try:
                size: int = self._obstore.head(self._store, name)["size"]
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
            return size

    def remove(self, name: str) -> None:
        """Remove an object; no error if there is none."""
        with self._as_output_error("written"), suppress(FileNotFoundError):
            self._obstore.delete(self._store, name)

    def listed(self, folder: str) -> list[str]:
        """Return the objects in a folder, those in its folders too; the journal's are seen from its own folder only."""
        start = f"{folder}/" if folder else ""
        with self._as_output_error("read"):
            pages = self._obstore.list(self._store, folder or None)
            paths = [str(one["path"]) for page in pages for one in page]
        journal = f"{JOURNAL}/"
        return [path.removeprefix(start) for path in paths if folder == JOURNAL or not path.startswith(journal)]

    def abandon(self) -> None:
        """Make an upload that is under way give up."""
        self._abandoned.set()

    def close(self) -> None:
        """Do nothing: connections are the library's."""

    def _waiting(self, work: Callable[[], T]) -> T:
        """Do what may take long, in a thread that doesn't keep the process from ending."""
        done: list[Any] = []

        def run() -> None:
            try:
                done.append((work(), None))
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                done.append((None, error))

        thread = threading.Thread(target=run, name="object-upload", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
            if self._abandoned.is_set() and thread.is_alive():
                raise OutputError(f"the output {self.url} took an upload too long, and the run had to end")
        ((result, failure),) = done
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return]

    def _why(self, error: BaseException) -> str:
        """Return why a request failed. The library's text isn't shown: its URLs may hold a token."""
        text = str(error)
        code, status = _CODE.search(text), _STATUS.search(text)
        if code and code[1] in _FIXES:
            return _FIXES[code[1]]
        if status and status[1] in _BY_STATUS:
            return _BY_STATUS[status[1]]
        if status:
            return f"the store answered with {status[1]}" + (f" ({code[1]})" if code else "")
        if isinstance(error, self._denied):
            return _DENIED
        for part in self.url.partition("://")[2].split("/"):  # a bucket may be called `credentials`
            text = text.replace(part, "") if len(part) > _WORD else text
        return next((why for pattern, why in _BY_TEXT if pattern.search(text)), f"{kind_of(error)}. {_HIDDEN}")

    @contextmanager
    def _as_output_error(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._exists as error:
            raise _TakenError(f"the output {self.url} has an object of that name") from error
        except self._failures as error:
            text = f"the output {self.url} can't be {what}: {self._why(error)}"
            unanswered = not _STATUS.search(str(error)) and what == "written"
            raise (_UnansweredError if unanswered else OutputError)(text) from None


class _TakenError(OutputError):
    """There is an object of that name."""


class _UnansweredError(OutputError):
    """It is not known whether the store did what was requested."""


def _allow_http() -> bool:
    """Return whether a person allows connections without TLS: for a store in the same network."""
    return any(
        os.environ.get(name, "").lower() in {"1", "true", "yes"}
        for name in ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "AZURE_STORAGE_USE_EMULATOR")
    )


def _require_bucket(error: FileNotFoundError) -> None:
    """Raise the error if it isn't the object that is missing, but the bucket."""
    if (found := _CODE.search(str(error))) and found[1] in {"NoSuchBucket", "ContainerNotFound"}:
        raise error
