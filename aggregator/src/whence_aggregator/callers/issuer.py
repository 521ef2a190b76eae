"""Checks the type and the claims of an issuer's tokens, in a fixed order. Pure.

Sources: RFC 7519, RFC 9068 (access tokens), OpenID Connect Core 3.1.3.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whence_aggregator.callers.compact_token import CompactToken, TokenRefused

SKEW_SECONDS = 60.0
TokenType = Literal["at+jwt", "jwt"]
_CHARACTERS_MAX = 500
_ACCESS_TOKEN_CLAIMS = ("sub", "client_id", "jti")
"""Required in addition to iss, exp, aud and iat (RFC 9068, 2.2)."""
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash", "s_hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRules:
    """What a token of an issuer must state to be accepted."""

    issuer: str
    audiences: frozenset[str]
    """The names of this server; a token must have one of them as audience."""
    trusted_audiences: frozenset[str] = frozenset()
    """Further audiences that a token may have. Each of these services could present the token here."""
    algorithms: frozenset[str] = frozenset({"RS256", "ES256"})
    types: frozenset[TokenType] = frozenset({"at+jwt"})
    clients: frozenset[str] = frozenset()
    """Client ids that tokens may be issued to; empty allows any."""
    audience_claim: str = "aud"
    required: Mapping[str, str] = field(default_factory=dict)
    """Claims that must have these values."""
    token_seconds_max: float = 86_400.0


def check_type(rules: IssuerRules, token: CompactToken) -> TokenType:
    """Return the type of a token (`typ`). Raises TokenRefused for a type that is not accepted from its issuer."""
    stated = token.header.get("typ", "JWT")
    name = stated.lower().removeprefix("application/") if isinstance(stated, str) else ""
    if name == "at+jwt" and "at+jwt" in rules.types:
        return "at+jwt"
    if name == "jwt" and "jwt" in rules.types:
        return "jwt"
    raise TokenRefused(
        "token-type", "tokens of this type (typ) are not accepted from this issuer",
        fix="present an access token for this server; `token_types` in `sign_in` lists the accepted types",
    )  # fmt: skip


def check_claims(rules: IssuerRules, token: CompactToken, type_: TokenType, *, now: float) -> float:
    """Check the claims of a token whose signature is verified; return its expiry in seconds since 1970.

    Raises TokenRefused.
    """
    claims = token.claims
    _check_audience(rules, claims)
    _check_party(rules, claims)
    ends = check_times(claims, now=now, seconds_max=rules.token_seconds_max)
    check_required(rules.required, claims)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _CHARACTERS_MAX or not subject.isprintable():
        raise TokenRefused("token-subject", "the token has no valid subject (sub)")
    if type_ == "at+jwt":
        missing = [name for name in _ACCESS_TOKEN_CLAIMS if not _is_text(claims.get(name))]
        missing += [] if "iat" in claims else ["iat"]
        if missing:
            raise TokenRefused("token-claims", f"an access token must have the claims {', '.join(missing)} (RFC 9068)")
    if any(name in claims for name in _ID_TOKEN_CLAIMS):
        raise TokenRefused(
            "token-id-token", "this is an ID token; it is for the application that signed the user in",
            fix="present an access token for this server",
        )  # fmt: skip
    return ends


def check_times(claims: Mapping[str, Any], *, now: float, seconds_max: float) -> float:
    """Return the expiry of a token. Raises TokenRefused if it is expired, not valid yet, or valid for too long."""
    ends, begins, issued = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None:
        raise TokenRefused("token-no-expiry", "the token has no expiry (exp)")
    if now >= ends + SKEW_SECONDS:
        raise TokenRefused("token-expired", "the token has expired", fix="sign in again")
    if begins is not None and begins > now + SKEW_SECONDS:
        raise TokenRefused("token-not-yet", "the token is not valid yet (nbf): check the clocks of issuer and server")
    if issued is not None and issued > now + SKEW_SECONDS:
        raise TokenRefused(
            "token-not-yet", "the token was issued in the future (iat): check the clocks of issuer and server"
        )
    if ends - (issued if issued is not None else now) > seconds_max:
        raise TokenRefused("token-too-long", f"the token is valid for more than {seconds_max:g} seconds")
    return ends


def check_required(required: Mapping[str, str], claims: Mapping[str, Any]) -> None:
    """Raise TokenRefused if a claim does not have its required value."""
    for name, value in required.items():
        found = claim(claims, name)
        text = str(found).lower() if isinstance(found, bool) else str(found)
        if found is None or isinstance(found, dict | list) or text != value:
            raise TokenRefused("token-claim", f"the token's claim {name} does not have the value that sign_in requires")


def check_audiences(stated: object, audiences: frozenset[str], trusted: frozenset[str]) -> list[str]:
    """Return the audiences of a token. Raises TokenRefused if this server is not one, or another is not trusted."""
    named = [stated] if isinstance(stated, str) else stated
    if not isinstance(named, list) or not named or not all(_is_text(one) for one in named):
        raise TokenRefused("token-audience", "the token has no valid audience (aud)")
    if not audiences.intersection(named):
        raise TokenRefused(
            "token-audience", "the token is for another audience (aud)", fix="request a token for this server"
        )
    if not (audiences | trusted).issuperset(named):
        raise TokenRefused(
            "token-audience", "the token has other audiences too (aud), which could present it here",
            fix="configure the issuer to name only this server, or add the others to trusted_audiences",
        )  # fmt: skip
    return named


def _check_audience(rules: IssuerRules, claims: Mapping[str, Any]) -> None:
    named = check_audiences(claims.get(rules.audience_claim), rules.audiences, rules.trusted_audiences)
    if len(named) > 1 and rules.clients and not _is_text(claims.get("azp")):
        raise TokenRefused("token-party", "the token has several audiences and no authorized party (azp)")


def _check_party(rules: IssuerRules, claims: Mapping[str, Any]) -> None:
    """Check the client that the token was issued to. If `clients` is empty, any string is accepted."""
    stated = [claims[name] for name in ("azp", "client_id") if name in claims]
    if not all(_is_text(one) for one in stated):
        raise TokenRefused("token-party", "the token's azp or client_id is not a string")
    if rules.clients and (not stated or not rules.clients.issuperset(stated)):
        raise TokenRefused("token-party", "the token was issued to an application that is not listed (azp, client_id)")


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name; if no claim has that name, by its path with dots. None if there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise TokenRefused("token-time", f"the token's {name} is not a time in seconds since 1970")
    return float(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _CHARACTERS_MAX
