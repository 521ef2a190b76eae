"""Keys by their beginnings: `/v1/keys`."""

from __future__ import annotations

import re
from dataclasses import asdict

from aiohttp import web

from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query
from whence_aggregator.trace.beginnings import Beginnings
from whence_common.errors import InputError

_BEGINNING = re.compile(r"(?:i-[0-9a-f]{3,17}|sha256:[0-9a-f]{8,64})\Z")
_LIMIT_MAX = 20


class KeyCalls:
    """For callers that may read everything: a key tells no team that owns it."""

    def __init__(self, beginnings: Beginnings) -> None:
        self._beginnings = beginnings

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/keys", self._keys)]

    async def _keys(self, request: web.Request) -> JsonResponse:
        query = Query(request, "beginning", "limit")
        text = query.text("beginning") or ""
        if not _BEGINNING.match(text):
            raise InputError(
                "parameter-malformed", "beginning is too short, or that of no instance id and no digest",
                fix="write i- and at least 3 hex digits, or sha256: and at least 8",
            )  # fmt: skip
        keys, more = await self._beginnings.find(text, limit=min(query.limit(), _LIMIT_MAX))
        return respond_json({"beginning": text, "keys": [asdict(one) for one in keys], "more": more})
