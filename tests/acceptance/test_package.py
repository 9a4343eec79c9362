"""What a release holds: a wheel and an sdist that install and run where nothing else is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector import __version__
from collector.zone_rules import VERSION
from tests.support.commands import Done

pytestmark = pytest.mark.slow  # needs a package index
ROOT = Path(__file__).parents[2]
# No tree of ours on the path, and nothing that makes a process write coverage.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE", "COLLECTOR_", "VIRTUAL_ENV"))}
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def tracked(*paths: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *paths], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def run(python: str | Path, *args: str | Path, cwd: Path) -> Done:
    done = subprocess.run(
        [str(python), *map(str, args)], cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=300, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def succeeds(python: str | Path, *args: str | Path, cwd: Path) -> Done:
    done = run(python, *args, cwd=cwd)
    assert done.code == 0, done.stderr
    return done


@dataclass(frozen=True)
class Release:
    """What was built from a copy of what is tracked."""

    source: Path
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    wheel(source, out)
    succeeds(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, cwd=source)
    return Release(source, *out.glob("*.whl"), *out.glob("*.tar.gz"))


def wheel(source: Path, out: Path) -> Path:
    """Build a wheel with what is installed; nothing is fetched."""
    succeeds(
        sys.executable, *PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", out, ".", cwd=source
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in an environment that has the hashed requirements and the wheel, and nothing else."""
    home = tmp_path_factory.mktemp("empty")
    succeeds(sys.executable, "-m", "venv", home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    succeeds(python, *PIP, "install", "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt", cwd=home)
    succeeds(python, *PIP, "install", "--no-index", "--no-deps", release.wheel, cwd=home)
    succeeds(python, *PIP, "check", cwd=home)
    return home / "venv" / "bin" / "collector"


def test_wheel_holds_every_file_of_the_package_and_nothing_else(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == tracked("collector", "usage_collector")
    assert {"collector/py.typed", "collector/ledger/migrations/versions/v0001_first.py"} <= names


def test_version_comes_from_one_place(release: Release) -> None:
    assert release.wheel.name == f"usage_collector-{__version__}-py3-none-any.whl"
    assert release.sdist.name == f"usage_collector-{__version__}.tar.gz"


def test_sdist_holds_all_that_it_takes_to_test_and_deploy(release: Release) -> None:
    with tarfile.open(release.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked(
        "collector", "usage_collector", "config", "deploy", "docs", "requirements", "scripts", "tests", "benchmarks"
    )
    wanted |= {"Makefile", "Dockerfile", ".dockerignore", "SECURITY.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"}
    assert wanted <= names
    assert not [name for name in names if name.endswith((".pyc", ".db")) or name.startswith(("state/", "usage/"))]


def test_wheel_from_the_sdist_is_the_wheel_bit_for_bit(release: Release, tmp_path: Path) -> None:
    with tarfile.open(release.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (out := tmp_path / "out").mkdir()
    assert wheel(source, out).read_bytes() == release.wheel.read_bytes()


def test_it_runs_where_only_its_requirements_are(installed: Path, tmp_path: Path) -> None:
    assert (
        succeeds(installed, "--version", cwd=tmp_path).stdout
        == f"collector, version {__version__} (time zones: tzdata {VERSION})\n"
    )
    assert "properties" in json.loads(succeeds(installed, "schema", "config", cwd=tmp_path).stdout)
    config = tmp_path / "simulated.yaml"
    command = [str(installed), "simulate", "--until-eof", "--orgs", "3", "--port", "0", "--config-out", str(config)]
    with subprocess.Popen(
        command, env=CLEAN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as api:
        assert api.stdin is not None
        assert api.stdout is not None
        api.stdout.readline()
        done = succeeds(installed, "collect", "-c", config, "-o", "usage", cwd=tmp_path)  # with a ledger: migrations
        api.stdin.close()
        api.wait(120)
    assert done.event("run.finished")["exit_code"] == 0
    assert list((tmp_path / "usage").glob("usage-*.jsonl"))
    assert (tmp_path / "state" / "ledger.db").exists()


def test_release_s_requirements_are_those_of_the_package(release: Release) -> None:
    """What the wheel asks for and what the hashed file pins are made from one list."""
    with zipfile.ZipFile(release.wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    asked = {
        line.split(":", 1)[1].strip() for line in lines if line.startswith("Requires-Dist:") and "extra" not in line
    }
    names = {name.split(">")[0].split("[")[0].split("<")[0].strip() for name in asked}
    pinned = (ROOT / "requirements" / "runtime.txt").read_text()
    assert len(names) >= 10
    assert [name for name in names if f"\n{name}==" not in f"\n{pinned}"] == []


def test_build_requirements_are_pinned_as_the_developers_are() -> None:
    def pins(file: str) -> dict[str, str]:
        text = (ROOT / "requirements" / file).read_text()
        return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, flags=re.MULTILINE))

    build, dev = pins("build.txt"), pins("dev.txt")
    assert "hatchling" in build
    assert build.items() <= dev.items()
