"""Calls of agents: challenges, enrolments, statements, heartbeats."""

from __future__ import annotations

import base64
import re

import msgspec
from aiohttp import web

from whence_aggregator.agents.enrolment import EnrolmentRequest, Enrolments
from whence_aggregator.agents.heartbeats import Heartbeats
from whence_aggregator.agents.ingest import Accepted, Ingest
from whence_aggregator.callers.limits import ChallengeLimits
from whence_aggregator.http.bodies import JsonResponse, read_body, ready_body, respond_json
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.errors import REQUEST_ID
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.ledger.publishing import Publisher
from whence_common.enrolment_proof import KEY_HEADER
from whence_common.envelope import ENVELOPE_BYTES_MAX
from whence_common.errors import InputError
from whence_common.heartbeat import HEARTBEAT_BYTES_MAX
from whence_common.keys import is_key_id

_CHALLENGE_BYTES_MAX = 1024
_ENROLMENT_BYTES_MAX = 16 * 1024
_SEEN = b'{"accepted":true}'
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")
_DECODER = msgspec.json.Decoder(EnrolmentRequest)


class AgentCalls:
    """The four calls of an agent, without a token: each contains its own proof."""

    def __init__(
        self,
        *,
        enrolments: Enrolments,
        ingest: Ingest,
        heartbeats: Heartbeats,
        publisher: Publisher,
        challenges: ChallengeLimits,
    ) -> None:
        self._enrolments = enrolments
        self._publisher = publisher
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

    async def _challenge(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        self._challenges.take(limited_address(request), named_key(request))
        await read_body(request, _CHALLENGE_BYTES_MAX)
        return respond_json(self._enrolments.challenge(), status=201)

    async def _enrol(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        wanted = await read_enrolment(request)
        return respond_json(await self._enrolments.enrol(wanted, address=limited_address(request)), status=201)

    async def _statement(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        content = await read_body(request, ENVELOPE_BYTES_MAX)
        seen = _log_size(request)
        accepted = await self._ingest.accept(content, request_id=request[REQUEST_ID])
        return respond_json(await self._acknowledge(accepted, seen), status=200 if accepted.replayed else 201)

    async def _acknowledge(self, accepted: Accepted, seen: int | None) -> dict[str, object]:
        """Return the receipt, with any cosignatures, and the consistency proof from the size seen before."""
        answer = accepted.to_wire()
        receipt = await self._publisher.receipt(accepted.ledger_index) if accepted.replayed else accepted.receipt
        answer["receipt"] = receipt
        if seen is not None:
            proof = await self._publisher.consistency(seen, receipt)
            answer["consistency"] = None if proof is None else [base64.b64encode(one).decode("ascii") for one in proof]
        return answer

    async def _heartbeat(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        content = ready_body(request, HEARTBEAT_BYTES_MAX) or await read_body(request, HEARTBEAT_BYTES_MAX)
        await self._heartbeats.accept(content, request.headers.get("Whence-MAC", ""))
        return JsonResponse(_SEEN)


def named_key(request: web.Request) -> str | None:
    """Return the key that a challenge is for, if the request names one; used for limits only, since it is unproved."""
    named = request.headers.get(KEY_HEADER, "")
    return named if is_key_id(named) else None


async def read_enrolment(request: web.Request) -> EnrolmentRequest:
    """Return the parsed body of an enrolment. Raises InputError."""
    content = await read_body(request, _ENROLMENT_BYTES_MAX)
    try:
        return _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("enrolment-malformed", "the body is not a valid enrolment") from exc


def _log_size(request: web.Request) -> int | None:
    """Return the size of the log that the agent saw last; None without the header."""
    text = request.headers.get("Whence-Log-Size")
    if text is None:
        return None
    if not _SIZE.match(text):
        raise InputError("log-size-malformed", "Whence-Log-Size is not a size", fix="send a whole number, or omit it")
    return int(text)
