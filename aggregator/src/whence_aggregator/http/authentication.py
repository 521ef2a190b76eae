"""Authenticates requests by the bearer token in their headers, before the body is read."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.cross_origin import is_preflight
from whence_aggregator.http.own_teams import check_own_teams
from whence_aggregator.ports import Forbidden, Unauthenticated
from whence_common import strict_base64
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset(
    {
        "/", "/health", "/ready", "/metrics", "/openapi.yaml", "/.well-known/health", "/v1/token", "/v1/sign-in",
        "/v1/challenges", "/v1/enrolments", "/v1/statements", "/api/instance-logs", "/v1/heartbeats",
        "/v2/_whence/v1/challenges", "/v2/_whence/v1/enrolments", "/v2/_whence/v1/tokens",
    }
)  # fmt: skip
"""Paths without bearer token: probes, the exchange of job tokens, and calls of agents, which prove their identity."""
WHOAMI, SIGN_IN = "/v1/whoami", "/v1/sign-in"
_RECORDING = frozenset({("POST", "/v1/findings"), ("POST", "/api/violations")})
_RECORDING_AMIS = ("POST", "/v1/amis")
CALLER = web.RequestKey("caller", Caller)
REPEATED = web.RequestKey("repeated", bool)
"""Set on a question that is asked every few seconds for an open page: its first asking is logged alone."""
Authenticate = Callable[[web.Request], Awaitable[None]]
_ASKED = frozenset(
    {
        "instance", "image", "commit", "ticket", "application", "version", "user_data", "account", "region", "team",
        "team_id", "ami", "rule", "verdict", "state", "at", "known_at", "since", "until", "from", "to", "search", "q",
    }
)  # fmt: skip
"""The parameters that are logged. Others are not, because a client may put a token into a URL."""
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_.-]+|[A-Za-z0-9_-]{65,}|(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{32,}")
"""A JSON Web Token, a session (longer than a digest), or a static token (long, with a capital, unlike a digest)."""
_PRESENTED_CHARACTERS_MIN = 8
"""The shortest presented token that is searched for in what is logged."""
_SHOWN_CHARACTERS_MAX = 200


def authentication(sign_in: Authenticator) -> Authenticate:
    """Return the check that authenticates a request and refuses callers that may not read."""

    async def authenticate(request: web.Request) -> None:
        if request.path not in OPEN_PATHS and not is_preflight(request):
            caller = await signed_in(request, sign_in)
            request[CALLER] = caller
            if request.path != WHOAMI and not _records(request, caller):
                _check_reads(caller)
                if not caller.reads_everything:
                    check_own_teams(request, caller)

    return authenticate


async def signed_in(request: web.Request, sign_in: Authenticator) -> Caller:
    """Return the caller of a request. Raises the errors of `Authenticator.caller`."""
    return await sign_in.caller(shown_token(authorization(request)), address=limited_address(request))


def authorization(request: web.BaseRequest) -> str:
    """Return the header Authorization; empty if there is none.

    Raises Unauthenticated if there are several, because a proxy may have checked another one.
    """
    found = request.headers.getall("Authorization", [])
    if len(found) > 1:
        raise Unauthenticated(
            "authorization-repeated", "the request has more than one header Authorization", fix="send one"
        )
    return found[0] if found else ""


def _records(request: web.Request, caller: Caller) -> bool:
    """Return whether a request records something that needs a right of its own and no right to read."""
    if (request.method, request.path) == _RECORDING_AMIS:
        return caller.records_amis
    return (request.method, request.path) in _RECORDING and (caller.records_findings or caller.reports_violations)


def _check_reads(caller: Caller) -> None:
    """Raise Forbidden for a CI job, and for a caller without the right to read."""
    if caller.job is not None:
        message = f"{caller.name} is a CI job: it may push and attest, but not query"
        raise Forbidden("read-forbidden", message, fix="use a token of a person or a service")
    if caller.reads == "nothing":
        message = f"{caller.name} may not read"
        raise Forbidden("read-forbidden", message, fix="add the right `read` to the rights of its issuer in sign_in")


def require_user_data(request: web.Request) -> None:
    """Raise Forbidden for a caller that may not read user data, on a path whose response contains it."""
    if not request[CALLER].may_read_user_data:
        raise Forbidden(
            "user-data-forbidden",
            f"{request[CALLER].name} may not read user data, which the response contains",
            fix="use a token with the right user-data",
        )


def log_asked(request: web.Request, request_id: str, status: int) -> None:
    """Log a request with its caller and its parameters, without tokens, even if one is in the URL."""
    caller = request.get(CALLER)
    if caller is not None and not request.get(REPEATED, False):
        query = {name: _shown(request, value) for name, value in request.query.items() if name in _ASKED}
        log.info(
            "asked",
            extra=fields(
                caller=caller.name, issuer=caller.subject[0] if caller.subject is not None else "", status=status,
                method=request.method, path=shown_path(request), query=query, request_id=request_id,
            ),
        )  # fmt: skip


def shown_path(request: web.BaseRequest) -> str:
    """Return a request's path for logs, with text that looks like a token replaced."""
    return _shown(request, request.path)


def _shown(request: web.BaseRequest, text: str) -> str:
    for header in request.headers.getall("Authorization", []):
        presented = shown_token(header)
        if len(presented) >= _PRESENTED_CHARACTERS_MIN:
            text = text.replace(presented, "…")
    return _TOKEN.sub("…", text)[:_SHOWN_CHARACTERS_MAX]


def shown_token(header: str) -> str:
    """Return the token of Bearer, of Kio's `Token`, or of Basic with the user oauth2; otherwise an empty string."""
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
