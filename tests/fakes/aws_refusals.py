"""Refusals of AWS in the protocols of EC2, of query services, and of JSON services."""

from __future__ import annotations

import json

from aiohttp import web

from fakes.counted_aws import Answer, AwsCall

_EC2 = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
)
_QUERY = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
)


_JSON_BY_PATH = ("guardduty:",)
_CODES = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}
"""How services name a denial otherwise than most."""


def denied(*names: str) -> Answer:
    """Return what denies calls of these names and answers no other."""

    def answer(call: AwsCall) -> web.Response | None:
        if call.name not in names:
            return None
        service = call.name.partition(":")[0]
        code = "AccessDeniedException" if _is_json(call) else _CODES.get(service, "AccessDenied")
        message = f"User is not authorized to perform: {call.name}"
        return refused(call, code, message, status=400 if _is_json(call) else 403)

    return answer


def refused(call: AwsCall, code: str, message: str, *, status: int = 400) -> web.Response:
    """Return an error in the protocol of the call's service."""
    if _is_json(call):
        body = json.dumps({"__type": code, "message": message})
        return web.Response(status=status, text=body, content_type="application/x-amz-json-1.1")
    form = _EC2 if call.name.startswith("ec2:") else _QUERY
    return web.Response(status=status, text=form.format(code=code, message=message), content_type="text/xml")


def _is_json(call: AwsCall) -> bool:
    """Return whether the call names its action in a header, or has a path of its own, as JSON services do."""
    return "X-Amz-Target" in call.headers or call.name.startswith(_JSON_BY_PATH)


def passed(_: AwsCall) -> None:
    """Answer no call: everything is passed on."""
