"""Steps of violations through fullstop.'s paths: resolving one acknowledges it, a whitelisting rule is an exemption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.fullstop.documents import WhitelistingRule
from whence_aggregator.fullstop.listing import NUMBER_MAX, ViolationLists
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import ServedViolation
from whence_aggregator.ports import Forbidden, NotFound
from whence_aggregator.violations.exemption import Exemption, checked_comment, new_exemption
from whence_aggregator.violations.observing import Observing
from whence_aggregator.violations.permission import (
    SEVERITY_OF_TEAMS,
    check_acknowledge,
    check_exempt,
    check_person,
    check_withdraw,
)
from whence_aggregator.violations.recording import ViolationRecorder
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError

Count = Callable[[int], None]
"""Counts steps of the caller. Raises Overloaded."""


class ViolationSteps:
    """Takes steps for callers, with the permissions of `/v1/violations`."""

    def __init__(
        self,
        *,
        recorder: ViolationRecorder,
        observing: Observing,
        lists: ViolationLists,
        types: ViolationTypes,
        membership: Membership,
        now: Now,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._recorder = recorder
        self._observing = observing
        self._lists = lists
        self._types = types
        self._membership = membership
        self._now = now
        self._random_bytes = random_bytes

    async def resolve(self, one: ServedViolation, comment: str, caller: Caller) -> ServedViolation:
        """Acknowledge a violation; return it as it is then. Raises Forbidden, InputError, Conflict."""
        comment = checked_comment(comment, name="the comment")
        (stored,) = await self._observing.owned_now([one.stored])
        check_acknowledge(await self._assured(caller, stored.team), stored)
        await self._recorder.acknowledge(stored, comment, by=caller.name)
        return await self._lists.one(one.number)

    async def exempt(self, document: Mapping[str, Any], caller: Caller, count: Count) -> Exemption:
        """Grant the exemption that a whitelisting rule is. Raises InputError, Forbidden, Conflict, Overloaded.

        `count` counts the steps that it adds to the log beside its own, before it does.
        """
        rule = WhitelistingRule.parse(document)
        if rule.type_id not in {one.id for one in await self._lists.types(caller.readable_teams)}:
            raise InputError(
                "rule-type-unknown", f"there is no violation type {rule.type_id}",
                fix="GET /api/violation-types lists them",
            )  # fmt: skip
        return await self._grant(rule, caller, count)

    async def replace(self, number: int, document: Mapping[str, Any], caller: Caller, count: Count) -> Exemption:
        """Grant an exemption in the place of another one. Raises NotFound, and what `exempt` raises."""
        before = await self._ending(number, caller)
        count(len(await self._recorder.exempted_by(before.id)))
        made = await self.exempt(document, caller, count)
        await self._recorder.withdraw(before.id, by=caller.name)
        return made

    async def end(self, number: int, ends_at: str | None, caller: Caller, count: Count) -> None:
        """End an exemption now, or at a time before its end. Raises NotFound, Forbidden, InputError, Overloaded."""
        one = await self._ending(number, caller)
        count(len(await self._recorder.exempted_by(one.id)))
        if ends_at is None or ends_at <= to_instant(self._now()):
            await self._recorder.withdraw(one.id, by=caller.name)
        elif ends_at <= one.until:
            await self._recorder.shorten(one.id, ends_at, by=caller.name)
        else:
            fix = "PUT a rule with a later expiry_date"
            raise InputError("rule-expiry", "expiryDate is later than the rule ends", fix=fix)

    async def exemption(self, number: int) -> Exemption:
        """Return an exemption, even if it has ended. Raises NotFound."""
        return await self._recorder.exemption_numbered(number if 0 < number <= NUMBER_MAX else 0)

    async def exemptions(self) -> list[Exemption]:
        """Return the exemptions in force, by number."""
        return sorted(await self._recorder.live_exemptions(), key=lambda one: one.number)

    async def _ending(self, number: int, caller: Caller) -> Exemption:
        """Return an exemption that is in force and that the caller may end. Raises NotFound or Forbidden."""
        one = await self.exemption(number)
        if not one.is_live(to_instant(self._now())):
            raise NotFound("exemption-unknown", f"the whitelisting rule {number} has ended")
        check_withdraw(await self._assured(caller, one.scope.team), one)
        return one

    async def _grant(self, rule: WhitelistingRule, caller: Caller, count: Count) -> Exemption:
        """Grant an exemption. A team's covers that team's violations of severity 3 and 4 only."""
        check_person(caller)
        scope = rule.scope
        if not caller.may_operate:
            scope = replace(scope, team=await self._team(rule, caller))
            caller = await self._assured(caller, scope.team)
            caller.check_write(scope.team)
        granted = new_exemption(
            rule.type_id, scope, reason=checked_comment(rule.reason, name="reason"), until=rule.until, by=caller.name,
            now=self._now(), unique=self._random_bytes(16), severity_min=1 if caller.may_operate else SEVERITY_OF_TEAMS,
        )  # fmt: skip
        covered = await self._observing.owned_now(await self._recorder.covered_by(granted))
        for one in covered:
            check_exempt(caller, one)
        count(len(covered))
        await self._recorder.exempt(granted, None)
        return await self._recorder.exemption(granted.id)

    async def _team(self, rule: WhitelistingRule, caller: Caller) -> str:
        """Return the team that may exempt by itself what a rule covers. Raises Forbidden if none may."""
        severity = self._types.severity(rule.type_id)
        team = await self._observing.owner_of(rule.scope.application_id, rule.scope.account_id)
        if severity < SEVERITY_OF_TEAMS or not team:
            what = "nobody is known to own" if not team else f"of severity {severity}"
            raise Forbidden(
                "violation-forbidden", f"{caller.name} may not exempt violations {what}",
                fix="ask who operates the aggregator",
            )  # fmt: skip
        return team

    async def _assured(self, caller: Caller, team: str) -> Caller:
        return await self._membership.assured(caller, team) if team and not caller.may_operate else caller
