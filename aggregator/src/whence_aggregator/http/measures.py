"""Counts of requests by the template of their route, never by the path that a caller sent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from whence_common.meters import OTHER, Histogram, Series
from whence_common.open_metrics import Family, Sample, gauge

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PATTERN = re.compile(r"\{([a-z_]+):[^}]*\}")
_EVERYTHING_ELSE = "/{path}"
CALLER_LEFT = 499
"""The status of nginx for a client that disconnected before the answer."""


class HttpMeasures:
    """Counts requests, and measures the time until an answer is ready or, if streamed, sent."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._requests: dict[str, dict[tuple[str, int], int]] = {}
        self._seconds = Histogram("whence_http_request_seconds", "Time until the answer, by route.", ("route",))
        self._under_way = 0

    def around(self, path: str, handler: Handler) -> Handler:
        """Wrap a handler to count the requests of a route."""
        route = template(path)
        counts = self._requests.setdefault(route, {})
        series: Series | None = None

        async def handle(request: web.Request) -> web.StreamResponse:
            nonlocal series
            began, status = self._clock(), 500
            self._under_way += 1
            try:
                response = await handler(request)
                status = response.status
                return response
            except web.HTTPException as exc:
                status = exc.status
                raise
            except (ConnectionError, asyncio.CancelledError):
                status = CALLER_LEFT
                raise
            finally:
                self._under_way -= 1
                one = request.method if request.method in _METHODS else OTHER, status
                counts[one] = counts.get(one, 0) + 1
                series = series or self._seconds.series(route)
                series.observe(self._clock() - began)

        return handle

    def families(self) -> Sequence[Family]:
        under_way = gauge("whence_http_requests_under_way", "Requests in progress.", self._under_way)
        requests = Family(
            name="whence_http_requests", kind="counter", help="Requests by route, method and status.",
            samples=[
                Sample(n, {"route": route, "method": method, "status": str(status)})
                for route, counts in self._requests.items()
                for (method, status), n in counts.items()
            ],
        )  # fmt: skip
        return requests, self._seconds.family(), under_way


def template(path: str) -> str:
    """Return a route's name: `/v2/{name:.+}/tags/list` is `/v2/{name}/tags/list`; an unknown path is `other`."""
    route = _PATTERN.sub(r"{\1}", path)
    return OTHER if route == _EVERYTHING_ELSE else route
