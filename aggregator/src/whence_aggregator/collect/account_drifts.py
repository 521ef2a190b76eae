"""What is known of the drift of accounts: the newest fact, and how the newest reading ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from whence_aggregator.accounts.drift import AccountDrift, summary
from whence_aggregator.collect.rows import DriftTask, StandingFact, drift_task, standing_fact, task_subjects
from whence_aggregator.compliance.evidence import DriftOfAccount, ReadingOutcome
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import TASKS_OF, TASKS_OF_KIND
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_common.clock import Now, parse_instant

_OVERDUE = timedelta(hours=2)
"""A reading that is this much later than it was due is not happening."""
_NAMED_MAX = 500
_NOTHING: Mapping[str, object] = {"account": None, "configuration": None, "changes": None, "first": [], "unread": []}
"""What is shown of an account before its first plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDrift:
    """What is known of one account. `drift` is of the newest reading that succeeded, and stands since `observed_at`."""

    outcome: ReadingOutcome
    reason: str = ""
    drift: AccountDrift | None = None
    observed_at: str = ""
    due_at: str = ""
    """When it is read again."""

    def to_evidence(self) -> DriftOfAccount:
        """Return what rules see: nothing of the account where the newest reading failed."""
        if self.outcome != "read" or self.drift is None:
            return DriftOfAccount(outcome=self.outcome, reason=self.reason)
        return DriftOfAccount(
            reason=summary(self.drift) if self.drift.changes else "", changes=self.drift.changes,
            unread=tuple(f"{one.address}: {one.reason}" for one in self.drift.unread),
            configuration=self.drift.configuration,
        )  # fmt: skip

    def to_wire(self) -> dict[str, Any]:
        state = "unknown" if self.outcome != "read" or self.drift is None else _state(self.drift)
        return {
            "state": state, "reason": self.reason or None, "observed_at": self.observed_at or None,
            "due_at": self.due_at or None, **(self.drift.to_wire() if self.drift is not None else _NOTHING),
        }  # fmt: skip


class KnownDrifts:
    """Reads the drift of accounts."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def account_ids(self) -> Sequence[str]:
        """Return the accounts whose drift is read. Raises StorageUnavailable."""
        return task_subjects(await self._database.fetch(TASKS_OF_KIND.bind({"kind": ACCOUNT_DRIFT_KIND})))

    async def known(self, account_ids: Sequence[str]) -> Mapping[str, KnownDrift]:
        """Return what is known of those of the accounts that the configuration states. Raises StorageUnavailable."""
        found: dict[str, KnownDrift] = {}
        for start in range(0, len(account_ids), _NAMED_MAX):
            subjects = array(account_ids[start : start + _NAMED_MAX])
            facts, tasks = await self._database.fetch_all(
                together(
                    FACTS_NOW.bind({"kind": ACCOUNT_DRIFT_KIND, "subjects": subjects}),
                    TASKS_OF.bind({"kind": ACCOUNT_DRIFT_KIND, "subjects": subjects}),
                )
            )
            standing = {one.subject: one for one in map(standing_fact, facts)}
            found |= {one.subject: self._known(one, standing.get(one.subject)) for one in map(drift_task, tasks)}
        return found

    async def of(self, account_ids: Sequence[str]) -> Mapping[str, DriftOfAccount]:
        """Return the evidence about accounts. Raises StorageUnavailable."""
        return {name: one.to_evidence() for name, one in (await self.known(account_ids)).items()}

    def _known(self, task: DriftTask, fact: StandingFact | None) -> KnownDrift:
        drift, observed_at = None, ""
        if fact is not None and fact.outcome == "found":
            drift, observed_at = msgspec.convert(fact.value, AccountDrift), fact.observed_at
        if task.failed_at:
            reason = f"{task.reason}, since {task.failed_at}"
            return KnownDrift(
                outcome="failed", reason=reason, drift=drift, observed_at=observed_at, due_at=task.due_at
            )  # fmt: skip
        if drift is None:
            return KnownDrift(outcome="waiting", reason="the account was not planned yet", due_at=task.due_at)
        if self._now() - parse_instant(task.due_at) > _OVERDUE:
            reason = f"the account should have been planned again at {task.due_at}, and was not"
            return KnownDrift(
                outcome="failed", reason=reason, drift=drift, observed_at=observed_at, due_at=task.due_at
            )  # fmt: skip
        return KnownDrift(outcome="read", drift=drift, observed_at=observed_at, due_at=task.due_at)


def _state(drift: AccountDrift) -> str:
    if drift.changes:
        return "drifted"
    return "unknown" if drift.unread else "converged"
