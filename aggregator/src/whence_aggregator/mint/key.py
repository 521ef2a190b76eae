"""mint's key: it seals secrets until they are committed, and makes the MAC of what is published."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

import msgspec

from whence_aggregator.callers.sealing import Seal
from whence_aggregator.mint.state import SEAL_UNREADABLE
from whence_aggregator.mint.values import GenerationId
from whence_common.errors import InputError

KEY_BYTES = 32


class SealUnreadable(InputError):
    """A secret was sealed under another key, or for another generation: the row was changed, or the key was."""

    def __init__(self, one: GenerationId) -> None:
        super().__init__(
            SEAL_UNREADABLE,
            f"the sealed secret of generation {one.generation} cannot be opened",
            fix="restore mint's key file; if it is lost, revoke the credentials of the application",
        )


class MintKey:
    """Seals and opens what belongs to one generation: a row that is copied to another generation cannot be opened."""

    def __init__(self, secret: bytes, *, random_bytes: Callable[[int], bytes]) -> None:
        assert len(secret) >= KEY_BYTES
        self._seal = Seal(secret, purpose="mint credentials", random_bytes=random_bytes)
        self._mac = hmac.digest(secret, b"whence mint mac", "sha256")
        self.fingerprint = hmac.digest(secret, b"whence mint fingerprint", "sha256").hex()[:32]
        """Names the key and does not disclose it."""

    def seal(self, one: GenerationId, content: Mapping[str, str | None]) -> str:
        """Return sealed text; empty for an empty mapping."""
        return self._seal.seal({"of": _name(one), "content": dict(content)}) if content else ""

    def open(self, one: GenerationId, sealed: str) -> dict[str, str | None]:
        """Return what was sealed for a generation. Raises SealUnreadable."""
        if not sealed:
            return {}
        opened = self._seal.open(sealed)
        if opened is None or opened.get("of") != _name(one):
            raise SealUnreadable(one)
        return dict(opened["content"])

    def mac(self, content: bytes) -> str:
        """Return the HMAC-SHA256 of an object's bytes, in hexadecimal."""
        return hmac.digest(self._mac, content, "sha256").hex()


def content_of(document: Mapping[str, str | None]) -> bytes:
    """Return the bytes of the object of a credential."""
    return msgspec.json.encode(document, order="deterministic")


def _name(one: GenerationId) -> list[str]:
    return [one.application_id, one.kind, one.generation]
