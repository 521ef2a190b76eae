"""A token response of a provider, and the ID token in it. Pure.

Sources: RFC 6749, 5.1; OpenID Connect Core 1.0, 3.1.3.7.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.openid.refusals import malformed
from whence_common import strict_base64
from whence_common.errors import RoadError

_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512, "EdDSA": hashlib.sha512,
           "Ed25519": hashlib.sha512}  # fmt: skip
SKEW_SECONDS = 60.0
_TOKEN_CHARACTERS_MAX = 16_384
"""The most that a whence-aggregator accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of a response. `valid_seconds` is None if the provider states no `expires_in`."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    valid_seconds: float | None

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Tokens:
        """Parse a token response. Raises RoadError, whose message never has a token."""
        kind, valid = document.get("token_type"), document.get("expires_in")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise malformed("token_type is not Bearer")
        if valid is not None and (isinstance(valid, bool) or not isinstance(valid, int | float) or not 0 < valid < 1e9):
            raise malformed("expires_in is not a number of seconds")
        access = _token(document, "access_token")
        if access is None:
            raise malformed("there is no access_token")
        return cls(
            access_token=access,
            refresh_token=_token(document, "refresh_token"),
            id_token=_token(document, "id_token"),
            valid_seconds=float(valid) if valid is not None else None,
        )


def check_id_token(tokens: Tokens, *, issuer: str, client_id: str, nonce: str, now: float) -> None:
    """Check that the response answers our request, if that asked for an ID token (`nonce` is not empty).

    Raises RoadError. An empty nonce checks nothing: no ID token was requested, or by the device flow, which has none.
    """
    if not nonce:
        return
    if tokens.id_token is None:
        raise malformed("there is no ID token, although the scope openid was requested")
    # NOTE: the signature is not verified, because the token came directly from the token endpoint over TLS
    # (OpenID Connect Core 3.1.3.7, 6), and nothing is decided by it but whether the response answers our request.
    header, claims = _parts(tokens.id_token)
    _check_parties(header, claims, issuer, client_id)
    _check_expiry(claims, now)
    stated = claims.get("nonce")
    if not isinstance(stated, str) or not hmac.compare_digest(stated.encode(), nonce.encode()):
        raise malformed("the ID token was issued for another sign-in (nonce)")
    at_hash = claims.get("at_hash")
    if at_hash is not None and at_hash != _left_half(tokens.access_token, str(header.get("alg"))):
        raise malformed("the ID token was issued with another access token (at_hash)")


def _parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token in compact form."""
    parts = text.split(".")
    try:
        header, claims = (json.loads(strict_base64.decode_url_safe(one + "=" * (-len(one) % 4))) for one in parts[:2])
    except (ValueError, RecursionError) as exc:
        raise malformed("the ID token is not a JSON Web Token") from exc
    if len(parts) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):
        raise malformed("the ID token is not a JSON Web Token")
    return header, claims


def _check_parties(header: Mapping[str, Any], claims: Mapping[str, Any], issuer: str, client_id: str) -> None:
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise malformed("the ID token has the type of another token (typ)")
    if claims.get("iss") != issuer:
        raise malformed("the ID token is from another issuer (iss)")
    if claims.get("aud") not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise malformed("the ID token is for another client (aud, azp)")


def _check_expiry(claims: Mapping[str, Any], now: float) -> None:
    ends, issued = _instant(claims, "exp"), _instant(claims, "iat")
    if not now < ends + SKEW_SECONDS or not issued <= now + SKEW_SECONDS:
        raise RoadError(
            "id-token-time", "the ID token is expired, or issued in the future, by this machine's clock",
            fix="compare this machine's clock with the provider's", retryable=False,
        )  # fmt: skip


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise malformed(f"the ID token has no valid {name}")
    return float(value)


def _left_half(access_token: str, algorithm: str) -> str | None:
    """Return `at_hash` (OpenID Connect Core 3.1.3.6); None for an unknown algorithm."""
    made = _HASHES.get(algorithm if algorithm.startswith("Ed") else algorithm[-3:])
    if made is None:
        return None
    digest = made(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode("ascii").rstrip("=")


def _token(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _TOKEN_CHARACTERS_MAX:
        raise malformed(f"{name} is not a text of at most {_TOKEN_CHARACTERS_MAX} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise malformed(f"{name} has invalid characters")
    return value
