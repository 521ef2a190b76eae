"""One connection: a protocol between the socket and aiohttp's own, which bounds what aiohttp does not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from whence_aggregator.callers.trusted_proxies import limit_name

if TYPE_CHECKING:
    from whence_aggregator.http.connections import Connections
    from whence_aggregator.http.refused import RefusedKind


class Connection(asyncio.Protocol):
    """Forwards all events to `inner`, and counts held bytes and time."""

    def __init__(self, inner: web.RequestHandler, all_: Connections, client: str | None) -> None:
        self.inner = inner
        self._inner: asyncio.Protocol = inner
        self._all = all_
        self._bounds = all_.bounds
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._request: web.BaseRequest | None = None
        self._admitted = False
        self._refused: aiohttp.StreamReader | None = None
        self._early_bytes = 0
        self._unsent_bytes = 0
        self._blocked_at = 0.0
        self._credit_seconds = self._bounds.slow_seconds_max
        self._closing_at: float | None = None
        self.peer = client or ""
        self.forwards = False
        self.name = ""
        self.holder = ""
        self.requests = 0
        self.opened_at = all_.clock()
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "abort")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not subclasses of asyncio's
        if not self.peer:
            peer = transport.get_extra_info("peername")
            self.peer = str(peer[0]) if isinstance(peer, tuple) and peer else ""
            self.forwards = self._all.forwards(self.peer)
        self.name = self.holder = "" if self.forwards else limit_name(self.peer)
        self._admitted = self._all.admit(self)
        if not self._admitted:
            self._abort()
            return
        self._wait(self._bounds.silent_seconds_max, "silent")
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._abort()
        self._all.forget(self)
        if self._admitted:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.ended or self.is_left_unread or not self._all.received.hold(self, len(data)):
            return
        self._all.reading.take(self, data)

    def feed(self, data: bytes) -> None:
        """Pass received bytes to aiohttp, when it is their turn."""
        if self.is_left_unread:
            return
        if self._request is not None and self._request.content.is_eof():
            self._early_bytes += len(data)
            if self._early_bytes > self._bounds.early_bytes_max:
                self.end("early-bytes")
                return
        self._inner.data_received(data)

    def pause_reading(self) -> None:
        """Stop receiving until the received bytes were passed on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again, unless aiohttp has paused reading: then aiohttp resumes it."""
        has_enough = self.inner._reading_paused or self.inner._buffer_paused
        if self._transport is not None and not self._transport.is_closing() and not has_enough:
            self._transport.resume_reading()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Count the unsent rest of an answer as held, for a time: the client reads it slowly."""
        self._inner.pause_writing()
        if self.ended or self._transport is None:
            return
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._blocked_at = self._all.clock()
        if self._all.unsent.hold(self, self._unsent_bytes):
            self._wait(self._credit_seconds + self._unsent_bytes / self._bounds.bytes_per_second_min, "slow-reader")

    def resume_writing(self) -> None:
        self._inner.resume_writing()
        self._stop_waiting()
        if self.ended or self._transport is None:
            return
        self._all.unsent.let_go(self)
        took = self._unsent_bytes - self._transport.get_write_buffer_size()
        earned = took / self._bounds.bytes_per_second_min - (self._all.clock() - self._blocked_at)
        self._unsent_bytes = 0
        self._credit_seconds = min(self._bounds.slow_seconds_max, self._credit_seconds + earned)
        if self._credit_seconds <= 0:
            self.end("slow-reader")

    def begin(self, request: web.BaseRequest) -> None:
        """Begin a request."""
        if not self.requests:
            self._stop_waiting()
        self.requests += 1
        self._request = request

    def passed_on(self, size: int) -> None:
        """Count bytes of the body as no longer held: the handler passed them on."""
        self._all.received.let_go(self, size)

    def finish(self) -> None:
        """End a request: only bytes of a next request are still held."""
        request, self._request = self._request, None
        self._refused = request.content if request is not None and not request.content.is_eof() else None
        early = min(self._early_bytes, self._all.received.let_go(self))
        if early:
            self._all.received.hold(self, early)
        self._early_bytes = 0

    def refuse(self, kind: RefusedKind) -> None:
        """Count a refused request; the connection may stay open."""
        self._all.refused.add(kind)

    def end(self, kind: RefusedKind) -> None:
        """Close the connection without sending the rest."""
        if not self.ended:
            self._all.count(kind, self)
            self._abort()
            self._drop_body()
            self._all.forget(self)

    def _drop_body(self) -> None:
        """Empty the body's buffer now: aiohttp's reference cycles would keep it until a garbage collection."""
        for content in (self._request.content if self._request is not None else None, self._refused):
            if content is not None:
                with suppress(Exception):  # the stream may have failed already, and has no reader any more
                    content.read_nowait()

    def sweep(self) -> None:
        """Abort the connection when it has been closing for too long."""
        if self._transport is None or not self._transport.is_closing():
            return
        now = self._all.clock()
        if self._closing_at is None:
            self._closing_at = now
        elif now - self._closing_at >= self._bounds.closing_seconds_max:
            self.end("unfinished-close")

    @property
    def is_left_unread(self) -> bool:
        """Return whether received bytes are the rest of an answered request's body, which is dropped unread."""
        return self._refused is not None and not self._refused.is_eof()

    def _wait(self, seconds: float, kind: RefusedKind) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end, kind)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _abort(self) -> None:
        self.ended = True
        self._stop_waiting()
        if self._transport is not None:
            self._transport.abort()
