"""Who calls: whoever presents a token, decided from the headers before any body is read."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.own_teams import check_own_teams
from whence_aggregator.ports import Forbidden
from whence_common import strict_base64
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset(
    {
        "/", "/health", "/ready", "/metrics", "/openapi.yaml", "/.well-known/health", "/v1/token",
        "/v1/challenges", "/v1/enrolments", "/v1/statements", "/v1/heartbeats",
        "/v2/_whence/v1/challenges", "/v2/_whence/v1/enrolments", "/v2/_whence/v1/tokens",
    }
)  # fmt: skip
"""Operators' probes, the exchange of jobs' tokens, and agents' calls: those carry their own proof."""
WHOAMI = "/v1/whoami"
CALLER = web.RequestKey("caller", Caller)
Authenticate = Callable[[web.Request], Awaitable[None]]
_ASKED = frozenset(
    {
        "instance", "image", "commit", "ticket", "application", "version", "user_data", "account", "region", "team",
        "team_id", "ami", "rule", "verdict", "state", "at", "known_at", "since", "until", "from", "to", "search",
    }
)  # fmt: skip
"""Parameters that say what is asked about. No other is logged: somebody may put a token into a URL."""
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]+|[A-Za-z0-9_-]{65,}")
"""A JSON Web Token, or anything longer than a digest: sessions and registry tokens are."""
_SHOWN_CHARACTERS_MAX = 200


def authentication(sign_in: Authenticator) -> Authenticate:
    """Make the check that lets only those pass who sign in, and who may read."""

    async def authenticate(request: web.Request) -> None:
        if request.path not in OPEN_PATHS:
            caller = await signed_in(request, sign_in)
            request[CALLER] = caller
            if request.path != WHOAMI:
                _check_reads(caller)
                if not caller.reads_everything:
                    check_own_teams(request, caller)

    return authenticate


async def signed_in(request: web.Request, sign_in: Authenticator) -> Caller:
    """Return who calls, by the token that the request shows. Raises as Authenticator does."""
    return await sign_in.caller(shown_token(request.headers.get("Authorization", "")), address=limited_address(request))


def _check_reads(caller: Caller) -> None:
    """Raise Forbidden for a caller that signs in for something else than to ask."""
    if caller.job is not None:
        message = f"{caller.name} is a job of a pipeline: it pushes and attests, and asks nothing"
        raise Forbidden("read-forbidden", message, fix="use a token of a person or a service")
    if caller.reads == "nothing":
        message = f"{caller.name} may not read"
        raise Forbidden("read-forbidden", message, fix="the rights of its issuer in sign_in say who may")


def require_user_data(request: web.Request) -> None:
    """Refuse what cannot be shown without user data to callers without that right. Raises Forbidden."""
    if not request[CALLER].may_read_user_data:
        raise Forbidden(
            "user-data-forbidden",
            f"{request[CALLER].name} may not read user data, which stands in this",
            fix="use a token with the right user-data",
        )


def log_asked(request: web.Request, request_id: str, status: int) -> None:
    """Log who asked what. No token is in it, not even one that was put into the URL."""
    caller = request.get(CALLER)
    if caller is not None:
        query = {name: _shown(value) for name, value in request.query.items() if name in _ASKED}
        log.info(
            "asked",
            extra=fields(
                caller=caller.name, issuer=caller.subject[0] if caller.subject is not None else "", status=status,
                method=request.method, path=shown_path(request), query=query, request_id=request_id,
            ),
        )  # fmt: skip


def shown_path(request: web.BaseRequest) -> str:
    """Return a request's path for logs, without what looks like a token."""
    return _shown(request.path)


def _shown(text: str) -> str:
    return _TOKEN.sub("…", text)[:_SHOWN_CHARACTERS_MAX]


def shown_token(header: str) -> str:
    """Read Bearer, Kio's `Token`, and Basic with the user oauth2 alike; empty for anything else."""
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
