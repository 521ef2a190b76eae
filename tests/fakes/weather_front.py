"""A road over HTTP to a real server that fails as told: statuses, silence, bodies that break off, AWS's own refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
from aiohttp import web

from fakes.weather import Fault, Kind

_CHUNK_BYTES = 64 * 1024
_CHUNK_SECONDS = 0.02
"""A pause after each piece of a body: 3 MB a second, so that faults find pulls under way."""
_HOPS = frozenset({"host", "transfer-encoding", "connection", "keep-alive"})
_SKEW = timedelta(hours=1)
_SKEW_MAX = timedelta(minutes=5)
_RETRY_AFTER_SECONDS = "2"


class Front:
    """One road. `kinds_of` names the kinds of fault that a request meets; a road to AWS serves S3, KMS and the clock."""

    def __init__(self, backend: str, kinds_of: Callable[[web.BaseRequest], tuple[Kind, ...]], *, port: int) -> None:
        self.port = port
        self._backend = backend
        self._kinds_of = kinds_of
        self._faults: dict[Kind, Fault] = {}
        self._over: dict[Kind, asyncio.Event] = {}
        self._listening: asyncio.Server | None = None

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Front]:
        """Serve on the loopback port for the block's duration."""
        self._server = web.Server(self._answer, access_log=None)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(auto_decompress=False, connector=connector) as self._session:
            try:
                await self._listen()
                yield self
            finally:
                await self._hang_up()
                await self._server.shutdown(1.0)

    async def begin(self, fault: Fault) -> None:
        self._faults[fault.kind], self._over[fault.kind] = fault, asyncio.Event()
        if fault.how == "refuse":
            await self._hang_up()

    async def end(self, fault: Fault) -> None:
        if self._faults.get(fault.kind) is fault:
            del self._faults[fault.kind]
        self._over[fault.kind].set()
        await self._listen()

    async def _listen(self) -> None:
        if self._listening is None:
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(self._server, "127.0.0.1", self.port)

    async def _hang_up(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        fault = self._now(request)
        if fault is None:
            return await self._forward(request, body)
        how = fault.how
        if how == "no-user-data-once":
            if not request.path.endswith("/user-data"):
                return await self._forward(request, body)
            await self.end(fault)
            return web.Response(status=404)
        if how in ("refuse", "reset"):
            return _abort(request)
        if how == "silence":
            await self._over[fault.kind].wait()
            return _abort(request)
        if how == "throttle":
            return _throttled(fault.kind)
        if how == "an-hour-off":
            return _late(request) or await self._forward(request, body)
        if how[:3].isdigit():
            headers = {"Retry-After": _RETRY_AFTER_SECONDS} if how.endswith("-retry-after") else {}
            return web.Response(status=int(how[:3]), text="no server is available\n", headers=headers)
        return await self._forward(request, body)  # cut, stall: in the middle of the body

    def _now(self, request: web.BaseRequest) -> Fault | None:
        return next((self._faults[kind] for kind in self._kinds_of(request) if kind in self._faults), None)

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOPS}
        headers.setdefault("Accept-Encoding", "identity")
        try:
            async with self._session.request(
                request.method, self._backend + request.path_qs, headers=headers, data=body, allow_redirects=False
            ) as answer:
                passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOPS}
                response = web.StreamResponse(status=answer.status, headers=passed)
                await response.prepare(request)
                await self._carry(request, answer, response)
                return response
        except (aiohttp.ClientError, ConnectionError):
            return _abort(request)

    async def _carry(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        """Pass the body on piece by piece, and look at the weather before each."""
        whole = answer.content_length or 0
        piece_bytes = max(1, min(_CHUNK_BYTES, whole // 2))
        carried = 0
        async for piece in answer.content.iter_chunked(piece_bytes):
            fault = self._now(request)
            if fault is not None and carried > 0:
                if fault.how in ("stall", "silence"):
                    await self._over[fault.kind].wait()
                    _abort(request)
                    return
                if fault.how in ("cut", "refuse", "reset"):
                    _abort(request)
                    return
            await response.write(piece)
            carried += len(piece)
            if whole > _CHUNK_BYTES:
                await asyncio.sleep(_CHUNK_SECONDS)


def _abort(request: web.BaseRequest) -> web.Response:
    """Reset the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _throttled(kind: Kind) -> web.Response:
    if kind == "kms":
        return _json_error("ThrottlingException", "Rate exceeded")
    return _xml_error(503, "SlowDown", "Please reduce your request rate.")


def _late(request: web.BaseRequest) -> web.Response | None:
    """Judge the time of a signature as AWS does, by a clock that is an hour away from the machine's; None accepts it."""
    there = datetime.now(UTC) + _SKEW
    date = {"Date": format_datetime(there, usegmt=True)}
    with suppress(KeyError, ValueError):
        signed = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(there - signed) <= _SKEW_MAX:
            return None
        if "X-Amz-Target" in request.headers:
            earliest = f"{there - _SKEW_MAX:%Y%m%dT%H%M%SZ} ({there:%Y%m%dT%H%M%SZ} - 5 min.)"
            message = f"Signature expired: {signed:%Y%m%dT%H%M%SZ} is now earlier than {earliest}"
            return _json_error("InvalidSignatureException", message, date)
    message = "The difference between the request time and the current time is too large."
    return _xml_error(403, "RequestTimeTooSkewed", message, date)


def _json_error(code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = json.dumps({"__type": code, "message": message}).encode()
    return web.Response(status=400, body=body, content_type="application/x-amz-json-1.1", headers=headers)


def _xml_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml", headers=headers)
