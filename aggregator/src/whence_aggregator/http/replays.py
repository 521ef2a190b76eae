"""`/v1/verdicts/{index}/replay`: a verdict again, from the entries that it names alone."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query
from whence_aggregator.http.slots import Slots
from whence_aggregator.replays.verdicts import VerdictReplays
from whence_common.errors import InputError

REPLAYS_AT_ONCE_MAX = 4
"""Each opens a database of its own. With fewer than three, a caller's share, half of what stays free, is none."""
_INDEX_CHARACTERS_MAX = 15


class ReplayCalls:
    """Replays verdicts, a few at a time."""

    def __init__(self, replays: VerdictReplays) -> None:
        self._replays = replays
        self._slots = Slots("streams", REPLAYS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/verdicts/{index}/replay", self._replay)]

    async def _replay(self, request: web.Request) -> JsonResponse:
        Query(request)
        text = request.match_info["index"]
        if not text.isascii() or not text.isdecimal() or len(text) > _INDEX_CHARACTERS_MAX:
            raise InputError("parameter-malformed", "not the index of an entry: pass `ledger_index` of a verdict")
        with self._slots.take(request, request[CALLER].name):
            return respond_json((await self._replays.replay(int(text))).to_wire())
