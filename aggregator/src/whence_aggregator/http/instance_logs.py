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
from whence_aggregator.ports import NotFound
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
        address = limited_address(request)
        self._attempts.take(address)  # before the password is compared: an exhausted limit is no answer about it
        user = self._credentials.user(authorization(request))
        self._attempts.give_back(address)
        with self._slots.take(request, user):
            content = await read_body(request, BODY_BYTES_MAX)
            one = await asyncio.to_thread(_parsed, content)
            del content
            await self._logs.record(one)
        response = web.Response(status=201)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response


class _Sent(msgspec.Struct, frozen=True):
    """What is read of a body: anything else in it is skipped, and takes no memory."""

    account_id: msgspec.Raw = msgspec.Raw()
    region: msgspec.Raw = msgspec.Raw()
    instance_id: msgspec.Raw = msgspec.Raw()
    instance_boot_time: msgspec.Raw = msgspec.Raw()
    log_type: msgspec.Raw = msgspec.Raw()
    log_data: msgspec.Raw = msgspec.Raw()


def _parsed(content: bytes) -> InstanceLog:
    if not content.lstrip(b" \t\r\n").startswith(b"{"):
        raise InputError("body-not-object", "the body is not a JSON object")
    try:
        sent = msgspec.json.decode(content, type=_Sent)
        found = {name: _text(getattr(sent, name)) for name in sent.__struct_fields__}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is not JSON") from exc
    return InstanceLog.parse(found)


def _text(raw: msgspec.Raw) -> str | None:
    """Return a member that is a text; None for another one."""
    content = bytes(raw)
    return msgspec.json.decode(content, type=str) if content.startswith(b'"') else None
