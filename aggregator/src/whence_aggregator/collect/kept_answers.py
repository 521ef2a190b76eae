"""Answers kept for conditional requests, which cost GitHub's clients nothing of their limit."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import timedelta

from whence_aggregator.collect.rows import kept_answer
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import DROP_ANSWERS, KEEP_ANSWER, KEPT_ANSWER, KeepAnswerParameters
from whence_common.clock import Now, to_millis

KEPT_BODY_BYTES_MAX = 512 * 1024
KEPT_ANSWERS_MAX = 20_000
_KEPT = timedelta(days=30)
_KEEPS_BETWEEN_DROPS = 200


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

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        self._kept = 0

    async def of(self, url: str, login: str) -> KeptAnswer | None:
        """Return the kept answer to a URL; None when there is none."""
        rows = await self._database.fetch(KEPT_ANSWER.bind({"resource": _resource(url, login)}))
        if not rows:
            return None
        etag, following, kept_at, packed = kept_answer(rows[0])
        body = zlib.decompressobj().decompress(packed, KEPT_BODY_BYTES_MAX)
        return KeptAnswer(etag=etag, next=following, kept_at=kept_at, body=body)

    async def keep(self, url: str, login: str, answer: KeptAnswer) -> None:
        """Keep an answer, and drop the old ones from time to time."""
        now = self._now()
        row: KeepAnswerParameters = {
            "resource": _resource(url, login), "etag": answer.etag, "next": answer.next, "kept_at": to_millis(now),
            "body": zlib.compress(answer.body, 6),
        }  # fmt: skip
        await self._database.write(KEEP_ANSWER.bind([row]))
        self._kept += 1
        if self._kept % _KEEPS_BETWEEN_DROPS == 0:
            await self.drop()

    async def drop(self) -> None:
        """Drop answers that are a month old, and the oldest above KEPT_ANSWERS_MAX."""
        before = to_millis(self._now() - _KEPT)
        await self._database.write(DROP_ANSWERS.bind([{"before": before, "kept_max": KEPT_ANSWERS_MAX}]))

    async def still(self, url: str, login: str, answer: KeptAnswer) -> None:
        """Note that a kept answer is still right, once it is a day old."""
        if answer.kept_at < to_millis(self._now() - timedelta(days=1)):
            await self.keep(url, login, answer)


def _resource(url: str, login: str) -> str:
    return hashlib.sha256(f"{login}\n{url}".encode()).hexdigest()
