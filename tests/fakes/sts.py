"""AWS STS in front of moto: it checks signatures as AWS does, which moto does not, and answers in JSON when asked to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from fakes.loopback import loopback
from landscape.aws import ACCOUNT, REGION, Aws
from whence_agent.adapters.sigv4 import AwsKeys, signed_headers
from whence_common.sts_proof import BODY, StsProof, headers_to_sign, sts_host

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/[0-9]{8}/([a-z0-9-]+)/sts/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})\Z"
)


@dataclass
class StsFront:
    """`asked` are the requests that came. `answer` replaces the next answer: (status, headers, body)."""

    aws: Aws
    asked: list[dict[str, str]] = field(default_factory=list)
    answer: tuple[int, dict[str, str], bytes] | None = None
    url: str = ""
    secrets: dict[str, AwsKeys] = field(default_factory=dict)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[StsFront]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    async def keys(self, instance_id: str, *, role: str = "aws:ec2-instance", account: str = ACCOUNT) -> AwsKeys:
        """Give what the metadata service of an instance would."""

        def assume() -> dict[str, str]:
            arn = f"arn:aws:iam::{account}:role/{role}"
            answer: dict[str, Any] = self.aws.client("sts").assume_role(RoleArn=arn, RoleSessionName=instance_id)
            return dict(answer["Credentials"])

        given = await asyncio.to_thread(assume)
        keys = AwsKeys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        self.secrets[keys.access_key] = keys
        return keys

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append({"method": request.method, "path": request.path_qs, "body": body.decode(), **request.headers})
        if self.answer is not None:
            status, headers, content = self.answer
            return web.Response(status=status, headers=headers, body=content)
        match = _AUTHORIZATION.match(request.headers.get("Authorization", ""))
        keys = self.secrets.get(match[1]) if match else None
        if match is None or keys is None or not _holds(request, body, keys, match):
            return web.json_response({"Error": {"Code": "SignatureDoesNotMatch"}}, status=403)
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.aws.url, data=body, headers=dict(request.headers)) as answer,
        ):
            text = await answer.text()
        result = {name: re.search(f"<{name}>(.*?)</{name}>", text)[1] for name in ("Account", "Arn", "UserId")}  # type: ignore[index]
        return web.json_response(
            {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result, "ResponseMetadata": {"RequestId": "1"}}}
        )


def _holds(request: web.Request, body: bytes, keys: AwsKeys, match: re.Match[str]) -> bool:
    """Check a signature as AWS does: over what arrived. The host is STS's, which this server stands in for."""
    names = [name for name in match[3].split(";") if name not in ("host", "x-amz-date", "x-amz-security-token")]
    now = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    expected = signed_headers(
        method=request.method, host=sts_host(REGION), path=request.path,
        headers={name: request.headers.get(name, "") for name in names}, body=body, keys=keys, region=match[2],
        service="sts", now=now,
    )  # fmt: skip
    return (
        expected["authorization"] == request.headers["Authorization"]
        and request.headers.get("X-Amz-Security-Token") == keys.token
        and request.query_string == ""
    )


def prove(
    keys: AwsKeys, *, challenge: str, audience: str, key_id: str, now: datetime, body: bytes = BODY, **changes: str
) -> StsProof:
    """Sign as an agent does; `changes` bend what is signed: method, host, path, region."""
    signed = signed_headers(
        method=changes.get("method", "POST"), host=changes.get("host", sts_host(REGION)), path=changes.get("path", "/"),
        headers={**headers_to_sign(challenge=challenge, audience=audience, key_id=key_id)}, body=body, keys=keys,
        region=changes.get("region", REGION), service=changes.get("service", "sts"), now=now,
    )  # fmt: skip
    return StsProof(
        region=changes.get("region", REGION), access_key=keys.access_key, session_token=keys.token,
        date=signed["x-amz-date"], signature=signed["authorization"].rpartition("Signature=")[2],
    )  # fmt: skip
