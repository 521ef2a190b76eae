"""Answers kept for conditional requests, which cost GitHub's clients nothing of their limit.

They are a cache and no evidence, so they are written many at a time: until then they are served from memory, and those
that were not written when the program ends are asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from whence_aggregator.collect.rows import kept_answer
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.collect import DROP_ANSWERS, KEEP_ANSWER, KEPT_ANSWER, KeepAnswerParameters
from whence_common.clock import Now, to_millis
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

KEPT_BODY_BYTES_MAX = 512 * 1024
KEPT_ANSWERS_MAX = 20_000
_KEPT = timedelta(days=30)
_KEEPS_BETWEEN_DROPS = 200
UNWRITTEN_MAX = 64
"""Answers that wait in memory: each write waits for the disk, which took most of the time of a long list of commits."""
UNWRITTEN_BYTES_MAX = 4 * 1024 * 1024
_UNWRITTEN = timedelta(seconds=10)
_COMPRESSED_HERE_BYTES_MAX = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """A complete answer of an outside source, with its entity tag and the URL of the next page."""

    etag: str
    next: str
    kept_at: int
    """When it was kept, or last found to be right: milliseconds since 1970."""
    body: bytes


class KeptAnswers:
    """Keeps answers in the database, by URL and login: what one login may read is not shown for another."""

    def __init__(
        self, *, database: Database, now: Now, unwritten_max: int = UNWRITTEN_MAX,
        unwritten_bytes_max: int = UNWRITTEN_BYTES_MAX,
    ) -> None:  # fmt: skip
        self._database = database
        self._now = now
        self._unwritten_max = unwritten_max
        self._unwritten_bytes_max = unwritten_bytes_max
        self._unwritten: dict[str, KeepAnswerParameters] = {}
        self._since = now()
        """When the oldest of the unwritten answers was kept."""
        self._writing = asyncio.Lock()
        self._kept = 0

    async def of(self, url: str, login: str) -> KeptAnswer | None:
        """Return the kept answer to a URL; None when there is none."""
        resource = _resource(url, login)
        row: KeepAnswerParameters | None = self._unwritten.get(resource)
        if row is not None:
            return _answer(row["etag"], row["next"], row["kept_at"], row["body"])
        rows = await self._database.fetch(KEPT_ANSWER.bind({"resource": resource}))
        return _answer(*kept_answer(rows[0])) if rows else None

    async def keep(self, url: str, login: str, answer: KeptAnswer) -> None:
        """Keep an answer, write those that wait once they are many or old, and drop old ones from time to time."""
        now = self._now()
        row: KeepAnswerParameters = {
            "resource": _resource(url, login), "etag": answer.etag, "next": answer.next, "kept_at": to_millis(now),
            "body": await _compressed(answer.body),
        }  # fmt: skip
        if not self._unwritten:
            self._since = now
        self._unwritten[row["resource"]] = row
        self._kept += 1
        if self._is_due(now):
            async with self._writing:
                if self._is_due(now):  # else the writer before this one wrote them
                    await self._write()
        if self._kept % _KEEPS_BETWEEN_DROPS == 0:
            await self.drop()

    async def write(self) -> None:
        """Write the answers that wait."""
        async with self._writing:
            await self._write()

    def _is_due(self, now: datetime) -> bool:
        bodies = sum(len(one["body"]) for one in self._unwritten.values())
        many = len(self._unwritten) >= self._unwritten_max or bodies >= self._unwritten_bytes_max
        return many or (bool(self._unwritten) and now - self._since >= _UNWRITTEN)

    async def _write(self) -> None:
        """Write the answers. Where the database fails, they are asked again: those that wait stay few."""
        rows = list(self._unwritten.values())
        if not rows:
            return
        try:
            await self._database.write(KEEP_ANSWER.bind(rows))
        finally:
            for row in rows:
                if self._unwritten.get(row["resource"]) is row:  # else a newer one arrived, which waits
                    del self._unwritten[row["resource"]]
            self._since = self._now()

    async def close(self) -> None:
        """Write the answers that wait, at the end of the program; without a database they are asked again."""
        try:
            await self.write()
        except StorageUnavailable as exc:
            log.warning("answers were not kept", extra=fields(error=exc.code))

    async def drop(self) -> None:
        """Drop answers that are a month old, and the oldest above KEPT_ANSWERS_MAX."""
        await self.write()
        before = to_millis(self._now() - _KEPT)
        await self._database.write(DROP_ANSWERS.bind([{"before": before, "kept_max": KEPT_ANSWERS_MAX}]))

    async def still(self, url: str, login: str, answer: KeptAnswer) -> None:
        """Note that a kept answer is still right, once it is a day old."""
        if answer.kept_at < to_millis(self._now() - timedelta(days=1)):
            await self.keep(url, login, answer)


def _answer(etag: str, following: str, kept_at: int, packed: bytes) -> KeptAnswer:
    body = zlib.decompressobj().decompress(packed, KEPT_BODY_BYTES_MAX)
    return KeptAnswer(etag=etag, next=following, kept_at=kept_at, body=body)


async def _compressed(body: bytes) -> bytes:
    if len(body) <= _COMPRESSED_HERE_BYTES_MAX:
        return zlib.compress(body, 6)
    return await asyncio.to_thread(zlib.compress, body, 6)


def _resource(url: str, login: str) -> str:
    return hashlib.sha256(f"{login}\n{url}".encode()).hexdigest()
