"""The dead letters that wait: listed, discarded, and taken again by a task, so that a replay is durable too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.events.dead_letters import DeadLetter, object_of_text
from whence_aggregator.events.object_keys import parse_key
from whence_aggregator.events.rows import dead_counts, dead_letters
from whence_aggregator.events.taking import DIGEST_KIND, LOG_KIND, REPLAY_KIND, MessagePlace, MessageTaker, task_of
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.events import (
    COUNT_TRAIL_DEAD,
    DROP_TRAIL_DEAD,
    DROP_TRAIL_OBJECT,
    TRAIL_DEAD_ONE,
    TRAIL_DEAD_PAGE,
)
from whence_aggregator.queries.work import ADD_TASK
from whence_aggregator.work.questions import SHARED_LANE
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError

REPLAYED_AT_ONCE_MAX = 1_000


class DeadBox:
    """Lists and replays dead letters. Needs a database only, so that a command can do it beside the running program."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def page(self, *, after: str, limit: int) -> tuple[list[DeadLetter], str | None]:
        """Return letters, oldest first, and the cursor of the next page. Raises InputError for an invalid cursor."""
        at, _, last = after.partition("-")
        if after and not (at.isdecimal() and len(at) <= 15):
            raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
        rows = await self._database.fetch(
            TRAIL_DEAD_PAGE.bind({"after_at": int(at or 0), "after_id": last, "limit": limit + 1})
        )
        found = dead_letters(rows)
        page = found[:limit]
        return page, f"{page[-1].dead_at}-{page[-1].id}" if len(found) > limit else None

    async def counts(self) -> Mapping[str, int]:
        """Return the number of letters by code."""
        return dead_counts(await self._database.fetch(COUNT_TRAIL_DEAD.bind({})))

    async def letter(self, letter_id: str) -> DeadLetter:
        """Return one letter. Raises NotFound."""
        found = dead_letters(await self._database.fetch(TRAIL_DEAD_ONE.bind({"id": letter_id})))
        if not found:
            raise NotFound("dead-letter-unknown", "there is no dead letter with this id: it was replayed or discarded")
        return found[0]

    async def replay(self, letter_id: str) -> None:
        """Have a letter taken again. Raises NotFound."""
        letter = await self.letter(letter_id)
        await self._add([letter.id])

    async def replay_all(self, code: str | None) -> int:
        """Have the oldest letters taken again, at most REPLAYED_AT_ONCE_MAX; return their number."""
        rows = await self._database.fetch(
            TRAIL_DEAD_PAGE.bind({"after_at": 0, "after_id": "", "limit": REPLAYED_AT_ONCE_MAX})
        )
        ids = [one.id for one in dead_letters(rows) if code in (None, one.code)]
        await self._add(ids)
        return len(ids)

    async def discard(self, letter_id: str) -> None:
        """Delete a letter for good. Raises NotFound."""
        letter = await self.letter(letter_id)
        await self._database.write(DROP_TRAIL_DEAD.bind([{"id": letter.id}]))

    async def _add(self, ids: Sequence[str]) -> None:
        due_at = to_instant(self._now())
        await self._database.write(
            ADD_TASK.bind(
                [
                    {"kind": REPLAY_KIND, "subject": one, "due_at": due_at, "lane": SHARED_LANE, "host": "dead-letters"}
                    for one in ids
                ]
            )
        )


class Replaying:
    """Takes a dead letter again; one that is refused again stays, with the reason of now."""

    def __init__(
        self, *, box: DeadBox, database: Database, taker: MessageTaker, places: Mapping[str, MessagePlace], now: Now
    ) -> None:
        self._box = box
        self._database = database
        self._taker = taker
        self._places = places
        self._now = now

    async def do(self, task: Task) -> Again | None:
        """Take the letter that the task names by its id."""
        try:
            letter = await self._box.letter(task.subject)
        except NotFound:
            return None
        drop = DROP_TRAIL_DEAD.bind([{"id": letter.id}])
        if letter.sort == "message":
            place = self._places.get(letter.place, MessagePlace(url=letter.place))
            again = await self._taker.take([letter.body], place)
            if letter.id not in again:
                await self._database.write(drop)
            return None
        one = object_of_text(letter.body)
        key = parse_key(one.key)
        kind = DIGEST_KIND if key is not None and key.sort == "digest" else LOG_KIND
        lane = key.account_id if key is not None else SHARED_LANE
        row = task_of(one, kind, lane, due_at=to_instant(self._now()))
        unread = DROP_TRAIL_OBJECT.bind([{"bucket": one.bucket, "object_key": one.key}])  # else it is not read again
        await self._database.write(ADD_TASK.bind([row]), unread, drop)
        return None
