"""What moto's server lacks: CloudFormation's SignalResource and Auto Scaling's CompleteLifecycleAction, and refusals.

The rest goes on to moto. It speaks AWS's query protocol (a form with an Action in, XML out: CloudFormation 2010-05-15,
Auto Scaling 2011-01-01), and refuses in the form of each service: the query protocol's, EC2's, S3's XML, and JSON.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

_OURS = ("SignalResource", "CompleteLifecycleAction")
_ACCESS_KEY = re.compile(rb"<AccessKeyId>([^<]+)<")


@dataclass(frozen=True)
class Refusal:
    """One refusal, as AWS writes it."""

    code: str
    message: str = "no"
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One call. `account_id` is that of the role to assume, or that was assumed for the call's keys; empty without one."""

    action: str
    account_id: str
    region: str
    external_id: str | None


@dataclass
class AwsFront:
    """`told` holds the calls that were answered here. `errors` are codes for the next of them.

    `refusals` are for the next calls of an action (`Decrypt`, `AttachVolume`, `GET` of S3), whoever answers the others;
    `refuse` decides about all other calls. `asked` counts the calls by action, refused ones too, and `keys` are the
    access keys that were used, in order.
    """

    backend: str
    told: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refusals: dict[str, list[Refusal]] = field(default_factory=dict)
    refuse: Callable[[Call], Refusal | None] = lambda _: None
    asked: Counter[str] = field(default_factory=Counter)
    keys: list[str] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    """The account of each access key that was given for an assumed role."""
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[AwsFront]:
        """Serve on a loopback port for the block's duration; `url` says which."""
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
        finally:
            await runner.cleanup()

    def signals(self) -> list[str]:
        """Give what CloudFormation was signalled, in order."""
        return [call["Status"] for call in self.told if call["Action"] == "SignalResource"]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        target = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        action = form.get("Action", "") or target or request.method
        self.asked[action] += 1
        key, _, scope = request.headers.get("Authorization", "").partition("Credential=")[2].partition("/")
        self.keys.append(key)
        if self.refusals.get(action):
            return _refused(request, self.refusals[action].pop(0), query="Action" in form)
        role_account = form.get("RoleArn", "::::").split(":")[4]
        account = role_account or self.accounts.get(key, "")
        call = Call(action, account, [*scope.split("/"), "", ""][1], form.get("ExternalId"))
        refusal = self.refuse(call)
        if refusal is not None:
            return _refused(request, refusal, query="Action" in form)
        if action not in _OURS:
            answer = await self._forward(request, body)
            if action == "AssumeRole" and (given := _ACCESS_KEY.search(bytes(answer.body or b""))) is not None:  # type: ignore[arg-type]  # bytes, as read
                self.accounts[given[1].decode()] = call.account_id
            return answer
        assert "Signature=" in request.headers.get("Authorization", ""), "AWS takes no unsigned call"
        if self.errors:
            return _refused(request, Refusal(self.errors.pop(0)), query=True)
        self.told.append(form)
        inner = "" if action == "SignalResource" else "<CompleteLifecycleActionResult/>"
        text = (
            f"<{action}Response>{inner}<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        )
        return web.Response(text=text, content_type="text/xml")

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with self._session.request(
            request.method, self.backend + request.path_qs, headers=headers, data=body
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name not in ("Transfer-Encoding",)}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)


def _refused(request: web.Request, refusal: Refusal, *, query: bool) -> web.Response:
    service = request.headers.get("Authorization", "").partition("Credential=")[2].split("/")[3:4]
    if "X-Amz-Target" in request.headers:
        text, kind = json.dumps({"__type": refusal.code, "message": refusal.message}), "application/x-amz-json-1.1"
        return web.Response(status=refusal.status, text=text, content_type=kind, headers=refusal.headers)
    error = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
    if service == ["ec2"]:
        text = f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"
    else:
        text = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>" if query else error
    return web.Response(status=refusal.status, text=text, content_type="text/xml", headers=refusal.headers)
