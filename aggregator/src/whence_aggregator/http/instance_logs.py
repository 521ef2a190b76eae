"""`POST /api/instance-logs`, as Taupage's agents send it. Off unless configured."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import hdrs, web

from whence_aggregator.callers.fleet import FleetCredentials
from whence_aggregator.callers.limits import Limit
from whence_aggregator.fullstop.instance_logs import BODY_BYTES_MAX, InstanceLog, InstanceLogs
from whence_aggregator.http.authentication import authorization
from whence_aggregator.http.bodies import read_body
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.slots import Slots
from whence_aggregator.ports import NotFound, Unauthenticated
from whence_common.errors import InputError

LOGS_AT_ONCE_MAX = 16
"""Each holds its body in memory."""


class InstanceLogCalls:
    """The path; `logs` is None where the settings have no `instance_logs`."""

    def __init__(self, *, logs: InstanceLogs | None, credentials: FleetCredentials | None, attempts: Limit) -> None:
        self._logs = logs
        self._credentials = credentials
        self._attempts = attempts
        self._slots = Slots("transfers", LOGS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/instance-logs", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        """Answer 201 once the log is durable. The credentials come before the body."""
        if self._logs is None or self._credentials is None:
            raise NotFound(
                "instance-logs-off", "this aggregator takes no instance logs",
                fix="set instance_logs, or install whence-agent, whose statements are signed",
            )  # fmt: skip
        try:
            user = self._credentials.user(authorization(request))
        except Unauthenticated:
            self._attempts.take(limited_address(request))
            raise
        with self._slots.take(request, user):
            content = await read_body(request, BODY_BYTES_MAX)
            one = await asyncio.to_thread(_parsed, content)
            del content
            await self._logs.record(one)
        response = web.Response(status=201)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response


def _parsed(content: bytes) -> InstanceLog:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is not JSON") from exc
    if not isinstance(document, dict):
        raise InputError("body-not-object", "the body is not a JSON object")
    return InstanceLog.parse(document)
