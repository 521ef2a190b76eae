"""Errors in the form of the OCI distribution specification: a code that clients know, a message that they print."""

from __future__ import annotations

from whence_common.errors import WhenceError

_STATUS = {
    "UNAUTHORIZED": 401, "DENIED": 403, "NAME_INVALID": 400, "NAME_UNKNOWN": 404, "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_UNKNOWN": 404, "BLOB_UPLOAD_INVALID": 400, "DIGEST_INVALID": 400, "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400, "MANIFEST_UNKNOWN": 404, "SIZE_INVALID": 400, "TAG_INVALID": 409, "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429, "UNAVAILABLE": 503, "UNKNOWN": 500, "PAGINATION_NUMBER_INVALID": 400,
}  # fmt: skip


class RegistryRefusal(WhenceError):
    """A request to the registry is refused, or fails; `status` is the HTTP status."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, detail: object = None, fix: str = ""
    ) -> None:
        super().__init__(code, message, fix=fix)
        self.status = status if status is not None else _STATUS[code]
        self.detail = detail


def unavailable(what: str) -> RegistryRefusal:
    """Return the error for a service behind the front that fails."""
    return RegistryRefusal("UNAVAILABLE", what, fix="try again later; the log of the front has the reason")
