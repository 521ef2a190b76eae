"""The rotation of one application's credentials: the next step is decided, done and durable, until none is due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.mint.calls import ProviderCalls, wanted_of
from whence_aggregator.mint.deciding import decide, due_at
from whence_aggregator.mint.failing import cleared, failed
from whence_aggregator.mint.looking import Looking
from whence_aggregator.mint.making import Making
from whence_aggregator.mint.ports import (
    BucketUnavailable,
    CredentialHolders,
    KnownApplications,
    ProviderThrottled,
)
from whence_aggregator.mint.publishing import Publishing
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import LIVE_MAX, MintState
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
    MintStep,
    NoteStanding,
    PublishGeneration,
    RetractGeneration,
    StepOfApplication,
    VerifyGeneration,
    WithdrawObject,
)
from whence_aggregator.mint.store import KioIncomplete, MintStore, TooManyDeletions
from whence_aggregator.mint.syncing import Syncing
from whence_aggregator.mint.values import CredentialHolder, KioStanding, WantedClient
from whence_aggregator.ports import SourceUnavailable, WriteConflict
from whence_common.backoff import Backoff
from whence_common.clock import Now
from whence_common.errors import InputError, WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

STEPS_MAX = 200
"""Of one run; a rotation of both kinds to ten buckets has about 40."""
OVERTAKEN_MAX = 3
SOON_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MintProgress:
    """How a run ended: when the application is to be looked at again."""

    seconds: float
    reason: str
    is_asked: bool = True
    """Whether anything was tried: if not, its provider is paused."""
    overdue_seconds: float = 0.0
    """How long a rotation has been due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Does the steps that are due. Several replicas may do those of one application: of two, one goes on."""

    store: MintStore
    calls: ProviderCalls
    making: Making
    publishing: Publishing
    looking: Looking
    syncing: Syncing
    holders: CredentialHolders
    known: KnownApplications
    rules: MintRules
    backoff: Backoff
    now: Now

    async def run(self, application_id: str) -> MintProgress | None:
        """Do all steps that are due; return None when the application is gone. Raises StorageUnavailable."""
        overtaken = 0
        for _ in range(STEPS_MAX):
            state = await self.store.load(application_id)
            if state is None:
                return None
            paused = self.calls.pace.paused_seconds(state.application.provider)
            if paused > 0:
                return self._paused(state, paused)
            standing, now = await self.known.standing(application_id), self.now()
            decision = decide(state, self.rules, now, standing=standing, holders=await self._holders(state))
            if decision.is_over:
                return None
            try:
                if decision.no_longer_failing:
                    await self.store.save(cleared(state.stored, *decision.no_longer_failing))
                if decision.step is None:
                    return _until(decision.look_at, now, state)
                await self._attempt(state, decision.step, standing)
            except WriteConflict:
                overtaken += 1
                if overtaken >= OVERTAKEN_MAX:
                    break
        return MintProgress(seconds=SOON_SECONDS, reason="more steps are due")

    async def _attempt(self, state: MintState, step: MintStep, standing: KioStanding | None) -> None:
        """Do a step; note a failure of it."""
        try:
            await self._do(state, step, standing)
        except ProviderThrottled:
            return  # the provider is paused for all applications; this one did not fail
        except (SourceUnavailable, BucketUnavailable, KioIncomplete, TooManyDeletions, InputError) as exc:
            await self._note(state, step, exc)

    async def _note(self, state: MintState, step: MintStep, exc: WhenceError) -> None:
        secrets = self.making.secrets(state)
        stored = failed(
            state.stored, step.name, exc, now=self.now(), backoff=self.backoff, secrets=secrets,
            is_write=not isinstance(step, LookAtBucket),
        )  # fmt: skip
        log.warning(
            "a step of a rotation failed",
            extra=fields(
                application_id=state.application.application_id,
                step=step.name,
                code=stored.failures[step.name].code,
                reason=stored.failures[step.name].problem,
            ),
        )
        await self.store.save(stored)

    async def _do(self, state: MintState, step: MintStep, standing: KioStanding | None) -> None:
        wanted = wanted_of(state, standing)
        match step:
            case BeginRotation():
                await self.making.begin(state, wanted, step.kind, step.reason)
            case AskAgain():
                await self.making.ask_again(state, wanted, step.generation)
            case VerifyGeneration():
                await self.making.verify(state, wanted, step.generation, step.name)
            case PublishGeneration():
                await self.publishing.publish(state, step.generation, step.bucket)
            case ConfirmGeneration():
                await self.publishing.confirm(state, step.generation)
            case RetractGeneration():
                await self.publishing.retract(state, step.generation, step.bucket, step.name)
            case CommitGeneration():
                await self.making.commit(state, wanted, step.generation)
            case GiveUpGeneration():
                await self.publishing.pass_on(state, step.generation)
                await self.making.give_up(step.generation, step.reason)
            case EndGeneration():
                await self.making.end(state, wanted, step.generation, step.name)
            case LookAtBucket():
                await self.looking.look(state, step.generation, step.bucket, step.name)
            case _:
                await self._do_beside(state, step, wanted)

    async def _do_beside(self, state: MintState, step: StepOfApplication, wanted: WantedClient) -> None:
        """Do a step that is of the application, not of one generation."""
        match step:
            case EnsureClient():
                await self.syncing.ensure(state, wanted, step.name)
            case WithdrawObject():
                await self.publishing.withdraw(state, step.kind, step.bucket, step.name)
            case DeleteClient():
                await self.syncing.delete(state, wanted)
            case NoteStanding():
                await self.syncing.note_standing(state, is_missing=step.is_missing)
            case DeleteMissing():
                await self.syncing.delete_missing(state)

    async def _holders(self, state: MintState) -> Sequence[CredentialHolder]:
        """Return who holds which generation, where a generation may end because of it."""
        if all(len(state.live(kind)) < LIVE_MAX for kind in state.kinds()):
            return ()
        return await self.holders.of(state.application.application_id)

    def _paused(self, state: MintState, seconds: float) -> MintProgress:
        reason = f"the provider {state.application.provider} asks for a pause"
        return MintProgress(
            seconds=seconds, reason=reason, is_asked=False, overdue_seconds=self._overdue_seconds(state)
        )

    def _overdue_seconds(self, state: MintState) -> float:
        now, waited = self.now(), 0.0
        for kind in state.application.credentials:
            due = due_at(state, kind, self.rules, now)
            if due is not None:
                waited = max(waited, (now - due[0]).total_seconds())
        return waited


def _until(look_at: datetime, now: datetime, state: MintState) -> MintProgress:
    seconds = max((look_at - now).total_seconds(), SOON_SECONDS)
    problem = state.stored.problem
    return MintProgress(seconds=seconds, reason=problem.code if problem is not None else "nothing is due")
