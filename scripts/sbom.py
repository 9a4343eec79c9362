"""Makes the image's bill of materials (CycloneDX): its Python packages, and the base's Debian packages.

Usage: sbom.py ROOTFS IMAGE_JSON OUT. ROOTFS is the image unpacked, IMAGE_JSON what `buildah inspect` says of it.
Python packages are read by cyclonedx-py, where they are installed; Debian's from the image's dpkg status.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

VERSION = SchemaVersion.V1_6


def python_packages(rootfs: Path) -> dict[str, Any]:
    """Return the bill of the image's Python environment."""
    (site,) = rootfs.glob("opt/collector/lib/python3*/site-packages")
    with tempfile.TemporaryDirectory() as name:
        # cyclonedx-py asks an interpreter for its path; the image's own runs only inside of it.
        interpreter = Path(name, "python")
        interpreter.write_text(f"#!/bin/sh\necho {shlex.quote(json.dumps([str(site)]))}\n")
        interpreter.chmod(0o700)
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
        command += ["--spec-version", VERSION.to_version(), str(interpreter)]
        bill: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return bill


def debian_packages(rootfs: Path) -> list[dict[str, Any]]:
    """Return the installed packages of the base, as components."""
    release = dict(line.split("=", 1) for line in (rootfs / "etc/os-release").read_text().splitlines() if "=" in line)
    distro = f"{release['ID']}-{release['VERSION_ID']}".replace('"', "")
    components = []
    for text in (rootfs / "var/lib/dpkg/status").read_text().split("\n\n"):
        package = HeaderParser().parsestr(text)
        if package.get("Status") != "install ok installed":
            continue
        name, version = package["Package"], package["Version"]
        purl = f"pkg:deb/debian/{name}@{quote(version)}?arch={package['Architecture']}&distro={distro}"
        components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return components


def main(rootfs: Path, image: Path, out: Path) -> int:
    """Write the bill, once it is valid."""
    facts = json.loads(image.read_text())
    labels = facts["OCIv1"]["config"]["Labels"]
    bill = python_packages(rootfs)
    debian = debian_packages(rootfs)
    python = len(bill["components"])
    bill["components"] += debian
    bill.setdefault("metadata", {})["component"] = {
        "type": "container",
        "bom-ref": "image",
        "name": labels["org.opencontainers.image.title"],
        "version": labels["org.opencontainers.image.version"],
        "hashes": [{"alg": "SHA-256", "content": facts["FromImageID"]}],
        "properties": [
            {"name": f"image:layer:{place}", "value": digest}
            for place, digest in enumerate(facts["OCIv1"]["rootfs"]["diff_ids"])
        ],
    }
    text = json.dumps(bill, indent=1, sort_keys=True)
    if flaw := JsonStrictValidator(VERSION).validate_str(text):
        print(f"the bill isn't valid: {flaw}", file=sys.stderr)
        return 1
    out.write_text(text + "\n")
    print(f"{python} Python packages, {len(debian)} Debian packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
