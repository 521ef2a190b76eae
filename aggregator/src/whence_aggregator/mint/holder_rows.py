"""Rows of the objects that instances hold, as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.mint.values import OBJECTS, CredentialHolder, CredentialKind
from whence_aggregator.queries.instance_credentials import CredentialHoldersRow
from whence_common.clock import from_millis, to_millis

_KIND_OF: dict[str, CredentialKind] = {file: kind for kind, file in OBJECTS.items()}


def credential_holders(rows: Sequence[CredentialHoldersRow], *, heard_since: datetime) -> list[CredentialHolder]:
    """Return a holder for each instance. An object without the id of a generation is one of which nothing is known."""
    instances: dict[str, CredentialHoldersRow] = {}
    generations: dict[str, dict[CredentialKind, str | None]] = {}
    for row in rows:
        name = row["instance_id"]
        instances[name] = row
        found = generations.setdefault(name, dict.fromkeys(OBJECTS))
        if row["file"]:
            found[_KIND_OF[row["file"]]] = (row["generation"] or None) if row["held"] else ""
    return [
        CredentialHolder(
            instance_id=name,
            account_id=row["account_id"],
            is_heard=row["seen_at"] >= to_millis(heard_since),
            generations=generations[name],
            reported_at=from_millis(row["observed_at"]),
        )
        for name, row in instances.items()
    ]
