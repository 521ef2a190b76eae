"""Findings of scanners: the newest state of each, what it was before, and when its scanner reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.finding_rows import added_row, gone_row, newest
from whence_aggregator.queries.compliance import MARK_VERSIONS_OF_IMAGE
from whence_aggregator.queries.findings import (
    ADD_FINDING,
    ADD_FINDING_REPORT,
    ADD_FINDING_SEEN,
    END_FINDING,
    FINDINGS_NOW,
    AddFindingReportParameters,
    AddFindingSeenParameters,
    EndFindingParameters,
)
from whence_aggregator.queries.query import array

FINDINGS = "findings"
"""The kind of entries."""


async def project_findings(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store what an entry states: changed findings, those seen again, and those that are absent."""
    account_id, product = event["account_id"], event["product"]
    found, absent = event["findings"], event["absent"]
    uids = array([*(one["uid"] for one in found), *absent])
    rows = await transaction.fetch(FINDINGS_NOW.bind({"account_id": account_id, "product": product, "uids": uids}))
    before = newest(rows)
    added = [added_row(index, event, one, before.get(one["uid"])) for one in found]
    added += [gone_row(index, event["observed_at"], before[uid]) for uid in absent if uid in before]
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
    images = {event["image_digest"], *(one["image_digest"] for one in (*added, *before.values()))} - {""}
    await transaction.execute(
        END_FINDING.bind(ended),
        ADD_FINDING.bind(added),
        ADD_FINDING_SEEN.bind(seen),
        ADD_FINDING_REPORT.bind([report]),
        MARK_VERSIONS_OF_IMAGE.bind([{"image_digest": one} for one in sorted(images)]),
    )
