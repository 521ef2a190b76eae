"""A proxy before moto's server: it counts calls, tells writes from reads, and answers what moto lacks.

A call is named `SERVICE:Action` as IAM does. For services of REST protocols the action is looked up in botocore's own
service model by method and path, so that every call has its name.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import botocore.loaders
from aiohttp import web
from yarl import URL

_READS = re.compile(r"(Describe|Get|List|Head|Lookup|Search|Simulate|Validate|Check|AssumeRole|Decode|Estimate|View)")
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[0-9]+/([^/]*)/([^/]*)/")
_ACCESS_KEY = re.compile(rb"<AccessKeyId>([^<]+)<")
_MODELS = {"s3": ("s3control", "s3"), "route53": ("route53",), "guardduty": ("guardduty",)}
"""Service models by signing name, of services whose calls have no action in them."""
_PARAMETERS = frozenset({"x-id"})
_ELSEWHERE = frozenset({"ListDirectoryBuckets"})
"""Operations with an endpoint of their own."""


@dataclass(frozen=True)
class AwsCall:
    """One call. `account_id` is that of the role whose keys signed it; empty for the caller's own keys."""

    name: str
    account_id: str
    region: str
    body: bytes = field(repr=False)
    path: str
    headers: dict[str, str] = field(repr=False)

    @property
    def action(self) -> str:
        return self.name.partition(":")[2]

    @property
    def is_write(self) -> bool:
        return _READS.match(self.action) is None

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a call of the query protocol."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


Answer = Callable[[AwsCall], Awaitable[web.Response | None] | web.Response | None]


@dataclass
class CountedAws:
    """`calls` are all calls in order. `extensions` answer a call by name in moto's place; None passes it on to moto.

    `before` runs before each call is passed on; what it returns is the answer.
    """

    backend: str
    calls: list[AwsCall] = field(default_factory=list)
    extensions: dict[str, Answer] = field(default_factory=dict)
    before: Answer = lambda _: None
    after: Callable[[AwsCall], None] = lambda _: None
    """Runs when moto has acted, before its answer is sent on."""
    url: str = ""
    _accounts: dict[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> list[str]:
        return [one.name for one in self.calls if one.is_write]

    def forget(self) -> None:
        """Count from zero."""
        self.calls.clear()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[CountedAws]:
        """Serve on a loopback port for the block's duration; `url` says which."""
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, auto_decompress=False)
        await runner.setup()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        key, region, service = self._signed(request)
        name = f"{service}:{_action(service, request, body)}"
        call = AwsCall(
            name, self._accounts.get(key, ""), region, body, request.raw_path, dict(request.headers)
        )  # fmt: skip
        self.calls.append(call)
        for answer in (self.before, self.extensions.get(name)):
            found = answer(call) if answer is not None else None
            found = await found if isinstance(found, Awaitable) else found
            if found is not None:
                return found
        answered = await self._forward(request, body)
        self.after(call)
        if call.action == "AssumeRole" and (given := _ACCESS_KEY.search(bytes(answered.body or b""))) is not None:  # type: ignore[arg-type]  # bytes, as read
            self._accounts[given[1].decode()] = call.form["RoleArn"].split(":")[4]
        return answered

    def _signed(self, request: web.Request) -> tuple[str, str, str]:
        found = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        assert found is not None, "AWS takes no unsigned call"
        return found[1], found[2], found[3]

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = dict(request.headers)  # with its Host, which is signed
        async with self._session.request(
            request.method,
            URL(self.backend + request.raw_path, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
        ) as answer:
            left_out = ("Transfer-Encoding", "Content-Length", "Server", "Date")
            passed = {name: value for name, value in answer.headers.items() if name not in left_out}
            if request.method == "HEAD" and "Content-Length" in answer.headers:
                passed["Content-Length"] = answer.headers["Content-Length"]
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)


def _action(service: str, request: web.Request, body: bytes) -> str:
    target = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    if target:
        return target
    if service in _MODELS:
        return next((name for model in _MODELS[service] for name in _rest(model, request)), request.method)
    return dict(parse_qsl(body.decode("utf-8", "replace"))).get("Action", request.method)


def _rest(model: str, request: web.Request) -> list[str]:
    """Return the operation of a model that a request is: the one with the most of its fixed parts."""
    parts = urlsplit(request.raw_path)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    given = {*asked, *(name.lower() for name in request.headers)}
    found = [
        (len(fixed) + len(needed) + depth / 100, name)
        for name, method, pattern, depth, fixed, needed in _operations(model)
        if method == request.method and pattern.match(parts.path) and fixed.items() <= asked.items() and needed <= given
    ]
    return [max(found)[1]] if found else []


@cache
def _operations(model: str) -> list[tuple[str, str, re.Pattern[str], int, dict[str, str], frozenset[str]]]:
    """Return names, methods, paths with their depths, fixed parameters, and required parameters and headers."""
    loaded = botocore.loaders.Loader().load_service_model(model, "service-2")
    operations, shapes = loaded["operations"], loaded["shapes"]
    found = []
    for name, about in ((name, about) for name, about in operations.items() if name not in _ELSEWHERE):
        path, _, query = about["http"]["requestUri"].partition("?")
        fixed = {
            key: value for key, value in parse_qsl(query, keep_blank_values=True) if key not in _PARAMETERS
        }  # fmt: skip
        shape = "".join(
            ".+" if part.endswith("+}") else "[^/]+" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", path.rstrip("/") or "/")
        )
        needed = _needed(shapes[about["input"]["shape"]] if "input" in about else {})
        found.append((name, about["http"]["method"], re.compile(shape + r"/?\Z"), path.count("/"), fixed, needed))
    return found


def _needed(shape: Mapping[str, Any]) -> frozenset[str]:
    members = {name: shape["members"][name] for name in shape.get("required", ())}
    return frozenset(
        one["locationName"] if one["location"] == "querystring" else one["locationName"].lower()
        for one in members.values()
        if one.get("location") in ("querystring", "header")
    )
