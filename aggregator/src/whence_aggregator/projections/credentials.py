"""Projection of the steps of minted credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.queries.mint import PUT_CREDENTIAL
from whence_aggregator.queries.query import BoundCommand

CREDENTIAL = "credential"


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
