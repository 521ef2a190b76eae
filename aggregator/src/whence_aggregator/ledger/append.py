"""Appending: the next indexes are taken inside the one write transaction, so that there is no gap and no fork."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from whence_aggregator.ports import Transaction
from whence_common.digest import sha256_digest

EntryKind = Literal["statement", "enrolment", "enrolment-refused", "application", "fact", "verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be appended; `body` is kept verbatim for ever."""

    kind: EntryKind
    body: bytes

    @classmethod
    def event(cls, kind: EntryKind, event: dict[str, Any]) -> Entry:
        """Make an entry of something we found out ourselves: canonical JSON with its type."""
        return cls(
            kind=kind, body=msgspec.json.encode({"type": f"urn:whence:{kind}:v1", **event}, order="deterministic")
        )


async def append(transaction: Transaction, entries: Sequence[Entry], *, recorded_at: str) -> list[int]:
    """Append entries in order; give their indexes."""
    if not entries:
        return []
    last = (await transaction.fetch("last_index", {}))[0]["ledger_index"]
    rows = [
        {
            "ledger_index": last + 1 + offset,
            "kind": entry.kind,
            "recorded_at": recorded_at,
            "body": entry.body,
            "digest": sha256_digest(entry.body),
            "leaf_hash": leaf_hash(entry.body),
        }
        for offset, entry in enumerate(entries)
    ]
    await transaction.execute("append_entry", rows)
    return [last + 1 + offset for offset in range(len(entries))]


def leaf_hash(body: bytes) -> bytes:
    """Hash a leaf as RFC 6962 does: SHA-256 of a zero octet and the body."""
    return hashlib.sha256(b"\x00" + body).digest()
