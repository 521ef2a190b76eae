"""Taking messages: they become tasks, dead letters or entries, durably. Taking one again adds nothing that is there.

Tasks are the durable retries: SQS delivers again for a few days at most, and moves a message that fails too often.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from whence_aggregator.events.allowed import AllowedTrails, check_place
from whence_aggregator.events.cloud_record import CloudRecord, parse_record
from whence_aggregator.events.dead_letters import dead_message, dead_object, object_text
from whence_aggregator.events.envelopes import InlineRecord, NamedObjects, parse_envelope
from whence_aggregator.events.object_keys import TrailObject
from whence_aggregator.events.recorder import EventRecorder
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.role_session import RoleSession
from whence_aggregator.ports import Database
from whence_aggregator.queries.events import ADD_TRAIL_DEAD, AddTrailDeadParameters
from whence_aggregator.queries.work import ADD_TASK, AddTaskParameters
from whence_common.clock import Now, to_instant, to_millis
from whence_common.errors import one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

LOG_KIND, DIGEST_KIND, REPLAY_KIND = "trail-log", "trail-digest", "trail-replay"
"""Kinds of tasks: a log file or a digest file to read, and a dead letter to take again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePlace:
    """The queue that messages are from. `inline_accounts`: whose records EventBridge may send to it.

    `topics`: ARNs of the SNS topics whose notifications are taken; empty: of any topic that the queue's policy admits.
    """

    url: str
    inline_accounts: Collection[str] = ()
    topics: Collection[str] = ()


@dataclass(slots=True)
class _Taken:
    """What a batch of messages becomes."""

    tasks: dict[tuple[str, str], AddTaskParameters] = field(default_factory=dict)
    dead: dict[str, AddTrailDeadParameters] = field(default_factory=dict)
    records: dict[str, list[CloudRecord]] = field(default_factory=dict)
    sessions: list[RoleSession] = field(default_factory=list)


class MessageTaker:
    """Takes messages of any queue. `verifies`: whether digest files are read."""

    def __init__(
        self,
        *,
        database: Database,
        recorder: EventRecorder,
        allowed: AllowedTrails,
        verifies: bool,
        now: Now,
        on_work: Callable[[], None],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._allowed = allowed
        self._verifies = verifies
        self._now = now
        self._on_work = on_work

    async def take(self, bodies: Sequence[str], place: MessagePlace) -> Collection[str]:
        """Make what messages name durable; return the ids of dead letters. Raises StorageUnavailable."""
        taken = _Taken()
        for body in bodies:
            try:
                self._sort(body, place, taken)
            except TrailRefused as exc:
                row = dead_message(place.url, body, exc, at=to_millis(self._now()))
                taken.dead[row["id"]] = row
        await self._recorder.keep_sessions(taken.sessions, source={"queue": place.url})
        for records in taken.records.values():
            await self._recorder.record(records, source={"queue": place.url})
        if taken.tasks or taken.dead:
            await self._database.write(
                ADD_TASK.bind(list(taken.tasks.values())), ADD_TRAIL_DEAD.bind(list(taken.dead.values()))
            )
        for row in taken.dead.values():
            log.warning("dead letter", extra=fields(place=row["place"], code=row["code"], reason=row["reason"]))
        if taken.tasks:
            self._on_work()
        return taken.dead.keys()

    def _sort(self, body: str, place: MessagePlace, taken: _Taken) -> None:
        """Add what one message becomes. Raises TrailRefused."""
        found = parse_envelope(body, topics=place.topics)
        if isinstance(found, InlineRecord):
            record = self._inline(found, place)
            if isinstance(record, RoleSession):
                taken.sessions.append(record)
            elif record is not None:
                taken.records.setdefault(record.account_id, []).append(record)
        elif isinstance(found, NamedObjects):
            for one in found.objects:
                self._add_object(one, taken)

    def _add_object(self, one: TrailObject, taken: _Taken) -> None:
        at = self._now()
        try:
            key = self._allowed.key_of(one)
        except TrailRefused as exc:
            row = dead_object(one, exc, of=("", ""), at=to_millis(at))
            taken.dead[row["id"]] = row
            return
        if key is None or (key.sort == "digest" and not self._verifies):
            return
        row_ = task_of(one, DIGEST_KIND if key.sort == "digest" else LOG_KIND, key.account_id, due_at=to_instant(at))
        taken.tasks[row_["kind"], row_["subject"]] = row_

    def _inline(self, found: InlineRecord, place: MessagePlace) -> CloudRecord | RoleSession | None:
        """Return EventBridge's record; its envelope, which AWS writes, states whose it is. Raises TrailRefused."""
        if found.account_id not in place.inline_accounts:
            fix = "add it to the queue's event_bridge_accounts, and replay"
            message = (
                f"EventBridge's events of account {one_line(found.account_id, 20)} are not accepted from this queue"
            )
            raise TrailRefused("account-not-accepted", message, fix=fix)
        self._allowed.check_account(found.account_id, (), place.url)
        _, record = parse_record(found.record)
        if record is not None:
            check_place(record, found.account_id)
        return record


def task_of(one: TrailObject, kind: str, account_id: str, *, due_at: str) -> AddTaskParameters:
    """Return the task that reads an object: in the lane of its account, so that no account holds up another."""
    return {"kind": kind, "subject": object_text(one), "due_at": due_at, "lane": account_id, "host": f"s3/{one.bucket}"}
