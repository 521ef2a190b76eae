"""Records the findings of one request: what is new or changed becomes entries; what is not is only counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from whence_aggregator.findings.entries import entries_of
from whence_aggregator.findings.finding import Finding, FindingRefused
from whence_aggregator.findings.reading import FindingRefusal, Placed
from whence_aggregator.findings.rows import KnownFinding, completed_at, counted, known_findings, open_uids
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.projections.findings import FINDINGS, project_findings
from whence_aggregator.queries.findings import (
    COMPLETE_REPORT,
    FINDINGS_COUNTED,
    FINDINGS_NOW,
    FINDINGS_OPEN,
    CompleteReportParameters,
)
from whence_aggregator.queries.query import array
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

BATCH_FINDINGS_MAX = 250
"""Written in one transaction."""
FINDINGS_OF_ACCOUNT_MAX = 200_000
REFUSALS_SHOWN_MAX = 1_000
_OPEN_AT_ONCE = 500
_Scope = tuple[str, str, str]
"""What a report can be complete about: account, product and image; without an image, the rest of the account."""


class FindingSender(Protocol):
    """The caller, as far as findings concern it."""

    @property
    def name(self) -> str: ...

    def may_record_findings_of(self, account_id: str, product: str | None = None) -> bool:
        """Return whether it may record findings of an account; of none in particular, if that is empty.

        `product`: the scanner; None: those of any.
        """


@dataclass(kw_only=True)
class RecordedFindings:
    """What became of the findings of a request."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    closed: int = 0
    """Findings that a complete report did not have."""
    refused: int = 0
    refusals: list[FindingRefusal] = field(default_factory=list)
    """The first of those that were refused."""
    refused_products: int = 0
    """Of the refused ones, those of a product that the caller may not report."""
    complete: bool = False
    incomplete_reason: str = ""

    @property
    def accepted(self) -> int:
        return self.new + self.updated + self.unchanged

    def refuse(self, refusal: FindingRefusal) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS_SHOWN_MAX:
            self.refusals.append(refusal)

    def to_wire(self) -> dict[str, object]:
        return {
            "new": self.new, "updated": self.updated, "unchanged": self.unchanged, "closed": self.closed,
            "refused": self.refused, "refusals": [one.to_wire() for one in self.refusals], "complete": self.complete,
            "incomplete_reason": self.incomplete_reason or None,
        }  # fmt: skip


class FindingRecording:
    """The recording of one request. `complete`: it has all findings about each account and image that it names."""

    def __init__(self, *, ledger: Ledger, caller: FindingSender, complete: bool, now: Now) -> None:
        self._ledger = ledger
        self._caller = caller
        self._complete = complete
        self._now = now
        self.recorded = RecordedFindings()
        self._stated: dict[tuple[str, str, str], tuple[str, int]] = {}
        """When each finding of the request was seen and a hash of what it states, so that none counts twice."""
        self._newest: dict[_Scope, str] = {}
        self._seen: dict[_Scope, dict[str, str]] = {}
        """What a complete report confirms, in case that it turns out not to be complete."""
        self._known: dict[str, int] = {}

    async def add(self, batch: Sequence[Placed | FindingRefusal]) -> None:
        """Record findings, at most BATCH_FINDINGS_MAX. Raises StorageUnavailable."""
        by_scope: dict[_Scope, list[Placed]] = {}
        for one in batch:
            refusal = one if isinstance(one, FindingRefusal) else self._refusal(one)
            if refusal is not None:
                self.recorded.refuse(refusal)
            elif isinstance(one, Placed):
                by_scope.setdefault(_scope(one.finding), []).append(one)
        if by_scope:
            async with self._ledger.writing() as writing:
                for scope, found in by_scope.items():
                    await self._write(writing, scope, found)

    async def end(self, incomplete_reason: str = "") -> RecordedFindings:
        """Close what complete reports did not have, unless they were not complete. Raises StorageUnavailable."""
        recorded = self.recorded
        if not self._complete:
            return recorded
        if recorded.refused:
            incomplete_reason = incomplete_reason or f"{recorded.refused} findings were refused"
        if not self._newest:
            incomplete_reason = incomplete_reason or "no finding was accepted"
        recorded.incomplete_reason = incomplete_reason
        recorded.complete = not incomplete_reason
        for scope, observed_at in self._newest.items():
            if recorded.complete:
                await self._close(scope, observed_at)
            elif seen := self._seen.get(scope):
                async with self._ledger.writing() as writing:
                    await self._append(writing, scope, observed_at, seen=list(seen.items()))
        return recorded

    def _refusal(self, placed: Placed) -> FindingRefusal | None:
        """Return why a finding does not count: of a foreign account, or stated before in the same request."""
        finding = placed.finding
        account_id = finding.resource.account_id
        if not self._caller.may_record_findings_of(account_id, finding.product):
            return FindingRefusal.of(placed.position, self._forbidden(account_id, finding.product), finding.uid)
        stated = finding.observed_at, hash(msgspec.json.encode(finding.to_wire()))
        known = self._stated.get(finding.key)
        if known is not None and known != stated and finding.observed_at <= known[0]:
            error = FindingRefused("finding-repeated", "", "another finding of this file has the same id")
            return FindingRefusal.of(placed.position, error, finding.uid)
        self._stated[finding.key] = stated
        return None

    def _forbidden(self, account_id: str, product: str) -> FindingRefused:
        of = f"account {account_id}" if account_id else "no account in particular"
        name = self._caller.name
        if not self._caller.may_record_findings_of(account_id):
            what = f"{name} may not record findings of {of}"
            if not account_id:
                stated = "the finding names no account: state it with account=ID (--account ID)"
                what = f"{stated}; {name} may not record findings of all accounts"
            return FindingRefused("finding-account-forbidden", "", what)
        self.recorded.refused_products += 1
        return FindingRefused(
            "finding-product-forbidden", "", f"{name} may not record findings of {product} about {of}"
        )  # fmt: skip

    async def _write(self, writing: Writing[Any], scope: _Scope, placed: list[Placed]) -> None:
        account_id, product, _ = scope
        found = {one.finding.uid: one for one in placed}  # of two of one id, the later one
        self.recorded.unchanged += len(placed) - len(found)
        asked = FINDINGS_NOW.bind({"account_id": account_id, "product": product, "uids": array(list(found))})
        known = known_findings(await writing.transaction.fetch(asked))
        room = await self._room(writing, account_id)
        changed: list[dict[str, Any]] = []
        seen: list[tuple[str, str]] = []
        for uid, one in found.items():
            before = known.get(uid)
            if before is None and room <= 0:
                error = FindingRefused(
                    "findings-of-account", "", f"the account has {FINDINGS_OF_ACCOUNT_MAX} findings already"
                )
                self.recorded.refuse(FindingRefusal.of(one.position, error, uid))
                continue
            room -= before is None
            self._sort(before, one.finding, changed, seen)
        self._known[account_id] = FINDINGS_OF_ACCOUNT_MAX - room
        self._newest[scope] = max(self._newest.get(scope, ""), *(one.finding.observed_at for one in placed))
        if self._complete:
            self._seen.setdefault(scope, {}).update(seen)
            seen = []
        if changed or seen:
            await self._append(writing, scope, self._newest[scope], findings=changed, seen=seen)

    def _sort(
        self, before: KnownFinding | None, finding: Finding, changed: list[dict[str, Any]], seen: list[tuple[str, str]]
    ) -> None:
        """Count a finding, and add it to what is to be recorded if it says anything new."""
        wire = finding.to_wire()
        if before is None:
            self.recorded.new += 1
            changed.append(wire)
        elif finding.observed_at < before.last_seen:
            self.recorded.unchanged += 1  # a later state of it is known
        elif not before.states_the_same(wire):
            self.recorded.updated += 1
            changed.append(wire)
        else:
            self.recorded.unchanged += 1
            if finding.observed_at > before.last_seen:
                seen.append((finding.uid, finding.observed_at))

    async def _room(self, writing: Writing[Any], account_id: str) -> int:
        if account_id not in self._known:
            rows = await writing.transaction.fetch(FINDINGS_COUNTED.bind({"account_id": account_id}))
            self._known[account_id] = counted(rows)
        return FINDINGS_OF_ACCOUNT_MAX - self._known[account_id]

    async def _close(self, scope: _Scope, observed_at: str) -> None:
        """Record that a report was complete, with the findings that it did not have.

        Many are closed in several transactions, so that no other writer waits for long; the last one has the mark.
        """
        account_id, product, image_digest = scope
        asked_of: CompleteReportParameters = {
            "account_id": account_id, "product": product, "image_digest": image_digest,
        }  # fmt: skip
        after, more = "", True
        while more:
            asked = FINDINGS_OPEN.bind({**asked_of, "after": after, "before": observed_at, "limit": _OPEN_AT_ONCE})
            async with self._ledger.writing() as writing:
                if completed_at(await writing.transaction.fetch(COMPLETE_REPORT.bind(asked_of))) >= observed_at:
                    return  # the same report again, or an older one, which can deny nothing
                uids = open_uids(await writing.transaction.fetch(asked))
                absent = [uid for uid in uids if (account_id, product, uid) not in self._stated]
                more = len(uids) == _OPEN_AT_ONCE
                if absent or not more:
                    await self._append(writing, scope, observed_at, absent=absent, complete=not more)
            self.recorded.closed += len(absent)
            after = uids[-1] if uids else after

    async def _append(
        self,
        writing: Writing[Any],
        scope: _Scope,
        observed_at: str,
        *,
        findings: Sequence[dict[str, Any]] = (),
        seen: Sequence[tuple[str, str]] = (),
        absent: Sequence[str] = (),
        complete: bool = False,
    ) -> None:
        frame = {
            "account_id": scope[0], "product": scope[1], "image_digest": scope[2], "observed_at": observed_at,
            "complete": complete, "recorded_at": to_instant(self._now()), "recorded_by": self._caller.name,
        }  # fmt: skip
        for body in entries_of(frame, findings=findings, seen=seen, absent=absent):
            ((index, _),) = await writing.append([NewEntry(kind=FINDINGS, content=event(FINDINGS, body))])
            await project_findings(writing.transaction, index, body)


def _scope(finding: Finding) -> _Scope:
    return finding.resource.account_id, finding.product, finding.resource.image_digest
