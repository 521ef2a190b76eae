"""Calls of agents at the registry front: challenges, enrolments and pull tokens, below `/v2/_whence/`.

The prefix, because proxies before a registry forward `/v2/`, and no repository's name begins with an underscore. Each
call contains its own proof; errors are problems, as at the aggregator.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from whence_aggregator.agents.enrolment import Enrolments
from whence_aggregator.callers.limits import ChallengeLimits
from whence_aggregator.http.agents import named_key, read_enrolment
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.registry.pull_tokens import PullTokenIssuer, PullTokenRequest
from whence_common.errors import InputError

_CHALLENGE_BYTES_MAX = 1024
_TOKEN_BYTES_MAX = 8 * 1024
_DECODER = msgspec.json.Decoder(PullTokenRequest)


class FrontAgentCalls:
    """Handlers of these calls."""

    def __init__(self, *, enrolments: Enrolments, pull_tokens: PullTokenIssuer, challenges: ChallengeLimits) -> None:
        self._enrolments = enrolments
        self._pull_tokens = pull_tokens
        self._challenges = challenges

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v2/_whence/v1/challenges", self._challenge),
            web.post("/v2/_whence/v1/enrolments", self._enrol),
            web.post("/v2/_whence/v1/tokens", self._token),
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

    async def _token(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        content = await read_body(request, _TOKEN_BYTES_MAX)
        try:
            wanted = _DECODER.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise InputError("pull-token-malformed", "the body is not a valid request for a pull token") from exc
        return respond_json(await self._pull_tokens.token(wanted), status=201)
