"""What agents call: challenges, enrolments, statements, heartbeats."""

from __future__ import annotations

import msgspec
from aiohttp import web

from whence_aggregator.enrolment import EnrolmentRequest, Enrolments
from whence_aggregator.heartbeats import Heartbeats
from whence_aggregator.http.bodies import Answer, read_body, ready_body, respond_json
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.errors import REQUEST_ID
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.ingest import Ingest
from whence_aggregator.limits import Limit
from whence_common.envelope import ENVELOPE_BYTES_MAX
from whence_common.errors import InputError
from whence_common.heartbeat import HEARTBEAT_BYTES_MAX

_CHALLENGE_BYTES_MAX = 1024
_ENROLMENT_BYTES_MAX = 16 * 1024
_SEEN = b'{"accepted":true}'
_DECODER = msgspec.json.Decoder(EnrolmentRequest)


class AgentCalls:
    """The four calls of an agent. None of them needs a token: each carries its own proof."""

    def __init__(self, *, enrolments: Enrolments, ingest: Ingest, heartbeats: Heartbeats, challenges: Limit) -> None:
        self._enrolments = enrolments
        self._ingest = ingest
        self._heartbeats = heartbeats
        self._challenges = challenges

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/challenges", self._challenge),
            web.post("/v1/enrolments", self._enrol),
            web.post("/v1/statements", self._statement),
            web.post("/v1/heartbeats", self._heartbeat),
        ]

    async def _challenge(self, request: web.Request) -> Answer:
        no_parameters(request)
        self._challenges.take(limited_address(request))
        await read_body(request, _CHALLENGE_BYTES_MAX)
        return respond_json(self._enrolments.challenge(), status=201)

    async def _enrol(self, request: web.Request) -> Answer:
        no_parameters(request)
        return respond_json(await self._enrolments.enrol(await read_enrolment(request)), status=201)

    async def _statement(self, request: web.Request) -> Answer:
        no_parameters(request)
        content = await read_body(request, ENVELOPE_BYTES_MAX)
        accepted = await self._ingest.accept(content, request_id=request[REQUEST_ID])
        return respond_json(accepted.to_wire(), status=200 if accepted.replayed else 201)

    async def _heartbeat(self, request: web.Request) -> Answer:
        no_parameters(request)
        content = ready_body(request, HEARTBEAT_BYTES_MAX) or await read_body(request, HEARTBEAT_BYTES_MAX)
        await self._heartbeats.accept(content, request.headers.get("Whence-MAC", ""))
        return Answer(_SEEN)


async def read_enrolment(request: web.Request) -> EnrolmentRequest:
    """Read the body of an enrolment. Raises InputError."""
    content = await read_body(request, _ENROLMENT_BYTES_MAX)
    try:
        return _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("enrolment-malformed", "the body is no enrolment") from exc
