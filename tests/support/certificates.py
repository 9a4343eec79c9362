"""Certificates made on the spot by the `openssl` command, each valid for what a test says."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import need

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
default_ca = own
[own]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {san}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""
_DATES = {False: ("20200101000000Z", "20490101000000Z"), True: ("20200101000000Z", "20200201000000Z")}


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """What a server that shows it needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Authority:
    """A certificate authority that nobody trusts unless told to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "index.txt").touch()
        self._own = self._request("authority", san="DNS:unused")
        self._sign(self._own, section="authority", signer=self._own, expired=False)

    @property
    def ca_file(self) -> Path:
        return self._own.cert

    def issue(self, san: str = "IP:127.0.0.1", *, expired: bool = False) -> Certificate:
        """Return a server's certificate for that subject, as openssl writes it: `DNS:…` or `IP:…`."""
        made = self._request(f"server-{len(list(self._directory.glob('*.key')))}", san=san)
        self._sign(made, section="server", signer=self._own, expired=expired)
        return made

    def _request(self, name: str, *, san: str) -> Certificate:
        config = self._directory / f"{name}.cnf"
        config.write_text(_CONFIG.format(name=name, directory=self._directory, san=san))
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl("req", "-new", *curve, "-config", config, "-keyout", made.key, "-out", made.cert.with_suffix(".csr"))
        return made

    def _sign(self, made: Certificate, *, section: str, signer: Certificate, expired: bool) -> None:
        start, end = _DATES[expired]
        signing = ["-selfsign"] if signer is made else ["-cert", signer.cert]
        _openssl(
            *("ca", "-batch", "-notext", *signing, "-keyfile", signer.key, "-startdate", start, "-enddate", end),
            *("-config", made.cert.with_suffix(".cnf"), "-extensions", section),
            *("-in", made.cert.with_suffix(".csr"), "-out", made.cert),
        )


def _openssl(*arguments: str | Path) -> None:
    need("openssl", package="openssl")
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
