"""The image's tests need what scripts/image builds, which takes minutes: it runs them, with IMAGE=1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.container import BUILT, Host, Image
from tests.support.commands import SimulatedApi, simulated_api

WANTED = os.environ.get("IMAGE") == "1"
collect_ignore_glob = [] if WANTED else ["test_*.py"]


def pytest_report_header() -> str | None:
    return None if WANTED else "image tests: left out; scripts/image builds the image and runs them"


@pytest.fixture(scope="session")
def image() -> Image:
    assert (BUILT / "rootfs").exists(), "scripts/image builds it"
    return Image.built()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("api"), orgs=5) as api:
        yield api


@pytest.fixture
def host(image: Image, api: SimulatedApi, tmp_path: Path) -> Host:
    """A host whose config has each secret in a file that only the image's user can read."""
    data, etc = tmp_path / "data", tmp_path / "etc"
    data.mkdir()
    config: dict[str, Any] = yaml.safe_load(api.config.read_text())
    for org in config["orgs"]:
        for secret in ("username", "access_key"):
            file = etc / "secrets" / f"{org['name']}-{secret}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(org.pop(secret))
            org[f"{secret}_file"] = f"secrets/{file.name}"
    (etc / "collector.yaml").write_text(yaml.safe_dump(config))
    for path in (data, etc, *etc.rglob("*")):
        os.chown(path, image.user, image.user)
        path.chmod(0o500 if path.is_dir() else 0o400)
    data.chmod(0o700)
    tmp_path.chmod(0o711)
    return Host(image, tmp_path)
