"""What happens to blobs on the road: too many requests, a layer that stops flowing, a slow link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from whence_common.runtime.pause import pause

_PIECE_BYTES = 32 * 1024
_LOOK_SECONDS = 0.05


@dataclass
class BlobWeather:
    """`throttled` answers 429 while it is set; of the next `stalls` large blobs half is sent, and then nothing.

    `asked` counts requests; `given_up` the clients that went away from a blob that stood still. `flowing` is set once a
    large blob has begun.
    """

    throttled: bool = False
    stalls: int = 0
    bytes_per_second: float | None = None
    large_bytes: int = 200_000
    asked: int = 0
    given_up: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
        """Answer a request for a blob."""
        self.asked += 1
        if self.throttled:
            error = {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}
            return web.json_response(error, status=429, headers={"Retry-After": "1"})
        if len(body) < self.large_bytes:
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        stalled = self.stalls > 0
        self.stalls -= stalled
        try:
            for start in range(0, len(body) // 2 if stalled else len(body), _PIECE_BYTES):
                await response.write(body[start : start + _PIECE_BYTES])
                self.flowing.set()
                if self.bytes_per_second is not None:
                    await pause(_PIECE_BYTES / self.bytes_per_second)
            while stalled:
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionResetError
                await pause(_LOOK_SECONDS)
        except ConnectionError:
            self.given_up += 1
        return response
