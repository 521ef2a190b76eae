"""Findings of scanners: the newest state of each, what it was before, and when its scanner reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.compliance import UNJUDGE, UNJUDGE_IMAGE
from whence_aggregator.queries.findings import (
    ADD_FINDING,
    ADD_FINDING_REPORT,
    ADD_FINDING_SEEN,
    END_FINDING,
    FINDINGS_NOW,
    AddFindingParameters,
    AddFindingReportParameters,
    AddFindingSeenParameters,
    EndFindingParameters,
    FindingsNowRow,
)
from whence_aggregator.queries.query import EVERY_ENTRY, array

FINDINGS = "findings"
"""The kind of entries."""
ABSENT, STATED = "absent", "stated"
"""Why a finding is closed: a complete report did not have it, or the scanner stated it."""
_COLUMNS = (
    "uid", "check_id", "severity", "result", "observed_at", "first_seen", "suppressed", "closed", "vulnerability",
    "region", "instance_id", "image_digest", "application_id",
)  # fmt: skip
"""What has a column of its own; the rest is the body."""


async def project_findings(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store what an entry states: changed findings, those seen again, and those that are absent."""
    account_id, product = event["account_id"], event["product"]
    found, absent = event["findings"], event["absent"]
    uids = array([*(one["uid"] for one in found), *absent])
    rows = await transaction.fetch(FINDINGS_NOW.bind({"account_id": account_id, "product": product, "uids": uids}))
    before = {row["uid"]: row for row in rows}
    added = [_added(index, event, one, before.get(one["uid"])) for one in found]
    added += [_gone(index, event["observed_at"], before[uid]) for uid in absent if uid in before]
    ended: list[EndFindingParameters] = [
        {"account_id": account_id, "product": product, "uid": one["uid"], "until_index": index}
        for one in added if one["uid"] in before
    ]  # fmt: skip
    seen: list[AddFindingSeenParameters] = [
        {"account_id": account_id, "product": product, "uid": uid, "ledger_index": index, "observed_at": at}
        for uid, at in event["seen"]
    ]
    report: AddFindingReportParameters = {
        "account_id": account_id, "product": product, "image_digest": event["image_digest"], "ledger_index": index,
        "observed_at": event["observed_at"], "complete": int(event["complete"]),
    }  # fmt: skip
    await transaction.execute(
        END_FINDING.bind(ended),
        ADD_FINDING.bind(added),
        ADD_FINDING_SEEN.bind(seen),
        ADD_FINDING_REPORT.bind([report]),
        UNJUDGE_IMAGE.bind([{"image_digest": one} for one in _named(added, "image_digest")]),
        UNJUDGE.bind([{"instance_ids": array(_named(added, "instance_id"))}]),
    )


def body_of(found: Mapping[str, Any]) -> str:
    """Return what a finding states beside what has a column, as it is stored."""
    return msgspec.json.encode(
        {name: value for name, value in found.items() if name not in _COLUMNS}, order="deterministic"
    ).decode()


def _added(
    index: int, event: Mapping[str, Any], found: Mapping[str, Any], before: FindingsNowRow | None
) -> AddFindingParameters:
    closed = STATED if found.get("closed") else ""
    stands = before is not None and (before["result"], before["closed"]) == (found["result"], closed)
    was_open = before is not None and _is_open(before["result"], before["closed"])
    opened = before["opened"] if before is not None else 0
    first = found.get("first_seen") or found["observed_at"]
    return {
        "account_id": event["account_id"],
        "product": event["product"],
        "uid": found["uid"],
        "ledger_index": index,
        "until_index": EVERY_ENTRY,
        "check_id": found["check_id"],
        "severity": found["severity"],
        "result": found["result"],
        "closed": closed,
        "suppressed": int(found.get("suppressed", False)),
        "vulnerability": int(found.get("vulnerability", False)),
        "region": found.get("region", ""),
        "instance_id": found.get("instance_id", ""),
        "image_digest": found.get("image_digest", ""),
        "application_id": found.get("application_id", ""),
        "observed_at": found["observed_at"],
        "first_seen": min(first, found["observed_at"], before["first_seen"] if before is not None else first),
        "since": before["since"] if before is not None and stands else found["observed_at"],
        "opened": opened + (_is_open(found["result"], closed) and not was_open),
        "body": body_of(found),
    }


def _gone(index: int, observed_at: str, before: FindingsNowRow) -> AddFindingParameters:
    """Return the row of a finding that a complete report did not have: it was seen last before that."""
    seen = max(before["observed_at"], before["seen_at"] or "", before["complete_at"] or "")
    return {
        "account_id": before["account_id"], "product": before["product"], "uid": before["uid"], "ledger_index": index,
        "until_index": EVERY_ENTRY, "check_id": before["check_id"], "severity": before["severity"],
        "result": before["result"], "closed": ABSENT, "suppressed": before["suppressed"],
        "vulnerability": before["vulnerability"], "region": before["region"], "instance_id": before["instance_id"],
        "image_digest": before["image_digest"], "application_id": before["application_id"], "observed_at": seen,
        "first_seen": before["first_seen"], "since": observed_at, "opened": before["opened"], "body": before["body"],
    }  # fmt: skip


def _is_open(result: str, closed: str) -> bool:
    return result == "fail" and not closed


def _named(rows: Sequence[AddFindingParameters], column: str) -> list[str]:
    return sorted({str(row[column]) for row in rows if row[column]})  # type: ignore[literal-required]  # of two columns
