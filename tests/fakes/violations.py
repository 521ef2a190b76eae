"""Violations in memory, held to the same contract as those of the log; and owners that a test states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from whence_aggregator.fullstop.recorded import with_exemptions
from whence_aggregator.fullstop.violation import (
    EXEMPTIONS_MAX,
    VIOLATIONS_READ_MAX,
    NarrowedTo,
    ServedExemption,
    ServedViolation,
    TooManyViolations,
    WantedExemption,
)
from whence_aggregator.ports import Conflict
from whence_common.clock import Now, to_instant


class ViolationsInMemory:
    """ViolationSource that a test adds, and the steps on them."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self.kept: dict[int, ServedViolation] = {}
        self._exemptions: dict[int, ServedExemption] = {}

    def add(self, violation: ServedViolation) -> None:
        self.kept[violation.number] = violation

    async def matching(self, narrowed: NarrowedTo) -> Sequence[ServedViolation]:
        found = [one for _, one in sorted(self.kept.items()) if _may_match(one, narrowed)]
        if len(found) > VIOLATIONS_READ_MAX:
            raise TooManyViolations
        return with_exemptions(found, await self.exemptions(), to_instant(self._now()))

    async def acknowledge(self, violation: ServedViolation, comment: str, by: str) -> None:
        one = self.kept[violation.number]
        self.kept[violation.number] = replace(
            one, state="acknowledged", comment=comment, changed=to_instant(self._now()), changed_by=by
        )

    async def exempt(self, wanted: WantedExemption, by: str) -> ServedExemption:
        if len(await self.exemptions()) >= EXEMPTIONS_MAX:
            raise Conflict("exemptions-too-many", f"there are {EXEMPTIONS_MAX} whitelisting rules")
        number, at = len(self._exemptions) + 1_000, to_instant(self._now())
        made = ServedExemption(number=number, wanted=wanted, created=at, created_by=by, changed=at, changed_by=by)
        self._exemptions[number] = made
        return made

    async def end_exemption(self, exemption: ServedExemption, ends_at: str, by: str) -> None:
        ended = replace(exemption.wanted, ends_at=ends_at)
        self._exemptions[exemption.number] = replace(
            exemption, wanted=ended, changed=to_instant(self._now()), changed_by=by
        )

    async def exemptions(self, number: int | None = None) -> Sequence[ServedExemption]:
        now = to_instant(self._now())
        return [
            one for one in self._exemptions.values() if one.number == number or (number is None and one.stands(now))
        ]


def _may_match(one: ServedViolation, narrowed: NarrowedTo) -> bool:
    return (
        one.number >= narrowed.number_min
        and narrowed.number in (None, one.number)
        and (narrowed.accounts is None or not one.account_ids.isdisjoint(narrowed.accounts))
        and (narrowed.applications is None or one.application_id in narrowed.applications)
        and (narrowed.types is None or one.type_id in narrowed.types)
        and not (narrowed.unfixed and one.state == "fixed")
    )


@dataclass
class StatedOwners:
    """Teams by application, else by account."""

    teams: dict[str, str] = field(default_factory=dict)

    async def team_of(self, application_id: str, account_id: str) -> str | None:
        return self.teams.get(application_id) or self.teams.get(account_id)
