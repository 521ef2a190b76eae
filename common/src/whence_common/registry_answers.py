"""Classify the responses of a registry's API by status, Content-Type and error document. No I/O is done here.

Source: OCI distribution specification 1.1, "Error Codes"; responses of Docker Hub, Harbor, ECR and their proxies.
"""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import one_line
from whence_common.loose_json import loose
from whence_common.registry_address import REDIRECTS

ERROR_BYTES_MAX = 64 * 1024
"""The largest part of an error response that is read."""
_ERRORS_MAX = 16
_WORDS_CHARACTERS_MAX = 120
_PASSING = frozenset({408, 425, 429})
"""Transient statuses other than 5xx: Request Timeout, Too Early, Too Many Requests."""
_BUSY = frozenset({"TOOMANYREQUESTS", "UNAVAILABLE"})
_REFERRERS_CLOSED = (*REDIRECTS, 400, 401, 403, 404, 405, 406, 410, 415, 501)
"""Statuses with which registries without the referrers API respond to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDocument:
    """A registry's error document: its codes in upper case, and the first code and message as text."""

    codes: frozenset[str] = frozenset()
    words: str = ""

    @classmethod
    def parse(cls, content: bytes) -> ErrorDocument:
        """Parse the body of an error response; a malformed one counts as empty."""
        errors = loose(content).get("errors")
        entries = [one for one in errors[:_ERRORS_MAX] if isinstance(one, dict)] if isinstance(errors, list) else []
        codes = [code for one in entries if isinstance(code := one.get("code"), str)]
        texts = [text for one in entries if isinstance(text := one.get("message"), str)]
        words = one_line(" ".join([*codes[:1], *texts[:1]]), _WORDS_CHARACTERS_MAX)
        return cls(codes=frozenset(code.upper() for code in codes), words=words)


def may_pass(status: int, content: bytes) -> bool:
    """Return whether a response is a transient error: overload, or a service that is not up yet."""
    if status >= 500 or status in _PASSING:
        return True
    stated = ErrorDocument.parse(content)
    lowered = stated.words.lower()
    limited = "rate limit" in lowered or "toomanyrequests" in lowered
    return status in (400, 401, 403) and bool(stated.codes & _BUSY or limited)


def is_page(content_type: str) -> bool:
    """Return whether a response is an HTML page: load balancers and proxies send these, registries do not."""
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def is_missing(status: int, content_type: str) -> bool:
    """Return whether the registry itself responded 404; a proxy's HTML page does not count."""
    return status == 404 and not is_page(content_type)


def is_other(name: str, content: bytes) -> bool:
    """Return whether content that was requested by digest does not match it; always False for a tag."""
    return is_sha256_digest(name) and sha256_digest(content) != name


def referrers_closed(status: int, content: bytes) -> bool:
    """Return whether a response shows that the registry has no referrers API; then its fallback tag is read."""
    return status in _REFERRERS_CLOSED or (status == 200 and not isinstance(loose(content).get("manifests"), list))
