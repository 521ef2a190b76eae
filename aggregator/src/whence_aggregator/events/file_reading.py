"""Reading one log file: a task of the queue, so that what fails is tried again for days, with its reason shown.

The object's row is written after all its events, so a file that was read in part is read again; its events are known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from whence_aggregator.events.allowed import AllowedTrails, check_place
from whence_aggregator.events.cloud_record import CloudRecord
from whence_aggregator.events.dead_letters import dead_object, dead_record, object_of_text
from whence_aggregator.events.log_file import LogFile, RefusedRecord, bounded_refusals
from whence_aggregator.events.object_keys import TrailKey, TrailObject
from whence_aggregator.events.ports import LogFileReader, ReadObject, TrailObjects
from whence_aggregator.events.recorder import EventRecorder
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.role_session import RoleSession
from whence_aggregator.events.rows import etags
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.queries.events import (
    ADD_TRAIL_DEAD,
    PUT_TRAIL_OBJECT,
    TRAIL_COVERED,
    TRAIL_OBJECTS_KNOWN,
    TRAIL_UNCOVERED,
    AddTrailDeadParameters,
)
from whence_aggregator.queries.query import array
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, parse_instant, to_millis
from whence_common.errors import one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

ATTEMPTS_MAX = 1_000
"""About a week with the worker's longest pause; then the object becomes a dead letter, which can be replayed."""
AHEAD_MILLIS_MAX = 3_600_000
"""An event that claims to be later than this does not count as the newest."""


class LogFileReading:
    """Reads the log file that a task names by `bucket/key`."""

    def __init__(
        self,
        *,
        database: Database,
        objects: TrailObjects,
        reader: LogFileReader,
        recorder: EventRecorder,
        allowed: AllowedTrails,
        now: Now,
    ) -> None:
        self._database = database
        self._objects = objects
        self._reader = reader
        self._recorder = recorder
        self._allowed = allowed
        self._now = now

    async def do(self, task: Task) -> Again | None:
        """Read the file; return None when its events are recorded, or it is a dead letter. Raises SourceUnavailable."""
        one, of = object_of_text(task.subject), ("", "")
        try:
            key = self._allowed.key_of(one)
            if key is None:
                return None
            of = key.account_id, key.region
            stored = await self._stored(one)
            if stored is not None:
                await self._read(one, key, stored)
        except TrailRefused as exc:
            await self._bury([dead_object(one, exc, of=of, at=self._at)])
        except SourceUnavailable as exc:
            await self._failed(one, of, exc, attempts=task.attempts)
        return None

    @property
    def _at(self) -> int:
        return to_millis(self._now())

    async def _stored(self, one: TrailObject) -> ReadObject | None:
        """Return the object; None when it was read whole, and has not changed since."""
        rows = await self._database.fetch(
            TRAIL_OBJECTS_KNOWN.bind({"bucket": one.bucket, "object_keys": array([one.key])})
        )
        return await self._objects.read(one.bucket, one.key, unless_etag=etags(rows).get(one.key, ""))

    async def _read(self, one: TrailObject, key: TrailKey, stored: ReadObject) -> None:
        file = await self._reader.read(stored.content)
        records, sessions, foreign = _of_account(file, key)
        source = {"bucket": one.bucket, "key": one.key, "digest": file.digest}
        await self._recorder.keep_sessions(sessions, source=source)
        if records:
            await self._recorder.record(records, source=source)
        of, at = (key.account_id, key.region), self._at
        dead = [dead_record(one, r.number, r.code, r.reason, of=of, at=at) for r in (*file.refused, *foreign)]
        newest = to_millis(parse_instant(file.newest_at)) if file.newest_at else None
        if newest is not None and newest > at + AHEAD_MILLIS_MAX:
            newest = None
        await self._database.write(
            ADD_TRAIL_DEAD.bind(dead),
            TRAIL_COVERED.bind(
                [{"account_id": key.account_id, "region": key.region, "newest_at": newest, "read_at": at}]
            ),
            PUT_TRAIL_OBJECT.bind(
                [
                    {
                        "bucket": one.bucket, "object_key": one.key, "etag": stored.etag, "digest": file.digest,
                        "read_at": at,
                    }
                ]
            ),
        )  # fmt: skip
        if dead:
            log.warning("records of a trail refused", extra=fields(object=str(one), refused=len(dead)))

    async def _failed(self, one: TrailObject, of: tuple[str, str], exc: SourceUnavailable, *, attempts: int) -> None:
        """Show why an account and region is not covered, and try again; give up after a week of attempts."""
        failure = one_line(exc.message, 300)
        await self._database.write(
            TRAIL_UNCOVERED.bind([{"account_id": of[0], "region": of[1], "failed_at": self._at, "failure": failure}])
        )
        if attempts < ATTEMPTS_MAX:
            raise exc
        await self._bury([dead_object(one, exc, of=of, at=self._at)])

    async def _bury(self, dead: Sequence[AddTrailDeadParameters]) -> None:
        await self._database.write(ADD_TRAIL_DEAD.bind(dead))
        for row in dead:
            log.warning("dead letter", extra=fields(place=row["place"], code=row["code"], reason=row["reason"]))


def _of_account(
    file: LogFile, key: TrailKey
) -> tuple[Sequence[CloudRecord], Sequence[RoleSession], Sequence[RefusedRecord]]:
    """Return the events and sessions of the key's account, and why the others are refused."""
    records: list[CloudRecord] = []
    sessions: list[RoleSession] = []
    refused: list[RefusedRecord] = []
    found: list[CloudRecord | RoleSession] = [*file.records, *file.sessions]
    for one in found:
        try:
            check_place(one, key.account_id)
            if isinstance(one, RoleSession):
                sessions.append(one)
            else:
                records.append(one)
        except TrailRefused as exc:
            refused.append(RefusedRecord(number=len(refused), code=exc.code, reason=exc.message))
    return records, sessions, bounded_refusals(refused)
