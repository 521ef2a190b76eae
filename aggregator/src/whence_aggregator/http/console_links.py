"""Links that begin a session of the console once, for a person who has a token already, such as at the terminal."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.callers.browser_sessions import BrowserSessions
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.console.frame import Frame
from whence_aggregator.console.page import WebPage
from whence_aggregator.http.authentication import CALLER, authorization, shown_token
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.console_answers import PublicAddress, html
from whence_aggregator.http.console_forms import read_form
from whence_aggregator.http.console_sign_in import ConsoleSignIn
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.ports import NotFound, Unauthenticated
from whence_common.clock import to_instant
from whence_common.errors import WhenceError


class LinkCalls:
    """Makes links, for callers with a token. Without `sessions` there is no console."""

    def __init__(self, *, sessions: BrowserSessions | None, address: PublicAddress | None) -> None:
        self._sessions = sessions
        self._address = address

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/console/links", self._make)]

    async def _make(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        if self._sessions is None or self._address is None:
            raise NotFound("console-off", "this aggregator has no console", fix="set `console: true` in its settings")
        caller = request[CALLER]
        link = await self._sessions.begin_link(
            shown_token(authorization(request)), caller=caller.name, until=caller.until
        )
        return respond_json(
            {"url": f"{self._address.origin}/console/link?code={link.secret}", "until": to_instant(link.until)},
            status=201,
        )


class ConsoleLinks:
    """Exchanges a link for a session. Opening it shows a button only, since mail scanners open links as well."""

    def __init__(
        self, *, sign_in: Authenticator, sessions: BrowserSessions, address: PublicAddress, pages: ConsoleSignIn
    ) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._address = address
        self._pages = pages
        self._frame = Frame()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/console/link", self._show), web.post("/console/link", self._use)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        page = WebPage(template="link.html", title="Open the console", values={"code": request.query.get("code", "")})
        return html(self._frame.render(page, visitor=None, csrf="", address="/console/link"))

    async def _use(self, request: web.Request) -> web.StreamResponse:
        try:
            self._address.check_same_origin(request)
            form = await read_form(request)
            link = await self._sessions.take("link", form.get("code", ""))
            if link is None:
                raise Unauthenticated(
                    "link-unknown", "the link was used, or is older than five minutes",
                    fix="make another, with `whence console`",
                )  # fmt: skip
            caller = await self._sign_in.caller(link.token, address=limited_address(request))
            return await self._pages.signed_in(request, caller, link.token, "/console/")
        except WhenceError as exc:
            return self._pages.refused("/console/", exc)
