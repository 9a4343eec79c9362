"""What is in the image, and what isn't."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import certifi
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from collector import __version__
from collector.zone_rules import VERSION
from tests.image.container import BUILT, Host, Image

ROOT = Path(__file__).parents[2]
PUBLIC = frozenset(Path(certifi.where()).read_bytes().splitlines())  # certificates that the package certifi ships
OURS = ("opt", "etc/collector", "data")
STORE = ["buildah", "--storage-driver", "vfs", "--root", str(BUILT / "storage"), "--runroot", str(BUILT / "run")]


@pytest.fixture(scope="module")
def layer() -> Iterator[tarfile.TarFile]:
    """What the image lays over its base."""
    manifest = json.loads((BUILT / "pushed" / "manifest.json").read_text())
    _base, ours = manifest["layers"]
    with tarfile.open(BUILT / "pushed" / ours["digest"].removeprefix("sha256:")) as tar:
        yield tar


def test_layer_holds_the_environment_and_two_folders_and_else_only_takes_away(layer: tarfile.TarFile) -> None:
    others = [m for m in layer if m.name != "opt" and not m.name.startswith(tuple(f"{path}/" for path in OURS))]
    left = [m for m in others if not m.isdir() and not PurePosixPath(m.name).name.startswith(".wh.")]
    assert [(m.name, m.size) for m in left] in ([], [("etc/hosts", 0)])  # buildah's mount point
    environment = [m.name for m in layer if m.name.startswith("opt/")]
    assert len(environment) > 1000
    assert all(name == "opt/collector" or name.startswith("opt/collector/") for name in environment)


def test_its_label_names_the_base_by_digest() -> None:
    labels = json.loads((BUILT / "image.json").read_text())["Docker"]["config"]["Labels"]
    name = labels["org.opencontainers.image.base.name"]
    assert name.startswith("localhost/") or re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", name)


def test_nothing_in_it_can_be_changed_by_its_user_or_raises_anyone(layer: tarfile.TarFile) -> None:
    for member in layer:
        name = member.name
        if name != "data" and not PurePosixPath(name).name.startswith(".wh."):
            assert (member.uid, member.gid) == (0, 0), name
            assert member.issym() or not member.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH), name
    data = layer.getmember("data")
    assert (data.uid, data.gid, data.isdir()) == (65532, 65532, True)


def test_it_holds_no_test_no_cache_no_installer_and_nothing_of_a_repository(layer: tarfile.TarFile) -> None:
    unwanted = re.compile(
        r"(^|/)(tests?|testing|pip|setuptools|hatchling|wheel|ensurepip|\.git[^/]*|\.cache|\.pytest_cache|\.hypothesis"
        r"|\.coverage[^/]*|pip\.conf|\.env|\.netrc|[^/]*\.(db|db-wal|jsonl|orig|log))(/|$)"
    )
    kept = [m.name for m in layer if not PurePosixPath(m.name).name.startswith(".wh.")]
    assert [name for name in kept if unwanted.search(name)] == []
    assert [name for name in kept if name.endswith(".pyc") and "/lib/python3" not in name] == []


def test_nothing_of_the_build_s_secrets_is_left(layer: tarfile.TarFile) -> None:
    # The certificates, and what pip was told; both were there while it was built. Some packages ship public ones.
    given = (BUILT / "secrets" / "ca.pem").read_bytes()
    certificate = next((line for line in given.splitlines() if len(line) > 40 and line not in PUBLIC), given)
    configured = [line for line in (BUILT / "secrets" / "pip.conf").read_bytes().splitlines() if b"=" in line]
    assert len(certificate) > 40
    assert configured
    names = [m.name for m in layer]
    assert not [name for name in names if name.startswith("run/")]
    for member in layer:
        if member.isfile() and (file := layer.extractfile(member)):
            content = file.read()
            assert certificate not in content, member.name
            assert not [line for line in configured if line in content], member.name
            assert b"PRIVATE KEY-----\n" not in content, member.name
    facts = (BUILT / "image.json").read_text()
    assert "index-url" not in facts
    assert "PIP_" not in json.dumps(Image.built().config)


def test_nobody_can_install_into_it(host: Host) -> None:
    for python in ("python", "/usr/local/bin/python3"):
        done = host.run("-m", "pip", "--version", entrypoint=[python])
        assert (done.code, "No module named pip" in done.stderr) == (1, True), python


def test_all_bytecode_is_there_and_trusted_without_a_look_at_times(image: Image) -> None:
    (site,) = image.rootfs.glob("opt/collector/lib/python3*/site-packages")
    compiled = {p.parent.parent / f"{p.name.split('.')[0]}.py": p for p in site.rglob("*.pyc")}
    assert set(compiled) == {p for p in site.rglob("*.py") if p.parent.name != "templates"}
    flags = {int.from_bytes(p.read_bytes()[4:8], "little") for p in compiled.values()}
    assert flags == {0b01}  # by hash, and not checked
    assert (site / "collector" / "cli" / "main.py") in compiled


def test_it_says_what_it_is_and_how_it_is_run(image: Image) -> None:
    config = image.config
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == "usage-collector"
    assert labels["version"] == __version__
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])
    assert labels["licenses"] == "Apache-2.0"
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["collector"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "collector", "healthcheck"]
    assert config["WorkingDir"] == "/data"
    assert not config.get("Volumes")


def test_version_comes_from_one_place(host: Host) -> None:
    assert host.run("--version").stdout == f"collector, version {__version__} (time zones: tzdata {VERSION})\n"


def test_bill_of_materials_names_every_package(image: Image) -> None:
    (file,) = (ROOT / "dist").glob(f"usage-collector-{__version__}.cdx.json")
    bill = json.loads(file.read_text())
    purls = [component.get("purl", "") for component in bill["components"]]
    text = (ROOT / "requirements" / "image.txt").read_text()
    pinned = {Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[a-z]", line)}
    (version,) = (path.name.removeprefix("python") for path in image.rootfs.glob("opt/collector/lib/python3*"))
    wanted = {
        f"pkg:pypi/{canonicalize_name(one.name)}@{next(iter(one.specifier)).version}"
        for one in pinned
        if one.marker is None or one.marker.evaluate({"python_version": version, "sys_platform": "linux"})
    }
    ours = f"pkg:pypi/usage-collector@{__version__}"
    found = (purl.removeprefix("pkg:pypi/").partition("@") for purl in purls if purl.startswith("pkg:pypi/"))
    assert {f"pkg:pypi/{canonicalize_name(name)}@{number}" for name, _, number in found} == wanted | {ours}
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    layers = [p["value"] for p in bill["metadata"]["component"]["properties"]]
    assert layers == (BUILT / "layers").read_text().split()


def test_no_secret_ledger_or_output_gets_as_far_as_the_builder(tmp_path: Path) -> None:
    context = tmp_path / "context"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    planted = ["config/collector.yaml", "state/ledger.db", "usage/usage-1.jsonl", ".env", "secrets/key", "id_rsa"]
    planted += ["collector/__pycache__/x.cpython-311.pyc", ".git/config", "requirements/mine.txt", "collector.yaml"]
    for name in [*files, *planted]:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file() and name in files:
            shutil.copy(ROOT / name, context / name)
        else:
            (context / name).write_text("planted")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /context/\n")
    build = ["build", "--quiet", "--isolation", "chroot", "--ignorefile", str(context / ".dockerignore")]
    tag = "localhost/collector-context"
    subprocess.run([*STORE, *build, "-f", str(dockerfile), "-t", tag, str(context)], check=True, capture_output=True)
    out = tmp_path / "pushed"
    subprocess.run([*STORE, "push", "--quiet", tag, f"dir:{out}"], check=True, capture_output=True)
    subprocess.run([*STORE, "rmi", tag], check=True, capture_output=True)
    (digest,) = [one["digest"] for one in json.loads((out / "manifest.json").read_text())["layers"]]
    with tarfile.open(out / digest.removeprefix("sha256:")) as tar:
        sent = {os.path.relpath(m.name, "context") for m in tar if m.isfile()}
    code = {name for name in files if name.startswith(("collector/", "usage_collector/"))}
    documents = {"README.md", "LICENSE", "pyproject.toml", "requirements/build.txt", "requirements/image.txt"}
    assert sent == code | documents
