"""Appends revisions of applications to the ledger, within the bounds of their size and rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from whence_aggregator.applications.draft import Draft
from whence_aggregator.applications.fields import ApplicationInvalid
from whence_aggregator.applications.rows import Newest, newest_of
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.projections.applications import project_application_v2, project_handover
from whence_aggregator.queries.applications import APPLICATION_AT, ApplicationAtParameters
from whence_aggregator.queries.query import EVERY_ENTRY, BoundQuery
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

R = TypeVar("R")
RECORD_BYTES_MAX = 64 * 1024
"""Size of one revision, which stays in the log for ever."""


class ApplicationRows(Protocol):
    """A database or a transaction."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]: ...


async def newest(reads: ApplicationRows, application_id: str) -> Newest:
    """Return the newest revision of an application."""
    parameters: ApplicationAtParameters = {"application_id": application_id, "past": EVERY_ENTRY}
    return newest_of(await reads.fetch(APPLICATION_AT.bind(parameters)))


class ApplicationEntries:
    """Appends entries of applications and of hand-overs."""

    def __init__(self, *, caller_bytes: Limit, team_bytes: Limit, now: Now) -> None:
        self._caller_bytes = caller_bytes
        self._team_bytes = team_bytes
        self._now = now

    async def revise(
        self, writing: Writing[Any], application_id: str, stored: Newest, draft: Draft, caller: Caller
    ) -> int:
        """Append the next revision; return its number. Raises ApplicationInvalid or Overloaded."""
        stated = {
            "application_id": application_id,
            "revision": stored.revision + 1,
            **self._who(caller),
            **draft.to_body(),
        }
        content = event("application", stated, version=2)
        if len(content) > RECORD_BYTES_MAX:
            raise ApplicationInvalid(
                "application-too-large",
                f"the application's record is too large: {len(content)} bytes, at most {RECORD_BYTES_MAX}",
                fix="store long texts elsewhere, and set documentation_url or specification_url",
            )
        self._take(draft.team, caller, len(content))
        ((index, _),) = await writing.append([NewEntry(kind="application", content=content)])
        await project_application_v2(writing.transaction, index, stated)
        return stored.revision + 1

    async def hand_over(
        self, writing: Writing[Any], stated: dict[str, Any], caller: Caller
    ) -> tuple[int, dict[str, Any]]:
        """Append what became of an offer; return its ledger index and content. Raises Overloaded."""
        stated = {**stated, **self._who(caller)}
        content = event("handover", stated)
        self._take(stated["from_team"], caller, len(content))
        ((index, _),) = await writing.append([NewEntry(kind="handover", content=content)])
        await project_handover(writing.transaction, index, stated)
        return index, stated

    def _who(self, caller: Caller) -> dict[str, Any]:
        return {
            "recorded_at": to_instant(self._now()),
            "recorded_by": caller.name,
            "subject": list(caller.subject) if caller.subject is not None else None,
        }

    def _take(self, team: str, caller: Caller, size: int) -> None:
        self._team_bytes.take(team, size)
        self._caller_bytes.take(caller.name, size)
