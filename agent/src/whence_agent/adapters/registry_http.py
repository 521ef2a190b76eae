"""HTTP to an OCI registry: sign-in, bounds, redirects. Credentials go to the registry and to named hosts only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from whence_agent.adapters.bodies import ResponseTooLarge, read_bounded, read_first
from whence_agent.adapters.registry_refusals import UNAUTHORISED, may_pass, refusal, unreachable
from whence_agent.ports import RegistryRefused
from whence_common.backoff import retry_after_seconds
from whence_common.clock import Now
from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReferenceInvalid, registry_name
from whence_common.referrer_pages import next_page
from whence_common.registry_address import (
    REDIRECTS,
    REDIRECTS_MAX,
    Lookup,
    Pinned,
    RedirectRefused,
    RegistryPlace,
    check_addresses,
    check_by_proxy,
    is_named,
    is_page,
    pinned,
    redirected,
    same_origin,
)
from whence_common.registry_sign_in import (
    TOKEN_BYTES_MAX,
    Login,
    SignInRefused,
    check_realm,
    choose,
    parse_challenges,
    parse_token,
    scope_of,
    token_request,
)
from whence_common.registry_urls import url_of

REQUEST_SECONDS_MAX = 20.0
TRY_SECONDS_MAX = 25.0
"""For one piece, with its sign-in and redirects: well below the deadline of the image stage, which tries again."""
CONNECT_SECONDS_MAX = 8.0
"""With the look-up of the name."""
SILENCE_SECONDS_MAX = 10.0
"""So long nothing may come of an answer that has begun, or is awaited."""
_ERROR_BYTES_MAX = 64 * 1024
_ADDRESSES_TRIED_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReply:
    status: int
    content: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    challenges: tuple[str, ...] = ()
    url: str = ""


@dataclass(slots=True, kw_only=True)
class RepositorySignIn:
    """How one repository is asked: nothing until the registry asks for more, then Basic or a token for it."""

    registry: str
    path: str
    login: Login | None
    authorization: str = field(default="", repr=False)

    def accepted(self) -> Login | None:
        """Return what the engine needs to be served as we were, for as long as its pull takes.

        That is the login, and never a token that was given for it: tokens hold for minutes, and from the login the
        engine gets itself another one. A login is accepted only after `check_realm` has allowed the place that it was
        shown to, so the registry wants it shown to its own host or to one of `token_hosts`. Without a login, where
        tokens are given to everybody, the engine needs nothing. A login that is a token stays what it is; but an
        identity token fails in the engine where Basic is offered too, so there the token that was given for it is used.
        Whence's front offers engines no Basic; a login of its has `seconds`.
        """
        return self.login if self.authorization else None


class RegistryHttp:
    """GETs below `/v2/<path>/`. `places`, by canonical name, are the registries that the platform says more of.

    `proxy_for` returns the proxy that `session` sends a URL by, empty for none; `direct` never sends by one.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        places: Mapping[str, RegistryPlace],
        lookup: Lookup,
        now: Now,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
        direct: aiohttp.ClientSession | None = None,
        proxy_for: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._session = session
        self._direct = direct or session
        self._proxy_for = proxy_for
        self._lookup = lookup
        self._now = now
        self._places = places
        self._timeout = aiohttp.ClientTimeout(
            total=REQUEST_SECONDS_MAX, connect=CONNECT_SECONDS_MAX, sock_read=silence_seconds_max
        )

    async def get(
        self, access: RepositorySignIn, path: str, *, accept: str, bytes_max: int, follow: bool = True
    ) -> RegistryReply:
        """GET once, and once more signed in when the registry asks for it. Raises RegistryRefused.

        `path` is one below the repository, or what `next_page` gave.
        """
        place = self._place(access)
        url = path if path.startswith(f"{place.origin}/") else _url(place, access.path, path)
        try:
            async with asyncio.timeout(TRY_SECONDS_MAX):
                answer = await self._fetch(place, url, access, accept, bytes_max, follow)
                if answer.status != 401 or access.authorization:
                    return answer
                await self._sign_in(place, access, answer)
                return (
                    await self._fetch(place, url, access, accept, bytes_max, follow) if access.authorization else answer
                )
        except TimeoutError as exc:
            raise unreachable(access.registry, exc, self._now()) from exc
        except (SignInRefused, RedirectRefused) as exc:
            raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=exc.retryable) from exc

    def check(self, access: RepositorySignIn, answer: RegistryReply, name: str) -> None:
        """Check that an answer is what was asked for, by its status. Raises RegistryRefused."""
        if answer.status != 200:
            raise refusal(
                answer.status, answer.content, answer.headers, registry=access.registry,
                what=f"{access.path}{'@' if is_sha256_digest(name) else ':'}{name}",
                shown=access.login is not None and bool(access.authorization), now=self._now(),
            )  # fmt: skip

    def next_page(self, access: RepositorySignIn, answer: RegistryReply) -> str:
        """Give what to get after a page of a list; empty after the last. Raises RegistryRefused."""
        try:
            return next_page(self._place(access), answer.url, answer.headers.get("Link", ""))
        except RedirectRefused as exc:
            raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=False) from exc

    async def _fetch(
        self, place: RegistryPlace, url: str, access: RepositorySignIn, accept: str, bytes_max: int, follow: bool
    ) -> RegistryReply:
        for _ in range(REDIRECTS_MAX + 1):
            headers = {"Accept": accept, "Accept-Encoding": "identity"}
            if access.authorization and same_origin(place, url):
                headers["Authorization"] = access.authorization
            targets = [_as_named(url)] if same_origin(place, url) else await self._checked(place, url)
            answer = await self._once(url, targets, headers, bytes_max, registry=access.registry)
            if answer.status not in REDIRECTS or not follow:
                return answer
            url = redirected(place, url, answer.headers.get("Location", ""))
        raise RegistryRefused("registry-redirects", f"{access.registry} redirects without end", retryable=False)

    async def _sign_in(self, place: RegistryPlace, access: RepositorySignIn, asked: RegistryReply) -> None:
        login = access.login
        if login is not None and login.registry_token:
            access.authorization = f"Bearer {login.registry_token}"
            return
        challenges = parse_challenges(asked.challenges)
        challenge = choose(challenges, login, place)
        if challenge is None:
            return
        if challenge.scheme == "basic":
            assert login is not None, "Basic is chosen with a login only"
            for one in challenges:  # the engine answers every challenge: where it would show the login is checked too
                if one.scheme == "bearer":
                    check_realm(one.realm, place, shown=True)
            access.authorization = login.basic()
            return
        wanted = token_request(challenge, login, (scope_of(place.path(access.path)),), place)
        targets = await self._checked(place, wanted.url)
        headers = {"Accept": "application/json"}
        if wanted.authorization:
            headers["Authorization"] = wanted.authorization
        answer = await self._once(
            wanted.url, targets, headers, TOKEN_BYTES_MAX, registry=access.registry, form=wanted.form
        )
        token = parse_token(answer.content) if answer.status == 200 else None
        if token is None:
            host = urlsplit(wanted.url).netloc
            raise RegistryRefused(
                UNAUTHORISED, f"{access.registry}: no token was given by {one_line(host, 80)} (HTTP {answer.status})",
                retryable=may_pass(answer.status, answer.content) or _is_between(answer),
                retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", ""), now=self._now()),
                fix="check the credentials for this registry, and that they may pull",
            )  # fmt: skip
        access.authorization = f"Bearer {token.value}"
        both = any(one.scheme == "basic" for one in challenges)
        if login is not None and login.identity_token and login.seconds is None and both:
            access.login = Login(registry_token=token.value, seconds=token.seconds)

    async def _checked(self, place: RegistryPlace, url: str) -> list[Pinned]:
        """Return how to ask a URL that came from the registry: at the addresses that were checked, and no others.

        A proxy looks names up itself, and connects from where it stands: what is left to check here is the name and the
        port. Addresses written out were checked when the redirect was read, and TLS proves the name at the other end.
        Raises RedirectRefused or RegistryRefused.
        """
        parts = urlsplit(url)
        if is_named(parts.netloc, place.own_hosts | place.blob_hosts):
            return [_as_named(url)]
        if self._proxy_for(url):
            check_by_proxy(place, url)
            return [_as_named(url)]
        try:
            found = await self._lookup(parts.hostname or "")
            check_addresses(place, url, found, await self._lookup(urlsplit(place.origin).hostname or ""))
        except OSError as exc:
            host = one_line(parts.hostname or "", 80)
            message = f"the registry {place.registry} sends us to {host}, whose name does not resolve"
            fix = "see the DNS of this network"
            raise RegistryRefused("registry-unreachable", message, fix=fix) from exc
        return [pinned(url, one) for one in dict.fromkeys(found)][:_ADDRESSES_TRIED_MAX]

    async def _once(
        self,
        url: str,
        targets: list[Pinned],
        headers: Mapping[str, str],
        bytes_max: int,
        *,
        registry: str,
        form: Mapping[str, str] | None = None,
    ) -> RegistryReply:
        try:
            for to in targets[:-1]:
                with suppress(aiohttp.ClientConnectorError):
                    return await self._asked(url, to, headers, bytes_max, form)
            return await self._asked(url, targets[-1], headers, bytes_max, form)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            host = urlsplit(url).hostname or ""
            whom = registry if registry.startswith(host) else f"{registry} (at {one_line(host, 80)})"
            raise unreachable(whom, exc, self._now()) from exc
        except ResponseTooLarge as exc:
            message = f"the registry {registry} sends {exc}"
            raise RegistryRefused("registry-answer-too-large", message, retryable=False) from exc

    async def _asked(
        self, url: str, to: Pinned, headers: Mapping[str, str], bytes_max: int, form: Mapping[str, str] | None
    ) -> RegistryReply:
        method = "GET" if form is None else "POST"
        session = self._session if to.url == url else self._direct
        async with session.request(
            method, URL(to.url, encoded=True), headers={**headers, "Host": to.host}, data=form, timeout=self._timeout,
            allow_redirects=False, server_hostname=to.server_hostname,
        ) as answer:  # fmt: skip
            if answer.status >= 400:
                content = await read_first(answer, _ERROR_BYTES_MAX)
            else:
                content = await read_bounded(answer, bytes_max)
            return RegistryReply(
                status=answer.status, content=content, content_type=answer.content_type, headers=answer.headers,
                challenges=tuple(answer.headers.getall("WWW-Authenticate", [])), url=url,
            )  # fmt: skip

    def _place(self, access: RepositorySignIn) -> RegistryPlace:
        return self._places.get(registry_name(access.registry)) or RegistryPlace(registry=access.registry)


def _url(place: RegistryPlace, repository: str, path: str) -> str:
    """Return the URL of `manifests/…`, `blobs/…` or `referrers/…`, out of names that are checked."""
    part, _, name = path.partition("/")
    try:
        return url_of(place, repository, part, name)
    except ImageReferenceInvalid as exc:
        raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=False) from exc


def _is_between(answer: RegistryReply) -> bool:
    """Return whether a page came in place of a token server's answer: something that is before it answered."""
    return is_page(answer.content_type) and answer.status in (200, 403, 404)


def _as_named(url: str) -> Pinned:
    return Pinned(url=url, host=urlsplit(url).netloc, server_hostname=None)


async def system_lookup(host: str) -> list[str]:
    """Look a host up as the system does. Raises OSError."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(type(exc).__name__) from exc
    return [str(one[4][0]) for one in found]
