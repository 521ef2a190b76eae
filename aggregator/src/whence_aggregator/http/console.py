"""The console over HTTP: finds the session of a request, has its page made of the API's answers, and checks forms."""

from __future__ import annotations

import hmac
import itertools
import logging
import os
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from whence_aggregator.callers.browser_sessions import BrowserSession, BrowserSessions, csrf_token
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.frame import ASSETS, Asset, Frame
from whence_aggregator.console.held_files import HeldFiles
from whence_aggregator.console.page import (
    Elsewhere,
    PageAddresses,
    PageAnswer,
    SavedAnswer,
    SavedFile,
    ShowPage,
    Visit,
    Visitor,
    WebPage,
)
from whence_aggregator.console.problem import problem_page, unknown_page
from whence_aggregator.http.allowed import allowed_methods
from whence_aggregator.http.bodies import check_request
from whence_aggregator.http.console_answers import PublicAddress, elsewhere, html, save_headers, saved
from whence_aggregator.http.console_forms import read_form
from whence_aggregator.http.errors import REQUEST_ID, status_of
from whence_aggregator.http.inside import Inside
from whence_aggregator.http.shared_answers import SharedAnswers, rights_of
from whence_aggregator.ports import Forbidden, Unauthenticated
from whence_common.clock import Now
from whence_common.errors import InputError, WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_PROCESS = os.urandom(6).hex()
_NUMBERS = itertools.count(1)
_YEAR = "public, max-age=31536000, immutable"
PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConsoleCalls:
    """The pages of the console and their assets. They are `proving` routes: they find out themselves who calls."""

    def __init__(
        self, *, places: PageAddresses, inside: Inside, sessions: BrowserSessions, address: PublicAddress, now: Now,
        shared: SharedAnswers, signed_out: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._signed_out = signed_out
        self._shared = shared
        self._places = places
        self._inside = inside
        self._sessions = sessions
        self._address = address
        self._now = now
        self._frame = Frame()
        self._held = HeldFiles(now=now)

    def routes(self) -> list[web.RouteDef]:
        shown = [web.get(f"/console{one.path}", self._guarded(self._page(one.show))) for one in self._places]
        sent = [
            web.post(f"/console{one.path}", self._guarded(self._page(one.send)))
            for one in self._places
            if one.send is not None
        ]
        return [
            *shown,
            *sent,
            web.get("/console", self._root),
            web.post("/console/sign-out", self._guarded(self._sign_out)),
            *(web.get(one.path, _asset(one)) for one in ASSETS.values()),
            web.route("*", "/console/{path:(?s:.*)}", self._guarded(self._unknown)),
        ]

    def render(
        self, request: web.Request, page: WebPage, session: BrowserSession | None, visitor: Visitor | None
    ) -> str:
        csrf = csrf_token(session.secret) if session is not None else ""
        return self._frame.render(page, visitor=visitor, csrf=csrf, address=request.path_qs)

    async def _root(self, request: web.Request) -> web.StreamResponse:
        return elsewhere("/console/")

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        session = await self._signed_in(request)
        await self._form(request, session)
        await self._sessions.take("session", session.secret)
        self._signed_out(session.secret)
        response = elsewhere("/console/sign-in")
        self._address.forget(response)
        return response

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer an address that is not a page, or a method that the page does not take."""
        allowed = await allowed_methods(request.app.router, request)
        if not allowed:
            return await self._page(unknown_page)(request)
        listed = ", ".join(sorted(allowed))
        error = InputError("method-not-allowed", f"this page takes no {request.method}", fix=f"use {listed}")
        response = self._problem(request, error, 405)
        response.headers[hdrs.ALLOW] = listed
        return response

    def _page(self, shown: ShowPage) -> PageHandler:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = await self._signed_in(request)
            ask = self._inside.asking(request, session.token)
            form = await self._form(request, session) if request.method == "POST" else {}
            stated = await ask.get("/v1/whoami")
            visitor = Visitor(
                name=str(stated["name"]),
                teams=frozenset(stated["teams"]) if stated["teams"] is not None else None,
                rights=frozenset(stated["rights"]),
                is_person=stated["realm"] == "people" and stated["job"] is None,
                reads_all=stated["reads"] == "organisation",
            )
            visit = Visit(
                ask=ask, visitor=visitor, now=self._now(), path=dict(request.match_info), query=dict(request.query),
                form=form, held=self._held, shared=self._shared.asking(ask, rights_of(stated)), until=session.until,
            )  # fmt: skip
            answer: PageAnswer
            try:
                answer = await shown(visit)
                if isinstance(answer, SavedAnswer):
                    return await ask.save(answer.path, answer.parameters, save_headers(answer.name))
            except ApiRefused as exc:
                if exc.answer.status == 401:
                    raise
                answer = problem_page(exc, exc.answer.status, request[REQUEST_ID], self._now(), visitor=visitor)
            if isinstance(answer, Elsewhere):
                return elsewhere(answer.path)
            if isinstance(answer, SavedFile):
                return saved(answer)
            assert isinstance(answer, WebPage)
            return html(self.render(request, answer, session, visitor), status=answer.status)

        return handle

    async def _signed_in(self, request: web.Request) -> BrowserSession:
        """Return the session of a request. Raises Unauthenticated if it has none."""
        held = self._address.held(request)
        session = await self._sessions.find(held) if held else None
        if session is None:
            raise Unauthenticated("session-unknown", "no session, or it has ended: sign in")
        return session

    async def _form(self, request: web.Request, session: BrowserSession) -> dict[str, str]:
        """Return the fields of a form of this session. Raises Forbidden if it is not one."""
        self._address.check_same_origin(request)
        found = await read_form(request)
        if not hmac.compare_digest(found.pop("csrf", "").encode(), csrf_token(session.secret).encode()):
            raise Forbidden(
                "form-foreign", "the form is not of this session", fix="open the page again, and send its form"
            )
        return found

    def _guarded(self, handler: PageHandler) -> PageHandler:
        """Return errors as pages; without a session, send the browser to sign in and back."""

        async def handle(request: web.Request) -> web.StreamResponse:
            request[REQUEST_ID] = f"c{_PROCESS}-{next(_NUMBERS)}"
            try:
                check_request(request)
                response = await handler(request)
            except WhenceError as exc:
                response = self._refused(request, exc)
            except (ConnectionError, web.HTTPException):
                raise
            except Exception:
                said = {"path": request.path[:200], "request_id": request[REQUEST_ID]}
                log.exception("a page failed by a bug", extra=fields(**said))
                bug = WhenceError("internal-error", "the aggregator failed; its log says how")
                response = self._problem(request, bug, 500)
            response.headers["X-Request-Id"] = request[REQUEST_ID]
            return response

        return handle

    def _refused(self, request: web.Request, error: WhenceError) -> web.StreamResponse:
        status = error.answer.status if isinstance(error, ApiRefused) else status_of(error)
        if status != 401:
            return self._problem(request, error, status)
        back = request.path_qs if request.method in ("GET", "HEAD") else "/console/"
        response = elsewhere(str(request.url.with_path("/console/sign-in").with_query(next=back).relative()))
        if self._address.held(request):
            self._address.forget(response)
        return response

    def _problem(self, request: web.Request, error: WhenceError, status: int) -> web.StreamResponse:
        page = problem_page(error, status, request[REQUEST_ID], self._now())
        return html(self.render(request, page, None, None), status=status)


def _asset(asset: Asset) -> PageHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": _YEAR, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=asset.content, content_type=asset.type, charset="utf-8", headers=headers)

    return handle
