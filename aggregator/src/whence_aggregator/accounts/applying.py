"""Apply the plan of one account: exactly its changes, in its order, against the state that it was made for.

Before the first write everything that the plan records is read again; of a plan that was just made, what its changes
are about. A resource that differs is refused by name, and nothing is written in that account; what the plan's own
changes produce is accepted, so that a cut-off apply goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.accounts.difference import differs
from whence_aggregator.accounts.journal import Journal
from whence_aggregator.accounts.places import groups_of, place_of
from whence_aggregator.accounts.plan import AccountPlan, PlannedChange, RecordedResource, recorded_by_address
from whence_aggregator.accounts.planning import READS_AT_ONCE, verify
from whence_aggregator.accounts.ports import CREDENTIALS_REFUSED, Providers, ResourceProvider
from whence_aggregator.accounts.reading import read_account
from whence_aggregator.accounts.report import AccountReport, Applied, ChangeOutcome
from whence_aggregator.accounts.resources import (
    Json,
    ResourceKind,
    StandingResource,
    State,
    WantedResource,
    referred,
    resolved,
)
from whence_common.errors import RoadError, WhenceError

_SETTLE_TRIES = 6
"""AWS lists a new resource after a moment."""
_UNREAD = "it cannot be read now"
_CUT_OFF = "interrupted while it was written: parts of it may stand"
OnApplied = Callable[[Applied], None]


def refused(plan: AccountPlan, exc: WhenceError) -> AccountReport:
    """Return the report of an account in which nothing was tried."""
    changes = tuple(
        Applied(address=one.address, step=one.step, action=one.action, outcome="skipped") for one in plan.changes
    )
    error = exc.diagnostics()[:2_000]
    return AccountReport(account=plan.account, account_id=plan.account_id, changes=changes, error=error)


@dataclass
class Applier:
    """Applies the plan of one account. `pause` waits, in seconds."""

    plan: AccountPlan
    kinds: Mapping[str, ResourceKind]
    providers: Providers
    journal: Journal
    pause: Callable[[float], Awaitable[None]]
    progress: OnApplied = lambda _: None
    reads_all: bool = True
    """Read again all that the plan records; otherwise only kinds and places with changes, as the plan was just made."""
    _stood: frozenset[str] = frozenset()
    """Addresses of what stood before the first write."""
    _recorded: Mapping[str, RecordedResource] = field(default_factory=dict)
    _created: dict[str, StandingResource] = field(default_factory=dict)
    """As AWS answered their creations."""
    _begun: set[str] = field(default_factory=set)
    """What this run began to create."""
    _outputs: dict[str, State] = field(default_factory=dict)
    _outcomes: dict[str, Applied] = field(default_factory=dict)
    _unread: str = ""
    """Why something that the plan changes could not be read before the first write."""
    _ended: str = ""
    """Why no other call can succeed."""

    async def apply(self) -> AccountReport:
        """Apply, and report every change. Does not raise WhenceError."""
        try:
            await verify(self.plan.target, self.providers)
            refusals = await self._moved()
        except WhenceError as exc:
            return self._report(error=exc.diagnostics())
        if refusals:
            for change in self.plan.changes:
                message = refusals.get(change.address, "")
                self._note(change, "refused" if message else "skipped", message)
            return self._report(error=self._refusal(refusals))
        for group in groups_of(self.plan.changes, self.kinds):
            if not self._ended:
                await self._group(group)
        return self._report(self._ended)

    def interrupted(self) -> AccountReport:
        """Return the report of an apply that was cancelled. What was being written may stand or not."""
        for change in self.plan.changes:
            if change.address in self._begun and change.address not in self._outcomes:
                self._note(change, "failed", _CUT_OFF)
        return self._report(error="interrupted")

    def _refusal(self, refusals: Mapping[str, str]) -> str:
        moved = sorted(address for address, reason in refusals.items() if reason != _UNREAD)
        if moved:
            return f"the account has moved since the plan was made: {', '.join(moved)}; make a new plan"
        return f"nothing was written, as what the plan changes cannot be read: {self._unread}"

    def _report(self, error: str = "") -> AccountReport:
        left = [one for one in self.plan.changes if one.address not in self._outcomes]
        for change in left:
            self._note(change, "skipped", "")
        changes = tuple(self._outcomes[one.address] for one in self.plan.changes)
        return AccountReport(
            account=self.plan.account, account_id=self.plan.account_id, changes=changes, error=error[:2_000]
        )

    async def _moved(self) -> dict[str, str]:
        """Return the resources that differ from what the plan records, and how; learn the outputs of the others."""
        changes = {one.address: one for one in self.plan.changes}
        self._recorded = recorded_by_address(self.plan)
        recorded = self._read_again(self._recorded, changes)
        wanted = [self._wanted(address, recorded.get(address), changes.get(address)) for address in
                  dict.fromkeys([*recorded, *changes])]  # fmt: skip
        used = {one.kind.name for one in wanted}
        reading = await read_account(
            self.plan.target, [one for name, one in self.kinds.items() if name in used], wanted, self.providers,
            at_once=asyncio.Semaphore(READS_AT_ONCE),
        )  # fmt: skip
        stands = {one.address: one for one in reading.standing}
        self._stood = frozenset(stands)
        self._outputs |= {address: one.outputs for address, one in stands.items()}
        self._unread = next(
            (
                f"{one.message} ({one.fix})" if one.fix else one.message
                for one in reading.remarks
                if one.kind == "unread"
            ),
            "",
        )
        found: dict[str, str] = {}
        for one in wanted:
            if one.address in reading.unread:
                if one.address in changes:
                    found[one.address] = _UNREAD
                continue
            reason = self._difference(stands.get(one.address), recorded.get(one.address), changes.get(one.address))
            if reason:
                found[one.address] = reason
        return found

    def _read_again(
        self, recorded: Mapping[str, RecordedResource], changes: Mapping[str, PlannedChange]
    ) -> Mapping[str, RecordedResource]:
        """Return the recorded resources that are read before the first write; of the others the outputs are known."""
        self._outputs |= {address: one.outputs for address, one in recorded.items()}
        if self.reads_all:
            return recorded
        places = {place_of(address, self.kinds)[:2] for address in changes}
        return {address: one for address, one in recorded.items() if place_of(address, self.kinds)[:2] in places}

    def _difference(
        self, stands: StandingResource | None, recorded: RecordedResource | None, change: PlannedChange | None
    ) -> str:
        """Return how a resource differs from both what the plan records and what the plan's change produces."""
        if stands is None:
            return "" if recorded is None or (change is not None and change.action == "delete") else "it is gone"
        if recorded is None and change is None:
            return ""
        after: State = resolved(change.after, self._outputs) if change is not None and change.after else {}  # type: ignore[assignment]  # a mapping stays one
        if recorded is None:
            if change is None or self._has_begun(change):
                return ""
            aspects = [name for name, value in after.items() if differs(value, stands.state.get(name))]
            return f"it exists now, and differs in {', '.join(aspects)}" if aspects else ""
        is_deleted = change is not None and change.action == "delete"
        aspects = [
            name for name, value in recorded.state.items()
            if differs(value, stands.state.get(name))
            and not (name in after and not differs(after[name], stands.state.get(name)))
            and not (is_deleted and stands.state.get(name) is None)  # a deletion of several calls was cut off
        ]  # fmt: skip
        return f"it differs in {', '.join(aspects)}" if aspects else ""

    async def _group(self, changes: Sequence[PlannedChange]) -> None:
        """Apply changes of one kind in one region: read, create, read what was created, then put aspects."""
        kind, region, _ = place_of(changes[0].address, self.kinds)
        provider = self.providers.of(kind, self.plan.target, region)
        ready = [one for one in changes if self._is_ready(one)]
        if not ready:
            return
        wanted = {one.address: self._wanted(one.address, self._recorded.get(one.address), one) for one in ready}
        try:
            is_new = all(one.action == "create" and one.address not in self._stood for one in ready)
            stands = {} if is_new else await self._read(provider, list(wanted.values()))
        except WhenceError as exc:
            for one in ready:
                self._failed(one, exc)
            return
        created = [one for one in ready if one.action == "create" and one.address not in stands]
        for one in created:
            await self._try(one, self._create(provider, wanted[one.address]))
        begun = {one.address for one in created if one.address not in self._outcomes}
        if self._ended:
            for one in (each for each in created if each.address in begun and self._has_begun(each)):
                self._note(one, "failed", "it was created, and the rest of it could not be written")
            return
        if begun <= set(self._created):
            stands = {**stands, **{address: self._created[address] for address in begun}}
        else:
            stands = await self._settled(provider, list(wanted.values()), begun, ready)
        for one in (each for each in ready if each.address not in self._outcomes):
            await self._finish(provider, stands.get(one.address), one, was_created=one.address in begun)

    async def _finish(
        self, provider: ResourceProvider, standing: StandingResource | None, change: PlannedChange, *, was_created: bool
    ) -> None:
        """Delete what is deleted, and put the aspects of everything else."""
        if change.action == "delete":
            await self._try(change, self._delete(provider, standing, change))
        elif standing is None:
            exc = RoadError("account-unsettled", "AWS does not list it yet", fix="apply the plan again")
            self._failed(change, exc)
        else:
            await self._try(change, self._put(provider, standing, change, was_created=was_created))

    async def _create(self, provider: ResourceProvider, wanted: WantedResource) -> None:
        self.journal.begin(self.plan.account_id, wanted.address)
        self._begun.add(wanted.address)
        created = await provider.create(wanted)
        if created is not None:
            self._created[wanted.address] = created
            self._outputs[wanted.address] = created.outputs

    async def _put(
        self, provider: ResourceProvider, standing: StandingResource, change: PlannedChange, *, was_created: bool
    ) -> None:
        written = was_created
        for aspect, value in (change.after or {}).items():
            known = resolved(value, self._outputs)
            if differs(known, standing.state.get(aspect)):
                await provider.put(standing, aspect, known)
                written = True
        self._outputs[change.address] = standing.outputs
        self._note(change, "done" if written else "already")

    async def _delete(
        self, provider: ResourceProvider, standing: StandingResource | None, change: PlannedChange
    ) -> None:
        if standing is not None:
            await provider.delete(standing)
        self._note(change, "done" if standing is not None else "already")

    async def _settled(
        self,
        provider: ResourceProvider,
        wanted: Sequence[WantedResource],
        created: set[str],
        changes: Sequence[PlannedChange],
    ) -> Mapping[str, StandingResource]:
        """Read until what was created is listed."""
        stands: Mapping[str, StandingResource] = {}
        for attempt in range(_SETTLE_TRIES):
            try:
                stands = await self._read(provider, wanted)
            except WhenceError as exc:
                for one in changes:
                    if one.address not in self._outcomes:
                        self._failed(one, exc)
                return {}
            if created <= set(stands):
                break
            await self.pause(min(2.0**attempt, 10.0))
        return stands

    async def _read(
        self, provider: ResourceProvider, wanted: Sequence[WantedResource]
    ) -> Mapping[str, StandingResource]:
        stands = {one.address: one for one in await provider.read(wanted)}
        self._outputs |= {address: one.outputs for address, one in stands.items()}
        return stands

    async def _try(self, change: PlannedChange, work: Coroutine[Any, Any, None]) -> None:
        if self._ended:
            work.close()
            return
        try:
            await work
        except WhenceError as exc:
            self._failed(change, exc)
        except asyncio.CancelledError:
            self._note(change, "failed", _CUT_OFF)
            raise

    def _has_begun(self, change: PlannedChange) -> bool:
        return self.journal.has_begun(self.plan.account_id, change.address)

    def _is_ready(self, change: PlannedChange) -> bool:
        """Return whether what the change refers to exists; note the change otherwise."""
        for address in change.requires:
            outcome = self._outcomes.get(address)
            if outcome is not None and outcome.outcome not in ("done", "already"):
                self._note(change, "skipped", f"it needs {address}, which was not written")
                return False
        unknown = referred(resolved(change.after, self._outputs))
        pending = sorted(one for one in unknown if self._outputs.get(one))  # AWS lists it, without what is needed
        if pending:
            message = f"it needs {', '.join(pending)}, which AWS is still creating"
            self._note(change, "skipped", message, "apply the plan again in a few minutes")
            return False
        if unknown:
            self._note(change, "skipped", f"it needs {', '.join(sorted(unknown))}, which does not exist")
            return False
        return True

    def _wanted(self, address: str, recorded: RecordedResource | None, change: PlannedChange | None) -> WantedResource:
        kind, region, name = place_of(address, self.kinds)
        state: dict[str, Json] = {**(recorded.state if recorded is not None else {})}
        state |= change.after or change.before or {} if change is not None else {}
        known = {aspect: resolved(value, self._outputs) for aspect, value in state.items()}
        return WantedResource(kind=kind, name=name, region=region, state=known)

    def _failed(self, change: PlannedChange, exc: WhenceError) -> None:
        self._note(change, "failed", exc.message, exc.fix)
        if exc.code == CREDENTIALS_REFUSED:
            self._ended = exc.diagnostics()

    def _note(self, change: PlannedChange, outcome: ChangeOutcome, message: str = "", fix: str = "") -> None:
        found = Applied(
            address=change.address, step=change.step, action=change.action, outcome=outcome, message=message[:2_000],
            fix=fix[:2_000],
        )  # fmt: skip
        self._outcomes[change.address] = found
        self.progress(found)
