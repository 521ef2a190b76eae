"""Signs people in to the console by a token."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.callers.browser_sessions import BrowserSessions
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.console.frame import Frame
from whence_aggregator.console.page import WebPage
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.console_answers import PublicAddress, elsewhere, html, inside_only
from whence_aggregator.http.console_forms import read_form
from whence_aggregator.http.errors import status_of
from whence_aggregator.ports import Forbidden
from whence_common.clock import Now
from whence_common.errors import WhenceError

_WHY = "Whence shows what you may read with your own account, and nothing else."

_OWN_ADVICE = {"token-unknown": "copy the whole token, or open the link that `whence console` prints"}
"""Instead of what helps at the terminal, by code."""


class ConsoleSignIn:
    """The page that signs people in. `issuers` are those that they can sign in at."""

    def __init__(
        self, *, sign_in: Authenticator, sessions: BrowserSessions, address: PublicAddress, issuers: Sequence[str],
        now: Now,
    ) -> None:  # fmt: skip
        self._sign_in = sign_in
        self._sessions = sessions
        self._address = address
        self._issuers = issuers
        self._now = now
        self._frame = Frame()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/console/sign-in", self._show), web.post("/console/sign-in", self._by_token)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return self._page(request.query.get("next", ""), _WHY, 200)

    async def _by_token(self, request: web.Request) -> web.StreamResponse:
        """Begin a session with a token that a form states."""
        after = ""
        try:
            self._address.check_same_origin(request)
            form = await read_form(request)
            after, token = form.get("next", ""), form.get("token", "").strip()
            caller = await self._sign_in.caller(token, address=limited_address(request))
            return await self.signed_in(request, caller, token, after)
        except WhenceError as exc:
            return self.refused(after, exc)

    def refused(self, after: str, error: WhenceError) -> web.StreamResponse:
        """Return the page with the reason why a person is not signed in."""
        advice = _OWN_ADVICE.get(error.code, error.fix)
        why = f"Not signed in: {error.message}" + (f" ({advice})" if advice else "")
        return self._page(after, why, status_of(error))

    async def signed_in(self, request: web.Request, caller: Caller, token: str, after: str) -> web.StreamResponse:
        """Begin a session, end the one that the browser had, and send it on. Raises Forbidden for who may not read."""
        if caller.job is not None or caller.reads == "nothing":
            raise Forbidden("read-forbidden", f"{caller.name} may not read", fix="sign in as a person who may read")
        held = self._address.held(request)
        if held:
            await self._sessions.take("session", held)
        session = await self._sessions.begin(token, caller=caller.name, until=caller.until)
        response = elsewhere(inside_only(after))
        self._address.hand(response, session, self._now())
        return response

    def _page(self, after: str, why: str, status: int) -> web.StreamResponse:
        page = WebPage(
            template="sign_in.html",
            title="Sign in",
            values={"why": why, "next": inside_only(after), "issuers": self._issuers},
        )
        return html(self._frame.render(page, visitor=None, csrf="", address="/console/sign-in"), status=status)
