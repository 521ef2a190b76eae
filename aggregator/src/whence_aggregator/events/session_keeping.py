"""Sessions of roles: kept for three days, and recorded in the log once a recorded event was called with their key.

Most sessions never touch an instance, so they are no entries. Whichever comes first, the event or the call that made
its key, the other one finds it: both are looked up in the transaction that stores them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from whence_aggregator.events.role_session import RoleSession, role_account
from whence_aggregator.events.rows import kept_sessions, wanted_words
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.projections.role_sessions import ROLE_SESSION, role_session_writes, words_of_session
from whence_aggregator.queries.events import (
    DROP_SESSION,
    KEEP_SESSION,
    SESSIONS_KEPT,
    WORDS_WANTED,
    DropSessionParameters,
    KeepSessionParameters,
)
from whence_aggregator.queries.query import array
from whence_common.clock import to_instant, to_millis
from whence_common.ledger_entry import event
from whence_common.storable import cleaned

SESSION_DAYS = 3
"""A session lasts 12 hours at most, and CloudTrail delivers within minutes; what is later names nobody."""
SESSIONS_OF_ACCOUNT_MAX = 500_000
"""Kept of one account; the newest stay, about half a gigabyte."""
STEPS_MAX = 6
"""Roles that one after another assumed the next."""
FOUND_MAX = 1_000
"""Sessions for one step, those first that the role's own account recorded: no other account can crowd them out."""


async def keep(
    writing: Writing[Any], sessions: Sequence[RoleSession], source: Mapping[str, str], now: datetime
) -> None:
    """Keep sessions, and record those that recorded events refer to."""
    writing.writes.append(KEEP_SESSION.bind([_row(one, source, now) for one in sessions]))
    await writing.flush()
    words = sorted({word for one in sessions for word in (one.access_key, one.shared_id) if word})
    rows = await writing.transaction.fetch(WORDS_WANTED.bind({"words": array(words)}))
    await record_wanted(writing, wanted_words(rows))


async def record_wanted(writing: Writing[Any], words: Collection[str]) -> None:
    """Record the kept sessions that have one of the words, and those that they refer to in turn."""
    for _ in range(STEPS_MAX):
        if not words:
            return
        asked = SESSIONS_KEPT.bind({"words": array(sorted(words)), "limit": FOUND_MAX})
        found = kept_sessions(await writing.transaction.fetch(asked))
        if not found:
            return
        places = await writing.append([NewEntry(kind=ROLE_SESSION, content=event(ROLE_SESSION, one)) for one in found])
        writing.writes += role_session_writes([(index, one) for (index, _), one in zip(places, found, strict=True)])
        named: list[DropSessionParameters] = [
            {"account_id": one["account_id"], "event_id": one["event_id"]} for one in found
        ]
        writing.writes.append(DROP_SESSION.bind(named))
        await writing.flush()
        words = {word for one in found for word in words_of_session(one)}


def _row(one: RoleSession, source: Mapping[str, str], now: datetime) -> KeepSessionParameters:
    stated: dict[str, Any] = cleaned(
        {
            **msgspec.structs.asdict(one),
            "doer": msgspec.to_builtins(one.doer),
            "observed_at": to_instant(now),
            "read_from": dict(source),
        }
    )
    return {
        "account_id": one.account_id, "event_id": one.event_id, "access_key": one.access_key,
        "shared_id": one.shared_id, "content": msgspec.json.encode(stated, order="deterministic").decode(),
        "own": int(role_account(one.role) == one.account_id), "seen_at": to_millis(now),
    }  # fmt: skip
