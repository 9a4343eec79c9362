"""What this process leaves behind of its credentials, limited at its start: no core dump, no log of TLS keys."""

from __future__ import annotations

import resource
from collections.abc import MutableMapping

KEY_LOG = "SSLKEYLOGFILE"


def protect_credentials(environ: MutableMapping[str, str]) -> list[str]:
    """Limit core dumps to 0 bytes, and remove the variable that makes TLS libraries log keys. Return warnings.

    Call it before TLS libraries are imported: some read the variable then, and fail if the file can't be opened.
    """
    warnings = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        warnings.append("core dumps can't be switched off: a crash may write credentials to the disk (ulimit -c 0)")
    if environ.pop(KEY_LOG, None):
        warnings.append(f"{KEY_LOG} is ignored: with the keys in that file, others could read credentials on the wire")
    return warnings
