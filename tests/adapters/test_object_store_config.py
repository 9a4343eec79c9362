"""What the environment says of an object store: what is missing or wrong is named, and no secret is shown."""

from __future__ import annotations

import pytest

from collector.adapters.sinks.object_store import ObjectStore
from collector.errors import OutputError
from tests.support.needs import free_port

KEY = "a-s3cret-key"
NOBODY = "http://127.0.0.1:{port}"
STATIC = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_ENDPOINT_URL": NOBODY}


@pytest.mark.parametrize(
    ("url", "environ", "why"),
    [
        ("s3://bucket/usage", {"AWS_METADATA_ENDPOINT": NOBODY}, "no credentials were found"),
        ("az://account/container", {"AZURE_MSI_ENDPOINT": f"{NOBODY}/oauth2/token"}, "no credentials were found"),
        ("gs://bucket/usage", {"GOOGLE_APPLICATION_CREDENTIALS": f"/not/there/{KEY}"}, "no credentials were found"),
        ("s3://credentials/usage", STATIC | {"AWS_ALLOW_HTTP": "true"}, "the store doesn't answer"),
        ("s3://e/s/code", STATIC | {"AWS_ALLOW_HTTP": "true"}, "the store doesn't answer"),
        ("s3://bucket/usage", STATIC, "http:// is not encrypted"),
        ("az://account/container", {"AZURE_STORAGE_ACCOUNT_KEY": KEY}, "Check what the environment says"),
    ],
)
def test_what_is_wrong_is_named(url: str, environ: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, text in environ.items():
        monkeypatch.setenv(name, text.format(port=port))
    with pytest.raises(OutputError, match=why) as failed:
        ObjectStore(url).listed("")
    assert url in str(failed.value)
    assert KEY not in str(failed.value)
