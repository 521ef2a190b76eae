"""Projection of the steps of minted credentials, and of what was written or ordered of their applications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.queries.mint import PUT_CREDENTIAL, PUT_CREDENTIAL_CHANGE
from whence_aggregator.queries.query import BoundCommand

CREDENTIAL = "credential"
CHANGE_VERSION = 2
"""Entries of this version are of applications; those of version 1 are of generations."""


def credential_write(index: int, event: Mapping[str, Any]) -> BoundCommand:
    """Return the write of one step of a generation."""
    step, at = event["step"], event["at"]
    return PUT_CREDENTIAL.bind([
        {
            "application_id": event["application_id"], "kind": event["credential"], "generation": event["generation"],
            "ledger_index": index, "provider": event["provider"], "step": step, "mac": event["mac"],
            "written": msgspec.json.encode(event["written"], order="deterministic").decode(),
            "intended_at": at if step == "intended" else "", "published_at": at if step == "published" else "",
            "committed_at": at if step == "committed" else "", "ended_at": at if step == "ended" else "",
        }
    ])  # fmt: skip


def change_write(index: int, event: Mapping[str, Any]) -> BoundCommand:
    """Return the write of what was written or ordered of an application."""
    application = event["application"]
    return PUT_CREDENTIAL_CHANGE.bind([
        {
            "ledger_index": index, "application_id": event["application_id"], "step": event["step"],
            "changed_at": event["at"], "asked_by": event["by"], "reason": event["reason"],
            "application": msgspec.json.encode(application, order="deterministic").decode() if application else "",
        }
    ])  # fmt: skip
