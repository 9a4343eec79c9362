"""Object stores over real HTTP: S3 by moto, Azure by Azurite (`make azurite`), Google by gcp-storage-emulator."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.google_xml import bridge_to
from tests.support.needs import free_port, left_out
from tests.support.waiting import wait_until

_OPEN = build_opener(ProxyHandler({})).open
_AZURITE = Path(__file__).parents[2] / ".node/node_modules/.bin/azurite-blob"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # of every Azurite
BUCKET = "usage-records"


@dataclass(frozen=True)
class Store:
    """A store with an empty bucket: the URL of an output in it, the environment that reaches it, its own address."""

    url: str
    env: Mapping[str, str]
    address: str  # http://127.0.0.1:PORT

    def at(self, address: str) -> Store:
        """The same store, reached through a proxy."""
        return Store(self.url, {name: text.replace(self.address, address) for name, text in self.env.items()}, address)

    def below(self, prefix: str) -> Store:
        """A part of it that no other test uses."""
        return Store(f"{self.url}/{prefix}", self.env, self.address)

    def names(self) -> list[str]:
        """The names of all objects below the URL."""
        import obstore  # noqa: PLC0415

        return sorted(one["path"] for page in obstore.list(self._client()) for one in page)

    def read(self, name: str) -> bytes:
        import obstore  # noqa: PLC0415

        return bytes(obstore.get(self._client(), name).bytes())

    def remove(self, name: str) -> None:
        import obstore  # noqa: PLC0415

        obstore.delete(self._client(), name)

    def records(self) -> list[dict[str, Any]]:
        """The records of all objects, in the order of their names."""
        names = [name for name in self.names() if name.startswith("usage-")]
        return [json.loads(line) for name in names for line in self.read(name).splitlines()]

    def _client(self) -> Any:
        from collector.adapters.sinks.object_store import ObjectStore  # noqa: PLC0415

        before = {name: os.environ.get(name) for name in self.env}
        os.environ.update(self.env)
        try:
            return ObjectStore(self.url)._store
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def s3() -> Iterator[Store]:
    """Amazon's S3, by moto."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    env = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "the-secret-key-of-the-test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
    }
    try:
        bucket = f"{BUCKET}-{port}"  # moto keeps what its servers of one process had
        _OPEN(Request(f"{address}/{bucket}", method="PUT")).close()
        yield Store(f"s3://{bucket}/usage", env, address)
    finally:
        server.stop()


@contextmanager
def azure() -> Iterator[Store]:
    """Azure's Blob Storage, by Azurite."""
    if not _AZURITE.exists() or not shutil.which("node"):
        left_out("Azurite isn't installed (`make azurite`, which needs Debian's packages nodejs and npm)")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with _process(str(_AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options):
        wait_until(lambda: _answers(address), "Azurite answers")
        env = {
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_ENDPOINT": f"{address}/{_ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }
        _create_container(address)
        yield Store(f"az://{_ACCOUNT}/{BUCKET}/usage", env, address)


@contextmanager
def google() -> Iterator[Store]:
    """Google's Cloud Storage, by gcp-storage-emulator.

    It speaks Google's JSON API only, and the library its XML API: a bridge translates, and holds the precondition.
    """
    port = free_port()
    emulator = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _process(*command, "--in-memory", "--default-bucket", BUCKET):
        wait_until(lambda: _answers(emulator), "the emulator answers")
        with bridge_to(emulator) as address:
            account = {"gcs_base_url": address, "disable_oauth": True, "client_email": "", "private_key": ""}
            env = {
                "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account | {"private_key_id": ""}),
                "GOOGLE_ALLOW_HTTP": "true",
            }
            yield Store(f"gs://{BUCKET}/usage", env, address)


@contextmanager
def _process(*command: str) -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as directory,
        subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def _answers(address: str) -> bool:
    try:
        _OPEN(address, timeout=5).close()
    except OSError as error:
        return hasattr(error, "code")  # any answer of HTTP
    return True


def _create_container(address: str) -> None:
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415
    from email.utils import formatdate  # noqa: PLC0415

    date = formatdate(usegmt=True)
    signed = (
        "PUT"
        + "\n" * 12
        + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": "2021-08-06",
        "Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
    url = f"{address}/{_ACCOUNT}/{BUCKET}?restype=container"
    _OPEN(Request(url, method="PUT", headers=headers)).close()


STORES = {"s3": s3, "azure": azure, "google": google}
