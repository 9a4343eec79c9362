"""What a reply with any other status than 200 means: a refusal, a passing failure, or a request that is rejected.

Only refusals that the API documents are refusals at once: what a gateway answers often ends soon. Bodies are quoted
only where a document says what they can be.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from collector.errors import Failure, RefusalReason, Refused, Rejected, Retriable

BOM = b"\xef\xbb\xbf"
_RETRIED = frozenset({408, 429}) | frozenset(range(500, 600))
# These are quoted to the user, since they say what is wrong. Any other text is not: it may contain anything.
_DOCUMENTED_400 = (
    "invalid or missing type",
    "from is required",
    "to is required",
    "to must be after from",
    "date range exceeds maximum allowed span",
    "invalid timezone format",
)


class _ErrorBody(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    message: str
    status: str = ""


def failure_of(status: int, body: bytes, *, retry_after_s: float | None, by_token: bool = False) -> Failure:
    """Return the failure that a status other than 200 means (api.md, "Errors"), for a user's key or a token."""
    if status in (401, 403):
        refused = _refused(status, body, by_token=by_token) if retry_after_s is None else None
        return refused or _blocked(status, retry_after_s)
    if status in _RETRIED:
        return Retriable(
            code="rate_limited" if status == 429 else f"http_{status}",
            message="the API limits the rate (429)" if status == 429 else f"the API answered {status}",
            rate_limited=status == 429,
            retry_after_s=retry_after_s,
        )
    return _rejected(status, body)


def _refused(status: int, body: bytes, *, by_token: bool) -> Refused | None:
    """Return the refusal of a 401 or 403 that the API documents, None for any other."""
    error = _error(body)
    if error.status != "error":
        return None
    if status == 401:
        return Refused(
            reason=RefusalReason.CREDENTIAL,
            message="the credential is refused (401): "
            + ("check the token, or renew it" if by_token else "check the user name and the access key, or renew them"),
        )
    user = "the token's user" if by_token else "the user"
    if error.message.startswith("admin access required"):
        return Refused(
            reason=RefusalReason.NOT_ADMIN,
            message=f"{user} is not an admin of the organization (403): use an admin's credential",
        )
    if error.message.startswith("access restricted"):
        return Refused(
            reason=RefusalReason.PERMISSION,
            message=f"the role of {user} doesn't have the permission analytics:admin (403): add it to the role",
        )
    return None


def _blocked(status: int, retry_after_s: float | None) -> Retriable:
    """Return the failure of a 401 or 403 that the API doesn't document: a gateway's block often ends soon."""
    return Retriable(
        code=f"http_{status}",
        message=f"the answer was a {status} that the API does not document: a gateway may block the requests",
        retry_after_s=retry_after_s,
        if_it_lasts=Refused(
            reason=RefusalReason.FORBIDDEN,
            message=(
                f"access is forbidden ({status}) for a reason that the API does not document, in each attempt: "
                "is a gateway in the way?"
            ),
        ),
    )


def _rejected(status: int, body: bytes) -> Rejected:
    if 300 <= status < 400:
        return Rejected(
            code="redirect",
            message=f"a redirect ({status}) is never followed, as it would carry the credential: check base_url",
        )
    if status == 400:
        message = _error(body).message
        documented = next((text for text in _DOCUMENTED_400 if message.startswith(text)), "")
        detail = f" with {documented!r}" if documented else ""
        return Rejected(code="http_400", message=f"the API rejects the request (400){detail}: please report it to us")
    if status == 404:
        return Rejected(code="http_404", message="the endpoint was not found (404): check base_url")
    if status == 407:
        return Rejected(
            code="http_407",
            message="the proxy requires a credential (407): check the proxy variables (HTTPS_PROXY and the like)",
        )
    return Rejected(code=f"http_{status}", message=f"the API answered {status}, which is not documented")


def _error(body: bytes) -> _ErrorBody:
    try:
        return _ErrorBody.model_validate_json(body.removeprefix(BOM))
    except ValidationError:
        return _ErrorBody(message="")
