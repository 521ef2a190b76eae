"""Kio's paths, so that its clients work unchanged, and what Whence adds for tickets."""

from __future__ import annotations

import msgspec
from aiohttp import web

from whence_aggregator.applications.registry import Applications, TicketSettings
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import Answer, read_body, respond_json
from whence_aggregator.http.parameters import instant
from whence_common.errors import InputError

_BODY_BYTES_MAX = 256 * 1024


class KioCalls:
    """`/apps` as Kio speaks it."""

    def __init__(self, *, applications: Applications) -> None:
        self._applications = applications

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/apps", self._list),
            web.get("/apps/{id}", self._read),
            web.put("/apps/{id}", self._write),
            web.put("/v1/applications/{id}/tickets", self._tickets),
        ]

    async def _list(self, request: web.Request) -> Answer:
        found = await self._applications.list(at=_at(request))
        active = request.query.get("active")
        wanted = {name: request.query[name] for name in ("team_id", "incident_contact") if name in request.query}
        return respond_json(
            [
                application
                for application in found
                if all(application.get(name) == value for name, value in wanted.items())
                and (active is None or application.get("active") is (active == "true"))
            ]
        )

    async def _read(self, request: web.Request) -> Answer:
        return respond_json(await self._applications.read(request.match_info["id"], at=_at(request)))

    async def _write(self, request: web.Request) -> web.Response:
        written = await _object(request)
        await self._applications.write(request.match_info["id"], written, request[CALLER])
        return web.Response(status=200)

    async def _tickets(self, request: web.Request) -> web.Response:
        try:
            settings = msgspec.convert(await _object(request), TicketSettings)
        except msgspec.ValidationError as exc:
            fix = 'write {"patterns": ["PAY-{number}"], "url": "https://tickets.example.org/{ticket}"}'
            raise InputError("tickets-malformed", str(exc), fix=fix) from exc
        await self._applications.write_tickets(request.match_info["id"], settings, request[CALLER])
        return web.Response(status=200)


def _at(request: web.Request) -> str | None:
    """Read `at`, which Kio does not have; its other parameters are none of our business here."""
    value = request.query.get("at")
    return instant(value[:100], name="at") if value is not None else None


async def _object(request: web.Request) -> dict[str, object]:
    if request.content_type != "application/json":
        raise web.HTTPNotAcceptable(reason="the body must be application/json")
    content = await read_body(request, _BODY_BYTES_MAX)
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is no JSON") from exc
    if not isinstance(document, dict):
        raise InputError("body-not-object", "the body is no JSON object")
    return document
