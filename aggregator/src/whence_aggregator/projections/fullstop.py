"""Projections of what fullstop.'s interface records beside violations: what was reported, and logs of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.queries.fullstop import ADD_FULLSTOP_REPORT, ADD_INSTANCE_LOG
from whence_aggregator.queries.query import BoundCommand

FULLSTOP_REPORT, INSTANCE_LOG = "fullstop-report", "instance-log"


def report_write(index: int, event: Mapping[str, Any]) -> BoundCommand:
    """Return the write of a report. The violation that it states is opened by a step of its own."""
    return ADD_FULLSTOP_REPORT.bind(
        [
            {
                "violation": event["violation"], "ledger_index": index, "account_id": event["account_id"],
                "event_id": event["event_id"],
                "meta_info": msgspec.json.encode(event["meta_info"], order="deterministic").decode(),
                "username": event["username"], "recorded_by": event["recorded_by"],
            }
        ]
    )  # fmt: skip


def instance_log_write(index: int, event: Mapping[str, Any]) -> BoundCommand:
    """Return the write of an instance's log. It changes no instance: nobody has signed it."""
    document = event["document"] or {}
    application_id, version = _application(document)
    return ADD_INSTANCE_LOG.bind(
        [
            {
                "instance_id": event["instance_id"], "account_id": event["account_id"], "log_type": event["log_type"],
                "boot_time": event["instance_boot_time"], "digest": event["digest"], "region": event["region"],
                "ledger_index": index, "size": event["size"], "recorded_at": event["recorded_at"],
                "document": msgspec.json.encode(document, order="deterministic").decode() if document else "",
                "application_id": application_id, "application_version": version,
            }
        ]
    )  # fmt: skip


def _application(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the application version that user data states; both are empty unless it states both."""
    name, version = document.get("application_id"), document.get("application_version")
    return (name, version) if isinstance(name, str) and isinstance(version, str) and name and version else ("", "")
