"""Rows of instances that never spoke as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.queries.compliance import NeverSpokeRow
from whence_aggregator.queries.violations import NeverSpokenByAccountRow


@dataclass(frozen=True, slots=True, kw_only=True)
class UnheardAccount:
    """The instances of an account that never spoke; `confirmed`: whether its list is read now."""

    account_id: str
    count: int
    confirmed: bool
    listed_at: int | None
    launched_at: str
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnheardCount:
    """How many instances never spoke: those in lists that are read now, and those in others."""

    listed: int = 0
    not_confirmed: int = 0

    def with_more(self, row: UnheardAccount) -> UnheardCount:
        if row.confirmed:
            return UnheardCount(listed=self.listed + row.count, not_confirmed=self.not_confirmed)
        return UnheardCount(listed=self.listed, not_confirmed=self.not_confirmed + row.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnheardInstance:
    instance_id: str
    account_id: str
    region: str
    launched_at: str
    ledger_index: int


def unheard_accounts(rows: Sequence[NeverSpokenByAccountRow]) -> list[UnheardAccount]:
    return [
        UnheardAccount(
            account_id=row["account_id"], count=row["n"], confirmed=bool(row["confirmed"]),
            listed_at=row["listed_at"], launched_at=row["launched_at"], failure=row["failure"] or "",
        )
        for row in rows
    ]  # fmt: skip


def unheard_instances(rows: Sequence[NeverSpokeRow]) -> list[UnheardInstance]:
    return [
        UnheardInstance(
            instance_id=row["instance_id"], account_id=row["account_id"], region=row["region"],
            launched_at=row["launched_at"], ledger_index=row["ledger_index"],
        )
        for row in rows
    ]  # fmt: skip
