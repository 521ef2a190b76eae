"""The next step of an application's credentials, decided from what is stored. Pure.

Every step that could be done is proposed with the time from which it may be done. What failed is tried
after the others, and not before its pause is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from whence_aggregator.mint.disturbing import disturbed_steps, look_at, repair_at
from whence_aggregator.mint.retiring import end_at, is_stuck, readers_look_at, superseded
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import LIVE_MAX, SEAL_UNREADABLE, MintState, StoredGeneration
from whence_aggregator.mint.steps import (
    AskAgain,
    BeginRotation,
    CommitGeneration,
    ConfirmGeneration,
    DeleteClient,
    DeleteMissing,
    EndGeneration,
    EnsureClient,
    GiveUpGeneration,
    LookAtBucket,
    MintDecision,
    MintStep,
    NoteStanding,
    Proposal,
    PublishGeneration,
    RetractGeneration,
    VerifyGeneration,
    WithdrawObject,
)
from whence_aggregator.mint.values import CredentialHolder, CredentialKind, KioStanding
from whence_common.clock import parse_instant

SUPERSEDED = "its successor is in use"


def decide(
    state: MintState,
    rules: MintRules,
    now: datetime,
    *,
    standing: KioStanding | None,
    holders: Sequence[CredentialHolder],
) -> MintDecision:
    """Return the next step, or when to look again."""
    look_at = now + timedelta(seconds=rules.look_seconds_max)
    if state.stored.gone_at:
        return MintDecision(step=None, look_at=look_at, is_over=True)
    deciding = _Deciding(state=state, rules=rules, now=now, standing=standing, holders=holders)
    failures, proposals = state.stored.failures, list(deciding.proposals())
    waiting, again = list[datetime](), list[MintStep]()
    for proposal in proposals:
        failure = failures.get(proposal.step.name)
        at = proposal.at if failure is None else max(proposal.at, parse_instant(failure.retry_at))
        if at > now:
            waiting.append(at)
        elif failure is None:
            return MintDecision(step=proposal.step, look_at=now)
        else:
            again.append(proposal.step)
    if again:
        return MintDecision(step=min(again, key=lambda one: failures[one.name].retry_at), look_at=now)
    over = failures.keys() - {one.step.name for one in proposals if one.at <= now}
    return MintDecision(
        step=None,
        look_at=min([look_at, *waiting, *deciding.reader_looks()]),
        no_longer_failing=frozenset(name for name in over if not deciding.lasts(name)),
    )


def due_at(state: MintState, kind: CredentialKind, rules: MintRules, now: datetime) -> tuple[datetime, str] | None:
    """Return when a generation of a kind is to be made, and why; None: never."""
    current = state.current(kind)
    if current is None:
        return now, "the application has no credential of this kind"
    if current.phase == "published":
        return now, "the generation before could not be committed"
    if any(not current.written.get(bucket) for bucket in state.application.buckets):
        return now, "a bucket has no object of the current generation"
    if state.stored.renewal_at > current.intended_at:
        return now, state.stored.renewal_reason
    dues = list[tuple[datetime, str]]()
    repaired = repair_at(current, rules)
    if repaired is not None:
        dues.append((repaired, f"{', '.join(sorted(current.disturbances))}: not what mint wrote"))
    if kind == "user" or state.application.is_confidential:
        seconds = rules.user_seconds if kind == "user" else rules.client_seconds
        early = rules.jitter * int(current.id.generation[:8], 16) / 2**32
        dues.append((parse_instant(current.committed_at) + timedelta(seconds=seconds * (1.0 - early)), "age"))
    return min(dues, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deciding:
    state: MintState
    rules: MintRules
    now: datetime
    standing: KioStanding | None
    holders: Sequence[CredentialHolder]

    def proposals(self) -> Iterator[Proposal]:
        stored, application = self.state.stored, self.state.application
        if not stored.deleted_at:
            yield from self._of_kio()
            team = self.standing.team_id if self.standing is not None else application.team_id
            if not stored.is_synced or team != application.team_id:
                yield Proposal(EnsureClient(), self.now)
        for kind in self.state.kinds():
            yield from self._ends(kind)
            wanted = self._is_wanted(kind)
            yield from self._withdrawals(kind, application.buckets if wanted and not self._is_lost(kind) else ())
            yield from self._rotation(kind) if wanted else self._unwanted(kind)
        if stored.deleted_at and not any(one.is_live for one in self.state.generations):
            yield Proposal(DeleteClient(), self.now)
        for kind in self.state.kinds():
            yield from self._looks(kind)

    def lasts(self, step: str) -> bool:
        """Return whether a problem lasts although its step is not to be done now."""
        current = [self.state.current(kind) for kind in self.state.application.credentials if self._is_wanted(kind)]
        return self._is_of_rotation(step) or any(step in disturbed_steps(one) for one in current if one is not None)

    def _is_of_rotation(self, step: str) -> bool:
        """Return whether a step is of a rotation that is under way or due, and of no unwanted bucket."""
        for kind in self.state.application.credentials:
            name, _, bucket = step.partition(" ")
            if name == kind and self._is_wanted(kind):
                due = due_at(self.state, kind, self.rules, self.now)
                is_open = self.state.fresh(kind) is not None or (due is not None and due[0] <= self.now)
                return is_open and (not bucket or bucket in self.state.application.buckets)
        return False

    def _is_wanted(self, kind: str) -> bool:
        application = self.state.application
        return kind in application.credentials and bool(application.buckets) and not self.state.stored.deleted_at

    def _is_lost(self, kind: CredentialKind) -> bool:
        """Return whether a revoked generation that buckets may hold cannot be written to the others: the key is lost.

        It leaves the buckets, and ends.
        """
        fresh = self.state.fresh(kind)
        if fresh is None or not fresh.verified_at or fresh.phase != "generated" or not self.state.is_revoked(fresh):
            return False
        steps = [PublishGeneration(fresh, bucket).name for bucket in self.state.application.buckets]
        steps.append(VerifyGeneration(fresh).name)
        failures = self.state.stored.failures
        return any(step in failures and failures[step].code == SEAL_UNREADABLE for step in steps)

    def reader_looks(self) -> Iterator[datetime]:
        """Yield when to ask again who reads the new generation, while one is about to be retired."""
        for kind in self.state.kinds():
            for _, successor in superseded(self.state, kind, self.rules, self.now):
                yield readers_look_at(successor, self.rules, self.now)

    def _of_kio(self) -> Iterator[Proposal]:
        stored = self.state.stored
        is_missing = self.standing is None or not self.standing.is_active
        if is_missing != bool(stored.missing_since):
            yield Proposal(NoteStanding(is_missing), self.now)
        elif is_missing:
            yield Proposal(DeleteMissing(), _after(stored.missing_since, self.rules.missing_seconds))

    def _ends(self, kind: CredentialKind) -> Iterator[Proposal]:
        for one in self.state.live(kind):
            if one.phase == "ending":
                # what was asked for, and never answered, may be made until then
                at = self.now if one.mac else _after(one.asked_at, self.rules.making_seconds_max)
                yield Proposal(EndGeneration(one), at)
        for old, successor in superseded(self.state, kind, self.rules, self.now):
            at = end_at(old, successor, self.state, self.rules, self.holders)
            stored = self.state.stored
            yield Proposal(
                GiveUpGeneration(old, stored.renewal_reason if self.state.is_revoked(old) else SUPERSEDED), at
            )

    def _withdrawals(self, kind: CredentialKind, buckets: Sequence[str]) -> Iterator[Proposal]:
        for bucket in sorted({name for one in self.state.live(kind) for name in one.written} - set(buckets)):
            asked = max(one.asked_at for one in self.state.live(kind) if bucket in one.written)
            yield Proposal(WithdrawObject(kind, bucket), _after(asked, self.rules.making_seconds_max))

    def _unwanted(self, kind: CredentialKind) -> Iterator[Proposal]:
        """End all generations, once no bucket holds one."""
        live = self.state.live(kind)
        if any(one.written for one in live):
            return
        reason = self.state.stored.deleted_reason or "the application does not want credentials of this kind"
        for one in live:
            if one.phase != "ending":
                yield Proposal(GiveUpGeneration(one, reason), self.now)

    def _rotation(self, kind: CredentialKind) -> Iterator[Proposal]:
        fresh = self.state.fresh(kind)
        if fresh is not None:
            yield from self._progress(fresh)
        is_making = fresh is not None and not is_stuck(fresh, self.state, self.rules, self.now)
        if is_making or len(self.state.live(kind)) >= LIVE_MAX or not self.state.application.last_synced:
            return
        due = due_at(self.state, kind, self.rules, self.now)
        if due is not None:
            # an object of the current generation may be on its way until then, and must not replace a newer one
            current = self.state.current(kind)
            begun = _after(current.asked_at, self.rules.making_seconds_max) if current is not None else self.now
            yield Proposal(BeginRotation(kind, due[1]), max(due[0], begun))

    def _looks(self, kind: CredentialKind) -> Iterator[Proposal]:
        """Yield a look at each bucket that is known to have held the current generation."""
        current = self.state.current(kind)
        if current is None or current.phase != "committed" or not self._is_wanted(kind):
            return
        for bucket in self.state.application.buckets:
            is_known = bucket in current.versions and not self.state.is_being_written(kind, bucket)
            if is_known and bucket not in current.disturbances:
                yield Proposal(LookAtBucket(current, bucket), look_at(current, bucket, self.rules))

    def _progress(self, one: StoredGeneration) -> Iterator[Proposal]:
        stored = self.state.stored
        if one.phase == "published":
            yield Proposal(CommitGeneration(one), self.now)
        elif self._is_lost(one.kind):
            if not one.written:
                yield Proposal(GiveUpGeneration(one, stored.renewal_reason), self.now)
        elif one.verified_at and _after(one.verified_at, self.rules.verified_seconds_max) <= self.now:
            yield Proposal(VerifyGeneration(one), self.now)
        elif one.verified_at:
            missing = [name for name in self.state.application.buckets if not one.written.get(name)]
            yield from (Proposal(PublishGeneration(one, bucket), self.now) for bucket in missing)
            if not missing:
                yield Proposal(ConfirmGeneration(one), self.now)
        elif one.written:
            # it is no longer accepted; nothing ends that a bucket may hold, as the provider may be wrong
            at = _after(one.asked_at, self.rules.making_seconds_max)
            yield from (Proposal(RetractGeneration(one, bucket), at) for bucket in sorted(one.written))
            yield Proposal(VerifyGeneration(one), self.now)
        elif self.state.is_revoked(one):
            yield Proposal(GiveUpGeneration(one, stored.renewal_reason), self.now)
        elif one.phase == "generated":
            yield Proposal(VerifyGeneration(one), self.now)
        else:
            yield Proposal(AskAgain(one), _after(one.asked_at, self.rules.making_seconds_max))


def _after(instant: str, seconds: float) -> datetime:
    return parse_instant(instant) + timedelta(seconds=seconds)
