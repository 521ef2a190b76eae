"""The rows that entries about versions and approvals mean, and those that pushes and statements mean for versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.approvals.values import PUSH
from whence_aggregator.queries.approvals import (
    ADD_APPROVAL,
    ADD_VERSION_DIGEST,
    ADD_VERSION_REVISION,
    AddApprovalParameters,
    AddVersionDigestParameters,
    AddVersionRevisionParameters,
)
from whence_aggregator.queries.query import BoundCommand

VERSION, APPROVAL = "version", "approval"
"""Kinds of entries."""
ApprovalEntries = Sequence[tuple[int, Mapping[str, Any]]]
"""Entries of one kind, each with its index."""


def version_writes(entries: ApprovalEntries) -> list[BoundCommand]:
    """Return what entries of the kind `version` write."""
    rows: list[AddVersionRevisionParameters] = [
        {
            "application_id": one["application_id"],
            "version": one["version"],
            "ledger_index": index,
            "artifact": one["artifact"],
            "reference": one["reference"],
            "digest": one["digest"],
            "notes": one["notes"],
            "recorded_at": one["recorded_at"],
            "recorded_by": one["recorded_by"],
        }
        for index, one in entries
    ]
    return [ADD_VERSION_REVISION.bind(rows)]


def approval_writes(entries: ApprovalEntries) -> list[BoundCommand]:
    """Return what entries of the kind `approval` write."""
    rows: list[AddApprovalParameters] = [
        {
            "application_id": one["application_id"],
            "version": one["version"],
            "digest": one["digest"],
            "approval_type": one["approval_type"],
            "person": one["person"],
            "user_id": one["user_id"],
            "emails": msgspec.json.encode(one["emails"]).decode(),
            "notes": one["notes"],
            "approved_at": one["approved_at"],
            "ledger_index": index,
        }
        for index, one in entries
    ]
    return [ADD_APPROVAL.bind(rows)]


def pushed_version(index: int, event: Mapping[str, Any]) -> list[BoundCommand]:
    """Return what a push to the registry front writes: `team/application:version` is a version of the application."""
    team, _, application = event["repository"].partition("/")
    if not event["tag"] or not event["image"]:
        return []
    row: AddVersionDigestParameters = {
        "application_id": application,
        "version": event["tag"],
        "digest": event["digest"],
        "said_by": PUSH,
        "artifact": f"{event['registry']}/{event['repository']}:{event['tag']}",
        "team": team,
        "ledger_index": index,
    }
    return [ADD_VERSION_DIGEST.bind([row])]


def seen_versions(stated: Iterable[tuple[str, str, str, str, int]]) -> list[BoundCommand]:
    """Return what statements write; each is application, version, digest, account and the entry's index."""
    rows: dict[tuple[str, str, str, str], AddVersionDigestParameters] = {}
    for application, version, digest, account, index in stated:
        if application and version and digest:
            row: AddVersionDigestParameters = {
                "application_id": application,
                "version": version,
                "digest": digest,
                "said_by": account,
                "artifact": "",
                "team": "",
                "ledger_index": index,
            }
            rows.setdefault((application, version, digest, account), row)
    return [ADD_VERSION_DIGEST.bind(list(rows.values()))]
