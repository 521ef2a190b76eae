"""Accounts: how many instances the EC2 API lists, how many of them are heard, and which are silent."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id


class AccountCalls:
    """`/v1/accounts`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/accounts", self._list), web.get("/v1/accounts/{id}/silent", self._silent)]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return each account and region with the counts of instances that run by the last listing, and are heard."""
        Query(request)
        return respond_json({"accounts": await self._accounts.all()})

    async def _silent(self, request: web.Request) -> JsonResponse:
        """Return instances that run, or may run, and whose agent was never heard or is silent."""
        query = Query(request, "limit", "cursor")
        limit, account = query.limit(), account_id(request.match_info["id"])
        silent, following = await self._accounts.silent(account, after=query.text("cursor") or "", limit=limit)
        return respond_json({"silent": silent, "next": following})
