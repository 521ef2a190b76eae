"""One request to a registry, or to a host that it redirects to: bounds, proxies, and checked addresses."""

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
from whence_agent.adapters.registry_refusals import unreachable
from whence_agent.ports import RegistryRefused
from whence_common.clock import Now
from whence_common.errors import one_line
from whence_common.image_reference import registry_name
from whence_common.registry_address import Lookup, RegistryPlace, check_by_proxy
from whence_common.registry_answers import ERROR_BYTES_MAX
from whence_common.registry_redirects import Pinned, as_named, checked, is_own

REQUEST_SECONDS_MAX = 20.0
CONNECT_SECONDS_MAX = 8.0
"""Including the resolution of the name."""
SILENCE_SECONDS_MAX = 10.0
"""The longest time without data while waiting for a response or reading one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReply:
    """A response with its body, which was read within its bound."""

    status: int
    content: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    challenges: tuple[str, ...] = ()
    url: str = ""


class RegistryConnection:
    """Sends requests. `places` are the registries with settings of the platform, by canonical name.

    `proxy_for` returns the proxy that `session` uses for a URL, or an empty text; `direct` never uses a proxy.
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

    def _place(self, registry: str) -> RegistryPlace:
        return self._places.get(registry_name(registry)) or RegistryPlace(registry=registry)

    async def _targets(self, place: RegistryPlace, url: str) -> list[Pinned]:
        """Return the requests for a URL that came from the registry, at checked addresses only.

        A proxy resolves names itself, so only name and port are checked here. IP addresses in URLs were checked when
        the redirect was parsed, and TLS authenticates the host. Raises RedirectRefused or RegistryRefused.
        """
        if is_own(place, url):
            return [as_named(url)]
        if self._proxy_for(url):
            check_by_proxy(place, url)
            return [as_named(url)]
        try:
            found = await self._lookup(urlsplit(url).hostname or "")
            return checked(place, url, found, await self._lookup(urlsplit(place.origin).hostname or ""))
        except OSError as exc:
            host = one_line(urlsplit(url).hostname or "", 80)
            message = f"the registry {place.registry} redirects to {host}, whose name does not resolve"
            fix = "check the DNS of this network"
            raise RegistryRefused("registry-unreachable", message, fix=fix) from exc

    async def _send(
        self,
        url: str,
        targets: list[Pinned],
        headers: Mapping[str, str],
        bytes_max: int,
        *,
        registry: str,
        form: Mapping[str, str] | None = None,
    ) -> RegistryReply:
        """Send one request to the first of `targets` that can be connected to. Raises RegistryRefused."""
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
            message = f"the response of the registry {registry} has {exc}"
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
                content = await read_first(answer, ERROR_BYTES_MAX)
            else:
                content = await read_bounded(answer, bytes_max)
            return RegistryReply(
                status=answer.status, content=content, content_type=answer.content_type, headers=answer.headers,
                challenges=tuple(answer.headers.getall("WWW-Authenticate", [])), url=url,
            )  # fmt: skip


async def system_lookup(host: str) -> list[str]:
    """Return a host's addresses by the system's resolver. Raises OSError."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(type(exc).__name__) from exc
    return [str(one[4][0]) for one in found]
