"""The storage API of mint, which its clients use unchanged. Writes need the application's team; so do DELETE and
renewal, which Zalando's mint allows to every caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JSON_HEADERS, JsonResponse, read_body, respond_json
from whence_aggregator.http.mint_bodies import BODY_BYTES_MAX, SentMint, parse_sent
from whence_aggregator.http.mint_rights import MintRights
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.http.slots import STREAMS_AT_ONCE_MAX, Slots
from whence_aggregator.http.streams import json_array, streamed
from whence_aggregator.mint.applications import MintApplications, ShownMint, WrittenMint
from whence_aggregator.mint.ports import KnownApplications
from whence_aggregator.mint.values import CredentialKind
from whence_aggregator.ports import Conflict, NotFound
from whence_common.errors import InputError, one_line
from whence_common.identifiers import is_application_id

_PAGE_ROWS = 500


class BucketNames(Protocol):
    """Which buckets may be written."""

    def of(self, bucket: str, /) -> object:
        """Return the place of a bucket. Raises BucketUnsafe for one that may not be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An application that is not being deleted, and its team."""

    shown: ShownMint
    team: str


class MintCalls:
    """`/apps` as mint-storage answers it, below `path`, which is empty where the API is alone.

    `providers` are the kinds of credentials that each makes, by name. `write_all` are names of callers that may write
    every application.
    """

    def __init__(
        self,
        *,
        applications: MintApplications,
        kio: KnownApplications,
        membership: Membership,
        providers: Mapping[str, frozenset[CredentialKind]],
        default_provider: str,
        username_prefix: str,
        write_all: frozenset[str],
        places: BucketNames,
        path: str,
    ) -> None:
        self._applications = applications
        self._rights = MintRights(kio=kio, membership=membership, write_all=write_all)
        self._providers = providers
        self._default_provider = default_provider
        self._username_prefix = username_prefix
        self._places = places
        self._path = path
        self._streams = Slots("streams", STREAMS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes. Their names stand for their paths in the table of own_teams, wherever the API is."""
        one = f"{self._path}/apps/{{id}}"
        return [
            web.get(f"{self._path}/apps", self._list, name="mint-applications"),
            web.get(one, self._read, name="mint-application"),
            web.put(one, self._write, name="mint-application"),
            web.patch(one, self._status, name="mint-application"),
            web.delete(one, self._delete, name="mint-application"),
            web.post(f"{one}/renewal", self._renew, name="mint-renewal"),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """Return all applications, by id; those with a scope of a resource type, or with a scope of any."""
        query = Query(request, "resource_type_id", "scope_id", "team_id")
        pages = self._pages(
            request[CALLER], query.text("resource_type_id"), query.text("scope_id"), query.text("team_id")
        )
        with self._streams.take(request, request[CALLER].name):
            return await streamed(request, JSON_HEADERS, json_array(pages))

    async def _pages(
        self, caller: Caller, resource_type_id: str | None, scope_id: str | None, team: str | None
    ) -> AsyncIterator[Sequence[object]]:
        after = ""
        while page := await self._applications.page(after=after, limit=_PAGE_ROWS, team=team):
            after = page[-1].application.application_id
            yield [
                _row(one)
                for one in page
                if not one.state.stored.deleted_at
                and _has_scope(one, resource_type_id, scope_id)
                and await self._rights.may_list(caller, one.state)
            ]

    async def _read(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        known = await self._known(_application_id(request))
        await self._rights.check_reads(request[CALLER], known.shown.state)
        return respond_json(_whole(known.shown))

    async def _write(self, request: web.Request) -> web.Response:
        """Create or replace an application; without buckets it is deleted."""
        no_parameters(request)
        application_id = _application_id(request)
        if request.content_type != "application/json":
            raise web.HTTPNotAcceptable(reason="the body must be application/json")
        content = await read_body(request, BODY_BYTES_MAX)
        standing = await self._rights.standing(application_id)
        if standing is None:
            message = f"the application {application_id} does not exist in Kio"
            raise InputError("mint-application-not-in-kio", message, fix="register it in Kio first: PUT /apps/{id}")
        await self._rights.check_writes(request[CALLER], standing.team_id)
        sent = parse_sent(content, application_id)
        if not sent.buckets:
            with suppress(NotFound):  # then it is as it should be
                await self._applications.delete(application_id, by=request[CALLER].name)
            return web.Response()
        username = f"{self._username_prefix}{application_id}"
        written = await self._written(application_id, sent)
        await self._applications.write(
            application_id, written, team_id=standing.team_id, username=username, by=request[CALLER].name
        )
        return web.Response()

    async def _written(self, application_id: str, sent: SentMint) -> WrittenMint:
        """Return what is to be stored. What a client of mint does not know stays as it is. Raises InputError."""
        for bucket in sent.buckets:
            self._places.of(bucket)
        before = await self._applications.find(application_id)
        known = before.application if before is not None and not before.state.stored.deleted_at else None
        provider = sent.provider or (known.provider if known is not None else self._default_provider)
        makes = self._providers.get(provider)
        if makes is None:
            message, fix = (
                f"there is no provider {one_line(provider, 60)}",
                f"write one of: {', '.join(self._providers)}",
            )
            raise InputError("mint-provider-unknown", message, fix=fix)
        every: tuple[CredentialKind, ...] = ("user", "client")
        credentials = sent.credentials or (known.credentials if known is not None else None)
        credentials = credentials or tuple(one for one in every if one in makes)
        lacking = [one for one in credentials if one not in makes]
        if lacking:
            message = f"the provider {provider} makes no credentials {' and '.join(lacking)}"
            raise InputError("mint-credentials-unknown", message, fix="leave them out of `credentials`")
        return WrittenMint(
            is_confidential=sent.is_confidential, provider=provider, credentials=credentials,
            redirect_url=sent.redirect_url, buckets=sent.buckets, clusters=sent.clusters, scopes=sent.scopes,
        )  # fmt: skip

    async def _status(self, request: web.Request) -> web.Response:
        """Refuse a status: the worker of Zalando's mint would write it, and must not run beside this one."""
        no_parameters(request)
        _application_id(request)
        raise Conflict(
            "mint-status-own", "this mint rotates credentials itself, so nobody else states their status",
            fix="stop the mint worker that sends it; GET /v1/credentials/{id} shows the status",
        )  # fmt: skip

    async def _delete(self, request: web.Request) -> web.Response:
        no_parameters(request)
        application_id = await self._checked(request)
        await self._applications.delete(application_id, by=request[CALLER].name)
        return web.Response()

    async def _renew(self, request: web.Request) -> web.Response:
        no_parameters(request)
        application_id = await self._checked(request)
        await self._applications.renew(application_id, by=request[CALLER].name)
        return web.Response()

    async def _checked(self, request: web.Request) -> str:
        """Return the id of an application that the caller may write. Raises NotFound, Forbidden."""
        application_id = _application_id(request)
        known = await self._known(application_id)
        await self._rights.check_writes(request[CALLER], known.team)
        return application_id

    async def _known(self, application_id: str) -> _Known:
        """Return an application that is not being deleted. Raises NotFound."""
        shown = await self._applications.read(application_id)
        if shown.state.stored.deleted_at:
            raise NotFound("mint-application-unknown", "the application is being deleted", fix="wait until it is gone")
        return _Known(shown=shown, team=await self._rights.team_of(shown.state))


def _application_id(request: web.Request) -> str:
    application_id: str = request.match_info["id"]
    if not is_application_id(application_id):
        raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")
    return application_id


def _has_scope(one: ShownMint, resource_type_id: str | None, scope_id: str | None) -> bool:
    if resource_type_id is None and scope_id is None:
        return True
    return any(
        resource_type_id in (None, scope.resource_type_id) and scope_id in (None, scope.scope_id)
        for scope in one.application.scopes
    )


def _row(one: ShownMint) -> dict[str, object]:
    """Return an application as mint lists it; what never was is null."""
    return {
        "id": one.application.application_id,
        "last_password_rotation": one.last_password_rotation or None,
        "last_client_rotation": one.last_client_rotation or None,
        "last_modified": one.application.last_modified,
        "last_synced": one.last_synced or None,
        "has_problems": one.has_problems,
        "message": one.message or None,
        "s3_errors": one.s3_errors,
    }


def _whole(one: ShownMint) -> dict[str, object]:
    application = one.application
    return {
        **_row(one),
        "username": application.username,
        "client_id": one.client_id or None,
        "redirect_url": application.redirect_url or None,
        "is_client_confidential": application.is_confidential,
        "s3_buckets": application.buckets,
        "kubernetes_clusters": application.clusters,
        "scopes": [
            {"resource_type_id": scope.resource_type_id, "scope_id": scope.scope_id} for scope in application.scopes
        ],
        "provider": application.provider,
        "credentials": application.credentials,
    }
