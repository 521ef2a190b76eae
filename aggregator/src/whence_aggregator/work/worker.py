"""The worker: claims due tasks, and passes them to the handler of their kind.

Tasks are claimed as places become free, not in batches, so no task waits for a slower one. Lanes take turns, and hosts
and lanes have limits (lanes.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from whence_aggregator.ports import Database, SourceUnavailable, StorageUnavailable
from whence_aggregator.queries.work import (
    CLAIM_TASK,
    DUE_TASKS,
    DUE_TASKS_OF_EACH,
    FINISH_TASK,
    FORGET_TASK,
    NEXT_DUE,
    POSTPONE_TASK,
    PUT_OFF_TASK,
    REPEAT_TASK,
    ForgetTaskParameters,
    PostponeTaskParameters,
    PutOffTaskParameters,
    RepeatTaskParameters,
)
from whence_aggregator.work.lanes import SHARES, Lanes, LaneShares, choose
from whence_aggregator.work.rows import claimed as claimed_task
from whence_aggregator.work.rows import due, next_due
from whence_aggregator.work.task import Again, Due, Marks, Task, Work
from whence_common.backoff import Backoff
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.storable import Unstorable, cleaned

log = logging.getLogger(__name__)

CLAIMED_AT_ONCE_MAX = 16
DUE_MAX = 512
"""The number of due tasks that are read before claiming; if more are due, the oldest of each lane and host are read."""
DUE_OF_EACH_MAX = 8
DUE_IN_FLOOD_MAX = 8_192
LEASE_SECONDS = 660
"""Longer than any answer may take (fact_recorder.ANSWER_SECONDS_MAX), so no other replica asks meanwhile."""
SLOW_SECONDS = 20.0
"""A host is slow when a task failed after this long."""
IDLE_SECONDS_MAX = 5.0
_BUG_PAUSE_SECONDS = 3600.0
UNSTORABLE_SECONDS = 86_400.0
"""When a task whose answer cannot be stored is tried again."""
NOT_CONFIGURED = ("registry-not-configured", "git-not-configured", "tracker-not-configured", "work-not-configured")
"""Codes of SourceUnavailable for tasks that reach no host."""
UNLISTED = "-"
"""The host label of all tasks that reach no host, as there may be any number of them."""


class Worker:
    """Does the tasks in the task table; several replicas may run one."""

    def __init__(
        self,
        *,
        database: Database,
        kinds: Mapping[str, Work],
        now: Now,
        seconds: Callable[[], float],
        backoff: Backoff,
        marks: Marks,
        shares: LaneShares = SHARES,
        does: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`does`: whether this process does tasks of a kind; those of others are left to another program."""
        self._database = database
        self._marks = marks
        self._does = does
        self._kinds = kinds
        self._lanes = Lanes(shares, kinds)
        self._turn = ""
        """The lane that was served last."""
        self._seconds = seconds
        self._now = now
        self._backoff = backoff
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for due tasks now, as some may have been added."""
        self._woken.set()

    @property
    def under_way(self) -> int:
        """Return the number of running tasks."""
        return self._lanes.under_way

    async def run(self) -> None:
        """Do tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                try:
                    claimed = await self._claim()
                    for task in claimed:
                        group.create_task(self._do(task))
                    if len(claimed) < CLAIMED_AT_ONCE_MAX:
                        await pause(await self._idle_seconds(), self._woken)
                except StorageUnavailable as exc:
                    log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                    await pause(IDLE_SECONDS_MAX)

    async def work(self) -> int:
        """Do the due tasks, a bounded number concurrently; return their number."""
        claimed = await self._claim()
        async with asyncio.TaskGroup() as group:
            for task in claimed:
                group.create_task(self._do(task))
        return len(claimed)

    async def _claim(self) -> list[Task]:
        """Return the tasks claimed, one of each lane in turn; tasks that another replica claimed first are left out."""
        now = self._now()
        chosen = choose(
            await self._due(now), self._lanes, after=self._turn, tasks_max=CLAIMED_AT_ONCE_MAX, now=self._seconds()
        )
        if not chosen:
            return []
        self._turn = chosen[-1].lane
        lease, claimed = to_instant(now + timedelta(seconds=LEASE_SECONDS)), list[Task]()
        try:
            async with self._database.transaction() as transaction:
                for task in chosen:
                    claim = CLAIM_TASK.bind(
                        {"kind": task.kind, "subject": task.subject, "due_at": task.due_at, "lease": lease}
                    )
                    rows = await transaction.fetch(claim)
                    claimed += [claimed_task(task, row, lease=lease) for row in rows]
        except BaseException:
            claimed.clear()
            raise
        finally:
            kept = {(one.kind, one.subject) for one in claimed}
            for task in chosen:
                if (task.kind, task.subject) not in kept:
                    self._lanes.give_back(task.kind, task.lane, task.host)
        return claimed

    async def _due(self, now: datetime) -> Sequence[Due]:
        """Return the due tasks, oldest first."""
        if not self._lanes.has_room:
            return ()
        rows = await self._database.fetch(DUE_TASKS.bind({"now": to_instant(now), "limit": DUE_MAX}))
        if len(rows) < DUE_MAX:
            return [one for one in map(due, rows) if self._does(one.kind)]
        # many tasks are due: read the oldest of each lane and host, of which there are few
        of_each = await self._database.fetch(
            DUE_TASKS_OF_EACH.bind({"now": to_instant(now), "each": DUE_OF_EACH_MAX, "limit": DUE_IN_FLOOD_MAX})
        )
        return [one for one in map(due, of_each) if self._does(one.kind)]

    async def _do(self, task: Task) -> None:
        try:
            await self._attempt(task)
        except StorageUnavailable as exc:
            # the claim expires, and then the task is done
            log.error("storage unavailable", extra=fields(kind=task.kind, subject=task.subject, message=exc.message))
        finally:
            self._lanes.give_back(task.kind, task.lane, task.host)
            self._woken.set()

    async def _attempt(self, task: Task) -> None:
        named: ForgetTaskParameters = {"kind": task.kind, "subject": task.subject}
        began = self._seconds()
        try:
            again = await self._handled(task)
        except SourceUnavailable as exc:
            if self._seconds() - began >= SLOW_SECONDS:
                self._lanes.was_slow(task.lane, task.host)
            seconds = self._backoff.seconds(task.attempts, at_least_seconds=exc.retry_after_seconds)
            host = UNLISTED if exc.code in NOT_CONFIGURED else task.host
            await self._postpone(task, cleaned(exc.message), seconds, host=host)
        except Unstorable as exc:
            reason = f"the answer cannot be stored: {exc.message}"
            await self._postpone(task, reason, UNSTORABLE_SECONDS, host=task.host)
        except InputError as exc:
            log.warning("task deleted: its subject is not valid", extra=fields(**named, reason=exc.message))
            await self._database.write(FORGET_TASK.bind([named]))
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("a bug made a task fail", extra=fields(**named))
            reason = "the aggregator failed; see its log"
            await self._postpone(task, reason, _BUG_PAUSE_SECONDS, host=task.host)
        else:
            self._lanes.answered(task.lane, task.host)
            await self._finish(task, again)

    async def _handled(self, task: Task) -> Again | None:
        work = self._kinds.get(task.kind)
        if work is None:
            raise SourceUnavailable(
                "work-not-configured", f"this aggregator has no handler for tasks of kind {task.kind}"
            )
        return await work.handler.do(task)

    async def _finish(self, task: Task, again: Again | None) -> None:
        named: ForgetTaskParameters = {"kind": task.kind, "subject": task.subject}
        marks = self._marks(task.kind, task.subject) if task.failed_at and (again is None or again.asked) else ()
        if again is None:
            async with self._database.transaction() as transaction:
                await transaction.execute(FINISH_TASK.bind([{**named, "lease": task.lease}]), *marks)
            return
        due_at = to_instant(self._now() + timedelta(seconds=again.seconds))
        if not again.asked:
            put_off: PutOffTaskParameters = {**named, "due_at": due_at, "reason": again.reason}
            await self._database.write(PUT_OFF_TASK.bind([put_off]), *marks)
            return
        row: RepeatTaskParameters = {
            **named, "due_at": due_at, "reason": again.reason, "claimed": task.attempts, "soon": to_instant(self._now())
        }  # fmt: skip
        await self._database.write(REPEAT_TASK.bind([row]), *marks)

    async def _postpone(self, task: Task, reason: str, seconds: float, *, host: str) -> None:
        """Try a failed task again later. What rests on its answer is judged again, unless it failed so before."""
        log.warning("task postponed", extra=fields(kind=task.kind, subject=task.subject, reason=reason))
        now = self._now()
        row: PostponeTaskParameters = {
            "kind": task.kind, "subject": task.subject, "due_at": to_instant(now + timedelta(seconds=seconds)),
            "reason": reason, "host": host, "failed_at": to_instant(now),
        }  # fmt: skip
        is_known = task.failed_at != "" and task.reason == reason
        async with self._database.transaction() as transaction:
            marks = () if is_known else self._marks(task.kind, task.subject)
            await transaction.execute(POSTPONE_TASK.bind([row]), *marks)

    async def _idle_seconds(self) -> float:
        """Return the time until a task becomes due. Due tasks without room wait until a running task ends."""
        (row,) = await self._database.fetch(NEXT_DUE.bind({"now": to_instant(self._now())}))
        due_at = next_due(row)
        if due_at is None:
            return IDLE_SECONDS_MAX
        seconds = (datetime.fromisoformat(due_at) - self._now()).total_seconds()
        return min(max(seconds, 0.01), IDLE_SECONDS_MAX)
