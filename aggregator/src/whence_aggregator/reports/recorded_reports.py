"""Reports that were made: their entries, found by page or by the digest of a file."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.reports import REPORTS_RECORDED, REPORTS_WITH_DIGEST
from whence_aggregator.reports.rows import RecordedReport, recorded_reports
from whence_common.errors import InputError

_ROWS_MAX = 1_000
"""Of one digest: files of different reports have the same one if neither has anything in it."""
_CURSOR_CHARACTERS_MAX = 15


class RecordedReports:
    """Reads which reports were made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._directory = OrganisationDirectory(database)

    async def page(
        self, *, team: str | None, team_as_written: bool, account: str | None, after: str, limit: int
    ) -> tuple[list[RecordedReport], str | None]:
        """Return reports, the newest first, and the cursor of the next page if there is one. Raises InputError."""
        teams: frozenset[str] = frozenset()
        if team is not None:
            teams = frozenset({team}) if team_as_written else await self._directory.names_of(team)
        rows = await self._database.fetch(
            REPORTS_RECORDED.bind(
                {"before": _place(after), "any_team": int(team is None), "teams": array(sorted(teams)),
                 "account": account, "limit": limit + 1}
            )
        )  # fmt: skip
        found = recorded_reports(rows)
        return found[:limit], str(found[limit - 1].ledger_index) if len(found) > limit else None

    async def with_digest(self, digest: str) -> Sequence[RecordedReport]:
        """Return the reports with a file of this digest, the first one first. Raises NotFound."""
        rows = await self._database.fetch(REPORTS_WITH_DIGEST.bind({"digest": digest, "limit": _ROWS_MAX}))
        if not rows:
            raise NotFound(
                "report-unknown", "no file of a recorded report has this digest",
                fix="compare the file with the one that whence report wrote: any changed byte gives it another digest",
            )  # fmt: skip
        return recorded_reports(rows)


def _place(cursor: str) -> int:
    if not cursor:
        return EVERY_ENTRY
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= _CURSOR_CHARACTERS_MAX):
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return int(cursor)
