"""Signatures of webhooks, as Standard Webhooks 1.0 has them (standardwebhooks.com). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from whence_common.errors import InputError

SECRETS_MAX = 4
"""More than two are needed by nobody: the new one, and the old one while receivers change."""
_PREFIX = "whsec_"
_BYTES_MIN, _BYTES_MAX = 24, 64


class SecretInvalid(InputError):
    """The file holds no usable secret; the message never quotes it."""


def parse_secrets(content: bytes, *, name: str) -> list[bytes]:
    """Return the keys in a file with one `whsec_…` a line. Raises SecretInvalid."""
    fix = "write one secret a line, the new one first: whsec_ and the base64 of 24 to 64 random bytes"
    lines = [one.strip() for one in content.decode("ascii", "replace").splitlines() if one.strip()]
    if not 1 <= len(lines) <= SECRETS_MAX:
        raise SecretInvalid("webhook-secret", f"{name} must hold from 1 to {SECRETS_MAX} secrets", fix=fix)
    found = []
    for number, line in enumerate(lines, 1):
        try:
            key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not line.startswith(_PREFIX) or not _BYTES_MIN <= len(key) <= _BYTES_MAX:
            raise SecretInvalid("webhook-secret", f"{name}: line {number} is not a secret", fix=fix)
        found.append(key)
    return found


def signed_headers(keys: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove a body: one signature for each key."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }
