"""`/v1/amis`: signed statements about AMIs, what is known of an AMI, and its packages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.amis.listing import KnownAmis
from whence_aggregator.amis.recording import AmiRecording
from whence_aggregator.amis.submission import SUBMISSION_BYTES_MAX, parse_submission
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.parameters import Query, check_ami
from whence_aggregator.http.slots import Slots
from whence_aggregator.ports import Forbidden
from whence_common.image_trust import TrustedBuilder

STATEMENTS_AT_ONCE_MAX = 4
"""Each is held in memory, and verified in a thread."""
_CURSOR_CHARACTERS_MAX = 300


class AmiCalls:
    """Records statements about AMIs, and shows them."""

    def __init__(self, *, recording: AmiRecording, known: KnownAmis, builders: Sequence[TrustedBuilder]) -> None:
        self._recording = recording
        self._known = known
        self._builders = builders
        self._slots = Slots("transfers", STATEMENTS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/amis", self._record),
            web.get("/v1/amis/{id}", self._one),
            web.get("/v1/amis/{id}/packages", self._packages),
        ]

    async def _record(self, request: web.Request) -> JsonResponse:
        """Record a statement, or AMIs of one that is recorded; 201 if anything is new, else 200."""
        Query(request)
        caller = request[CALLER]
        if not caller.records_amis:
            raise Forbidden(
                "amis-forbidden", f"{caller.name} may not record statements about AMIs",
                fix="use a token with the right amis: whence-aggregator token NAME --may amis",
            )  # fmt: skip
        with self._slots.take(request, caller.name):
            content = await read_body(request, SUBMISSION_BYTES_MAX)
            submitted = await asyncio.to_thread(parse_submission, content, self._builders)
            recorded = await self._recording.record(submitted, recorded_by=caller.name, allowed=caller.may_record_ami)
        return respond_json(recorded.to_wire(), status=201 if recorded.is_new else 200)

    async def _one(self, request: web.Request) -> JsonResponse:
        Query(request)
        return respond_json(await self._known.one(_ami(request)))

    async def _packages(self, request: web.Request) -> JsonResponse:
        query = Query(request, "limit", "cursor")
        after = query.text("cursor", characters_max=_CURSOR_CHARACTERS_MAX) or ""
        packages, following, digest = await self._known.packages(_ami(request), after=after, limit=query.limit())
        return respond_json({"digest": digest, "packages": packages, "next": following})


def _ami(request: web.Request) -> str:
    found = check_ami(request.match_info["id"])
    assert found is not None
    return found
