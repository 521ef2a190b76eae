"""Signs people in to the console at an issuer: OpenID Connect, authorization code with PKCE.

The browser holds a secret of the sign-in that has begun; state, nonce and verifier stay here, and are used once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from whence_aggregator.callers.browser_sessions import BrowserSession, BrowserSessions
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.console_answers import PublicAddress, elsewhere, inside_only
from whence_aggregator.http.console_sign_in import ConsoleSignIn
from whence_aggregator.http.shared import ASKED_SECONDS_MAX, Shared
from whence_aggregator.openid.authorization import AuthorizationRequest, OtherSignIn
from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient
from whence_aggregator.openid.tokens import Tokens, check_id_token
from whence_common.clock import Now
from whence_common.errors import InputError, RoadError, WhenceError

_CALLBACK = "/console/sign-in/callback"
_PARAMETERS_MAX = 20
_METADATA_SECONDS = 60.0
"""How long an issuer's endpoints are kept: everybody may begin a sign-in, and is no means to flood the issuer."""
_FAILED_SECONDS = 1.0


class CodeExchange(Protocol):
    """An issuer that exchanges codes for tokens."""

    async def metadata(self) -> ProviderMetadata:
        """Read its endpoints. Raises RoadError."""

    async def tokens(self, metadata: ProviderMetadata, form: Mapping[str, str]) -> Tokens:
        """Exchange a code. Raises RoadError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleIssuer:
    """An issuer, and the console's client there."""

    client: SignInClient
    exchange: CodeExchange


class ConsoleOpenId:
    """Where a browser begins a sign-in at an issuer, and where the issuer sends it back."""

    def __init__(
        self, *, issuers: Mapping[str, ConsoleIssuer], sign_in: Authenticator, sessions: BrowserSessions,
        address: PublicAddress, pages: ConsoleSignIn, random_text: Callable[[int], str], now: Now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._issuers = issuers
        self._metadata = {
            name: Shared(
                one.exchange.metadata, fresh_seconds=_METADATA_SECONDS, failed_seconds_max=_FAILED_SECONDS, clock=clock
            )
            for name, one in issuers.items()
        }
        self._sign_in = sign_in
        self._sessions = sessions
        self._address = address
        self._pages = pages
        self._random_text = random_text
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/console/sign-in/openid", self._begin), web.get(_CALLBACK, self._return)]

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the issuer."""
        after = inside_only(request.query.get("next", ""))
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return elsewhere("/console/sign-in")  # another site must not end a session by beginning a sign-in
        try:
            issuer = self._issuer(request.query.get("issuer", ""))
            asked = self._request(issuer, await self._endpoints(issuer))
            response = elsewhere(asked.url())
            begun = await self._sessions.begin_sign_in(
                {
                    "issuer": issuer.client.issuer, "next": after, "state": asked.state, "nonce": asked.nonce,
                    "verifier": asked.verifier,
                },
                address=limited_address(request),
            )  # fmt: skip
            await self._sessions.take("session", self._address.held(request))
        except WhenceError as exc:
            return self._pages.refused(after, exc)
        self._address.hand(response, begun, self._now())
        return response

    async def _return(self, request: web.Request) -> web.StreamResponse:
        """Begin the session of a person whom the issuer has sent back."""
        after = "/console/"
        try:
            begun = await self._begun(request)
            after = str(begun.content["next"])
            token = await self._token(request, begun)
            caller = await self._sign_in.caller(token, address=limited_address(request))
            return await self._pages.signed_in(request, caller, token, after)
        except WhenceError as exc:
            return self._pages.refused(after, exc)

    async def _begun(self, request: web.Request) -> BrowserSession:
        begun = await self._sessions.take("sign-in", self._address.held(request))
        if begun is None:
            raise InputError(
                "sign-in-unknown", "this browser has begun no sign-in, or more than ten minutes ago",
                fix="begin again, and stay in this browser",
            )  # fmt: skip
        return begun

    async def _token(self, request: web.Request, begun: BrowserSession) -> str:
        """Return the access token for the code of a redirect."""
        issuer = self._issuer(str(begun.content["issuer"]))
        metadata = await self._endpoints(issuer)
        content = begun.content
        asked = AuthorizationRequest(
            client=issuer.client, metadata=metadata, redirect_uri=self._address.origin + _CALLBACK,
            state=str(content["state"]), nonce=str(content["nonce"]), verifier=str(content["verifier"]),
        )  # fmt: skip
        query = list(request.query.items())[:_PARAMETERS_MAX]
        try:
            code = asked.code(query)
        except OtherSignIn as exc:
            raise InputError(
                "sign-in-other", "the redirect belongs to another sign-in (state)", fix="begin again"
            ) from exc
        tokens = await issuer.exchange.tokens(metadata, asked.exchange(code))
        check_id_token(
            tokens, issuer=issuer.client.issuer, client_id=issuer.client.client_id, nonce=asked.nonce,
            now=self._now().timestamp(),
        )  # fmt: skip
        return tokens.access_token

    async def _endpoints(self, issuer: ConsoleIssuer) -> ProviderMetadata:
        """Return an issuer's endpoints, at most a minute old. Raises RoadError."""
        try:
            return await self._metadata[issuer.client.issuer].get(seconds_max=ASKED_SECONDS_MAX)
        except TimeoutError as exc:
            raise RoadError("sign-in-unreachable", f"{issuer.client.issuer} does not answer in time") from exc

    def _issuer(self, name: str) -> ConsoleIssuer:
        issuer = self._issuers.get(name)
        if issuer is None:
            raise InputError(
                "sign-in-issuer", "the console does not sign people in at this issuer", fix="choose one that it lists"
            )
        return issuer

    def _request(self, issuer: ConsoleIssuer, metadata: ProviderMetadata) -> AuthorizationRequest:
        return AuthorizationRequest.new(issuer.client, metadata, self._address.origin + _CALLBACK, self._random_text)
