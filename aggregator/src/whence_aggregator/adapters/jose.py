"""Signatures of JSON Web Tokens, by joserfc. Claims are not its business, nor are keys that a token brings along."""

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
"""2048 to 8192 bits in base64url: a larger one makes each check cost us more."""
_EXPONENT_CHARACTERS_MAX = 8
_FAILURES = (JoseError, ValueError, TypeError, KeyError, OverflowError)


class JoseKey:
    """A public key of a set."""

    def __init__(self, key: RSAKey | ECKey | OKPKey, description: KeyDescription) -> None:
        self._key = key
        self._description = description

    @property
    def description(self) -> KeyDescription:
        return self._description

    def verifies(self, text: str, algorithm: str) -> bool:
        """Whether it made the signature of a token in compact form. The key is ours, whatever the header names."""
        content, _, signature = text.rpartition(".")
        try:
            model = JWSRegistry.algorithms[algorithm]
            model.check_key(self._key)
            return bool(model.verify(content.encode("ascii"), decode_part(signature), self._key))
        except _FAILURES:
            return False


def import_keys(document: Mapping[str, Any]) -> list[JoseKey]:
    """Return a set's keys, each by itself: one that is unknown or malformed is left out, and hides no other."""
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
    """Return a member; what is there and is not a text fits nothing."""
    value = stated.get(name)
    return value if isinstance(value, str) or value is None else "malformed"
