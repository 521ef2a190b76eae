"""Live updates of the overview: a stream of server-sent events that ends with its session."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.callers.browser_sessions import BrowserSession, BrowserSessions
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.frame import Frame
from whence_aggregator.console.live_parts import live_parts
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import Visit, Visitor
from whence_aggregator.http.bodies import check_request
from whence_aggregator.http.console_answers import HEADERS, PublicAddress
from whence_aggregator.http.errors import REQUEST_ID, status_of
from whence_aggregator.http.inside import AskInside, Inside
from whence_aggregator.http.live_readings import LiveReading, LiveReadings, Parts
from whence_aggregator.http.shared_answers import Rights, SharedAnswers, rights_of
from whence_aggregator.ports import Overloaded, Unauthenticated
from whence_common.clock import Now
from whence_common.errors import RoadError, WhenceError

_HEADERS = {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_AGAIN_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBounds:
    """The bounds of live updates."""

    viewers_max: int = 1_000
    of_session_max: int = 4
    """Viewers of one session: pages that are open at once."""
    reading_seconds_min: float = 2.0
    check_seconds: float = 15.0
    """How often the session of a viewer and its rights are checked."""
    wait_seconds_max: float = 5.0
    """How long a viewer waits for news before it looks whether the program ends."""
    stream_seconds_max: float = 1800.0
    """After this, browsers connect again: perhaps to another replica."""


class LiveFull(RoadError):
    """There are as many viewers as the server has room for."""


class LiveViewers:
    """Counts viewers, in total and by session."""

    def __init__(self, bounds: LiveBounds) -> None:
        self._bounds = bounds
        self._of: Counter[str] = Counter()
        self._ended = set[str]()

    def end(self, secret: str) -> None:
        """Have the viewers of a session end."""
        if secret in self._of:
            self._ended.add(secret)

    def has_ended(self, secret: str) -> bool:
        return secret in self._ended

    @contextmanager
    def take(self, secret: str) -> Iterator[None]:
        """Count a viewer for the block's duration. Raises LiveFull, and Overloaded for too many of one session."""
        if self._of[secret] >= self._bounds.of_session_max:
            raise Overloaded(
                "live-limited", f"this session has {self._bounds.of_session_max} live pages open: close one",
                retry_after_seconds=_AGAIN_SECONDS,
            )  # fmt: skip
        if self._of.total() >= self._bounds.viewers_max:
            raise LiveFull("live-full", "there is no room for another live page: load the page again for newer figures")
        self._of[secret] += 1
        try:
            yield
        finally:
            self._of[secret] -= 1
            if not self._of[secret]:
                del self._of[secret]
                self._ended.discard(secret)


class ConsoleLive:
    """`/console/live`. It finds out itself who asks, as the pages do. `draining`: whether the program ends soon."""

    def __init__(
        self, *, inside: Inside, sessions: BrowserSessions, address: PublicAddress, shared: SharedAnswers, now: Now,
        draining: Callable[[], bool], pause: Callable[[float], Awaitable[object]], bounds: LiveBounds | None = None,
    ) -> None:  # fmt: skip
        self._inside = inside
        self._sessions = sessions
        self._address = address
        self._shared = shared
        self._now = now
        self._draining = draining
        self._bounds = bounds or LiveBounds()
        self._viewers = LiveViewers(self._bounds)
        self._readings = LiveReadings(seconds_min=self._bounds.reading_seconds_min, pause=pause)
        self._frame = Frame()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/console/live", self._live, allow_head=False)]

    def end(self, secret: str) -> None:
        """Have the viewers of a session end: it was signed out."""
        self._viewers.end(secret)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        request[REQUEST_ID] = "console-live"
        try:
            check_request(request)
            session = await self._session(request)
            rights = rights_of(await self._inside.asking(request, session.token).get("/v1/whoami"))
            ask = self._inside.asking(request, session.token, repeated=True)
            with self._viewers.take(session.secret):
                return await self._stream(request, session, ask, rights)
        except WhenceError as exc:
            status = exc.answer.status if isinstance(exc, ApiRefused) else status_of(exc)
            headers = {**HEADERS, "Retry-After": str(_AGAIN_SECONDS)}
            return web.Response(status=status, text=exc.diagnostics(), headers=headers)

    async def _session(self, request: web.Request) -> BrowserSession:
        held = self._address.held(request)
        session = await self._sessions.find(held) if held else None
        if session is None:
            raise Unauthenticated("session-unknown", "no session, or it has ended: sign in")
        return session

    async def _stream(
        self, request: web.Request, session: BrowserSession, ask: AskInside, rights: Rights
    ) -> web.StreamResponse:
        """Send events until the client, the session or the program ends."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        again_millis = 2_000 + time.monotonic_ns() // 1_000 % 4_000  # spreads browsers that connect again
        await response.write(f"retry: {again_millis}\n\n".encode())

        async def reader() -> Parts:
            return await self._parts(ask, rights)

        reading = self._readings.join(rights, reader)
        try:
            await self._send(request, response, session, reading, ask, rights)
        finally:
            self._readings.leave(rights, reader)
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, session: BrowserSession, reading: LiveReading,
        ask: AskInside, rights: Rights,
    ) -> None:  # fmt: skip
        seen: Parts = {}
        began = checked = time.monotonic()
        while not self._draining() and time.monotonic() - began < self._bounds.stream_seconds_max:
            has_ended = self._viewers.has_ended(session.secret) or self._now() >= session.until
            if has_ended or time.monotonic() - checked >= self._bounds.check_seconds:
                checked = time.monotonic()
                if has_ended or not await self._still(session, ask, rights):
                    await response.write(b"event: ended\ndata: {}\n\n")
                    return
            parts = await reading.next(seen, seconds_max=self._bounds.wait_seconds_max)
            if request.transport is None or request.transport.is_closing():
                return
            if parts and parts is not seen:
                await response.write(reading.event(seen))
                seen = parts

    async def _still(self, session: BrowserSession, ask: AskInside, rights: Rights) -> bool:
        """Return whether the session is valid, with the same rights."""
        if await self._sessions.find(session.secret) is None:
            return False
        try:
            return rights_of(await ask.get("/v1/whoami")) == rights
        except ApiRefused:
            return False

    async def _parts(self, ask: AskInside, rights: Rights) -> Parts:
        """Return the parts of the overview, as one of its viewers sees it."""
        reads, teams, held = rights
        visitor = Visitor(
            name="", teams=frozenset(teams) if teams is not None else None, rights=frozenset(held),
            reads_all=reads == "organisation",
        )  # fmt: skip
        visit = Visit(ask=ask, visitor=visitor, now=self._now(), shared=self._shared.asking(ask, rights))
        page = await show_overview(visit)
        return live_parts(self._frame.render(page, visitor=visitor, csrf="", address="/console/"))
