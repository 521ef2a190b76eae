"""`/v1/accounts/check`: what the inventory's role may do in each account and region, by asking AWS now."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.http.slots import Slots
from whence_aggregator.reports.role_checks import Place, RoleChecks
from whence_common.errors import InputError

CHECKS_AT_ONCE_MAX = 3
"""One runs at a time: a caller gets a slot only while as many are free.

Each asks AWS about dozens of places, and AWS counts calls for all that reads the same account.
"""
_CURSOR_CHARACTERS_MAX = 60
_NO_REGION = "-"


class RoleCheckCalls:
    """Checks roles, a few requests at a time."""

    def __init__(self, checks: RoleChecks) -> None:
        self._checks = checks
        self._slots = Slots("streams", CHECKS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/accounts/check", self._check)]

    async def _check(self, request: web.Request) -> JsonResponse:
        query = Query(request, "account", "cursor")
        account = query.text("account")
        named = account_id(account) if account is not None else None
        after = _place(query.text("cursor", characters_max=_CURSOR_CHARACTERS_MAX) or "")
        with self._slots.take(request, request[CALLER].name):
            found, last = await self._checks.page(named, after=after)
        rows = [row for one in found for row in one.to_wire()]
        return respond_json(
            {"configured": self._checks.configured, "checks": rows, "next": _cursor(last) if last else None}
        )


def _cursor(place: Place) -> str:
    account, region = place
    return f"{account}/{region or _NO_REGION}"


def _place(cursor: str) -> Place:
    account, slash, region = cursor.partition("/")
    if cursor and not (slash and account.isascii() and account.isdecimal() and region):
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return account, "" if region == _NO_REGION else region
