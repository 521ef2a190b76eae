"""The worker: claims due tasks, lets collectors and the evaluator do them, stores what was found."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.findings import Findings
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.compliance.evaluate import PAGE_INSTANCES, Evaluator
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, Finding, Row, SourceUnavailable, StorageUnavailable
from whence_aggregator.trace.facts import BRANCH_KIND
from whence_common.backoff import Backoff
from whence_common.clock import Now, to_instant
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.storable import Unstorable, cleaned

log = logging.getLogger(__name__)

TASKS_AT_ONCE = 16
LEASE_SECONDS = 300
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
        backoff: Backoff,
    ) -> None:
        self._database = database
        self._findings = Findings(ledger=ledger, collectors=collectors, now=now)
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

    async def _run_tasks(self) -> None:
        while True:
            self._woken.clear()
            try:
                if await self.work() == 0:
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
        """Do what is due now, a bounded number of tasks at once; give how many there were."""
        now = self._now()
        lease = to_instant(now + timedelta(seconds=LEASE_SECONDS))
        async with self._database.transaction() as transaction:
            parameters = {"now": to_instant(now), "lease": lease, "limit": TASKS_AT_ONCE}
            claimed = await transaction.fetch("claim_tasks", parameters)
        async with asyncio.TaskGroup() as group:
            for task in claimed:
                group.create_task(self._do(task, lease))
        return len(claimed)

    async def _do(self, task: Row, lease: str) -> None:
        try:
            await self._attempt(task, lease)
        except StorageUnavailable as exc:
            # the claim ends by itself, and the task is done then
            log.error(
                "storage unavailable", extra=fields(kind=task["kind"], subject=task["subject"], message=exc.message)
            )

    async def _attempt(self, task: Row, lease: str) -> None:
        kind, subject = task["kind"], task["subject"]
        try:
            if kind == "inventory":
                await self._list(task)
                return
            if await self._look_again(task, *await self._findings.ask(kind, subject)):
                return
        except SourceUnavailable as exc:
            seconds = self._backoff.seconds(task["attempts"], at_least_seconds=exc.retry_after_seconds)
            await self._postpone(task, cleaned(exc.message), seconds)
        except Unstorable as exc:
            await self._postpone(task, f"the answer cannot be kept: {exc.message}", TAG_SECONDS)
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("a task failed by a bug", extra=fields(kind=kind, subject=subject))
            await self._postpone(task, "the aggregator failed at it; see its log", _BUG_PAUSE_SECONDS)
        else:
            async with self._database.transaction() as transaction:
                await transaction.execute(("finish_task", [{"kind": kind, "subject": subject, "lease": lease}]))

    async def _list(self, task: Row) -> None:
        """Ask for one account's instances and come again later; an account that is asked no more is forgotten."""
        subject = task["subject"]
        if self._inventory is None:
            await self._database.write(("forget_task", [{"kind": "inventory", "subject": subject}]))
            return
        said = await self._inventory.collect(subject)
        log.info("inventory", extra=fields(subject=subject, said=said))
        due_at = to_instant(self._inventory.next_at())
        await self._database.write(
            ("repeat_task", [{"kind": "inventory", "subject": subject, "due_at": due_at, "reason": said}])
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
        row = {"kind": task["kind"], "subject": task["subject"], "due_at": due, "reason": reason}
        async with self._database.transaction() as transaction:
            await transaction.execute(("postpone_task", [row]))

    async def _idle_seconds(self) -> float:
        due = (await self._database.fetch("next_due", {}))[0]["due_at"]
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
