"""Requests of registry clients: authentication first; errors in the form of the OCI distribution specification."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from whence_aggregator.http.authentication import log_asked, shown_path
from whence_aggregator.http.bodies import check_request
from whence_aggregator.http.client_address import client_address
from whence_aggregator.http.errors import REQUEST_ID
from whence_aggregator.http.pace import RequestPace, paced_chunks
from whence_aggregator.ports import Overloaded, StorageUnavailable, Unauthenticated
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.errors import InputError, WhenceError, one_line
from whence_common.runtime.logs import fields
from whence_common.storable import Unstorable, check_json

log = logging.getLogger(__name__)

_PACE = RequestPace(grace_seconds=60.0, bytes_per_second_min=4096.0)
"""The pace of an upload: at least 4 KiB a second, with pauses of at most a minute."""
_VERSION = {"Docker-Distribution-API-Version": "registry/2.0", "X-Content-Type-Options": "nosniff"}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?\Z")
_NUMBERS = itertools.count(1)
_PROCESS = os.urandom(6).hex()
_PARAMETERS = {
    "/v2/_catalog": {"n", "last"},
    "/v2/{name}/tags/list": {"n", "last"},
    "/v2/{name}/referrers/{digest}": {"artifactType", "n", "last"},
    "/v2/{name}/blobs/uploads": {"mount", "from", "digest"},
    "/v2/{name}/blobs/uploads/": {"mount", "from", "digest"},
    "/v2/{name}/blobs/uploads/{number}": {"_state", "digest"},
}
"""The parameters of each path. Not of the token's path: OAuth 2 ignores unknown ones (RFC 6749, 3.2)."""
_FROM_MIRRORS = "ns"
"""containerd adds it to each request to a mirror: the registry that an image's name begins with."""
ChallengesOf = Callable[[web.Request], list[str]]


def registry_guarded(handler: Handler, challenge: ChallengesOf) -> Handler:
    """Wrap a handler: return errors in the OCI form, with the challenges. A refused body is not read."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[REQUEST_ID] = f"r{_PROCESS}-{next(_NUMBERS)}"
        try:
            _check_names(request)
            response = await handler(request)
        except WhenceError as exc:
            response = _refused(request, _as_refusal(exc), challenge)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            said = {"path": shown_path(request), "request_id": request[REQUEST_ID]}
            log.exception("a request failed by a bug", extra=fields(address=client_address(request), **said))
            response = _refused(request, RegistryRefusal("UNKNOWN", "the registry failed; its log says how"), challenge)
        log_asked(request, request[REQUEST_ID], response.status)
        if not response.prepared:
            response.headers.update(_VERSION)
            response.headers["X-Request-Id"] = request[REQUEST_ID]
        return response

    return handle


def _check_names(request: web.Request) -> None:
    try:
        check_request(request)
    except Unstorable as exc:
        raise RegistryRefusal("NAME_INVALID", exc.message) from exc


async def no_continue(request: web.Request) -> None:
    """Send no 100 Continue yet: `body` sends it once the caller is authenticated."""


async def body(request: web.Request, *, passed_on: bool = True) -> AsyncIterator[bytes]:
    """Yield a body's bytes as they arrive. Raises RegistryRefusal when they stop, or arrive too slowly."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        writer = request.transport
        if writer is not None:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async for chunk in paced_chunks(request, _PACE, passed_on=passed_on):
            yield chunk
    except TimeoutError as exc:
        raise RegistryRefusal("BLOB_UPLOAD_INVALID", "the body stopped, or arrived too slowly", status=408) from exc
    except web.HTTPException:
        raise
    except (ConnectionError, web.RequestPayloadError) as exc:
        raise RegistryRefusal("BLOB_UPLOAD_INVALID", "the connection broke within the body") from exc


async def whole_body(request: web.Request, bytes_max: int) -> bytes:
    """Return a body of at most `bytes_max` bytes. Raises RegistryRefusal with 413, or Unstorable for an escaped NUL."""
    too_large = RegistryRefusal("SIZE_INVALID", f"the body is larger than {bytes_max} bytes", status=413)
    if (request.content_length or 0) > bytes_max:
        raise too_large
    content = bytearray()
    async for chunk in body(request, passed_on=False):
        content += chunk
        if len(content) > bytes_max:
            raise too_large
    whole = bytes(content)
    check_json(whole, "the body")
    return whole


def check_parameters(request: web.Request) -> None:
    """Raise RegistryRefusal for a parameter that the path does not take, or one that is repeated."""
    if not request.query_string:
        return
    resource = request.match_info.route.resource
    taken = _PARAMETERS.get(resource.canonical if resource is not None else "", set())
    for name in request.query:
        if name not in taken and not (name == _FROM_MIRRORS and request.path.startswith("/v2/")):
            fix = f"this path takes {', '.join(sorted(taken))}" if taken else "this path takes no parameters"
            raise RegistryRefusal("UNSUPPORTED", f"unknown parameter: {one_line(name, 100)!r}", status=400, fix=fix)
        if len(request.query.getall(name)) > 1:
            raise RegistryRefusal("UNSUPPORTED", f"{name} is given more than once", status=400, fix="give it once")


def own_url(request: web.Request, configured: str | None) -> str:
    """Return the URL by which this client reaches the front."""
    if configured is not None:
        return configured
    host = request.host if _HOST.match(request.host) else "localhost"
    return f"{request.scheme}://{host}"


def _as_refusal(exc: WhenceError) -> RegistryRefusal:
    if isinstance(exc, RegistryRefusal):
        return exc
    if isinstance(exc, Overloaded):
        return RegistryRefusal("TOOMANYREQUESTS", exc.message)
    if isinstance(exc, StorageUnavailable):
        return RegistryRefusal("UNAVAILABLE", "the database does not answer")
    if isinstance(exc, Unauthenticated):
        return RegistryRefusal("UNAUTHORIZED", exc.message, fix=exc.fix)
    if isinstance(exc, InputError):
        return RegistryRefusal("MANIFEST_INVALID", exc.message)
    return RegistryRefusal("UNAVAILABLE", exc.message)


def _refused(request: web.Request, refusal: RegistryRefusal, challenge: ChallengesOf) -> web.Response:
    error: dict[str, object] = {"code": refusal.code, "message": refusal.diagnostics()}
    if refusal.detail is not None:
        error["detail"] = refusal.detail
    document = msgspec.json.encode({"errors": [error]})
    headers = {"Cache-Control": "no-store"}  # the challenges depend on the request's Host
    response = web.Response(body=document, status=refusal.status, content_type="application/json", headers=headers)
    if refusal.status == 401:
        for one in challenge(request):
            response.headers.add("WWW-Authenticate", one)
    if refusal.status in (429, 503):
        response.headers["Retry-After"] = "5"
    if not request.content.is_eof():
        response.force_close()  # the rest of the body is nobody's
    details = fields(
        address=client_address(request), path=shown_path(request), status=refusal.status, code=refusal.code,
        request_id=request[REQUEST_ID],
    )  # fmt: skip
    log.log(logging.DEBUG if refusal.status == 404 else logging.INFO, "refused", extra=details)
    return response
