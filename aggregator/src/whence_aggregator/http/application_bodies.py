"""Bodies and entity tags of requests for applications."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from whence_aggregator.applications.conditions import Conditions, entity_tag
from whence_aggregator.http.bodies import read_body
from whence_common.errors import InputError

_BODY_BYTES_MAX = 128 * 1024
_Response = TypeVar("_Response", bound=web.StreamResponse)


async def read_object(request: web.Request, *, bytes_max: int = _BODY_BYTES_MAX) -> dict[str, Any]:
    """Return a body that is a JSON object. Raises InputError."""
    content = await read_body(request, bytes_max)
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is not JSON") from exc
    if not isinstance(document, dict):
        raise InputError("body-not-object", "the body is not a JSON object")
    return document


def conditions_of(request: web.Request) -> Conditions:
    """Return the conditions in a request's headers. Raises InputError."""
    match, none_match = (request.headers.getall(one, []) for one in (hdrs.IF_MATCH, hdrs.IF_NONE_MATCH))
    return Conditions.parse(",".join(match) if match else None, ",".join(none_match) if none_match else None)


def tagged(response: _Response, revision: int) -> _Response:
    """Return a response with the entity tag of a revision."""
    response.headers[hdrs.ETAG] = entity_tag(revision)
    return response


def teams_named(*teams: object) -> list[str]:
    """Return the teams among values of documents, to be confirmed by the team service."""
    return [one for one in teams if isinstance(one, str) and one]
