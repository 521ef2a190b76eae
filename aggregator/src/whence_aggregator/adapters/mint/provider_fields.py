"""Members of a provider's answers, checked before they are used: ids, secrets, and that a secret is a new one."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from whence_aggregator.adapters.mint.provider_http import ProviderHttp

SECRET_CHARACTERS_MIN = 8
_ID = re.compile(r"[\x21-\x7e]{1,255}\Z")
_SECRET = re.compile(r"[\x21-\x7e]{8,1024}\Z")
"""RFC 6749, A.2, without spaces: files, forms and HTTP Basic carry it unchanged."""
_LABEL = b"whence mint: mark of a secret\x00"


class SecretMarks:
    """Marks of secrets: HMAC-SHA256 under a key of mint, by which a secret is found to be one that was made before."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= 32, "wiring derives it from mint's key"
        self._key = key

    def of(self, application_id: str, secret: str) -> str:
        """Return the mark of an application's secret; marks of two applications do not compare."""
        content = _LABEL + application_id.encode() + b"\x00" + secret.encode()
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


def members(calls: ProviderHttp, document: Any, what: str) -> dict[str, Any]:
    """Return a document that must be an object. Raises ProviderRefused."""
    if not isinstance(document, dict):
        raise calls.refused("provider-malformed", f"answers without an object when it is to {what}")
    return document


def text_id(calls: ProviderHttp, document: dict[str, Any], name: str) -> str:
    """Return an id. Raises ProviderRefused."""
    found = document.get(name)
    if not isinstance(found, str) or not _ID.match(found) or not found.strip("."):
        raise calls.refused("provider-malformed", f"answers without a usable {name}")
    return found


def same_id(calls: ProviderHttp, document: dict[str, Any], name: str, wanted: str) -> None:
    """Check an id that an answer may state. Raises ProviderRefused."""
    if name in document and document[name] != wanted:
        raise calls.refused("provider-wrong-id", f"answers about another {name} than the one that was asked for")


def secret(calls: ProviderHttp, document: dict[str, Any], name: str) -> str:
    """Return a secret. Raises ProviderRefused, without it."""
    found = document.get(name)
    if not isinstance(found, str) or not _SECRET.match(found):
        raise calls.refused(
            "provider-secret-unusable",
            f"answers with a {name} that is missing, or not {SECRET_CHARACTERS_MIN} to 1024 characters of ASCII",
            fix="correct how the provider makes secrets",
        )
    return found


def repeated(calls: ProviderHttp, name: str) -> Exception:
    """Return the error for a secret or an id that the generation before has too."""
    return calls.refused(
        "provider-same-secret", f"answers with the {name} that it made before, and not with a new one",
        fix="correct how the provider makes secrets, or a cache before it",
    )  # fmt: skip
