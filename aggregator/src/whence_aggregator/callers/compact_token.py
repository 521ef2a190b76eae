"""Parses JSON Web Tokens in compact form strictly, before any key is used. Pure; signatures are verified in adapters.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practices).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.ports import Unauthenticated
from whence_common import strict_base64

TOKEN_CHARACTERS_MAX = 16_384
_HEADER_CHARACTERS_MAX = 4096
_SIGNATURE_CHARACTERS_MAX = 1024
_NUMBER_DIGITS_MAX = 20
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Algorithms that an issuer may be configured with: asymmetric only.

With HS256 allowed, an attacker could sign with the public key as the shared secret (RFC 8725, 2.1).
"""


class TokenRefused(Unauthenticated):
    """The token does not authenticate its bearer. The code names the check that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """A parsed token that is not verified. Messages and reprs never contain its text."""

    text: str = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def issuer(self) -> str:
        """Return the claim `iss`, not verified; empty if it is missing or not a string."""
        value = self.claims.get("iss")
        return value if isinstance(value, str) else ""

    @property
    def algorithm(self) -> str:
        value = self.header.get("alg")
        return value if isinstance(value, str) else ""

    @property
    def key_id(self) -> str | None:
        value = self.header.get("kid")
        return value if isinstance(value, str) else None

    @property
    def signed_digest(self) -> str:
        """Return the SHA-256 of header and claims, which is the same for every valid signature of them."""
        return hashlib.sha256(self.text.rpartition(".")[0].encode("ascii")).hexdigest()


def parse_compact(text: str) -> CompactToken:
    """Parse a token in compact form. Raises TokenRefused."""
    if len(text) > TOKEN_CHARACTERS_MAX:
        raise TokenRefused("token-too-large", f"the token has more than {TOKEN_CHARACTERS_MAX} characters")
    parts = text.split(".")
    if len(parts) != 3 or len(parts[0]) > _HEADER_CHARACTERS_MAX or len(parts[2]) > _SIGNATURE_CHARACTERS_MAX:
        raise _malformed("it does not have three parts, or a part is too long")
    header, claims, _ = (_decoded(part) for part in parts)
    return CompactToken(text=text, header=_object(header, "header"), claims=_object(claims, "payload"))


def check_header(token: CompactToken, algorithms: frozenset[str]) -> None:
    """Raise TokenRefused for an algorithm that is not allowed, critical header parameters or a malformed `kid`."""
    if token.algorithm not in algorithms & ALGORITHMS:
        raise TokenRefused("token-algorithm", "the token's algorithm is not allowed for its issuer")
    if "crit" in token.header or "b64" in token.header:
        raise TokenRefused("token-critical", "the token's header has crit or b64, which are not supported")
    if "kid" in token.header and (token.key_id is None or not 0 < len(token.key_id) <= 500):
        raise _malformed("its kid is not a string of 1 to 500 characters")


def decode_part(part: str) -> bytes:
    """Decode canonical base64url without padding. Raises ValueError."""
    if "=" in part or not part.isascii():
        raise ValueError("padded")
    return strict_base64.decode_url_safe(part + "=" * (-len(part) % 4))


def _decoded(part: str) -> bytes:
    try:
        return decode_part(part)
    except ValueError as exc:
        raise _malformed("a part is not unpadded base64url") from exc


def _object(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite,
            parse_int=_short,
        )  # fmt: skip
        if isinstance(document, dict):
            if b"\\u" in content:  # decoded UTF-8 has no surrogates, only escapes have
                json.dumps(document, ensure_ascii=False).encode("utf-8")  # raises for a lone surrogate
            return document
    except (ValueError, RecursionError) as exc:
        raise _malformed(f"its {what} is not strict JSON") from exc
    raise _malformed(f"its {what} is not a JSON object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raise ValueError for a duplicate name: parsers disagree on which of the two values counts."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("duplicate name")
    return document


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def _short(text: str) -> int:
    if len(text) > _NUMBER_DIGITS_MAX:
        raise ValueError("the number is too long")
    return int(text)


def _malformed(why: str) -> TokenRefused:
    return TokenRefused("token-malformed", f"the token is malformed: {why}")
