"""A version, the digests that it was seen with, and the approvals of each digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

SPECIFICATION, CODE_CHANGE, TEST, DEPLOY = "SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY"
STUPS_TYPES = (SPECIFICATION, CODE_CHANGE, TEST, DEPLOY)
"""The types that Kio's clients give, and that a version must have unless the settings state others."""
PUSH = "push"
"""In place of an account in `SeenDigest.said_by`: the image was pushed to the registry front."""
DigestSource = Literal["push", "stated", "tag", "statement"]
VersionKey = tuple[str, str]
"""Application and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDigest:
    """A digest that a version had, by one source: the entry that had it first, and when that was recorded."""

    digest: str
    source: DigestSource
    said_by: str
    """Who pushed or stated it: a team, a caller, a registry, or the account of an instance."""
    reference: str
    """The image's name at that source; empty for a statement."""
    ledger_index: int
    recorded_at: str
    """Empty for a tag's digest."""

    @property
    def registered(self) -> bool:
        """Return whether the application's owner or a registry is the source, and not merely an instance."""
        return self.source != "statement"

    def to_wire(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "source": self.source,
            "said_by": self.said_by,
            "reference": self.reference or None,
            "ledger_index": self.ledger_index,
            "recorded_at": self.recorded_at or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRevision:
    """What somebody stated about a version: its artifact and notes. `digest` is empty where it was not known then."""

    artifact: str
    reference: str
    digest: str
    notes: str | None
    recorded_at: str
    recorded_by: str
    ledger_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's approval of one digest. `person` is issuer and subject, `user_id` the name at that time."""

    digest: str
    type: str
    person: str
    user_id: str
    emails: tuple[str, ...]
    """Verified e-mail addresses in the token that the approval was given with."""
    notes: str | None
    approved_at: str
    ledger_index: int

    def to_wire(self) -> dict[str, object]:
        return {
            "approval_type": self.type,
            "user_id": self.user_id,
            "approved_at": self.approved_at,
            "notes": self.notes,
            "digest": self.digest,
            "ledger_index": self.ledger_index,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Everything recorded about a version by a moment, oldest first."""

    application_id: str
    version: str
    revisions: Sequence[VersionRevision] = ()
    digests: Sequence[SeenDigest] = ()
    approvals: Sequence[Approval] = field(default=())

    @property
    def known(self) -> bool:
        return bool(self.revisions or self.digests)

    @property
    def registered(self) -> frozenset[str]:
        """Return the digests that the owner or a registry states."""
        return frozenset(one.digest for one in self.digests if one.registered)

    @property
    def current(self) -> SeenDigest | None:
        """Return the newest digest; those that only instances state count where there is no other."""
        counted = [one for one in self.digests if one.registered] or list(self.digests)
        return max(counted, key=lambda one: one.ledger_index, default=None)

    @property
    def is_ambiguous(self) -> bool:
        """Return whether only instances state a digest, and they state several."""
        return not self.registered and len({one.digest for one in self.digests}) > 1

    def approvals_of(self, digests: Iterable[str]) -> list[Approval]:
        """Return the approvals of digests: of an image, and of the index that it was chosen from."""
        wanted = set(digests)
        return [one for one in self.approvals if one.digest in wanted]

    @property
    def standing(self) -> list[Approval]:
        """Return the approvals of the current digest."""
        return self.approvals_of([self.current.digest]) if self.current is not None else []

    @property
    def superseded(self) -> list[Approval]:
        """Return the approvals of digests that the version had before."""
        standing = {one.ledger_index for one in self.standing}
        return [one for one in self.approvals if one.ledger_index not in standing]
