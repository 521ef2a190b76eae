"""Authenticated encryption of state that a client stores and sends back, and can neither read nor change.

Uploads, sessions and registry tokens therefore need no table, and any replica accepts them.
"""

from __future__ import annotations

import base64
import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whence_common import strict_base64

_NONCE_BYTES = 12
_CHARACTERS_MAX = 16_384
_KEPT_MAX = 256
"""Opened texts that are cached, because a client sends its token with every request."""


class Seal:
    """Seals JSON objects with AES-GCM, under a key that is derived from a secret for one purpose."""

    def __init__(self, secret: bytes, *, purpose: str, random_bytes: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(hmac.digest(secret, f"whence registry {purpose}".encode(), "sha256"))
        self._random_bytes = random_bytes
        self._opened: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def seal(self, content: dict[str, Any]) -> str:
        """Return the sealed object as URL-safe text."""
        nonce = self._random_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(content), None)
        return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def open(self, text: str) -> dict[str, Any] | None:
        """Return the object that was sealed; None if the text was not sealed under this key."""
        known = self._opened.get(text)
        if known is not None:
            return dict(known)
        if len(text) > _CHARACTERS_MAX or not text.isascii() or "=" in text:
            return None
        try:
            sealed = strict_base64.decode_url_safe(text + "=" * (-len(text) % 4))
            content = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (ValueError, InvalidTag):
            return None
        opened: dict[str, Any] = msgspec.json.decode(content)
        self._opened[text] = opened
        if len(self._opened) > _KEPT_MAX:
            self._opened.popitem(last=False)
        return dict(opened)
