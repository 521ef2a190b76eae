"""`/v1/account-plans`: applied plans of accounts, recorded by whence-accounts."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.changes.account_plans import REPORT_BYTES_MAX, AppliedPlans, wire_of
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.http.slots import Slots
from whence_aggregator.ports import Forbidden
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_common.errors import InputError

REPORTS_AT_ONCE_MAX = 4
"""Each holds its body in memory."""
_CURSOR_CHARACTERS_MAX = 19


class AccountPlanCalls:
    """Records and lists applied plans."""

    def __init__(self, plans: AppliedPlans) -> None:
        self._plans = plans
        self._slots = Slots("transfers", REPORTS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/account-plans", self._record), web.get("/v1/account-plans", self._list)]

    async def _record(self, request: web.Request) -> JsonResponse:
        """Record the report of an apply; 201 if it is new, 200 if it is known."""
        Query(request)
        caller = request[CALLER]
        if not caller.may_operate:
            raise Forbidden(
                "operate-forbidden", f"{caller.name} may not record plans of accounts",
                fix="use a token with the right operate: whence-aggregator token NAME --may operate",
            )  # fmt: skip
        with self._slots.take(request, caller.name):
            content = await read_body(request, REPORT_BYTES_MAX)
            recorded = await self._plans.record(content, recorded_by=caller.name)
        return respond_json(recorded.to_wire(), status=201 if recorded.is_new else 200)

    async def _list(self, request: web.Request) -> JsonResponse:
        query = Query(request, "account", "limit", "cursor")
        account, limit = query.text("account"), query.limit()
        cursor = query.text("cursor", characters_max=_CURSOR_CHARACTERS_MAX)
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
            raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
        before = min(int(cursor), EVERY_ENTRY) if cursor is not None else EVERY_ENTRY
        named = account_id(account) if account is not None else None
        found = await self._plans.page(named, before=before, limit=limit + 1)
        page = found[:limit]
        following = str(page[-1].ledger_index) if len(found) > limit else None
        return respond_json({"plans": wire_of(page), "next": following})
