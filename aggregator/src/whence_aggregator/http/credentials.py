"""`/v1/credentials`: the generations of applications' credentials, who holds them, and what is wrong. No secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.mint_rights import MintRights
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.mint.applications import MintApplications, ShownMint
from whence_aggregator.mint.ports import CredentialHolders, KnownApplications
from whence_aggregator.mint.state import LoggedChange, PossibleOrphan, StoredGeneration
from whence_aggregator.mint.values import CredentialHolder, CredentialKind, GenerationId
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id

INSTANCES_MAX = 200
"""Instances that are shown; all are counted."""


class CredentialCalls:
    """Handlers of `/v1/credentials`. `write_all` are names of callers that may write every application."""

    def __init__(
        self,
        *,
        applications: MintApplications,
        kio: KnownApplications,
        membership: Membership,
        holders: CredentialHolders,
        write_all: frozenset[str],
        now: Now,
    ) -> None:
        self._applications = applications
        self._rights = MintRights(kio=kio, membership=membership, write_all=write_all)
        self._holders = holders
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        one = "/v1/credentials/{id}"
        return [
            web.get("/v1/credentials", self._list),
            web.get(one, self._read),
            web.post(f"{one}/renew", self._renew),
            web.post(f"{one}/revoke", self._revoke),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return a page of applications, by id; with `problems`, those that have problems, or have none."""
        query = Query(request, "team", "problems", "limit", "cursor")
        problems, limit = query.choice("problems", ("true", "false")), query.limit()
        found = await self._applications.page(
            after=query.text("cursor") or "", limit=limit + 1, team=query.text("team"),
            is_failing=problems == "true" if problems is not None else None,
        )  # fmt: skip
        page = found[:limit]
        listed = [_row(one) for one in page if await self._rights.may_list(request[CALLER], one.state)]
        following = page[-1].application.application_id if len(found) > limit else None
        return respond_json({"as_of": to_instant(self._now()), "applications": listed, "next": following})

    async def _read(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        return await self._shown(request)

    async def _renew(self, request: web.Request) -> JsonResponse:
        """Have the credentials rotated now; the old ones stay valid until their readers hold the new ones."""
        application_id = await self._checked(request)
        await self._applications.renew(application_id, by=request[CALLER].name)
        return await self._shown(request, status=202)

    async def _revoke(self, request: web.Request) -> JsonResponse:
        """Have the credentials replaced now; the old ones end as soon as the new ones are committed."""
        application_id = await self._checked(request)
        await self._applications.revoke(application_id, by=request[CALLER].name)
        return await self._shown(request, status=202)

    async def _checked(self, request: web.Request) -> str:
        """Return the id of an application that the caller may write. Raises NotFound, Forbidden."""
        no_parameters(request)
        application_id = _application_id(request)
        known = await self._applications.read(application_id)
        await self._rights.check_writes(request[CALLER], await self._rights.team_of(known.state))
        return application_id

    async def _shown(self, request: web.Request, *, status: int = 200) -> JsonResponse:
        application_id = _application_id(request)
        known = await self._applications.read(application_id)
        team = await self._rights.check_reads(request[CALLER], known.state)
        holders = await self._holders.of(application_id)
        changes = await self._applications.changes(application_id)
        orphans = await self._applications.possible_orphans(application_id)
        shown = {
            **_row(known),
            "as_of": to_instant(self._now()),
            "team_id": team,
            **_settings(known),
            "generations": [_generation(one, known, holders) for one in known.state.generations],
            "instances": [_holder(one) for one in holders[:INSTANCES_MAX]],
            "instances_total": len(holders),
            "changes": [_change(one) for one in changes],
            "possible_orphans": [_orphan(one, application_id) for one in orphans],
        }
        return respond_json(shown, status=status)


def _application_id(request: web.Request) -> str:
    application_id: str = request.match_info["id"]
    if not is_application_id(application_id):
        raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")
    return application_id


def _row(one: ShownMint) -> dict[str, object]:
    """Return an application as it is listed."""
    stored = one.state.stored
    problems = sorted(stored.failures.items(), key=lambda item: (item[1].since, item[0]))
    return {
        "application_id": one.application.application_id,
        "team_id": one.application.team_id,
        "provider": one.application.provider,
        "credentials": one.application.credentials,
        "state": "deleting" if stored.deleted_at else "missing" if stored.missing_since else "minted",
        "last_password_rotation": one.last_password_rotation or None,
        "last_client_rotation": one.last_client_rotation or None,
        "last_modified": one.application.last_modified,
        "last_synced": one.last_synced or None,
        "is_synced": stored.is_synced,
        "problems": [
            {
                "step": step, "code": failure.code, "problem": failure.problem, "attempts": failure.attempts,
                "since": failure.since, "retry_at": failure.retry_at,
            }
            for step, failure in problems
        ],
    }  # fmt: skip


def _settings(one: ShownMint) -> dict[str, object]:
    application, stored = one.application, one.state.stored
    return {
        "username": application.username,
        "client_id": one.client_id or None,
        "is_confidential": application.is_confidential,
        "redirect_url": application.redirect_url or None,
        "buckets": application.buckets,
        "scopes": [f"{scope.resource_type_id}.{scope.scope_id}" for scope in application.scopes],
        "renewal_at": stored.renewal_at or None,
        "renewal_reason": stored.renewal_reason or None,
        "revoked_at": stored.revoked_at or None,
        "missing_since": stored.missing_since or None,
        "deleted_at": stored.deleted_at or None,
        "deleted_reason": stored.deleted_reason or None,
    }


def _generation(one: StoredGeneration, known: ShownMint, holders: Sequence[CredentialHolder]) -> Mapping[str, object]:
    current = known.state.current(one.kind)
    return {
        "kind": one.kind,
        "generation": one.id.generation,
        "provider": one.provider,
        "client_id": one.handle.get("client_id"),
        "phase": one.phase,
        "is_current": current is not None and current.id == one.id,
        "buckets": [
            {
                "bucket": bucket,
                "version_id": version or None,
                "looked_at": one.looks[bucket].at if bucket in one.looks else None,
            }
            for bucket, version in sorted(one.written.items())
        ],
        "intended_at": one.intended_at,
        "verified_at": one.verified_at or None,
        "published_at": one.published_at or None,
        "committed_at": one.committed_at or None,
        "ending_at": one.ending_at or None,
        "ended_at": one.ended_at or None,
        "end_reason": one.end_reason or None,
        "readers": sum(holder.generations.get(one.kind) == one.id.generation for holder in holders),
        "readers_unknown": sum(holder.generations.get(one.kind) is None for holder in holders),
    }


def _holder(one: CredentialHolder) -> dict[str, object]:
    kinds: tuple[CredentialKind, ...] = ("user", "client")
    return {
        "instance_id": one.instance_id,
        "account_id": one.account_id,
        "is_heard": one.is_heard,
        "reported_at": one.reported_at or None,
        "generations": {kind: one.generations.get(kind) for kind in kinds},
    }


def _change(one: LoggedChange) -> dict[str, object]:
    return {
        "ledger_index": one.ledger_index,
        "step": one.step,
        "at": one.at,
        "by": one.by or None,
        "reason": one.reason or None,
        "written": one.application or None,
    }


def _orphan(one: PossibleOrphan, application_id: str) -> dict[str, object]:
    of = GenerationId(application_id=application_id, kind=one.kind, generation=one.generation)
    return {
        "kind": one.kind,
        "generation": one.generation,
        "provider": one.provider,
        "client_name": of.client_name,
        "intended_at": one.intended_at or None,
        "ended_at": one.ended_at,
        "fix": f"look at {one.provider} for {of.client_name!r} or what was made then and no bucket holds; remove it",
    }
