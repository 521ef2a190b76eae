"""Drift of accounts: each is planned read-only now and then, and what differs from its configuration is a fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from whence_aggregator.accounts.drift import AccountDrift
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.ports import CollectedFact, Database
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_aggregator.work.questions import question
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, to_instant


class AccountPlanner(Protocol):
    """Plans accounts of the configuration. Makes no write call."""

    async def account_ids(self) -> Sequence[str]:
        """Return the accounts that the configuration states. Raises SourceUnavailable where it cannot be read."""

    async def drift(self, account_id: str) -> AccountDrift | None:
        """Return what differs in an account; None if the configuration does not state it. Raises SourceUnavailable."""


class DriftCollector:
    """Reads one account. The subject is its id."""

    def __init__(self, planner: AccountPlanner) -> None:
        self._planner = planner

    async def collect(self, subject: str) -> CollectedFact:
        drift = await self._planner.drift(subject)
        if drift is None:
            return CollectedFact(outcome="absent", reason="the configuration no longer states the account")
        return CollectedFact(outcome="found", value=drift.to_wire())


class DriftReading:
    """Reads the drift of accounts again and again; one that the configuration no longer states is forgotten."""

    def __init__(
        self, *, recorder: FactRecorder, planner: AccountPlanner, database: Database, seconds: float, now: Now
    ) -> None:
        """`seconds`: the time from one reading of an account to the next."""
        self._recorder = recorder
        self._planner = planner
        self._database = database
        self._seconds = seconds
        self._now = now

    async def schedule(self) -> None:
        """Add a task for every account of the configuration that has none. Raises SourceUnavailable."""
        due = to_instant(self._now())
        rows = [question(ACCOUNT_DRIFT_KIND, one, due_at=due, lane=one) for one in await self._planner.account_ids()]
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))

    async def do(self, task: Task) -> Again | None:
        finding, _ = await self._recorder.ask(task.kind, task.subject, task.lane)
        await self.schedule()  # accounts may be new in the file
        if finding.outcome == "absent":
            return None
        count = finding.value["changes"]
        return Again(seconds=self._seconds, reason=f"planned at {to_instant(self._now())}: {count} changes")
