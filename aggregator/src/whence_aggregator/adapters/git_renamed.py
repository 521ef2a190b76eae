"""Repositories that were renamed: where the server redirects to, asked without following it."""

from __future__ import annotations

import base64
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from whence_aggregator.adapters.git_places import GitPlace
from whence_common.registry_sign_in import Login
from whence_common.scm_source import SourceRepository, repository_of

_REFS = "/info/refs"
_SECONDS_MAX = 20.0
_REDIRECTS = frozenset({301, 302, 307, 308})


class Renames(Protocol):
    async def moved(self, place: GitPlace, repository: SourceRepository) -> SourceRepository | None:
        """Return the new name of a renamed repository on the same host; None when there is none."""


class NoRenames:
    """Follows no redirect."""

    async def moved(self, _place: GitPlace, _repository: SourceRepository) -> SourceRepository | None:
        return None


class HttpRenames:
    """Reads the redirect of a renamed repository. The login is shown to the repository's own host only."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def moved(self, place: GitPlace, repository: SourceRepository) -> SourceRepository | None:
        login = await place.logins.login(repository.path)
        headers = {"Authorization": _basic(login)} if login is not None and login.username else {}
        url = f"{place.url(repository)}{_REFS}?service=git-upload-pack"
        bound = aiohttp.ClientTimeout(total=_SECONDS_MAX)
        try:
            async with self._session.get(url, allow_redirects=False, headers=headers, timeout=bound) as answer:
                if answer.status not in _REDIRECTS:
                    return None
                return _same_host(url, answer.headers.get("Location", ""), repository)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")


def _same_host(url: str, location: str, repository: SourceRepository) -> SourceRepository | None:
    """Return the repository of a redirect: same scheme, host and port, and another path than before."""
    here, there = urlsplit(url), urlsplit(urljoin(url, location))
    if (here.scheme, here.netloc) != (there.scheme, there.netloc) or not there.path.endswith(_REFS):
        return None
    found = repository_of(f"{there.scheme}://{there.netloc}{there.path.removesuffix(_REFS)}")
    return found if found is not None and found.host == repository.host and found != repository else None
