"""Projections of sessions of roles, and of the words by which events and sessions refer to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.events import ADD_ROLE_SESSION, ADD_SESSION_WORD, AddRoleSessionParameters
from whence_aggregator.queries.query import BoundCommand
from whence_common.clock import parse_instant, to_millis

ROLE_SESSION = "role-session"


async def project_role_sessions(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store calls that made temporary keys for roles."""
    await transaction.execute(*role_session_writes(entries))


def role_session_writes(entries: Sequence[tuple[int, Mapping[str, Any]]]) -> list[BoundCommand]:
    """Return what the entries write."""
    rows: list[AddRoleSessionParameters] = [
        {
            "account_id": one["account_id"], "event_id": one["event_id"], "ledger_index": index,
            "access_key": one["access_key"], "caller_key": one["doer"].get("access_key", ""),
            "shared_id": one["shared_id"], "role": one["role"], "event_at": to_millis(parse_instant(one["at"])),
            "doer": msgspec.json.encode(one["doer"], order="deterministic").decode(),
        }
        for index, one in entries
    ]  # fmt: skip
    return [ADD_ROLE_SESSION.bind(rows), word_writes(word for _, one in entries for word in words_of_session(one))]


def words_of_session(one: Mapping[str, Any]) -> list[str]:
    """Return the key with which a session was made, and the id of the other account's record of the same call."""
    return [word for word in (one["doer"].get("access_key", ""), one["shared_id"]) if word]


def word_writes(words: Iterable[str]) -> BoundCommand:
    return ADD_SESSION_WORD.bind([{"word": one} for one in dict.fromkeys(words)])
