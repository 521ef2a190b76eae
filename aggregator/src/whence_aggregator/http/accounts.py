"""Accounts: who owns them, and how many instances the EC2 API lists, how many are heard, and which are silent."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from whence_aggregator.collect.account_drifts import KnownDrifts
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import NOT_STATED, owned
from whence_aggregator.ports import NotFound
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.trace.moment import Moments


class AccountCalls:
    """`/v1/accounts`."""

    def __init__(
        self,
        accounts: Accounts,
        directory: OrganisationDirectory,
        moments: Moments,
        trails: TrailCoverage,
        drifts: KnownDrifts | None,
    ) -> None:
        """`drifts`: None where no configuration of accounts is compared."""
        self._accounts = accounts
        self._directory = directory
        self._moments = moments
        self._trails = trails
        self._drifts = drifts

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/accounts", self._list),
            web.get("/v1/accounts/{id}", self._account),
            web.get("/v1/accounts/{id}/silent", self._silent),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return a page of accounts with their owners, and by region the counts of instances that run and are heard."""
        query = Query(request, "limit", "cursor")
        limit, after = query.limit(), query.text("cursor") or ""
        counted = {str(one["account_id"]): one for one in await self._accounts.all()}
        stated_ids = await self._directory.account_ids(after=after, limit=limit + 1)
        found = sorted({*stated_ids, *(one for one in counted if one > after)})
        page = found[:limit]
        stated = await self._stated(page)
        trails, queues = await self._trails.of_accounts(page)
        drifts = await self._drift_of(page)
        return respond_json(
            {
                "accounts": [
                    {
                        **counted.get(one, _uncounted(one)),
                        **stated.get(one, NOT_STATED),
                        "trail": trails[one],
                        "drift": drifts.get(one),
                    }
                    for one in page
                ],
                "trail_queues": queues,
                "next": page[-1] if len(found) > limit else None,
                "sources": [one.to_wire() for one in await self._directory.sources()],
            }
        )

    async def _account(self, request: web.Request) -> JsonResponse:
        """Return one account with what became of it; the counts are those of now, whatever `at` asks about."""
        at = Query(request, "at").instant("at")
        moment, account = await self._moments.of(at), account_id(request.match_info["id"])
        stated = await self._stated([account], past=moment.past)
        counted = {str(one["account_id"]): one for one in await self._accounts.all()} if at is None else {}
        if account not in stated and account not in counted:
            raise NotFound("account-unknown", "no source has stated this account, and none of its instances is known")
        shown = counted.get(account, _uncounted(account)) if at is None else {"account_id": account}
        if at is None:
            trail = (await self._trails.of_accounts([account]))[0][account]
            shown = {**shown, "trail": trail, "drift": (await self._drift_of([account])).get(account)}
        history = await self._directory.account_history(account, past=moment.past)
        return respond_json({**shown, **stated.get(account, NOT_STATED), "history": history})

    async def _drift_of(self, accounts: list[str]) -> dict[str, dict[str, Any]]:
        """Return what differs in accounts from their declared configuration, by account."""
        if self._drifts is None:
            return {}
        return {name: one.to_wire() for name, one in (await self._drifts.known(accounts)).items()}

    async def _stated(self, accounts: list[str], *, past: int = EVERY_ENTRY) -> dict[str, dict[str, object]]:
        found = await owned(self._directory, accounts, past=past)
        return {one.account.account_id: one.to_wire() for one in found}

    async def _silent(self, request: web.Request) -> JsonResponse:
        """Return instances that run, or may run, and whose agent was never heard or is silent."""
        query = Query(request, "limit", "cursor")
        limit, account = query.limit(), account_id(request.match_info["id"])
        silent, following = await self._accounts.silent(account, after=query.text("cursor") or "", limit=limit)
        return respond_json({"silent": silent, "next": following})


def _uncounted(account: str) -> dict[str, object]:
    return {"account_id": account, "instances_ever": 0, "regions": []}
