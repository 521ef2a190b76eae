"""A violation as its steps leave it: the row that each step makes of the row before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import msgspec

from whence_aggregator.queries.violations import LastNumbersRow, PutViolationParameters, ViolationsNamedRow

VIOLATION_STEP = "violation-step"
"""The kind of entries."""
OPEN, FIXED = "open", "fixed"
STEPS_OF_EXEMPTIONS = frozenset({"granted", "shortened", "withdrawn"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredViolation:
    """A violation, as of its newest step. An empty text stands for what there is none of."""

    id: str
    number: int = 0
    """By which fullstop.'s interface names it: in the order in which violations opened first."""
    rule: str
    kind: str
    subject: str
    application_id: str = ""
    account_id: str = ""
    team: str = ""
    severity: int = 0
    state: str = OPEN
    first_seen: str = ""
    since: str = ""
    last_seen: str = ""
    unconfirmed_since: str = ""
    reason: str = ""
    reopened: int = 0
    acknowledged_at: str = ""
    acknowledged_by: str = ""
    comment: str = ""
    exemption: str = ""
    exempt_until: str = ""
    detail: str = "{}"
    ledger_index: int = -1

    @property
    def is_open(self) -> bool:
        return self.state == OPEN

    @property
    def version(self) -> str:
        """Return the version of the application that it is about: of its group, or as it was reported."""
        return self.subject.partition("@")[2] if self.kind == "version" else str(self.details.get("version", ""))

    @property
    def details(self) -> dict[str, Any]:
        """Return where it is from, its title and remedy, and the callers whose token caused it."""
        found: dict[str, Any] = msgspec.json.decode(self.detail)
        return found

    def to_text(self) -> str:
        """Return it as JSON, for the row of the step that made it so."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def of_text(cls, text: str) -> StoredViolation:
        return msgspec.json.decode(text, type=cls)


def stored_violation(row: ViolationsNamedRow) -> StoredViolation:
    return StoredViolation(**row)


def stored_by_id(rows: Sequence[ViolationsNamedRow]) -> dict[str, StoredViolation]:
    """Return violations by id."""
    return {row["id"]: stored_violation(row) for row in rows}


def last_numbers(rows: Sequence[LastNumbersRow]) -> tuple[int, int]:
    """Return the highest numbers of a violation and of an exemption; 0 before the first."""
    return rows[0]["violation"], rows[0]["exemption"]


def violation_row(one: StoredViolation) -> PutViolationParameters:
    """Return the columns of a violation."""
    return cast(PutViolationParameters, asdict(one))


def after_step(before: StoredViolation | None, index: int, event: Mapping[str, Any]) -> StoredViolation:
    """Return a violation after a step. Raises ValueError for a step that this program does not know."""
    named = event["violation"]
    one = before if before is not None else StoredViolation(
        id=named["id"], rule=named["rule"], kind=named["kind"], subject=named["subject"]
    )  # fmt: skip
    one = replace(one, ledger_index=index)
    step, at = event["step"], event["at"]
    if step in ("opened", "reopened"):
        return _opened(one, event, again=before is not None)
    if step == "changed":
        return _about(one, event["about"])
    if step == "unconfirmed":
        return replace(one, unconfirmed_since=event["since"], last_seen=event["since"], reason=event["reason"])
    if step == "confirmed":
        return replace(one, unconfirmed_since="", last_seen=at, reason=event["reason"])
    if step == "fixed":
        seen = one.last_seen if one.unconfirmed_since else at
        return replace(_unmarked(one), state=FIXED, last_seen=seen, unconfirmed_since="", reason=event["reason"])
    if step == "acknowledged":
        return replace(one, acknowledged_at=at, acknowledged_by=event["by"], comment=event["comment"])
    if step == "unacknowledged":
        return replace(one, acknowledged_at="", acknowledged_by="", comment="")
    if step == "exempted":
        return replace(one, exemption=event["exemption"]["id"], exempt_until=event["exemption"]["until"])
    if step == "unexempted":
        return replace(one, exemption="", exempt_until="")
    if step == "expired":
        return replace(_unmarked(one), reopened=one.reopened + 1)
    raise ValueError("unknown step of a violation")


def _opened(one: StoredViolation, event: Mapping[str, Any], *, again: bool) -> StoredViolation:
    opened = replace(
        _unmarked(one), state=OPEN, since=event["since"], last_seen=event["at"], unconfirmed_since="",
        first_seen=one.first_seen or event["since"], reason=event["reason"], reopened=one.reopened + int(again),
    )  # fmt: skip
    return _about(opened, event["about"])


def _about(one: StoredViolation, about: Mapping[str, Any]) -> StoredViolation:
    return replace(
        one, application_id=about["application_id"], account_id=about["account_id"], team=about["team"],
        severity=about["severity"], detail=msgspec.json.encode(about["detail"], order="deterministic").decode(),
    )  # fmt: skip


def _unmarked(one: StoredViolation) -> StoredViolation:
    return replace(one, acknowledged_at="", acknowledged_by="", comment="", exemption="", exempt_until="")
