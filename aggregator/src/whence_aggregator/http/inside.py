"""Asks the program's own API in this process, as a given caller: the console shows what the API answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import StreamReader, hdrs, web
from multidict import CIMultiDict
from yarl import URL

from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.console.asking import ApiAnswer, ApiRefused, QueryFields
from whence_aggregator.http.authentication import REPEATED, authentication
from whence_aggregator.http.bodies import JsonResponse
from whence_aggregator.http.errors import REQUEST_ID, guarded
from whence_aggregator.http.streams import FURTHER_HEADERS

_BODY_BYTES_MAX = 1024 * 1024
_NOT_SHOWN = (403, 404)
_WHOLE_LISTS = ("/api/teams", "/api/accounts/aws")
"""The team service's lists, which have every name at once: a search looks through them."""


class Inside:
    """The API's routes below /v1, and two more, each with its authentication, its limits and its errors."""

    def __init__(self, routes: Iterable[web.RouteDef], sign_in: Authenticator) -> None:
        self._router = web.UrlDispatcher()
        authenticate = authentication(sign_in)
        for route in routes:
            if route.path.startswith("/v1/") or route.path in _WHOLE_LISTS:
                for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                    self._router.add_route(method, route.path, guarded(route.handler, authenticate))

    def asking(self, request: web.Request, token: str, *, repeated: bool = False) -> AskInside:
        """Return what asks as the caller of a token, on behalf of a request of a browser.

        `repeated`: it asks the same every few seconds, which is not logged each time.
        """
        return AskInside(self._router, request, token, repeated=repeated)


class AskInside:
    """Asks as one caller. The questions count as the browser's: its address, its connection, its request's id."""

    def __init__(self, router: web.UrlDispatcher, request: web.Request, token: str, *, repeated: bool = False) -> None:
        self._repeated = repeated
        self._router = router
        self._request = request
        self._token = token

    async def get(self, path: str, parameters: QueryFields | None = None) -> Any:
        return _document(await self.answer("GET", path, parameters or {}))

    async def find(self, path: str, parameters: QueryFields | None = None) -> Any | None:
        answer = await self.answer("GET", path, parameters or {})
        return None if answer.status in _NOT_SHOWN else _document(answer)

    async def text(self, path: str, parameters: QueryFields | None = None) -> str:
        answer = await self.answer("GET", path, parameters or {})
        _document(answer)
        return answer.text

    async def find_text(self, path: str) -> str | None:
        answer = await self.answer("GET", path, {})
        if answer.status in _NOT_SHOWN:
            return None
        _document(answer)
        return answer.text

    async def post(self, path: str, document: Mapping[str, Any], parameters: QueryFields | None = None) -> Any:
        return _document(await self.answer("POST", path, parameters or {}, msgspec.json.encode(document)))

    async def answer(self, method: str, path: str, parameters: QueryFields, body: bytes = b"") -> ApiAnswer:
        """Return the answer to a request, whatever its status. `path` is quoted."""
        inner = self._inner(method, URL(path, encoded=True).with_query(dict(parameters)), body)
        match_info = await self._router.resolve(inner)
        inner._match_info = match_info  # as aiohttp's own application sets it
        try:
            response = await match_info.handler(inner)
        except web.HTTPException as exc:  # of the router alone: a part of the API that is not configured here
            return ApiAnswer(status=exc.status, document={"code": f"http-{exc.status}", "detail": exc.reason})
        return _answer(inner, response)

    async def save(self, path: str, parameters: QueryFields, headers: Mapping[str, str]) -> web.StreamResponse:
        """Return an answer with further headers, for the browser itself. Raises ApiRefused for a status of 400 or more.

        One that is sent in pieces has been sent when this returns. `path` is quoted.
        """
        method = hdrs.METH_HEAD if self._request.method == hdrs.METH_HEAD else hdrs.METH_GET
        inner = self._inner(method, URL(path, encoded=True).with_query(dict(parameters)), b"")
        inner[FURTHER_HEADERS] = headers
        match_info = await self._router.resolve(inner)
        inner._match_info = match_info  # as aiohttp's own application sets it
        response = await match_info.handler(inner)
        if response.prepared:
            return response
        if response.status >= 400:
            raise ApiRefused(_answer(inner, response))
        response.headers.update(headers)
        return response

    def _inner(self, method: str, url: URL, body: bytes) -> web.Request:
        """Return a request on the browser's connection, without its headers and body."""
        outer = self._request
        headers = CIMultiDict[str]({hdrs.AUTHORIZATION: f"Bearer {self._token}", "X-Request-Id": outer[REQUEST_ID]})
        if body:
            headers.update({hdrs.CONTENT_TYPE: "application/json", hdrs.CONTENT_LENGTH: str(len(body))})
        inner = outer.clone(method=method, rel_url=url, headers=headers)
        content = StreamReader(outer.protocol, _BODY_BYTES_MAX, loop=outer._loop)
        content.feed_data(body)
        content.feed_eof()
        inner._payload = content
        inner[REPEATED] = self._repeated
        assert isinstance(inner, web.Request)
        return inner


def _answer(inner: web.Request, response: web.StreamResponse) -> ApiAnswer:
    if isinstance(response, JsonResponse):
        content = response.content
    else:
        assert isinstance(response, web.Response), "an answer that is sent in pieces is not asked for inside"
        content = response.body if isinstance(response.body, bytes) else b""
    is_json = response.content_type.endswith("json")
    return ApiAnswer(
        status=response.status,
        document=msgspec.json.decode(content) if is_json and content else None,
        request_id=inner.get(REQUEST_ID, ""),
        text="" if is_json else content.decode("utf-8", "replace"),
    )


def _document(answer: ApiAnswer) -> Any:
    if answer.status >= 400:
        raise ApiRefused(answer)
    return answer.document
