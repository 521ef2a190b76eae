"""Drift of accounts: each is planned read-only now and then, and what differs from its configuration is a fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from whence_aggregator.accounts.drift import AccountDrift
from whence_aggregator.collect.account_drifts import KnownDrifts
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.collect.rows import newest_plan
from whence_aggregator.ports import CollectedFact, Database
from whence_aggregator.queries.accounts import ACCOUNT_PLANS_OF
from whence_aggregator.queries.events import LOOK_SOON
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_aggregator.work.questions import SHARED_LANE, question
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, to_instant

CONFIGURATION_KIND = "account-configuration"
"""The task that looks whether the configuration has changed; its subject is always the same."""
_CONFIGURATION = "file"
_LOOK_SECONDS = 60.0
_AGAIN_SECONDS = 5.0


class AccountPlanner(Protocol):
    """Plans accounts of the configuration. Makes no write call."""

    async def digest(self) -> str:
        """Return the digest of the configuration's bytes. Raises SourceUnavailable where it cannot be read."""

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
        before = await self._newest_plan(task.subject)
        finding, _ = await self._recorder.ask(task.kind, task.subject, task.lane)
        await self.schedule()  # accounts may be new in the file
        if finding.outcome == "absent":
            return None
        if await self._newest_plan(task.subject) != before:
            return Again(seconds=_AGAIN_SECONDS, reason="a plan was applied while the account was read")
        count = finding.value["changes"]
        return Again(seconds=self._seconds, reason=f"planned at {to_instant(self._now())}: {count} changes")

    async def _newest_plan(self, account_id: str) -> int:
        asked = ACCOUNT_PLANS_OF.bind({"account_id": account_id, "before": EVERY_ENTRY, "limit": 1})
        return newest_plan(await self._database.fetch(asked))


class ConfigurationLooking:
    """Looks every minute whether the configuration has changed; accounts that were planned by another are due then."""

    def __init__(self, *, planner: AccountPlanner, reading: DriftReading, database: Database, now: Now) -> None:
        self._planner = planner
        self._reading = reading
        self._database = database
        self._known = KnownDrifts(database=database, now=now)
        self._now = now

    async def schedule(self) -> None:
        """Add the task, unless it exists."""
        due = to_instant(self._now())
        row = question(CONFIGURATION_KIND, _CONFIGURATION, due_at=due, lane=SHARED_LANE)
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind([row]))

    async def do(self, task: Task) -> Again | None:
        digest = await self._planner.digest()
        await self._reading.schedule()
        known = await self._known.known(await self._known.account_ids())
        stale = [name for name, one in known.items() if one.drift is not None and one.drift.configuration != digest]
        soon = to_instant(self._now())
        await self._database.write(
            LOOK_SOON.bind([{"kind": ACCOUNT_DRIFT_KIND, "subject": name, "soon": soon} for name in stale])
        )
        return Again(seconds=_LOOK_SECONDS, reason=f"{len(stale)} accounts were planned by another configuration")
