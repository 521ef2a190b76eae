"""The log for auditors and witnesses: C2SP checkpoints, tiles and entry bundles; receipts; bundles of a period."""

from __future__ import annotations

import re

from aiohttp import web

from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.http.authentication import CALLER, require_user_data
from whence_aggregator.http.bodies import respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.streams import streamed
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.ports import NotFound
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import InputError
from whence_common.merkle import TILE_WIDTH

_TILE = re.compile(r"(0|[1-9][0-9]?|entries)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z")
_INDEX = re.compile(r"(0|[1-9][0-9]{0,14})\Z")
_LEVEL_MAX = 63
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_SHORT = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class LogCalls:
    """`/v1/log`, receipts and bundles."""

    def __init__(self, *, ledger: Ledger, publisher: Publisher, bundles: Bundles, streams: Slots) -> None:
        self._streams = streams
        self._ledger = ledger
        self._publisher = publisher
        self._bundles = bundles

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/log/checkpoint", self._checkpoint),
            web.get("/v1/log/keys", self._keys),
            web.get("/v1/log/tile/{path:.+}", self._tile),
            web.get("/v1/log/entries/{index}", self._entry),
            web.get("/v1/receipts/{name}", self._receipt),
            web.get("/v1/bundles", self._bundle),
        ]

    async def _checkpoint(self, request: web.Request) -> web.Response:
        Query(request)
        return web.Response(text=self._publisher.note or self._ledger.note, headers=_SHORT)

    async def _keys(self, request: web.Request) -> web.Response:
        Query(request)
        lines = [*self._ledger.keys, *map(str, self._ledger.revoked)]
        return web.Response(text="".join(f"{line}\n" for line in lines), headers=_SHORT)

    async def _tile(self, request: web.Request) -> web.Response:
        Query(request)
        match = _TILE.match(request.match_info["path"])
        width = int(match[3] or TILE_WIDTH) if match else 0
        if match is None or not 0 < width <= TILE_WIDTH or (match[3] is not None and width == TILE_WIDTH):
            raise NotFound("tile-unknown", "this is not the path of a tile", fix="write it like tile/0/x001/067")
        number = int(match[2].replace("x", "").replace("/", ""))
        if match[1] == "entries":
            require_user_data(request)
            content = await self._ledger.reader.bundle(number, width)
        elif int(match[1]) > _LEVEL_MAX:
            raise NotFound("tile-unknown", f"unknown level: levels are from 0 to {_LEVEL_MAX}")
        else:
            content = await self._ledger.reader.tile(int(match[1]), number, width)
        return web.Response(body=content, content_type="application/octet-stream", headers=_IMMUTABLE)

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        Query(request)
        digest, suffix, rest = request.match_info["name"].partition(".tlog-proof")
        if not is_sha256_digest(digest) or rest:
            raise InputError("parameter-malformed", "not a digest of an entry: write sha256: and 64 hex digits")
        stored = await self._ledger.reader.find(digest)
        if stored is None:
            raise NotFound("statement-unknown", f"entry not found: {digest}")
        text = await self._publisher.receipt(stored.ledger_index)
        if suffix:
            return web.Response(text=text, headers=_SHORT)
        return respond_json(
            {
                "digest": digest,
                "ledger_index": stored.ledger_index,
                "recorded_at": await self._ledger.reader.recorded_at(stored.ledger_index),
                "receipt": text,
            }
        )

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        """Show an entry by its number, with its receipt. Its text needs the right to read user data."""
        Query(request)
        named = request.match_info["index"]
        if not _INDEX.match(named):
            raise InputError("parameter-malformed", "this is not the number of an entry", fix="write it like 4711")
        stored = await self._ledger.reader.entry(int(named))
        content, may_read = stored.content, request[CALLER].may_read_user_data
        state = "removed" if content is None else "shown" if may_read else "withheld"
        return respond_json(
            {
                "ledger_index": stored.ledger_index,
                "kind": stored.kind,
                "digest": sha256_digest(content) if content is not None else None,
                "size": len(content) if content is not None else None,
                "recorded_at": await self._ledger.reader.recorded_at(stored.ledger_index),
                "state": state,
                "content": content.decode("utf-8") if content is not None and may_read else None,
                "receipt": await self._publisher.receipt(stored.ledger_index),
            }
        )

    async def _bundle(self, request: web.Request) -> web.StreamResponse:
        query = Query(request, "account", "from", "to")
        require_user_data(request)
        account = query.text("account")
        since, until = _needed(query, "from"), _needed(query, "to")
        if since >= until:
            raise InputError("parameter-malformed", "from must be before to")
        await self._publisher.publish()
        lines = self._bundles.lines(
            account=account_id(account) if account is not None else None,
            since=since,
            until=until,
            note=self._publisher.note,
        )
        with self._streams.take(request, request[CALLER].name):
            return await streamed(request, {**_SHORT, "Content-Type": "application/x-ndjson"}, lines)


def _needed(query: Query, name: str) -> str:
    value = query.instant(name)
    if value is None:
        raise InputError("parameter-missing", f"{name} is required", fix="write it like 2026-11-22T12:00:00Z")
    return value
