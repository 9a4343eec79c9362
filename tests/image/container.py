"""The image, run by a real OCI runtime (crun) the way that the manifests have it run.

Owns the runtime's configuration: user, entry point, environment and folder are the image's own;
the root is read-only, nothing is privileged, and only /tmp and /data can be written. The network is
this machine's, as the simulated API listens on loopback alone.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import Any

from tests.support.commands import Done
from tests.support.waiting import wait_until

BUILT = Path(__file__).parents[2] / "build" / "image"
# crun knows no mixed cgroup hierarchies: it gets a mount namespace that has the second version alone.
CRUN = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
CRUN += ['mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec crun --cgroup-manager=disabled "$@"', "crun"]
TMP = "/tmp"  # noqa: S108 - the container's own
NAMESPACES = ("pid", "ipc", "uts", "mount")


@dataclass(frozen=True)
class Image:
    """What scripts/image has built and unpacked."""

    rootfs: Path
    config: Mapping[str, Any]

    @classmethod
    def built(cls) -> Image:
        rootfs = Path((BUILT / "rootfs").read_text().strip())
        return cls(rootfs, json.loads((BUILT / "image.json").read_text())["Docker"]["config"])

    @property
    def user(self) -> int:
        uid, gid = self.config["User"].split(":")
        assert uid == gid
        return int(uid)

    def bundle(self, args: list[str], directory: Path, env: Mapping[str, str]) -> dict[str, Any]:
        """Return the runtime's configuration for one container, which has two folders of that directory."""
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in env.items())]
        data, config = str(directory / "data"), str(directory / "etc")
        return {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": self.user, "gid": self.user},
                "args": args,
                "env": variables,
                "cwd": self.config["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.rootfs), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": TMP, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]},
                {"destination": "/data", "type": "bind", "source": data, "options": ["bind", "rw"]},
                {"destination": "/etc/collector", "type": "bind", "source": config, "options": ["bind", "ro"]},
            ],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        }


@dataclass
class Container:
    """A container that runs."""

    name: str
    user: str
    runtime: list[str]
    process: subprocess.Popen[str] = field(repr=False)

    def signal(self, name: str) -> None:
        subprocess.run([*self.runtime, "kill", self.name, name], check=True, capture_output=True, timeout=120)

    def exec(self, *args: str) -> Done:
        """Run a further command in it, as an engine does for its health check: as the image's user."""
        command = [*self.runtime, "exec", "--user", self.user, self.name, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def ended(self, timeout_s: float = 60) -> Done:
        stdout, stderr = self.process.communicate(timeout=timeout_s)
        return Done(self.process.returncode, stdout, stderr)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, while it runs."""

        def holds() -> bool:
            assert self.process.poll() is None, self.ended().stderr
            return condition()

        wait_until(holds)

    def hears_sigterm(self) -> bool:
        """Whether its first process has a handler for SIGTERM yet."""
        command = [*self.runtime, "state", self.name]
        state = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if state.returncode != 0 or json.loads(state.stdout)["status"] != "running":
            return False
        status = Path(f"/proc/{json.loads(state.stdout)['pid']}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (SIGTERM - 1) & 1)


@dataclass(frozen=True)
class Host:
    """Where containers are run: a folder whose `data` is theirs to write, and whose `etc` has the config."""

    image: Image
    directory: Path

    @contextmanager
    def started(
        self, *args: str, entrypoint: list[str] | None = None, env: Mapping[str, str] | None = None
    ) -> Iterator[Container]:
        """Start a container; it is ended, whatever happens."""
        command = [*(self.image.config["Entrypoint"] if entrypoint is None else entrypoint), *args]
        name = f"c-{uuid.uuid4().hex[:12]}"
        bundle = self.directory / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self.image.bundle(command, self.directory, env or {})))
        runtime = [*CRUN, "--root", str(self.directory / "crun")]
        with subprocess.Popen(
            [*runtime, "run", "--bundle", str(bundle), name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Container(name, self.image.config["User"], runtime, process)
            finally:
                if process.poll() is None:
                    subprocess.run([*runtime, "delete", "--force", name], check=False, capture_output=True, timeout=120)
                    process.kill()

    def run(self, *args: str, entrypoint: list[str] | None = None, env: Mapping[str, str] | None = None) -> Done:
        """Run a container to its end."""
        with self.started(*args, entrypoint=entrypoint, env=env) as container:
            return container.ended(120)
