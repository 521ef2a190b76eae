"""Reads from an OCI registry, with authentication and redirects. Credentials are sent to the registry and to named
hosts only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from whence_agent.adapters.registry_connection import RegistryConnection, RegistryReply
from whence_agent.adapters.registry_refusals import AT_FAULT, UNAUTHORISED, refusal, unreachable
from whence_agent.ports import RegistryRefused
from whence_common.backoff import retry_after_seconds
from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReferenceInvalid
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX
from whence_common.referrer_pages import ListEndless, Page, whole_list
from whence_common.registry_address import RedirectRefused, RegistryPlace
from whence_common.registry_answers import is_page, may_pass, referrers_closed
from whence_common.registry_redirects import next_hop
from whence_common.registry_requests import read_headers, url_of
from whence_common.registry_sign_in import (
    TOKEN_BYTES_MAX,
    Login,
    SignInRefused,
    check_realm,
    granted,
    parse_challenges,
    scope_of,
    shown,
    sign_in,
)

TRY_SECONDS_MAX = 25.0
"""For one read with authentication and redirects; well below the deadline of the image stage, which retries."""


@dataclass(slots=True, kw_only=True)
class RepositorySignIn:
    """Authentication for one repository: none until the registry requires it, then Basic or a token."""

    registry: str
    path: str
    login: Login | None
    authorization: str = field(default="", repr=False)

    def accepted(self) -> Login | None:
        """Return the login that the registry accepted, for the engine's pull; None if none was needed.

        The engine receives the login instead of a token, which is valid for minutes only; from the login, the engine
        requests tokens itself. `check_realm` has allowed every host that the login was sent to. Exception: an identity
        token fails in the engine if the registry offers Basic too; then the token that was issued for it is used.
        Whence's front does not offer Basic to engines; its logins have `seconds`.
        """
        return self.login if self.authorization else None


class RegistryReads(RegistryConnection):
    """GETs below `/v2/<path>/`."""

    async def get(self, access: RepositorySignIn, path: str, *, accept: str, bytes_max: int) -> RegistryReply:
        """GET once; if the registry requires authentication, GET again with it. Raises RegistryRefused.

        `path` is `manifests/…` or `blobs/…`; redirects are followed.
        """
        place = self._place(access.registry)
        return await self._get(place, access, _url(place, access.path, path), accept, bytes_max, follow=True)

    async def referrers(self, access: RepositorySignIn, digest: str) -> bytes | None:
        """Return the whole list of a digest's referrers; None if there is no such list. Raises RegistryRefused."""
        place = self._place(access.registry)

        async def read(url: str, first: bool) -> Page | None:
            answer = await self._get(place, access, url, ACCEPT, MANIFEST_BYTES_MAX, follow=False)
            if first and referrers_closed(answer.status, answer.content):
                return None
            self.check(access, answer, digest)
            return answer.content, answer.headers.get("Link", "")

        try:
            return await whole_list(place, _url(place, access.path, f"referrers/{digest}"), read)
        except RedirectRefused as exc:
            raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=False) from exc
        except ListEndless as exc:
            message = f"{access.registry}/{access.path}: the list of referrers of {digest} has {exc}"
            raise RegistryRefused("registry-referrers", message, retryable=False, fix=AT_FAULT) from exc

    def check(self, access: RepositorySignIn, answer: RegistryReply, name: str) -> None:
        """Check that a response has the status 200. Raises RegistryRefused."""
        if answer.status != 200:
            raise refusal(
                answer.status, answer.content, answer.headers, registry=access.registry,
                what=f"{access.path}{'@' if is_sha256_digest(name) else ':'}{name}",
                shown=access.login is not None and bool(access.authorization), now=self._now(),
            )  # fmt: skip

    async def _get(
        self, place: RegistryPlace, access: RepositorySignIn, url: str, accept: str, bytes_max: int, *, follow: bool
    ) -> RegistryReply:  # fmt: skip
        try:
            async with asyncio.timeout(TRY_SECONDS_MAX):
                answer = await self._fetch(place, access, url, accept, bytes_max, follow)
                if answer.status != 401 or access.authorization:
                    return answer
                if await self._sign_in(place, access, answer):
                    answer = await self._fetch(place, access, url, accept, bytes_max, follow)
                return answer
        except TimeoutError as exc:
            raise unreachable(access.registry, exc, self._now()) from exc
        except (SignInRefused, RedirectRefused) as exc:
            raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=exc.retryable) from exc

    async def _fetch(
        self, place: RegistryPlace, access: RepositorySignIn, url: str, accept: str, bytes_max: int, follow: bool
    ) -> RegistryReply:
        followed = 0
        while True:
            headers = {**read_headers(accept), **shown(place, url, access.authorization)}
            answer = await self._send(
                url, await self._targets(place, url), headers, bytes_max, registry=access.registry
            )
            location = answer.headers.get("Location", "")
            following = next_hop(place, url, answer.status, location, followed=followed) if follow else ""
            if not following:
                return answer
            url, followed = following, followed + 1

    async def _sign_in(self, place: RegistryPlace, access: RepositorySignIn, asked: RegistryReply) -> bool:
        """Answer the registry's challenge; return whether requests can now be authenticated. Raises RegistryRefused."""
        login, challenges = access.login, parse_challenges(asked.challenges)
        wanted = sign_in(challenges, login, (scope_of(place.path(access.path)),), place)
        if isinstance(wanted, str):
            if wanted.startswith("Basic "):
                for one in challenges:  # the engine answers every challenge, so every realm must be allowed
                    if one.scheme == "bearer":
                        check_realm(one.realm, place, shown=True)
            access.authorization = wanted
            return wanted != ""
        answer = await self._send(
            wanted.url, await self._targets(place, wanted.url), wanted.headers, TOKEN_BYTES_MAX,
            registry=access.registry, form=wanted.form,
        )  # fmt: skip
        token = granted(answer.status, answer.content)
        if token is None:
            host = urlsplit(wanted.url).netloc
            raise RegistryRefused(
                UNAUTHORISED, f"{access.registry}: {one_line(host, 80)} returned no token (HTTP {answer.status})",
                retryable=may_pass(answer.status, answer.content) or _is_between(answer),
                retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", ""), now=self._now()),
                fix="check the credentials for this registry, and that they may pull",
            )  # fmt: skip
        access.authorization = token.header
        both = any(one.scheme == "basic" for one in challenges)
        if login is not None and login.identity_token and login.seconds is None and both:
            access.login = Login(registry_token=token.value, seconds=token.seconds)
        return True


def _url(place: RegistryPlace, repository: str, path: str) -> str:
    """Return the URL of `manifests/…`, `blobs/…` or `referrers/…`. Raises RegistryRefused for a malformed name."""
    part, _, name = path.partition("/")
    try:
        return url_of(place, repository, part, name)
    except ImageReferenceInvalid as exc:
        raise RegistryRefused(exc.code, exc.message, fix=exc.fix, retryable=False) from exc


def _is_between(answer: RegistryReply) -> bool:
    """Return whether a response is an HTML page of something before the token server."""
    return is_page(answer.content_type) and answer.status in (200, 403, 404)
