"""Findings as they are listed: what each means now, what it is about, and who answers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from whence_aggregator.findings.rows import StoredFinding, stored
from whence_aggregator.findings.scanners import FindingVerdict, Scanners
from whence_aggregator.findings.subjects import FindingSubject, Subjects
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import FINDINGS_AT, FindingsAtParameters
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_common.errors import InputError

CURSOR_CHARACTERS_MAX = 1200
_ROWS_AT_ONCE = 500
_READS_MAX = 40
"""Of one page: a filter that hardly anything passes ends it early, with the cursor to go on."""
_START = ("", "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFindings:
    """The filters of findings; None means any."""

    verdict: FindingVerdict | None = None
    rule: str | None = None
    account: str | None = None
    product: str | None = None
    check: str | None = None
    severity: int | None = None
    region: str | None = None
    instance: str | None = None
    image: str | None = None
    application: str | None = None
    team: str | None = None
    team_as_written: bool = False
    """Only subjects of this very team are shown, for callers that may read resources of no other."""
    suppressed: bool | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding, what it means at the moment asked about, and its subjects."""

    finding: StoredFinding
    verdict: FindingVerdict
    reason: str
    rule: str
    severity: int
    subjects: Sequence[FindingSubject]

    def to_wire(self) -> dict[str, object]:
        one = self.finding
        resource = {
            "name": one.body.get("resource", ""), "type": one.body.get("resource_type", ""),
            "region": one.region or None,
            "instance_id": one.instance_id or None, "image_digest": one.image_digest or None,
            "application_id": one.application_id or None,
        }  # fmt: skip
        return {
            "account_id": one.account_id or None, "product": one.product, "uid": one.uid, "check": one.check_id,
            "rule": self.rule, "title": one.body.get("title", ""), "severity": self.severity, "verdict": self.verdict,
            "reason": self.reason, "stated": one.result, "closed": one.closed or None, "suppressed": one.suppressed,
            "resource": resource, "subjects": [subject.to_wire() for subject in self.subjects],
            "first_seen": one.first_seen, "last_seen": one.last_seen, "since": one.since, "reopened": one.reopened,
            "remedy": one.body.get("remedy", ""), "references": one.body.get("references", []),
            "ledger_index": one.ledger_index,
        }  # fmt: skip


class Findings:
    """Lists findings."""

    def __init__(self, *, database: Database, directory: OrganisationDirectory, scanners: Scanners) -> None:
        self._database = database
        self._directory = directory
        self._subjects = Subjects(database=database, directory=directory)
        self.scanners = scanners

    async def page(
        self, wanted: WantedFindings, *, after: str, limit: int, now: datetime, past: int = EVERY_ENTRY
    ) -> tuple[list[ShownFinding], str | None]:
        """Return findings after a cursor, and the cursor of the next page if there is one. Raises InputError.

        A page may have fewer than `limit` although more follow.
        """
        place, found = _place(after), list[ShownFinding]()
        teams = await self._teams(wanted, past)
        for _ in range(_READS_MAX):
            rows = await self._read(wanted, place, _ROWS_AT_ONCE, past)
            candidates = [one for row in rows if _is_meant(one := self._meaning(row, now), wanted)]
            for one in await self._tied(candidates, past):
                if (fitting := _fitting(one, wanted, teams)) is None:
                    continue
                if len(found) == limit:
                    return found, _cursor(found[-1].finding.cursor)
                found.append(fitting)
            if len(rows) < _ROWS_AT_ONCE:
                return found, None
            place = rows[-1].cursor
        return found, _cursor(place)

    async def every(
        self, wanted: WantedFindings, *, now: datetime, past: int = EVERY_ENTRY
    ) -> AsyncIterator[ShownFinding]:
        """Yield all findings, read a page at a time."""
        after: str | None = ""
        while after is not None:
            page, after = await self.page(wanted, after=after, limit=_ROWS_AT_ONCE, now=now, past=past)
            for one in page:
                yield one

    async def _read(
        self, wanted: WantedFindings, place: tuple[str, str, str], limit: int, past: int
    ) -> list[StoredFinding]:
        asked: FindingsAtParameters = {
            "past": past,
            "after_account": place[0],
            "after_product": place[1],
            "after_uid": place[2],
            "account": wanted.account,
            "product": wanted.product,
            "check_id": wanted.check,
            "region": wanted.region,
            "instance": wanted.instance,
            "image": wanted.image,
            "suppressed": int(wanted.suppressed) if wanted.suppressed is not None else None,
            "since": wanted.since,
            "until": wanted.until,
            "limit": limit,
        }
        return [stored(row) for row in await self._database.fetch(FINDINGS_AT.bind(asked))]

    def _meaning(self, one: StoredFinding, now: datetime) -> ShownFinding:
        """Return what a finding means, without what it is about."""
        verdict, reason = self.scanners.verdict(one, now=now)
        return ShownFinding(
            finding=one, verdict=verdict, reason=reason, rule=self.scanners.rule_of(one),
            severity=self.scanners.severity_of(one), subjects=(),
        )  # fmt: skip

    async def _tied(self, found: Sequence[ShownFinding], past: int) -> list[ShownFinding]:
        """Return findings with what they are about."""
        if not found:
            return []
        subjects = await self._subjects.of([one.finding for one in found], past=past)
        return [replace(one, subjects=own) for one, own in zip(found, subjects, strict=True)]

    async def _teams(self, wanted: WantedFindings, past: int) -> frozenset[str] | None:
        if wanted.team is None:
            return None
        return (
            frozenset({wanted.team}) if wanted.team_as_written
            else await self._directory.names_of(wanted.team, past=past)
        )  # fmt: skip


def _is_meant(one: ShownFinding, wanted: WantedFindings) -> bool:
    """Return whether a finding was asked for, as far as its subjects do not decide it."""
    asked = (wanted.verdict, wanted.rule, wanted.severity)
    return all(want in (None, is_) for want, is_ in zip(asked, (one.verdict, one.rule, one.severity), strict=True))


def _fitting(one: ShownFinding, wanted: WantedFindings, teams: frozenset[str] | None) -> ShownFinding | None:
    """Return a finding with the subjects that were asked for; None if it was not asked for."""
    subjects = [
        subject for subject in one.subjects
        if wanted.application in (None, subject.application_id) and (teams is None or subject.team in teams)
    ]  # fmt: skip
    if (wanted.application is not None or teams is not None) and not subjects:
        return None
    return replace(one, subjects=subjects)


def _cursor(place: tuple[str, str, str]) -> str:
    return "~".join(place)


def _place(cursor: str) -> tuple[str, str, str]:
    if not cursor:
        return _START
    account, product, uid = [*cursor.split("~", 2), "", ""][:3]
    if "~" not in cursor or not uid or (account and not (account.isascii() and account.isdecimal())):
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return account, product, uid
