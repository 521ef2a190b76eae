"""The routes of sign-in: the exchange of a job's token (RFC 8693), `whoami`, and where `whence login` signs in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.command_client import CommandClient
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.http.authentication import CALLER, SIGN_IN, WHOAMI
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.parameters import no_parameters
from whence_common.clock import to_instant
from whence_common.errors import InputError

_BODY_BYTES_MAX = 32 * 1024
_FIELDS_MAX = 20
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
_ISSUED = "urn:ietf:params:oauth:token-type:access_token"
_FORM = "application/x-www-form-urlencoded"


class SignInCalls:
    """`/v1/token`, `/v1/whoami` and `/v1/sign-in`."""

    def __init__(self, sign_in: Authenticator, clients: Sequence[CommandClient]) -> None:
        self._sign_in = sign_in
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/token", self._exchange),
            web.get(WHOAMI, self._whoami),
            web.get(SIGN_IN, self._clients_of_command),
        ]

    async def _exchange(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        form = await _form(request)
        if form.get("grant_type") != _GRANT:
            raise InputError(
                "grant-unknown", "grant_type must be token exchange (RFC 8693)", fix=f"send grant_type={_GRANT}"
            )
        if form.get("subject_token_type") not in _JWT_TYPES:
            raise InputError("token-type-unknown", "subject_token must be a JWT", fix=f"send {_JWT_TYPES[0]}")
        token, seconds = await self._sign_in.exchange(form.get("subject_token", ""), address=limited_address(request))
        return respond_json(
            {"access_token": token, "issued_token_type": _ISSUED, "token_type": "Bearer", "expires_in": int(seconds)}
        )

    async def _whoami(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        return respond_json(_shown(request[CALLER]))

    async def _clients_of_command(self, request: web.Request) -> JsonResponse:
        """Return the issuers that people sign in at with `whence login`. Open: no caller has a token yet."""
        no_parameters(request)
        return respond_json({"issuers": [client.to_wire() for client in self._clients]})


async def _form(request: web.Request) -> dict[str, str]:
    """Parse a form. Raises InputError, whose message never contains a value of the form."""
    if request.content_type != _FORM:
        raise InputError("body-not-form", f"the body must be {_FORM}")
    try:
        text = (await read_body(request, _BODY_BYTES_MAX)).decode("ascii")
        found = parse_qs(text, max_num_fields=_FIELDS_MAX, strict_parsing=bool(text), errors="strict")
    except ValueError as exc:
        raise InputError("body-not-form", "the body is not a form") from exc
    if any(len(values) > 1 for values in found.values()):
        raise InputError("parameter-repeated", "the form contains a field more than once", fix="send it once")
    return {name: values[0] for name, values in found.items()}


def _shown(caller: Caller) -> dict[str, Any]:
    issuer, subject = caller.subject or (None, None)
    return {
        "name": caller.name,
        "issuer": issuer,
        "subject": subject,
        "realm": caller.realm,
        "teams": sorted(caller.teams) if caller.teams is not None else None,
        "teams_note": caller.not_written or None,
        "rights": sorted(caller.rights),
        "reads": "organisation" if caller.reads_everything else caller.reads,
        "until": to_instant(caller.until) if caller.until is not None else None,
        "job": caller.job.to_wire() if caller.job is not None else None,
    }
