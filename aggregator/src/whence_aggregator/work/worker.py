"""The worker: claims due tasks, lets collectors and the evaluator do them, stores what was found.

Tasks are claimed as places become free, never in batches: none waits for the slowest of others. Lanes take turns, and
hosts and lanes have their shares (lanes.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.findings import Findings
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.compliance.evaluate import PAGE_INSTANCES, Evaluator
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, Finding, Row, SourceUnavailable, StorageUnavailable
from whence_aggregator.trace.facts import BRANCH_KIND
from whence_aggregator.work.lanes import SHARES, Lanes, Shares, choose
from whence_aggregator.work.questions import INVENTORY_KIND
from whence_common.backoff import Backoff
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.storable import Unstorable, cleaned

log = logging.getLogger(__name__)

CLAIMED_AT_ONCE_MAX = 16
DUE_MAX = 512
"""Tasks that are looked at when some are claimed; with more than these due, the oldest of each lane and host are."""
DUE_OF_EACH_MAX = 8
DUE_IN_FLOOD_MAX = 8_192
LEASE_SECONDS = 660
"""Longer than any answer is waited for (findings.ANSWER_SECONDS_MAX): nobody else asks meanwhile."""
SLOW_SECONDS = 20.0
"""A question that failed after so long was asked of a slow host."""
IDLE_SECONDS_MAX = 5.0
EVALUATE_AFTER_SECONDS = 1.0
"""An instance that says much is judged once for all of it."""
EVALUATION_REST = 0.5
TAG_SECONDS = 86_400.0
"""How often a tag is looked at that instances were started by."""
AWAITED_SECONDS_MIN = 300.0
AWAITED_SECONDS_MAX = 14 * 86_400.0
"""How soon, and for how long, it is asked again for what was not there: a commit, an image, a trusted signature."""
BRANCH_SECONDS_MAX = 30 * 86_400.0
"""How seldom at most the default branch is asked for a commit: branches are forced and renamed too."""
BUSY_WAKES = 10
"""Ingest that commits more often than this in a second is busy."""
BUSY_REST = 30.0
BUSY_SECONDS_MAX = 5.0
SWEEP_SECONDS = 15.0
_BUG_PAUSE_SECONDS = 3600.0
NOT_CONFIGURED = ("registry-not-configured", "git-not-configured")
UNLISTED = "-"
"""In place of every host that is never asked: there may be any number of them."""


class Worker:
    """Does what waits in the task table; several replicas may. `wake` says that there may be work."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        collectors: Mapping[str, Collector],
        evaluator: Evaluator,
        inventory: InventoryCollector | None,
        now: Now,
        seconds: Callable[[], float],
        backoff: Backoff,
        shares: Shares = SHARES,
    ) -> None:
        self._database = database
        self._findings = Findings(ledger=ledger, collectors=collectors, now=now)
        self._lanes = Lanes(shares)
        self._turn = ""
        """The lane that was served last."""
        self._seconds = seconds
        self._evaluator = evaluator
        self._inventory = inventory
        self._now = now
        self._backoff = backoff
        self._woken = asyncio.Event()
        self._wakes = 0

    def wake(self, tasks: bool = True) -> None:
        """Say that something was kept: there are instances to judge, and `tasks` to do, or maybe."""
        self._wakes += 1
        if tasks:
            self._woken.set()

    async def run(self) -> None:
        """Do tasks and judge instances until cancelled; look for silent agents now and then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_tasks())
            group.create_task(self._run_evaluations())

    @property
    def under_way(self) -> int:
        """How many questions are asked now."""
        return self._lanes.under_way

    async def _run_tasks(self) -> None:
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

    async def _run_evaluations(self) -> None:
        """Judge in pages. While much is said, do it a tenth of the time only: what is not kept yet comes first."""
        swept = -SWEEP_SECONDS
        while True:
            began, wakes = time.monotonic(), self._wakes
            try:
                if began - swept >= SWEEP_SECONDS:
                    swept = began
                    await self._evaluator.sweep()
                judged = await self._evaluator.work()
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                judged = 0
            took = time.monotonic() - began
            await pause(max(took * EVALUATION_REST, 0.01) if judged == PAGE_INSTANCES else EVALUATE_AFTER_SECONDS)
            while (since := time.monotonic() - began) < min(took * BUSY_REST, BUSY_SECONDS_MAX) and (
                self._wakes - wakes > BUSY_WAKES * since
            ):
                await pause(took)

    async def work(self) -> int:
        """Do what is due now, a bounded number of tasks at once; return how many there were."""
        claimed = await self._claim()
        async with asyncio.TaskGroup() as group:
            for task in claimed:
                group.create_task(self._do(task))
        return len(claimed)

    async def _claim(self) -> list[Row]:
        """Claim what there is room for, one task of each lane in turn; another replica may have been faster."""
        now = self._now()
        chosen = choose(await self._due(now), self._lanes, after=self._turn, tasks_max=CLAIMED_AT_ONCE_MAX)
        if not chosen:
            return []
        self._turn = chosen[-1]["lane"]
        lease, claimed = to_instant(now + timedelta(seconds=LEASE_SECONDS)), list[Row]()
        names = ("kind", "subject", "lane", "host")
        try:
            async with self._database.transaction() as transaction:
                for task in chosen:
                    wanted = {name: task[name] for name in ("kind", "subject", "due_at")}
                    rows = await transaction.fetch("claim_task", {**wanted, "lease": lease})
                    named = {name: task[name] for name in names}
                    claimed += [{**named, "lease": lease, "attempts": row["attempts"]} for row in rows]
        except BaseException:
            claimed.clear()
            raise
        finally:
            kept = {(one["kind"], one["subject"]) for one in claimed}
            for task in chosen:
                if (task["kind"], task["subject"]) not in kept:
                    self._lanes.give_back(task["lane"], task["host"])
        return claimed

    async def _due(self, now: datetime) -> Sequence[Row]:
        """Read what is due, the oldest first."""
        if not self._lanes.has_room:
            return ()
        due = await self._database.fetch("due_tasks", {"now": to_instant(now), "limit": DUE_MAX})
        if len(due) < DUE_MAX:
            return due
        # a flood: what came after it is looked for by lane and host, of which there are few
        bounds = {"each": DUE_OF_EACH_MAX, "limit": DUE_IN_FLOOD_MAX}
        return await self._database.fetch("due_tasks_of_each", {"now": to_instant(now), **bounds})

    async def _do(self, task: Row) -> None:
        try:
            await self._attempt(task)
        except StorageUnavailable as exc:
            # the claim ends by itself, and the task is done then
            log.error(
                "storage unavailable", extra=fields(kind=task["kind"], subject=task["subject"], message=exc.message)
            )
        finally:
            self._lanes.give_back(task["lane"], task["host"])
            self._woken.set()

    async def _attempt(self, task: Row) -> None:
        kind, subject, began = task["kind"], task["subject"], self._seconds()
        named = {"kind": kind, "subject": subject}
        try:
            if kind == INVENTORY_KIND:
                await self._list(task)
                return
            answer = await self._findings.ask(kind, subject, task["lane"])
            self._lanes.answered(task["lane"], task["host"])
            if await self._look_again(task, *answer):
                return
        except SourceUnavailable as exc:
            if self._seconds() - began >= SLOW_SECONDS:
                self._lanes.was_slow(task["lane"], task["host"])
            seconds = self._backoff.seconds(task["attempts"], at_least_seconds=exc.retry_after_seconds)
            host = UNLISTED if exc.code in NOT_CONFIGURED else task["host"]
            await self._postpone({**task, "host": host}, cleaned(exc.message), seconds)
        except Unstorable as exc:
            await self._postpone(task, f"the answer cannot be kept: {exc.message}", TAG_SECONDS)
        except InputError as exc:
            log.warning("a question that names nothing is dropped", extra=fields(**named, reason=exc.message))
            await self._database.write(("forget_task", [named]))
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("a task failed by a bug", extra=fields(**named))
            await self._postpone(task, "the aggregator failed at it; see its log", _BUG_PAUSE_SECONDS)
        else:
            async with self._database.transaction() as transaction:
                await transaction.execute(("finish_task", [{**named, "lease": task["lease"]}]))

    async def _list(self, task: Row) -> None:
        """Ask for one account's instances and come again later; an account that is asked no more is forgotten."""
        subject = task["subject"]
        if self._inventory is None:
            await self._database.write(("forget_task", [{"kind": INVENTORY_KIND, "subject": subject}]))
            return
        said = await self._inventory.collect(subject)
        log.info("inventory", extra=fields(subject=subject, said=said))
        due_at = to_instant(self._inventory.next_at())
        await self._database.write(
            ("repeat_task", [{"kind": INVENTORY_KIND, "subject": subject, "due_at": due_at, "reason": said}])
        )

    async def _look_again(self, task: Row, finding: Finding, since: datetime) -> bool:
        """Ask again later where the answer may change; say whether it will be done.

        A tag may move any day. What is awaited is asked for ever more seldom, and for two weeks; whether a branch
        reaches a commit, ever more seldom and without an end.
        """
        waited = (self._now() - since).total_seconds()
        if task["kind"] == "tag":
            seconds, reason = TAG_SECONDS, finding.reason or str(finding.value.get("digest", ""))
        elif task["kind"] == BRANCH_KIND:
            seconds, reason = branch_seconds(finding, waited), "the branch may move"
        elif finding.awaited and waited < AWAITED_SECONDS_MAX:
            seconds, reason = min(max(waited, AWAITED_SECONDS_MIN), TAG_SECONDS), f"awaits {finding.awaited}"
        else:
            return False
        due_at = to_instant(self._now() + timedelta(seconds=seconds))
        row = {"kind": task["kind"], "subject": task["subject"], "due_at": due_at, "reason": reason}
        await self._database.write(("repeat_task", [row]))
        return True

    async def _postpone(self, task: Row, reason: str, seconds: float) -> None:
        log.warning("task postponed", extra=fields(kind=task["kind"], subject=task["subject"], reason=reason))
        due = to_instant(self._now() + timedelta(seconds=seconds))
        named = {name: task[name] for name in ("kind", "subject", "host")}
        async with self._database.transaction() as transaction:
            await transaction.execute(("postpone_task", [{**named, "due_at": due, "reason": reason}]))

    async def _idle_seconds(self) -> float:
        """Return how long nothing becomes due. What is due and has no room waits for an end of what is under way."""
        due = (await self._database.fetch("next_due", {"now": to_instant(self._now())}))[0]["due_at"]
        if due is None:
            return IDLE_SECONDS_MAX
        seconds = (datetime.fromisoformat(due) - self._now()).total_seconds()
        return min(max(seconds, 0.01), IDLE_SECONDS_MAX)


def branch_seconds(finding: Finding, stood: float) -> float:
    """Return when to ask again whether a branch reaches a commit, from how long the answer has stood.

    A commit that is not reached may be merged any minute; one that is reached is rarely taken back.
    """
    reached = finding.value["reachable"] is True
    least = TAG_SECONDS if reached else AWAITED_SECONDS_MIN
    most = BRANCH_SECONDS_MAX if reached or stood > AWAITED_SECONDS_MAX else TAG_SECONDS
    return min(max(stood, least), most)
