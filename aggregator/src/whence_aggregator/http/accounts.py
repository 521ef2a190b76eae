"""Accounts: how many instances the EC2 API lists, how many of them are heard, and which are silent."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import NOT_STATED, every_account


class AccountCalls:
    """`/v1/accounts`."""

    def __init__(self, accounts: Accounts, directory: OrganisationDirectory) -> None:
        self._accounts = accounts
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/accounts", self._list), web.get("/v1/accounts/{id}/silent", self._silent)]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return each account with its owner, and by region the counts of instances that run, and are heard."""
        Query(request)
        counted = {str(one["account_id"]): one for one in await self._accounts.all()}
        stated: dict[str, dict[str, object]] = {}
        async for page in every_account(self._directory):
            stated |= {one.account.account_id: one.to_wire() for one in page}
        return respond_json(
            {
                "accounts": [
                    {
                        **counted.get(account, {"account_id": account, "instances_ever": 0, "regions": []}),
                        **stated.get(account, NOT_STATED),
                    }
                    for account in sorted({*counted, *stated})
                ],
                "sources": [one.to_wire() for one in await self._directory.sources()],
            }
        )

    async def _silent(self, request: web.Request) -> JsonResponse:
        """Return instances that run, or may run, and whose agent was never heard or is silent."""
        query = Query(request, "limit", "cursor")
        limit, account = query.limit(), account_id(request.match_info["id"])
        silent, following = await self._accounts.silent(account, after=query.text("cursor") or "", limit=limit)
        return respond_json({"silent": silent, "next": following})
