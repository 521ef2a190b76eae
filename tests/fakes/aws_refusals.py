"""Refusals by AWS, in the protocol of the call: JSON where the call names its action in a header, else XML."""

from __future__ import annotations

import json

from aiohttp import web

from fakes.counted_aws import Answer, AwsCall


def denied(*names: str) -> Answer:
    """Return what denies calls of these names, such as `sns:Subscribe`, and lets all others pass."""

    def answer(call: AwsCall) -> web.Response | None:
        if call.name not in names:
            return None
        message = f"User is not authorized to perform: {call.name}"
        if "X-Amz-Target" in call.headers:
            body = json.dumps({"__type": "AccessDeniedException", "message": message})
            return web.Response(status=400, text=body, content_type="application/x-amz-json-1.0")
        error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        return web.Response(status=403, text=f"<ErrorResponse>{error}</ErrorResponse>", content_type="text/xml")

    return answer
