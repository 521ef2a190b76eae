"""Bodies that were removed because they named a person: which, and what is asked about each commit from then on.

The entry states no name. A commit whose body is gone stays known as removed, at its own place in the log, so that a
lineage says why it is unknown and nothing collects it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.collect import ADD_FACT
from whence_aggregator.queries.compliance import UNJUDGE_COMMIT
from whence_aggregator.queries.ledger import ADD_REMOVED_ENTRY

REMOVED = "removed"
"""Member of the value of a fact whose body was removed."""
VERSION = 2
"""Of the kind `pruned`: version 1 is retention's, which names a range."""


async def project_removal(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store which bodies were removed, and a fact without its content for each commit among them."""
    reason = f"its body was removed from the ledger (entry {index}, {event['at']}): {event['reason']}"
    value = msgspec.json.encode({REMOVED: index}).decode()
    await transaction.execute(
        ADD_REMOVED_ENTRY.bind([{"ledger_index": one, "stated_by": index} for one in event["indexes"]]),
        ADD_FACT.bind(
            [
                {
                    "kind": one["kind"], "subject": one["subject"], "ledger_index": one["index"],
                    "observed_at": one["observed_at"], "outcome": "unknown", "value": value, "reason": reason,
                }
                for one in event["facts"]
            ]
        ),
        UNJUDGE_COMMIT.bind([{"commit_id": one["subject"].rpartition("@")[2]} for one in event["facts"]]),
    )  # fmt: skip
