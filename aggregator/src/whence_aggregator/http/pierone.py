"""Pier One's API: teams, artifacts, tags, scm-source, statistics; and the map of tags that older clients read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from whence_aggregator.http.front_errors import registry_guarded
from whence_aggregator.http.front_manifests import FrontCalls
from whence_aggregator.registry.access import Access
from whence_aggregator.registry.catalog import TAGS_MAX, Catalog
from whence_aggregator.registry.names import Repository, is_repository

_SEGMENT = re.compile(r"[a-z0-9._-]{1,255}\Z")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_Handler = Callable[[web.Request], Awaitable[web.Response]]


class PierOneCalls:
    """Handlers; every known caller may read, a granted token only its own repositories."""

    def __init__(self, *, calls: FrontCalls, access: Access, catalog: Catalog) -> None:
        self._calls = calls
        self._access = access
        self._catalog = catalog

    def routes(self) -> list[web.RouteDef]:
        artifact = "/teams/{team}/artifacts/{artifact:[^{}]+}"
        lists: list[tuple[str, _Handler]] = [
            ("/teams", self._teams),
            ("/teams/{team}/artifacts", self._artifacts),
            ("/tags/{image}", self._by_image),
            ("/stats", self._statistics),
            ("/stats/teams", self._all_teams),
            ("/stats/teams/{team}", self._one_team),
        ]
        of_repositories: list[tuple[str, _Handler]] = [
            (f"{artifact}/tags/{{tag}}/scm-source", self._scm_source),
            (f"{artifact}/tags", self._tags),
            ("/v1/repositories/{team}/{artifact:[^{}]+}/tags", self._tag_map),
        ]
        paths = [(path, self._of_all(handler)) for path, handler in lists]
        paths += [(path, self._of_repository(handler)) for path, handler in of_repositories]
        return [web.get(path, registry_guarded(handler, self._calls.challenges)) for path, handler in paths]

    def _of_all(self, handler: _Handler) -> _Handler:
        """Wrap a handler whose answer names all repositories."""

        async def handle(request: web.Request) -> web.Response:
            self._access.check_list(await self._calls.caller(request))  # refuses parameters as well: no path takes any
            return await handler(request)

        return handle

    def _of_repository(self, handler: _Handler) -> _Handler:
        """Wrap a handler of one repository. A malformed name is answered like an unknown one."""

        async def handle(request: web.Request) -> web.Response:
            principal, name = await self._calls.caller(request), _repository(request)
            if name and is_repository(name):
                await self._access.check_pull(principal, Repository.parse(name))
            else:
                self._access.check_list(principal)
            return await handler(request)

        return handle

    async def _teams(self, _: web.Request) -> web.Response:
        return _json(await self._catalog.teams())

    async def _artifacts(self, request: web.Request) -> web.Response:
        return _json(await self._catalog.artifacts(request.match_info["team"]))

    async def _tags(self, request: web.Request) -> web.Response:
        found = await self._catalog.tags_of(_repository(request))
        return _cut(_json(found), len(found)) if found else web.Response(status=404)

    async def _scm_source(self, request: web.Request) -> web.Response:
        """Return the image's source, or 404, whose body states whether the tag or the source is missing."""
        tag = request.match_info["tag"]
        known, source = await self._catalog.scm_source(_repository(request), tag if _TAG.match(tag) else "")
        if source is not None:
            return _json(source)
        return _json(None, status=404) if not known else _json({"message": "the image names no source"}, status=404)

    async def _tag_map(self, request: web.Request) -> web.Response:
        found = await self._catalog.tag_map(_repository(request))
        return _cut(_json(found, status=200 if found else 404), len(found))

    async def _by_image(self, request: web.Request) -> web.Response:
        found = await self._catalog.by_image(request.match_info["image"])
        if found is None:
            return _json({"message": "several images have this prefix"}, status=412)
        return _json(found) if found else _json({"message": "no image has this prefix"}, status=404)

    async def _statistics(self, _: web.Request) -> web.Response:
        return _json(await self._catalog.statistics())

    async def _all_teams(self, _: web.Request) -> web.Response:
        return _json(await self._catalog.team_statistics(None))

    async def _one_team(self, request: web.Request) -> web.Response:
        return _json(await self._catalog.team_statistics(request.match_info["team"]))


def _repository(request: web.Request) -> str:
    """Return the repository's name, unchecked: a malformed one is unknown."""
    team, artifact = request.match_info["team"], request.match_info["artifact"]
    parts = (team, *artifact.split("/"))
    return "/".join(parts) if all(_SEGMENT.match(part) for part in parts) else ""


def _cut(response: web.Response, count: int) -> web.Response:
    """Add a Warning header to an incomplete list, whose format cannot state it."""
    if count >= TAGS_MAX:
        response.headers["Warning"] = (
            f'299 - "only the newest {TAGS_MAX} tags are listed; GET /v2/.../tags/list has all"'
        )
    return response


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
