"""Projections of CloudTrail's events, and of what became of the verification of its digest files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.role_sessions import word_writes
from whence_aggregator.queries.events import (
    ADD_CLOUD_EVENT,
    ADD_CLOUD_EVENT_INSTANCE,
    ADD_TRAIL_VERIFICATION,
    UNJUDGE_OF_ACCOUNT,
    AddCloudEventInstanceParameters,
    AddCloudEventParameters,
    AddTrailVerificationParameters,
)
from whence_aggregator.queries.query import BoundCommand, array
from whence_common.clock import parse_instant, to_millis

CLOUD_EVENT, TRAIL_VERIFICATION = "cloud-event", "trail-verification"


async def project_cloud_events(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store events with the instances that they touched, and mark those of the event's own account for judging."""
    await transaction.execute(*cloud_event_writes(entries))


def cloud_event_writes(entries: Sequence[tuple[int, Mapping[str, Any]]]) -> list[BoundCommand]:
    """Return what the entries write."""
    events: list[AddCloudEventParameters] = []
    touched: list[AddCloudEventInstanceParameters] = []
    by_account: defaultdict[str, set[str]] = defaultdict(set)
    for index, one in entries:
        at = to_millis(parse_instant(one["at"]))
        events.append(
            {
                "account_id": one["account_id"], "event_id": one["event_id"], "ledger_index": index,
                "region": one["region"], "name": one["name"], "source": one["source"], "event_at": at,
                "doer": msgspec.json.encode(one["doer"], order="deterministic").decode(), "detail": one["detail"],
            }
        )  # fmt: skip
        for name in one["instances"]:
            touched.append(
                {
                    "instance_id": name, "account_id": one["account_id"], "ledger_index": index, "event_at": at,
                    "name": one["name"],
                }
            )  # fmt: skip
            by_account[one["account_id"]].add(name)
    return [
        ADD_CLOUD_EVENT.bind(events),
        ADD_CLOUD_EVENT_INSTANCE.bind(touched),
        UNJUDGE_OF_ACCOUNT.bind(
            [{"account_id": account, "instance_ids": array(sorted(names))} for account, names in by_account.items()]
        ),
        word_writes(one["doer"]["access_key"] for _, one in entries if one["doer"].get("access_key")),
    ]


async def project_verifications(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store the states of digest files' chains."""
    rows: list[AddTrailVerificationParameters] = [
        {
            "account_id": one["account_id"], "region": one["region"], "chain": one["chain"], "ledger_index": index,
            "state": one["state"], "reason": one["reason"], "observed_at": one["observed_at"],
        }
        for index, one in entries
    ]  # fmt: skip
    await transaction.execute(ADD_TRAIL_VERIFICATION.bind(rows))
