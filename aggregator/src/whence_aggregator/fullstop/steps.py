"""Steps on violations: resolving one, exempting what a whitelisting rule covers; and who may take them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.fullstop.documents import wanted_exemption
from whence_aggregator.fullstop.listing import NUMBER_MAX, ViolationLists
from whence_aggregator.fullstop.owners import Owners
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import (
    NarrowedTo,
    ServedExemption,
    ServedViolation,
    ViolationSource,
    WantedExemption,
)
from whence_aggregator.ports import Forbidden, NotFound
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.errors import InputError

COMMENT_CHARACTERS_MAX = 4_000
END_SECONDS = 60.0
"""A rule that is deleted without a time ends this much later, as with fullstop."""
_OF_TEAMS = 3
"""The worst severity that a team may exempt by itself."""


class ViolationSteps:
    """Takes steps for callers."""

    def __init__(
        self,
        *,
        violations: ViolationSource,
        lists: ViolationLists,
        types: ViolationTypes,
        owners: Owners,
        membership: Membership,
        now: Now,
    ) -> None:
        self._violations = violations
        self._lists = lists
        self._types = types
        self._owners = owners
        self._membership = membership
        self._now = now

    async def resolve(self, number: int, comment: str, caller: Caller) -> ServedViolation:
        """Record a resolution; return the violation as it is then. Raises NotFound, Forbidden, InputError."""
        if not comment.strip() or len(comment) > COMMENT_CHARACTERS_MAX:
            fix = f"write why it is resolved, in at most {COMMENT_CHARACTERS_MAX} characters"
            raise InputError("comment-malformed", "the comment is empty or too long", fix=fix)
        one = await self._lists.one(number)
        await self._check_owns(caller, one.application_id, one.account_id)
        _check_not_own(caller, one)
        await self._violations.acknowledge(one, comment, caller.name)
        return await self._lists.one(number)

    async def exempt(self, document: Mapping[str, Any], caller: Caller) -> ServedExemption:
        """Record a whitelisting rule. Raises InputError, Forbidden, Conflict."""
        wanted = wanted_exemption(document, self._types, self._now())
        await self._check_may_exempt(caller, wanted)
        return await self._violations.exempt(wanted, caller.name)

    async def replace(self, number: int, document: Mapping[str, Any], caller: Caller) -> ServedExemption:
        """End a rule and record another one in its place. Raises NotFound, and what `exempt` raises."""
        wanted = wanted_exemption(document, self._types, self._now())
        before = await self.standing(number)
        await self._check_may_exempt(caller, before.wanted)
        await self._check_may_exempt(caller, wanted)
        made = await self._violations.exempt(wanted, caller.name)
        await self._violations.end_exemption(before, to_instant(self._now()), caller.name)
        return made

    async def end(self, number: int, ends_at: str | None, caller: Caller) -> None:
        """End a rule at a time, or soon; never later than it ends already. Raises NotFound, Forbidden, InputError."""
        one = await self.standing(number)
        await self._check_may_exempt(caller, one.wanted)
        at = parse_instant(ends_at) if ends_at is not None else self._now() + timedelta(seconds=END_SECONDS)
        if to_instant(at) > one.wanted.ends_at and ends_at is not None:
            raise InputError(
                "rule-expiry", "expiryDate is later than the rule ends", fix="PUT a rule with a later expiry_date"
            )
        ends = min(max(to_instant(at), to_instant(self._now())), one.wanted.ends_at)
        await self._violations.end_exemption(one, ends, caller.name)

    async def standing(self, number: int) -> ServedExemption:
        """Return a rule that has not ended. Raises NotFound."""
        one = await self.exemption(number)
        if not one.stands(to_instant(self._now())):
            raise NotFound("rule-unknown", f"the whitelisting rule {number} has ended")
        return one

    async def exemption(self, number: int) -> ServedExemption:
        """Return a rule, even if it has ended. Raises NotFound."""
        found = await self._violations.exemptions(number) if 0 < number <= NUMBER_MAX else ()
        if not found:
            raise NotFound("rule-unknown", f"there is no whitelisting rule {number}")
        return found[0]

    async def _check_may_exempt(self, caller: Caller, wanted: WantedExemption) -> None:
        severity = self._types.severity(wanted.type_id)
        if not caller.may_operate:
            if severity < _OF_TEAMS or not (wanted.application_id or wanted.account_id):
                what = f"of severity {severity}" if severity < _OF_TEAMS else "of every team"
                raise Forbidden(
                    "exempt-forbidden", f"{caller.name} may not exempt violations {what}",
                    fix="ask somebody with the right operate"
                    + ("" if severity < _OF_TEAMS else ", or name the application or the account"),
                )  # fmt: skip
            await self._check_owns(caller, wanted.application_id, wanted.account_id)
        accounts = [wanted.account_id] if wanted.account_id else None
        narrowed = NarrowedTo(accounts=accounts, types=[wanted.type_id], unfixed=True)
        for one in await self._violations.matching(narrowed):
            if wanted.covers(one):
                _check_not_own(caller, one)

    async def _check_owns(self, caller: Caller, application_id: str, account_id: str) -> None:
        """Raise Forbidden unless the caller may act for the team that answers for it."""
        team = await self._owners.team_of(application_id, account_id)
        if team is None:
            if not caller.may_operate:
                raise Forbidden(
                    "owner-unknown", "no team is known to own the application or the account",
                    fix="register the application with its team, or ask somebody with the right operate",
                )  # fmt: skip
            return
        (await self._membership.assured_for(caller, [team])).check_write(team)


def _check_not_own(caller: Caller, one: ServedViolation) -> None:
    if one.reported_by and one.reported_by == caller.name:
        raise Forbidden(
            "violation-of-own-token", f"{caller.name} reported the violation {one.number}, and may take no step on it",
            fix="let somebody else of the team do that",
        )  # fmt: skip
