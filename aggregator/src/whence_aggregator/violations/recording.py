"""Appends the steps of violations to the log: those that follow from what is observed, and those that people take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.projections.violation_rows import VIOLATION_STEP, StoredViolation, stored_by_id
from whence_aggregator.projections.violations import project_violation_steps
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.violations import (
    EXEMPTION_NUMBERED,
    EXEMPTIONS_LIVE,
    EXEMPTIONS_NAMED,
    EXEMPTIONS_THEN,
    NEWEST_VERDICT,
    RULES_MOVED_SINCE,
    RULES_VIOLATED,
    VIOLATIONS_EXEMPTED_BY,
    VIOLATIONS_NAMED,
    VIOLATIONS_OPEN,
)
from whence_aggregator.trace.moment import Moment
from whence_aggregator.violations.exemption import (
    COVERED_MAX,
    EXEMPTIONS_MAX,
    Exemption,
    check_room,
    covering,
)
from whence_aggregator.violations.finding_places import FINDING, NO_FINDINGS, ObservedFindings, may_have_moved
from whence_aggregator.violations.life import (
    ObservedFault,
    ViolationStep,
    exempted,
    next_steps,
    shown_state,
    step_of,
    unexempted,
)
from whence_aggregator.violations.observing import Observing, together_by_source
from whence_aggregator.violations.rows import exemptions, newest_entry, rules_named
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

STEPS_AT_ONCE_MAX = 200
"""Violations that one transaction moves."""
FINDING_READS_MAX = 3
"""How often all findings are read, while reports arrive about what is to move."""
_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an undo took back: an acknowledgement, or an exemption with everything that it covered."""

    exemption: str
    violations: Sequence[StoredViolation]


class ViolationRecorder:
    """Writes steps. Each is decided inside the transaction that appends it, on what the log has then."""

    def __init__(self, *, database: Database, ledger: Ledger, observing: Observing, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._observing = observing
        self._now = now

    async def follow_moved(self, after: int) -> int:
        """Take the steps that follow from verdicts since an entry; return the newest verdict's entry."""
        newest = newest_entry(await self._database.fetch(NEWEST_VERDICT.bind({})))
        if newest <= after:
            return after
        rules = rules_named(await self._database.fetch(RULES_MOVED_SINCE.bind({"after": after})))
        if rules:
            await self._follow(rules, NO_FINDINGS, every_rule=False)
        return newest

    async def follow_all(self) -> None:
        """Take the steps that follow from everything: verdicts, findings, owners, and exemptions that expired."""
        rules = rules_named(await self._database.fetch(RULES_VIOLATED.bind({})))
        every = sorted({*rules, *self._observing.beside_verdicts})
        for _ in range(FINDING_READS_MAX - 1):
            if not await self._follow(every, await self._observing.findings(), every_rule=True):
                return
        await self._follow(every, await self._observing.findings(), every_rule=True, waits=False)

    async def _follow(
        self, rules: Sequence[str], findings: ObservedFindings, *, every_rule: bool, waits: bool = True
    ) -> bool:
        """Take the steps that follow; return whether some wait, because their findings moved since they were read.

        Without `waits` they are taken nevertheless, or a scanner that reports all the time would hold them up.
        """
        verdicts, wait = await self._observing.verdicts(self._database, rules), False
        observed = together_by_source(verdicts, findings.faults)
        stood = await self._open(rules, every_rule=every_rule)
        if not every_rule:
            stood = {name: one for name, one in stood.items() if one.details.get("source") != FINDING}
        observed |= await self._observing.reported(stood.values())
        named = sorted({*observed, *stood})
        for start in range(0, len(named), STEPS_AT_ONCE_MAX):
            some = named[start : start + STEPS_AT_ONCE_MAX]
            known, live = await self._read(some)
            at = to_instant(self._now())
            moved = [one for one in some if next_steps(known.get(one), observed.get(one), now=at, exemptions=live)]
            if moved:
                of_moved = {observed[one].group.rule if one in observed else stood[one].rule for one in moved}
                wait |= await self._move(moved, sorted(of_moved), findings, waits=waits)
        return wait

    async def _move(
        self, named: Sequence[str], rules: Sequence[str], findings: ObservedFindings, *, waits: bool
    ) -> bool:
        """Decide again in a transaction, on the verdicts of then: another replica may have moved them meanwhile.

        What rests on findings that moved since they were read is left; return whether there is any.
        """
        async with self._writing(named) as writing:
            places = await self._observing.moved_since(writing.transaction, findings) if waits else ()
            known, live = _found(writing)
            some = [one for one in named if not may_have_moved(known.get(one), findings.faults.get(one), places)]
            stated = await self._observing.undecided(findings, some)
            observed = together_by_source(await self._observing.verdicts(writing.transaction, rules), stated)
            observed |= await self._observing.reported(known.values())
            at = to_instant(self._now())
            steps = [
                step for one in some for step in next_steps(known.get(one), observed.get(one), now=at, exemptions=live)
            ]
            await _append(writing, steps)
        return len(some) < len(named)

    async def open_reported(
        self, fault: ObservedFault, record: Callable[[Writing[Any]], Awaitable[None]]
    ) -> bool:  # fmt: skip
        """Open the violation of a report, which `record` appends before; return False if it was reported before."""
        name = fault.group.id
        if await self.named([name]):
            return False
        async with self._writing([name]) as writing:
            known, live = _found(writing)
            if known:
                return False
            await record(writing)
            await _append(writing, next_steps(None, fault, now=to_instant(self._now()), exemptions=live))
        return True

    async def acknowledge(self, one: StoredViolation, comment: str, *, by: str) -> StoredViolation:
        """Acknowledge a violation. Raises Conflict if it is fixed or exempted."""
        async with self._writing([one.id]) as writing:
            known, _ = _found(writing)
            at = to_instant(self._now())
            state = shown_state(known[one.id], at)
            if state in ("fixed", "exempted"):
                raise Conflict("violation-state", f"the violation is {state}", fix=f"GET /v1/violations/{one.id}")
            await _append(writing, [step_of("acknowledged", known[one.id], at=at, by=by, comment=comment)])
        return await self.read(one.id)

    async def exempt(self, granted: Exemption, expected: int | None) -> Sequence[StoredViolation]:
        """Grant an exemption; return the open violations that it covers.

        Raises Conflict if those are not as many as were `expected`, or if a bound is reached.
        """
        candidates = await self.covered_by(granted)
        if len(candidates) > COVERED_MAX:
            raise Conflict(
                "exemption-covers", f"it would cover more than {COVERED_MAX} violations", fix="choose a narrower scope"
            )
        async with self._writing([one.id for one in candidates]) as writing:
            known, live = _found(writing)
            check_room(live, granted)
            at = granted.granted_at
            covered = [one for one in known.values() if one.is_open and granted.covers(one)]
            if expected is not None and len(covered) != expected:
                raise Conflict(
                    "exemption-covers", f"it covers {len(covered)} violations now, not {expected}",
                    fix="ask with dry_run again, look at the list, and send its number as `covers`",
                )  # fmt: skip
            grant: ViolationStep = {
                "step": "granted", "account_id": granted.scope.account_id, "at": at, "by": granted.granted_by,
                "comment": granted.reason, "exemption": granted.to_entry(),
            }  # fmt: skip
            steps = [
                exempted(one, granted, at=at) for one in covered if covering(one, [*live, granted], now=at) == granted
            ]
            await _append(writing, [grant, *steps])
        return covered

    async def undo(self, one: StoredViolation, *, by: str) -> Undone:
        """Take back the exemption that covers a violation, else its acknowledgement. Raises Conflict without either."""
        if one.exemption:
            return await self.withdraw(one.exemption, by=by)
        async with self._writing([one.id]) as writing:
            known, _ = _found(writing)
            if not known[one.id].acknowledged_at:
                raise Conflict("violation-state", f"the violation {one.id} is neither acknowledged nor exempted")
            await _append(writing, [step_of("unacknowledged", known[one.id], at=to_instant(self._now()), by=by)])
        return Undone(exemption="", violations=[await self.read(one.id)])

    async def withdraw(self, name: str, *, by: str) -> Undone:
        """End an exemption; what it covered is open again. Raises NotFound or Conflict."""
        granted = await self.exemption(name)
        covered = await self.exempted_by(name)
        async with self._writing([one.id for one in covered]) as writing:
            known, live = _found(writing)
            at = to_instant(self._now())
            if name not in {one.id for one in live}:
                raise Conflict("exemption-ended", f"the exemption {name} has ended already")
            others = [one for one in live if one.id != name]
            end: ViolationStep = {
                "step": "withdrawn", "account_id": granted.scope.account_id, "at": at, "by": by,
                "exemption": {"id": name},
            }  # fmt: skip
            steps = [end]
            for one in known.values():
                if one.exemption == name:
                    steps.append(unexempted(one, at=at, by=by, comment="the exemption was undone"))
                    if (other := covering(one, others, now=at)) is not None:
                        steps.append(exempted(one, other, at=at))
            await _append(writing, steps)
        return Undone(exemption=name, violations=await self.named([one.id for one in covered]))

    async def shorten(self, name: str, until: str, *, by: str) -> None:
        """Have an exemption end earlier. Raises NotFound or Conflict."""
        granted = await self.exemption(name)
        async with self._writing([one.id for one in await self.exempted_by(name)]) as writing:
            known, live = _found(writing)
            if name not in {one.id for one in live}:
                raise Conflict("exemption-ended", f"the exemption {name} has ended already")
            stated = {"id": name, "until": until}
            common = {"at": to_instant(self._now()), "by": by}
            first: ViolationStep = {
                "step": "shortened", "account_id": granted.scope.account_id, **common, "exemption": stated
            }  # fmt: skip
            covered = [one for one in known.values() if one.exemption == name]
            await _append(
                writing,
                [first, *(step_of("exempted", one, **common, comment="", exemption=stated) for one in covered)],
            )

    async def read(self, name: str) -> StoredViolation:
        """Return a violation. Raises NotFound."""
        found = await self.named([name])
        if not found:
            raise NotFound(
                "violation-unknown", f"no violation has the id {name[:100]!r}", fix="see whence violations --grouped"
            )
        return found[0]

    async def named(self, names: Sequence[str]) -> list[StoredViolation]:
        return list(stored_by_id(await self._database.fetch(VIOLATIONS_NAMED.bind({"ids": array(names)}))).values())

    async def exemption(self, name: str) -> Exemption:
        """Return an exemption, also one that has ended. Raises NotFound."""
        rows = await self._database.fetch(EXEMPTIONS_NAMED.bind({"ids": array([name])}))
        if not rows:
            raise NotFound(
                "exemption-unknown",
                f"no exemption has the id {name[:100]!r}",
                fix="whence exemptions lists those in force",
            )
        return exemptions(rows)[0]

    async def exemption_numbered(self, number: int) -> Exemption:
        """Return an exemption, also one that has ended. Raises NotFound."""
        rows = await self._database.fetch(EXEMPTION_NUMBERED.bind({"number": number}))
        if not rows:
            raise NotFound("exemption-unknown", f"there is no whitelisting rule {number}")
        return exemptions(rows)[0]

    async def live_exemptions(self) -> list[Exemption]:
        asked = EXEMPTIONS_LIVE.bind({"now": to_instant(self._now()), "limit": EXEMPTIONS_MAX})
        return exemptions(await self._database.fetch(asked))

    async def exemptions_then(self, moment: Moment) -> list[Exemption]:
        """Return the exemptions that were in force at a moment."""
        asked = EXEMPTIONS_THEN.bind({"past": moment.past, "at": moment.at, "limit": EXEMPTIONS_MAX})
        return exemptions(await self._database.fetch(asked))

    async def covered_by(self, granted: Exemption) -> list[StoredViolation]:
        """Return the open violations that an exemption would cover now."""
        found = await self._open([granted.rule], every_rule=granted.is_by_type)
        return [one for one in found.values() if granted.covers(one)]

    async def exempted_by(self, name: str) -> list[StoredViolation]:
        """Return the violations that an exemption covers."""
        asked = VIOLATIONS_EXEMPTED_BY.bind({"exemption": name, "limit": COVERED_MAX})
        return list(stored_by_id(await self._database.fetch(asked)).values())

    async def _open(self, rules: Sequence[str], *, every_rule: bool) -> dict[str, StoredViolation]:
        found: dict[str, StoredViolation] = {}
        after = ""
        while True:
            rows = await self._database.fetch(
                VIOLATIONS_OPEN.bind(
                    {"every_rule": int(every_rule), "rules": array(rules), "after": after, "limit": _PAGE}
                )
            )
            page = stored_by_id(rows)
            found |= page
            if len(page) < _PAGE:
                return found
            after = max(page)

    async def _read(self, named: Sequence[str]) -> tuple[Mapping[str, StoredViolation], list[Exemption]]:
        rows, live = await self._database.fetch_all(self._asked(named))
        return stored_by_id(rows), exemptions(live)

    def _asked(self, named: Sequence[str]) -> Any:
        now = to_instant(self._now())
        return together(
            VIOLATIONS_NAMED.bind({"ids": array(named)}), EXEMPTIONS_LIVE.bind({"now": now, "limit": EXEMPTIONS_MAX})
        )

    def _writing(self, named: Sequence[str]) -> Any:
        return self._ledger.writing(self._asked(named))


def _found(writing: Writing[Any]) -> tuple[dict[str, StoredViolation], list[Exemption]]:
    rows, live = writing.found
    return stored_by_id(rows), exemptions(live)


async def _append(writing: Writing[Any], steps: Sequence[ViolationStep]) -> None:
    if not steps:
        return
    places = await writing.append([NewEntry(kind=VIOLATION_STEP, content=event(VIOLATION_STEP, one)) for one in steps])
    await writing.flush()
    await project_violation_steps(
        writing.transaction, [(index, one) for (index, _), one in zip(places, steps, strict=True)]
    )
