"""Verifies signatures of JSON Web Tokens with joserfc. Checks no claims and uses no keys from a token's header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from whence_aggregator.callers.compact_token import decode_part
from whence_aggregator.callers.key_cache import KeyDescription

KEYS_MAX = 100
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_MODULUS_CHARACTERS = range(342, 1400)
"""2048 to 8192 bits in base64url: verification with a larger modulus is too expensive."""
_EXPONENT_CHARACTERS_MAX = 8
_FAILURES = (JoseError, ValueError, TypeError, KeyError, OverflowError)


class JoseKey:
    """A public key of a key set."""

    def __init__(self, key: RSAKey | ECKey | OKPKey, description: KeyDescription) -> None:
        self._key = key
        self._description = description

    @property
    def description(self) -> KeyDescription:
        return self._description

    def verifies(self, text: str, algorithm: str) -> bool:
        """Return whether the signature of a token in compact form is valid under this key.

        Keys and algorithms named in the token's header are not used.
        """
        content, _, signature = text.rpartition(".")
        try:
            model = JWSRegistry.algorithms[algorithm]
            model.check_key(self._key)
            return bool(model.verify(content.encode("ascii"), decode_part(signature), self._key))
        except _FAILURES:
            return False


def import_keys(document: Mapping[str, Any]) -> list[JoseKey]:
    """Return the keys of a key set. Malformed keys and keys of unknown types are skipped; the others are still used."""
    listed = document.get("keys")
    found = (_import(one) for one in (listed[:KEYS_MAX] if isinstance(listed, list) else []))
    return [one for one in found if one is not None]


def _import(stated: object) -> JoseKey | None:
    if not isinstance(stated, dict) or not all(isinstance(name, str) for name in stated):
        return None
    family = stated.get("kty")
    names = _PUBLIC.get(family) if isinstance(family, str) else None
    operations = stated.get("key_ops")
    if names is None or not all(isinstance(stated.get(name), str) for name in names):
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    if family == "RSA" and not _is_sound(stated):
        return None
    public = {"kty": family, **{name: stated[name] for name in names}}
    try:
        kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
        key = kinds[str(family)].import_key(public)
    except _FAILURES:
        return None
    described = KeyDescription(
        key_id=_text(stated, "kid"), family=str(family), curve=str(stated.get("crv", "")) if family != "RSA" else "",
        use=_text(stated, "use"), algorithm=_text(stated, "alg"),
    )  # fmt: skip
    return JoseKey(key, described)


def _is_sound(stated: Mapping[str, Any]) -> bool:
    return len(stated["n"]) in _MODULUS_CHARACTERS and len(stated["e"]) <= _EXPONENT_CHARACTERS_MAX


def _text(stated: Mapping[str, Any], name: str) -> str | None:
    """Return a member; None if it is missing. A value that is not a string becomes one that matches no token."""
    value = stated.get(name)
    return value if isinstance(value, str) or value is None else "malformed"
