"""HTTP to one registry: signs in as the registry demands, renews the token, follows redirects within bounds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.logins import Logins
from whence_aggregator.ports import SourceUnavailable
from whence_common.registry_address import Lookup, RedirectRefused, RegistryPlace, same_origin
from whence_common.registry_redirects import Pinned, as_named, checked, is_own, next_hop
from whence_common.registry_sign_in import (
    TOKEN_BYTES_MAX,
    Login,
    SignInChallenge,
    SignInRefused,
    TokenRequest,
    granted,
    parse_challenges,
    shown,
    sign_in,
)

FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_SECONDS_MAX = 30.0
_TOKENS_MAX = 1_000
Scopes = tuple[str, ...]
Body = bytes | AsyncIterator[bytes] | None


class RegistrySession:
    """One registry. `seconds` is a monotonic clock. Raises SourceUnavailable, or one of FAILURES."""

    def __init__(
        self, *, session: aiohttp.ClientSession, place: RegistryPlace, logins: Logins, seconds: Callable[[], float],
        lookup: Lookup,
    ) -> None:  # fmt: skip
        self.place = place
        self._session = session
        self._logins = logins
        self._seconds = seconds
        self._lookup = lookup
        self._challenges: list[SignInChallenge] | None = None
        """How the registry demands a sign-in; None until it has."""
        self._answered = False
        self._tokens: OrderedDict[Scopes, tuple[str, float]] = OrderedDict()
        self._signing = asyncio.Lock()
        self._timeout = aiohttp.ClientTimeout(total=_SECONDS_MAX)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        url: str,
        *,
        scopes: Scopes,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str] | None = None,
        data: Body = None,
        follow: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Return the answer to a request, sent again with a sign-in if the registry demands one. Raises as the class.

        A streamed body cannot be sent twice, so its sign-in is determined beforehand.
        """
        streams = data is not None and not isinstance(data, bytes)
        if streams and not self._answered:
            await self._learn()
        authorization = await self._authorization(scopes) if self._challenges is not None else ""
        async with AsyncExitStack() as stack:
            answer = await self._send(stack, method, url, authorization, headers, data, timeout)
            self._answered = True
            if answer.status == 401 and streams:
                self._tokens.pop(scopes, None)
            elif answer.status == 401:
                self._challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
                renewed = await self._authorization(scopes, refused=authorization)
                if renewed:
                    answer.release()
                    authorization = renewed
                    answer = await self._send(stack, method, url, authorization, headers, data, timeout)
                    if answer.status == 401:
                        await self._refused(scopes, authorization)
            if follow:
                answer = await self._followed(stack, answer, method, url, authorization, headers, timeout)
            yield answer

    async def _send(
        self, stack: AsyncExitStack, method: str, url: str, authorization: str, headers: Mapping[str, str] | None,
        data: Body, timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        named = {**(headers or {}), **shown(self.place, url, authorization)}
        return await stack.enter_async_context(
            self._session.request(
                method, URL(url, encoded=True), headers=named, data=data, timeout=timeout, allow_redirects=False
            )
        )

    async def _send_checked(
        self, stack: AsyncExitStack, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        """Send to a URL that the registry named, if its address is allowed."""
        try:
            *others, last = await self._targets(url)
        except RedirectRefused as exc:
            raise SourceUnavailable(exc.code, exc.message, fix=exc.fix) from exc

        async def asked(to: Pinned) -> aiohttp.ClientResponse:
            return await stack.enter_async_context(
                self._session.request(
                    method, URL(to.url, encoded=True), headers={**headers, "Host": to.host}, data=form,
                    timeout=timeout, allow_redirects=False, server_hostname=to.server_hostname,
                )
            )  # fmt: skip

        for to in others:
            with suppress(aiohttp.ClientConnectorError):
                return await asked(to)
        return await asked(last)

    async def _followed(
        self, stack: AsyncExitStack, answer: aiohttp.ClientResponse, method: str, url: str, authorization: str,
        headers: Mapping[str, str] | None, timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        assert method in ("GET", "HEAD"), "only reads are redirected"
        followed = 0
        while True:
            try:
                location = answer.headers.get("Location", "")
                url = next_hop(self.place, url, answer.status, location, followed=followed)
            except RedirectRefused as exc:
                raise SourceUnavailable(exc.code, exc.message, fix=exc.fix) from exc
            if not url:
                return answer
            answer.release()
            followed += 1
            if same_origin(self.place, url):
                answer = await self._send(stack, method, url, authorization, headers, None, timeout)
            else:
                answer = await self._send_checked(stack, method, url, headers or {}, None, timeout)

    async def _learn(self) -> None:
        """Find out how to sign in, by the request that any client of a registry may send."""
        async with self._session.get(
            f"{self.place.origin}/v2/", timeout=self._timeout, allow_redirects=False
        ) as answer:
            if answer.status == 401:
                self._challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))

    async def _authorization(self, scopes: Scopes, *, refused: str = "") -> str:
        """Return the header for these rights, empty for none. `refused` is the header that the registry refused."""
        held = self._held(scopes, refused)
        if held:
            return held
        async with self._signing:  # one sign-in at a time: many with a wrong password would lock the account
            held = self._held(scopes, refused)
            if held:
                return held
            path = scopes[0].split(":")[1] if scopes else ""
            login = await self._logins.login(path)
            try:
                wanted = sign_in(self._challenges or [], login, scopes, self.place)
                if isinstance(wanted, str):
                    if wanted == refused and wanted.startswith("Basic "):
                        raise self._logins.refused(login)
                    return wanted
                header, seconds = await self._token(wanted, login, scopes)
            except SignInRefused as exc:
                raise SourceUnavailable(exc.code, exc.message, fix=exc.fix) from exc
            self._tokens[scopes] = header, self._seconds() + seconds
            if len(self._tokens) > _TOKENS_MAX:
                self._tokens.popitem(last=False)
            return header

    def _held(self, scopes: Scopes, refused: str) -> str:
        header, ends = self._tokens.get(scopes, ("", 0.0))
        return header if header != refused and ends > self._seconds() else ""

    async def _token(self, wanted: TokenRequest, login: Login | None, scopes: Scopes) -> tuple[str, float]:
        async with AsyncExitStack() as stack:
            answer = await self._send_checked(
                stack, wanted.method, wanted.url, wanted.headers, wanted.form, self._timeout
            )
            content = await read_answer(answer, TOKEN_BYTES_MAX)
        token = granted(answer.status, content)
        if token is not None:
            return token.header, token.seconds
        if answer.status == 401 or (answer.status == 400 and wanted.form is not None):  # RFC 6749, 5.2: invalid_grant
            raise self._logins.refused(login)
        raise SourceUnavailable(
            "registry-no-token",
            f"{self.place.registry} returned no token for {', '.join(scopes)} (HTTP {answer.status})",
            fix=f"allow the login for {self.place.registry} to do that",
        )

    async def _refused(self, scopes: Scopes, authorization: str) -> None:
        """Raise the error for a fresh sign-in that is refused: a wrong password, or missing rights."""
        held = self._tokens.pop(scopes, None)
        if held is None and authorization.startswith("Basic "):
            raise self._logins.refused(await self._logins.login(""))
        raise SourceUnavailable(
            "registry-denied",
            f"{self.place.registry} does not accept its own token for {', '.join(scopes)}",
            fix=f"check that the repository exists, and that the login for {self.place.registry} may read it",
        )

    async def _targets(self, url: str) -> list[Pinned]:
        """Return the pinned addresses of a URL that the registry named. Raises RedirectRefused or OSError."""
        if is_own(self.place, url):
            return [as_named(url)]
        own = await self._lookup(urlsplit(self.place.origin).hostname or "")
        return checked(self.place, url, await self._lookup(urlsplit(url).hostname or ""), own)
