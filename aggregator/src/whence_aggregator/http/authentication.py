"""Who calls: a bearer token known by its hash, decided from the headers before any body is read."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from whence_aggregator.callers.caller import Caller, KnownCallers
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.ports import Forbidden, Unauthenticated
from whence_common import strict_base64

OPEN_PATHS = frozenset(
    {
        "/", "/health", "/ready", "/metrics", "/openapi.yaml", "/.well-known/health",
        "/v1/challenges", "/v1/enrolments", "/v1/statements", "/v1/heartbeats",
        "/v2/_whence/v1/challenges", "/v2/_whence/v1/enrolments", "/v2/_whence/v1/tokens",
    }
)  # fmt: skip
"""Operators' probes, and agents' calls: those carry their own proof."""
CALLER = web.RequestKey("caller", Caller)


def authentication(callers: KnownCallers) -> Callable[[web.Request], None]:
    """Make the check that lets only known callers pass. No callers known: nobody passes."""

    def authenticate(request: web.Request) -> None:
        if request.path not in OPEN_PATHS:
            caller = known_caller(request, callers)
            if caller is None:
                raise Unauthenticated(
                    "token-unknown",
                    "a bearer token is needed that is known here and has not expired",
                    fix="set WHENCE_TOKEN; whence-aggregator token list shows when tokens expire",
                )
            request[CALLER] = caller

    return authenticate


def require_user_data(request: web.Request) -> None:
    """Refuse what cannot be shown without user data to callers without that right. Raises Forbidden."""
    if not request[CALLER].may_read_user_data:
        raise Forbidden(
            "user-data-forbidden",
            f"{request[CALLER].name} may not read user data, which stands in this",
            fix="use a token with the right user-data",
        )


def known_caller(request: web.Request, callers: KnownCallers) -> Caller | None:
    """Return who calls, by the token that the request shows."""
    return callers.get(token_hash(_token(request.headers.get("Authorization", ""))))


def _token(header: str) -> str:
    """Read Bearer, Kio's `Token`, and Basic with the user oauth2 alike."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = strict_base64.decode(rest).decode("utf-8").partition(":")
        except ValueError:
            return ""
        return password if user == "oauth2" else ""
    return ""
