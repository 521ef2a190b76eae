"""Steps of a rotation: each is done by itself, and is durable before the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.mint.state import StoredGeneration
from whence_aggregator.mint.values import CredentialKind


@dataclass(frozen=True, slots=True)
class EnsureClient:
    """Have the provider know the application."""

    @property
    def name(self) -> str:
        return "ensure"


@dataclass(frozen=True, slots=True)
class BeginRotation:
    """Intend a generation, and have it made."""

    kind: CredentialKind
    reason: str

    @property
    def name(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class _OfGeneration:
    generation: StoredGeneration

    @property
    def name(self) -> str:
        """The name by which a failure of the step is noted: another step is then tried first."""
        return self.generation.kind


@dataclass(frozen=True, slots=True)
class AskAgain(_OfGeneration):
    """Find what was made when the answer was lost, or have it made."""


@dataclass(frozen=True, slots=True)
class VerifyGeneration(_OfGeneration):
    """Use the credential at the provider; again, when buckets may hold it already."""

    @property
    def name(self) -> str:
        return f"verify {self.generation.kind}" if self.generation.written else self.generation.kind


@dataclass(frozen=True, slots=True)
class PublishGeneration(_OfGeneration):
    """Write the credential to one bucket."""

    bucket: str

    @property
    def name(self) -> str:
        return f"{self.generation.kind} {self.bucket}"


@dataclass(frozen=True, slots=True)
class ConfirmGeneration(_OfGeneration):
    """Find that every bucket's newest object is the one that was written."""


@dataclass(frozen=True, slots=True)
class CommitGeneration(_OfGeneration):
    """State to the provider that the credential is published."""


@dataclass(frozen=True, slots=True)
class GiveUpGeneration(_OfGeneration):
    """Note that a generation is about to end."""

    reason: str


@dataclass(frozen=True, slots=True)
class EndGeneration(_OfGeneration):
    """Have the provider end a generation."""

    @property
    def name(self) -> str:
        return f"end {self.generation.kind}"


@dataclass(frozen=True, slots=True)
class LookAtBucket(_OfGeneration):
    """Find whether a bucket still holds the current generation."""

    bucket: str

    @property
    def name(self) -> str:
        return f"look {self.generation.kind} {self.bucket}"


@dataclass(frozen=True, slots=True)
class WithdrawObject:
    """Hide the object in a bucket that is not wanted any more."""

    kind: CredentialKind
    bucket: str

    @property
    def name(self) -> str:
        return f"withdraw {self.kind} {self.bucket}"


@dataclass(frozen=True, slots=True)
class RetractGeneration(_OfGeneration):
    """Hide the object in a bucket, if it is of a generation that the provider no longer accepts."""

    bucket: str

    @property
    def name(self) -> str:
        return f"withdraw {self.generation.kind} {self.bucket}"


@dataclass(frozen=True, slots=True)
class DeleteClient:
    """Have the provider delete the application, whose credentials have ended."""

    @property
    def name(self) -> str:
        return "delete"


@dataclass(frozen=True, slots=True)
class NoteStanding:
    """Note that Kio lacks the application, or has it again."""

    is_missing: bool

    @property
    def name(self) -> str:
        return "standing"


@dataclass(frozen=True, slots=True)
class DeleteMissing:
    """Have an application deleted that Kio lacks still."""

    @property
    def name(self) -> str:
        return "missing"


StepOfApplication = EnsureClient | WithdrawObject | DeleteClient | NoteStanding | DeleteMissing
MintStep = (
    BeginRotation
    | AskAgain
    | VerifyGeneration
    | PublishGeneration
    | ConfirmGeneration
    | CommitGeneration
    | GiveUpGeneration
    | EndGeneration
    | LookAtBucket
    | RetractGeneration
    | StepOfApplication
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A step, and when it may be done."""

    step: MintStep
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MintDecision:
    """The next step, or None: nothing is due before `look_at`. `is_over`: nothing will ever be due.

    `no_longer_failing`: steps that failed, and that are not to be done any more.
    """

    step: MintStep | None
    look_at: datetime
    is_over: bool = False
    no_longer_failing: frozenset[str] = frozenset()
