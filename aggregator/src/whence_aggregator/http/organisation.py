"""Teams over `/v1/teams`, and the API of STUPS's team service, which kio, yourturn and fullstop ask."""

from __future__ import annotations

import msgspec
from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.organisation.directory import PAGE_MAX, OrganisationDirectory
from whence_aggregator.organisation.directory_rows import ShownTeam
from whence_aggregator.organisation.listing import OwnedAccount, every_account
from whence_aggregator.organisation.people import People
from whence_aggregator.ports import Conflict, Database, Forbidden, NotFound
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now
from whence_common.errors import InputError

_BODY_BYTES_MAX = 4 * 1024
_USABLE = ("", "ACTIVE")
"""States of an account that is not disabled; a source may state none."""


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    team: str


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What `/auth` is asked; the policy is Pier One's and Kio's name for a rule, of which there is one here."""

    payload: _Payload
    policy: str = ""


class OrganisationCalls:
    """Answers from storage alone. `lists_teams`: whether `/teams` is the team service's here, and not Pier One's."""

    def __init__(self, *, database: Database, now: Now, lists_teams: bool) -> None:
        self._lists_teams = lists_teams
        self._directory = OrganisationDirectory(database)
        self._people = People(database)
        self._moments = Moments(database=database, now=now)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/teams", self._teams),
            web.get("/v1/teams/{id}", self._team),
            web.get("/v1/people/{uid}", self._person),
            *self._stups_routes("/api"),
            *(one for one in self._stups_routes("") if self._lists_teams or one.path != "/teams"),
        ]

    def _stups_routes(self, base: str) -> list[web.RouteDef]:
        """Return the team service's paths; its clients are configured with a base URL with and without `/api`."""
        return [
            web.get(f"{base}/teams", self._stups_teams),
            web.get(f"{base}/teams/{{id}}", self._stups_team),
            web.get(f"{base}/accounts/aws", self._stups_accounts),
            web.get(f"{base}/user/{{uid}}", self._stups_user),
            web.get(f"{base}/auth", self._may_write),
        ]

    async def _teams(self, request: web.Request) -> JsonResponse:
        """Teams by id, those that are gone too, and how the readings of each source went."""
        query = Query(request, "at", "limit", "cursor")
        limit, moment = query.limit(), await self._moments.of(query.instant("at"))
        found = await self._directory.teams(after=query.text("cursor") or "", limit=limit + 1, past=moment.past)
        following = found[limit - 1].team_id if len(found) > limit else None
        sources = await self._directory.sources()
        return respond_json(
            {
                "teams": [one.to_wire() for one in found[:limit]],
                "next": following,
                "sources": [one.to_wire() for one in sources],
            }
        )

    async def _team(self, request: web.Request) -> JsonResponse:
        """One team by its id, an alias or a former name: its members, and what became of it."""
        moment = await self._moments.of(Query(request, "at").instant("at"))
        team = await self._directory.team(request.match_info["id"], past=moment.past)
        history = await self._directory.team_history(team.team_id, past=moment.past)
        return respond_json({**team.to_wire(), "member_ids": list(team.members), "history": history})

    async def _person(self, request: web.Request) -> JsonResponse:
        """In which teams somebody is and was, by which source; of those that the caller may read."""
        moment = await self._moments.of(Query(request, "at").instant("at"))
        person = await self._people.person(request.match_info["uid"], past=moment.past)
        return respond_json(person.to_wire(sees=request[CALLER].may_read))

    async def _stups_teams(self, request: web.Request) -> JsonResponse:
        """All teams; with `member` the ids alone of those that somebody is in."""
        member = Query(request, "member").text("member")
        teams = await self._current_teams()
        if member is None:
            return respond_json([_stups(one) for one in teams])
        return respond_json([{"id": one.team_id} for one in teams if member in one.members])

    async def _stups_user(self, request: web.Request) -> JsonResponse:
        """The teams that somebody is in, by the oldest of the paths for it."""
        no_parameters(request)
        uid = request.match_info["uid"]
        return respond_json([_stups(one) for one in await self._current_teams() if uid in one.members])

    async def _stups_team(self, request: web.Request) -> JsonResponse:
        """One team; the id may be an alias: the canonical team comes back."""
        no_parameters(request)
        team = await self._directory.team(request.match_info["id"])
        if team.over:
            raise NotFound("team-unknown", f"no source states the team {team.team_id} any more")
        return respond_json(_stups(team))

    async def _stups_accounts(self, request: web.Request) -> JsonResponse:
        """All accounts; with `member` those of the teams that somebody is in, whatever the `role`."""
        query = Query(request, "member", "role")
        member, _ = query.text("member"), query.text("role")
        members = {one.team_id: one.members for one in await self._current_teams()}
        found = []
        async for page in every_account(self._directory):
            for one in page:
                own = members.get(one.owner or "", ())
                if one.account.status != "gone" and (member is None or member in own):
                    found.append(_stups_account(one, own))
        return respond_json(found)

    async def _may_write(self, request: web.Request) -> web.Response:
        """Return 200 where the caller may write for the team, whatever name of the team is asked about."""
        no_parameters(request)
        try:
            asked = msgspec.json.decode(await read_body(request, _BODY_BYTES_MAX), type=_Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            fix = 'send {"policy": "…", "payload": {"team": "…"}}'
            raise InputError("auth-malformed", "the body is not a question about a team", fix=fix) from exc
        team, caller = asked.payload.team, request[CALLER]
        try:
            found = await self._directory.team(team)
        except (NotFound, Conflict):
            found = None
        if found is None or found.over or not (caller.may_write(found.team_id) or caller.may_write(found.spelled)):
            raise Forbidden("team-forbidden", f"{caller.name} may not write for this team, or no source knows it")
        return web.json_response({})

    async def _current_teams(self) -> list[ShownTeam]:
        teams: list[ShownTeam] = []
        after = ""
        while True:
            page = await self._directory.teams(after=after, limit=PAGE_MAX)
            teams += [one for one in page if not one.over]
            if len(page) < PAGE_MAX:
                return teams
            after = page[-1].team_id


def _stups(team: ShownTeam) -> dict[str, object]:
    return {"id": team.team_id, "id_name": team.spelled, "name": team.name, "alias": list(team.aliases)}


def _stups_account(one: OwnedAccount, members: tuple[str, ...]) -> dict[str, object]:
    account = one.account
    return {
        "id": account.account_id, "name": account.name, "provider": "aws", "type": "aws", "description": account.path,
        "owner": one.owner or "", "disabled": account.status not in _USABLE,
        "members": [{"id": uid, "account_id": account.account_id} for uid in members],
    }  # fmt: skip
