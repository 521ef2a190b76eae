"""Errors as RFC 9457 problems with a stable code, the fix and the request's id."""

from __future__ import annotations

import itertools
import logging
import os
import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.http.authentication import Authenticate, log_asked, shown_path
from whence_aggregator.http.bodies import check_request
from whence_aggregator.http.client_address import client_address
from whence_aggregator.http.cross_origin import is_open
from whence_aggregator.ports import (
    Conflict,
    Forbidden,
    NotFound,
    Overloaded,
    StorageUnavailable,
    Unauthenticated,
)
from whence_common.errors import InputError, WhenceError
from whence_common.runtime.logs import fields
from whence_common.visible import visible_json

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[WhenceError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Overloaded, 429),
    (StorageUnavailable, 503),
    (SignInUnavailable, 503),
    (InputError, 400),
)
_STATUS_BY_CODE = {
    "envelope-signature": 403,
    "envelope-too-large": 413,
    "identity-too-large": 413,
    "body-too-large": 413,
    "sts-unreachable": 503,
    "sts-unavailable": 503,
    "teams-not-read": 503,
    "body-too-slow": 408,
    "body-encoded": 415,
    "precondition-failed": 412,
    "internal-error": 500,
    "entry-damaged": 500,
    "draining": 503,
    "live-full": 503,
}
_PROOF_CODES = ("identity-", "cms-", "sts-")
REQUEST_ID = web.RequestKey("request_id", str)
"""The id of the request, for our log and the caller's."""
_PROCESS = os.urandom(6).hex()
_NUMBERS = itertools.count(1)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_AGAIN_SECONDS = 5
"""When callers retry after a transient error, of the database for example."""
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def guarded(handler: Handler, authenticate: Authenticate | None) -> Handler:
    """Wrap the handler of a route: the request's id, whether its caller is known, and errors as problems.

    A bug is logged and reported as one. Not an aiohttp middleware, which costs twice as much: heartbeats are frequent.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        stated = request.headers.get("X-Request-Id")
        request_id = stated if stated is not None and _REQUEST_ID.match(stated) else f"{_PROCESS}-{next(_NUMBERS)}"
        request[REQUEST_ID] = request_id
        try:
            check_request(request)
            if authenticate is not None:
                await authenticate(request)
            response = await handler(request)
        except WhenceError as exc:
            response = problem(request, exc)
        except web.HTTPException as exc:
            response = _respond(request, exc.status, f"http-{exc.status}", exc.reason, "")
            if hdrs.ALLOW in exc.headers:
                response.headers[hdrs.ALLOW] = exc.headers[hdrs.ALLOW]
        except ConnectionError:
            raise
        except Exception:
            address = client_address(request)
            path = shown_path(request)
            log.exception("a request failed by a bug", extra=fields(address=address, path=path, request_id=request_id))
            response = _respond(request, 500, "internal-error", "the aggregator failed; its log says how", "")
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
            if is_open(request.path):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        if response.status >= 400:
            said = {"path": shown_path(request), "status": response.status, "request_id": request_id}
            log.info("refused", extra=fields(address=client_address(request), **said))
        log_asked(request, request_id, response.status)
        return response

    return handle


def problem(request: web.Request, error: WhenceError) -> web.Response:
    """Return an error as a problem response, with Retry-After if it has a time."""
    response = _respond(
        request, status_of(error), error.code, error.message, error.fix, last_taken=getattr(error, "last_taken", None)
    )
    seconds = getattr(error, "retry_after_seconds", None)
    if seconds is None and response.status == 503:
        seconds = _AGAIN_SECONDS
    if seconds is not None:
        response.headers["Retry-After"] = str(max(1, round(seconds)))
    if response.status == 401 or (response.status == 403 and isinstance(error, Forbidden)):
        response.headers["WWW-Authenticate"] = _challenge(request, response.status)
    return response


def _challenge(request: web.Request, status: int) -> str:
    """Say how to sign in, and which error it was where a token was presented (RFC 6750, 3)."""
    if "Authorization" not in request.headers:
        return 'Bearer realm="whence"'
    return f'Bearer realm="whence", error="{"invalid_token" if status == 401 else "insufficient_scope"}"'


def status_of(error: WhenceError) -> int:
    """Return the HTTP status of an error."""
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    if error.code.startswith(_PROOF_CODES):
        return 403
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 502)


def _is_of_mint(request: web.Request) -> bool:
    """Return whether a request is one of mint's storage API, whose path is a setting."""
    resource = request.match_info.route.resource
    return resource is not None and (resource.name or "").startswith("mint-")


def _respond(
    request: web.Request, status: int, code: str, detail: str, fix: str, *, last_taken: int | None = None
) -> web.Response:
    document: dict[str, object] = {
        "type": f"urn:whence:problem:{code}",
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
        "fix": fix,
        "instance": request.path,
    }
    if last_taken is not None:
        document["last_taken"] = last_taken
    if request.path.startswith("/apps") or _is_of_mint(request):
        document |= {"message": detail, "details": fix}  # clients of Kio and mint read these keys
    text = visible_json(document)
    return web.Response(text=text, status=status, content_type="application/problem+json", headers=_HEADERS)
