"""HTTP to an OCI registry: sign-in, bounds, redirects. Credentials go to the registry and to named hosts only."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import msgspec

from whence_agent.adapters.bodies import BodyTooLarge, read_bounded
from whence_agent.ports import Login, RegistryRefused
from whence_common.errors import one_line
from whence_common.image_reference import is_loopback_registry

REQUEST_SECONDS_MAX = 30.0
_TOKEN_BYTES_MAX = 64 * 1024
_REDIRECTS_MAX = 3
_KNOWN_TOKEN_HOSTS = {"registry-1.docker.io": "auth.docker.io", "docker.io": "auth.docker.io"}
_PARAMETER = re.compile(r'([a-z]+)="([^"]{0,1000})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    content: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Access:
    """How one repository is asked: nothing until the registry asks for more, then Basic or a token for it."""

    registry: str
    path: str
    login: Login | None
    authorization: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def accepted(self) -> Login | None:
        """Give what the engine must show to be served as we were."""
        if self.token:
            return Login(registry_token=self.token)
        return self.login if self.authorization else None


class RegistryHttp:
    """GETs below `/v2/<path>/`. HTTPS, but for loopback and the registries that the platform names."""

    def __init__(
        self, *, session: aiohttp.ClientSession, plain_http: frozenset[str], token_hosts: Mapping[str, frozenset[str]]
    ) -> None:
        self._session = session
        self._plain_http = plain_http
        self._token_hosts = token_hosts
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)

    async def get(self, access: Access, path: str, *, accept: str, bytes_max: int) -> Answer:
        """GET once, and once more signed in when the registry asks for it. Raises RegistryRefused."""
        url = f"{self._base(access.registry)}/v2/{access.path}/{path}"
        answer = await self._fetch(url, access, accept, bytes_max)
        if answer.status != 401 or access.authorization:
            return answer
        await self._sign_in(access, answer.headers.get("WWW-Authenticate", ""))
        return await self._fetch(url, access, accept, bytes_max) if access.authorization else answer

    async def _fetch(self, url: str, access: Access, accept: str, bytes_max: int) -> Answer:
        for _ in range(_REDIRECTS_MAX + 1):
            own = urlsplit(url).netloc == access.registry
            headers = {"Accept": accept, "Accept-Encoding": "identity"}
            if own and access.authorization:
                headers["Authorization"] = access.authorization
            answer = await self._once(url, headers, bytes_max, registry=access.registry)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = self._redirected(url, answer.headers.get("Location", ""), access.registry)
        raise RegistryRefused("registry-redirects", f"{access.registry} redirects without end", retryable=False)

    def _redirected(self, url: str, location: str, registry: str) -> str:
        """Follow over TLS, or where the registry itself is plain; never to this machine or its metadata."""
        target = urljoin(url, location)
        parts = urlsplit(target)
        host = parts.hostname or ""
        plain = registry in self._plain_http or is_loopback_registry(registry)
        inside = _is_internal(host) and not is_loopback_registry(registry)
        if parts.scheme not in (("http", "https") if plain else ("https",)) or not host or inside or parts.username:
            where = one_line(f"{parts.scheme}://{host}", 80)
            raise RegistryRefused(
                "registry-redirect", f"{registry} redirects to {where}, which is refused", retryable=False
            )
        return target

    async def _sign_in(self, access: Access, challenge: str) -> None:
        scheme, _, rest = challenge.partition(" ")
        login = access.login
        if login is not None and login.registry_token:
            access.token = login.registry_token
            access.authorization = f"Bearer {access.token}"
        elif scheme.lower() == "basic" and login is not None and login.username:
            access.authorization = _basic(login)
        elif scheme.lower() == "bearer":
            access.token = await self._token(access, dict(_PARAMETER.findall(rest)))
            access.authorization = f"Bearer {access.token}"

    async def _token(self, access: Access, parameters: Mapping[str, str]) -> str:
        """Exchange the login for a token at the realm; a host nobody named is shown nothing."""
        realm = parameters.get("realm", "")
        parts = urlsplit(realm)
        plain = access.registry in self._plain_http or is_loopback_registry(access.registry)
        if parts.scheme not in (("http", "https") if plain else ("https",)) or not parts.hostname or parts.username:
            raise RegistryRefused(
                "registry-realm", f"{access.registry} names no usable token endpoint", retryable=False
            )
        known = {access.registry, _KNOWN_TOKEN_HOSTS.get(access.registry, access.registry)}
        if parts.netloc not in known | self._token_hosts.get(access.registry, frozenset()):
            raise RegistryRefused(
                "registry-realm-foreign",
                f"{access.registry} wants its credentials shown to {one_line(parts.netloc, 80)}",
                retryable=False,
                fix=f"if that is right, add it to token_hosts of {access.registry} in the platform's settings",
            )
        answer = await self._exchange(access, realm, parameters.get("service", ""))
        document = _object(answer.content)
        token = document.get("token") or document.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
            raise RegistryRefused(
                "registry-unauthorised", f"{access.registry}: no token was given (HTTP {answer.status})",
                retryable=answer.status >= 500 or answer.status == 429,
                fix="check the credentials for this registry, and that they may pull",
            )  # fmt: skip
        return token

    async def _exchange(self, access: Access, realm: str, service: str) -> Answer:
        """Ask for a pull token: by Basic, or by POST with the identity token that docker login left."""
        wanted = {"service": service, "scope": f"repository:{access.path}:pull"}
        asked = {name: value for name, value in wanted.items() if value}
        headers = {"Accept": "application/json"}
        login = access.login
        if login is not None and login.identity_token:
            form = {
                **asked,
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "whence",
            }
            return await self._once(realm, headers, _TOKEN_BYTES_MAX, registry=access.registry, form=form)
        if login is not None and login.username:
            headers["Authorization"] = _basic(login)
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked, quote_via=quote)}"
        return await self._once(url, headers, _TOKEN_BYTES_MAX, registry=access.registry)

    async def _once(
        self,
        url: str,
        headers: Mapping[str, str],
        bytes_max: int,
        *,
        registry: str,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        method = "GET" if form is None else "POST"
        try:
            async with self._session.request(
                method, url, headers=headers, data=form, timeout=self._timeout, allow_redirects=False
            ) as answer:
                content = await read_bounded(answer, bytes_max)
                return Answer(
                    status=answer.status, content=content, content_type=answer.content_type, headers=answer.headers
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            message = f"the registry {registry} does not answer ({type(exc).__name__})"
            raise RegistryRefused("registry-unreachable", message) from exc
        except BodyTooLarge as exc:
            message = f"the registry {registry} sends {exc}"
            raise RegistryRefused("registry-answer-too-large", message, retryable=False) from exc

    def _base(self, registry: str) -> str:
        plain = registry in self._plain_http or is_loopback_registry(registry)
        return f"{'http' if plain else 'https'}://{registry}"


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")


def _is_internal(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local


def _object(content: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
