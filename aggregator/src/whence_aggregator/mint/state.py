"""What is stored of an application whose credentials are minted, and of their generations. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from whence_aggregator.mint.values import ChangeStep, CredentialKind, GenerationId, GenerationPhase, MintApplication

SEAL_UNREADABLE = "mint-seal-unreadable"
"""Code of a failure: what was sealed under another key cannot be opened."""
_MISSING_MIN = 3
"""Fewer are deleted even if no other application is known."""
LIVE_MAX = 2
"""Generations of a kind that have not ended, of one application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintFailure:
    """The failed attempts of a step since it succeeded last."""

    attempts: int
    retry_at: str
    since: str
    code: str
    problem: str
    """For people: what is wrong and what to do, without a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMint:
    """An application as its row has it. Times are in UTC; empty: never."""

    application: MintApplication
    revision: int = 1
    is_synced: bool = False
    """Whether the provider knows what is written here."""
    renewal_at: str = ""
    """Generations that were intended before are renewed."""
    renewal_reason: str = ""
    revoked_at: str = ""
    """Generations that were intended before end without waiting for their readers."""
    missing_since: str = ""
    """Since when it is missing from Kio."""
    missing_seen: int = 0
    deleted_at: str = ""
    deleted_reason: str = ""
    gone_at: str = ""
    """When its deletion was complete; the row stays as a tombstone."""
    failures: Mapping[str, MintFailure] = field(default_factory=dict)
    """By the name of the step that failed."""
    bucket_errors: int = 0
    """Failed attempts to write to its buckets since the last success."""

    @property
    def problem(self) -> MintFailure | None:
        """Return the failure that holds up others: no bucket is tried again while a credential cannot be verified.

        Without such a one, return the failure that lasts longest.
        """
        verifying = [one for name, one in self.failures.items() if name.startswith("verify ")]
        return min(verifying or self.failures.values(), key=lambda one: one.since, default=None)


LookFinding = Literal["", "suspected", "unrecorded", "tampered"]
"""What a look at a bucket found; empty: the newest version is the one that mint wrote.

- `suspected`: it is another one, for the first time: another replica may be writing.
- `unrecorded`: it still is; mint may have written it and lost the answer, or have been restored from a backup since.
- `tampered`: mint did not write it, or what mint wrote is gone.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketLook:
    """The last look at the object of a generation in one bucket."""

    at: str
    finding: LookFinding = ""
    version_id: str = ""
    """The newest version, if it is not the one that mint wrote; empty: there is none."""

    @property
    def is_disturbed(self) -> bool:
        """Whether the generation is renewed for what was found."""
        return self.finding in ("unrecorded", "tampered")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGeneration:
    """A generation as its row has it. Times are in UTC; empty: not yet."""

    id: GenerationId
    provider: str
    phase: GenerationPhase
    revision: int = 1
    sealed: str = field(default="", repr=False)
    """The credential, sealed, until it is committed or about to end."""
    sealed_handle: str = field(default="", repr=False)
    """The provider's secret handle, sealed, until the generation has ended."""
    handle: Mapping[str, str] = field(default_factory=dict)
    mac: str = ""
    """HMAC of the object's bytes under mint's key; empty before the provider has answered."""
    written: Mapping[str, str] = field(default_factory=dict)
    """VersionIds by bucket; an empty one: the bucket may hold the generation."""
    intended_at: str
    asked_at: str
    """When the provider was last asked to make it, or an object last began to be written long after that."""
    verified_at: str = ""
    """From then on it is published, and not ended before it is committed. Empty again: the provider no longer accepts
    it; it leaves the buckets that may hold it."""
    published_at: str = ""
    committed_at: str = ""
    ending_at: str = ""
    ended_at: str = ""
    end_reason: str = ""
    looks: Mapping[str, BucketLook] = field(default_factory=dict)
    """By bucket, since it was committed."""
    disturbed: int = 0
    """How many generations in a row, up to this one, were renewed for what a look at a bucket found."""

    @property
    def disturbances(self) -> dict[str, BucketLook]:
        """Return the looks for which it is renewed, by bucket."""
        return {bucket: look for bucket, look in self.looks.items() if look.is_disturbed and bucket in self.written}

    @property
    def step(self) -> str:
        """Return its step, as the log has it: what was tampered with is so until its successor is committed."""
        is_tampered = any(look.finding == "tampered" for look in self.disturbances.values())
        return "tampered" if is_tampered and self.phase == "committed" else self.phase

    @property
    def kind(self) -> CredentialKind:
        return self.id.kind

    @property
    def is_live(self) -> bool:
        return self.phase != "ended"

    @property
    def is_fresh(self) -> bool:
        """Whether it is on its way to be committed."""
        return self.phase in ("intended", "generated", "published")

    @property
    def versions(self) -> dict[str, str]:
        """Return the VersionIds of the buckets that hold it."""
        return {bucket: version for bucket, version in self.written.items() if version}


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleOrphan:
    """A generation that mint has ended, and that the provider may accept still.

    Its answer was never known, or what ends it was sealed with a key that is lost.
    """

    kind: CredentialKind
    generation: str
    provider: str
    intended_at: str
    ended_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLog:
    """The log over which mint ran last."""

    origin: str
    restored_at: str
    """When mint first ran under this name; empty: the log never had another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """What was written or ordered of an application, as the log has it."""

    ledger_index: int
    step: ChangeStep
    at: str
    by: str
    """The caller; empty: mint itself."""
    reason: str
    application: Mapping[str, object]
    """What was written; empty if nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingCount:
    """How many applications Kio lacks."""

    deleted: int
    """Lately, for this reason."""
    missing: int
    """Not deleted yet."""
    known: int
    """All that have credentials, missing or not."""

    @property
    def is_of_kio(self) -> bool:
        """Whether Kio is more likely to be wrong than that so many applications are gone."""
        return self.missing >= _MISSING_MIN and self.missing * 2 > self.known


@dataclass(frozen=True, slots=True, kw_only=True)
class MintState:
    """An application and its generations, the oldest first."""

    stored: StoredMint
    generations: Sequence[StoredGeneration] = ()

    @property
    def application(self) -> MintApplication:
        return self.stored.application

    def live(self, kind: CredentialKind) -> list[StoredGeneration]:
        """Return the generations of a kind that have not ended."""
        return [one for one in self.generations if one.kind == kind and one.is_live]

    def published(self, kind: CredentialKind) -> list[StoredGeneration]:
        """Return the generations of a kind that all buckets held, and that have not begun to end, the oldest first."""
        found = [one for one in self.live(kind) if one.phase in ("published", "committed")]
        return sorted(found, key=lambda one: one.intended_at)

    def current(self, kind: CredentialKind) -> StoredGeneration | None:
        """Return the generation that all buckets held last."""
        published = self.published(kind)
        return published[-1] if published else None

    def fresh(self, kind: CredentialKind) -> StoredGeneration | None:
        """Return the generation that is on its way to be committed."""
        return next((one for one in reversed(self.live(kind)) if one.is_fresh), None)

    def is_being_written(self, kind: CredentialKind, bucket: str) -> bool:
        """Return whether a bucket may hold a newer generation than the current one."""
        current = self.current(kind)
        return current is not None and any(
            bucket in one.written and one.intended_at > current.intended_at for one in self.live(kind)
        )

    def is_revoked(self, one: StoredGeneration) -> bool:
        """Return whether the credentials were revoked since a generation was intended."""
        return self.stored.revoked_at > one.intended_at

    def kinds(self) -> Iterator[CredentialKind]:
        """Yield the kinds that are wanted, or have a generation that has not ended."""
        kinds: tuple[CredentialKind, ...] = ("client", "user")
        yield from (kind for kind in kinds if kind in self.application.credentials or self.live(kind))
