"""Bodies that were removed because they named a person: which, and what is asked about each subject from then on.

The entry states no name. A fact whose body is gone stays known as removed, at its own place in the log, so that a
lineage says why it is unknown. A commit is not collected again, as it would be the same; reviews, tickets and
signatures are, as their sources may state them without the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.subjects import named_as, subject_of
from whence_aggregator.queries.collect import ADD_FACT
from whence_aggregator.queries.compliance import UNJUDGE_COMMIT, UNJUDGE_TICKET
from whence_aggregator.queries.ledger import ADD_REMOVED_ENTRY
from whence_aggregator.trace.facts import TICKET_KIND

REMOVED = "removed"
"""Member of the value of a fact whose body was removed."""
VERSION = 2
"""Of the kind `pruned`: version 1 is retention's, which names a range."""


async def project_removal(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store which bodies were removed, and a fact without its content for each commit among them."""
    reason = f"its body was removed from the ledger (entry {index}, {event['at']}): {event['reason']}"
    value = msgspec.json.encode({REMOVED: index}).decode()
    facts = [{**one, "subject": subject_of(one)} for one in event["facts"]]
    tickets = [one["subject"] for one in facts if one["kind"] == TICKET_KIND]
    await transaction.execute(
        ADD_REMOVED_ENTRY.bind([{"ledger_index": one, "stated_by": index} for one in event["indexes"]]),
        ADD_FACT.bind(
            [
                {
                    "kind": one["kind"], "subject": one["subject"], "ledger_index": one["index"],
                    "observed_at": one["observed_at"], "outcome": "unknown", "value": value, "reason": reason,
                }
                for one in facts
            ]
        ),
        UNJUDGE_COMMIT.bind(
            [{"commit_id": one["subject"].rpartition("@")[2]} for one in facts if one["kind"] != TICKET_KIND]
        ),
        UNJUDGE_TICKET.bind(list(map(named_as, tickets))),
    )  # fmt: skip
