"""/metrics: open to every caller, except the labels that name accounts and hosts; they need a token, or a setting."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.http.authentication import signed_in
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.http.shared import ASKED_SECONDS_MAX, Shared
from whence_aggregator.ports import StorageUnavailable, Unauthenticated
from whence_common import open_metrics
from whence_common.open_metrics import Family, gauge
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

STORED_SECONDS_MAX = 2.0
"""How long the database has: the rest is shown without it, most of all when it is in trouble."""
_WITHOUT = "leave the token out to see the metrics without accounts and hosts"
Source = Callable[[], Sequence[Family]]


class MetricsCalls:
    """Returns the metrics of `sources` and `stored`; `files` reads files, in a thread, and `stored` the database."""

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        files: Source,
        stored: Callable[[], Awaitable[Sequence[Family]]] | None,
        sign_in: Authenticator | None,
        labels_public: Callable[[], bool],
    ) -> None:
        self._sources = sources
        self._files = files
        self._stored = Shared(stored) if stored is not None else None
        self._shown = {
            labels: Shared(functools.partial(self._render, labels=labels), fresh_seconds=0.0)
            for labels in (True, False)
        }
        """Rendered once for all who ask meanwhile: it costs more than whatever else strangers may ask for."""
        self._sign_in = sign_in
        self._labels_public = labels_public

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self._metrics)]

    async def _metrics(self, request: web.Request) -> web.Response:
        no_parameters(request)
        body = await self._shown[await self._sees_labels(request)].get(seconds_max=ASKED_SECONDS_MAX)
        return web.Response(body=body, headers={"Content-Type": open_metrics.CONTENT_TYPE, "Cache-Control": "no-store"})

    async def _render(self, *, labels: bool) -> bytes:
        found = [*await asyncio.to_thread(self._files), *(one for source in self._sources for one in source())]
        if self._stored is not None:
            found += await self._from_database(self._stored)
        shown = found if labels else [family.public() for family in found]
        return open_metrics.render_families(shown).encode()

    async def _sees_labels(self, request: web.Request) -> bool:
        """Say whether to show accounts and hosts. Raises Unauthenticated for a token that is not known."""
        if "Authorization" in request.headers:
            if self._sign_in is None:
                raise Unauthenticated("token-unknown", "no tokens are known here", fix=_WITHOUT)
            try:
                caller = await signed_in(request, self._sign_in)
            except Unauthenticated as exc:
                raise Unauthenticated(exc.code, exc.message, fix=_WITHOUT) from exc
            return caller.job is None and caller.reads_everything
        return self._labels_public()

    async def _from_database(self, stored: Shared[Sequence[Family]]) -> list[Family]:
        try:
            families = await stored.get(seconds_max=STORED_SECONDS_MAX)
        except (TimeoutError, StorageUnavailable) as exc:
            error = str(exc) or f"no answer within {STORED_SECONDS_MAX:g} seconds"
            log.warning("metrics are returned without those of the database", extra=fields(error=error))
            return [_answering(answers=False)]
        return [*families, _answering(answers=True)]


def _answering(*, answers: bool) -> Family:
    return gauge("whence_database_up", "1 if the database answered this request.", float(answers))
