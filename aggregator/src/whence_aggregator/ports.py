"""Ports: the protocols by which the use cases reach the outside. None of them has a third-party type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from whence_aggregator.ports_commits import CommitObject
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery, NamedQuery
from whence_common.errors import InputError, RoadError
from whence_common.image_layers import LayerFinding
from whence_common.image_provenance import SourceClaim
from whence_common.scm_source import SourceRepository
from whence_common.sts_proof import StsProof

P = TypeVar("P", bound=Mapping[str, object])
R = TypeVar("R")
T = TypeVar("T")


class StorageUnavailable(RoadError):
    """The database is unreachable or locked, or its disk is full. Nothing was acknowledged."""


class WriteConflict(StorageUnavailable):
    """Another replica wrote the same row first, so nothing was written. Read again, then write again."""


class Conflict(InputError):
    """The request contradicts what is stored."""


class OutOfOrder(Conflict):
    """A number that must grow did not, or grew by too much.

    `last_taken` is the last accepted number, if it is known: an honest sender continues after it, and it is useless
    without the sender's key.
    """

    def __init__(self, code: str, message: str, *, fix: str, last_taken: int | None) -> None:
        super().__init__(code, message, fix=fix)
        self.last_taken = last_taken


class Forbidden(InputError):
    """The caller is known, but may not do this or is not the required one."""


class Unauthenticated(InputError):
    """The caller has not proved its identity."""


class NotFound(InputError):
    """The requested object does not exist."""


class Overloaded(RoadError):
    """Too many requests wait; try again after `retry_after_seconds`."""


class SourceUnavailable(RoadError):
    """A registry, Git server or API is unavailable, or not configured; the reason is shown until it answers."""


class Transaction(Protocol):
    """One write transaction; all or nothing.

    It begins with its first query, and makes other replicas wait. Raises WriteConflict for a row that exists already.
    """

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]: ...

    async def fetch_all(self, asked: BoundQueries[T]) -> T: ...

    async def execute(self, *writes: BoundCommand) -> None:
        """Run queries in order, each once for each of its rows. No row of an insert may appear twice."""

    async def finish(self, *writes: BoundCommand) -> None:
        """Run queries and commit, in one round trip. The transaction must be left after it."""


class Database(Protocol):
    """A store of rows. Raises StorageUnavailable."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a write transaction, one at a time over all replicas; on leaving, it commits durably."""

    async def write(self, *writes: BoundCommand) -> None:
        """Write rows durably in a separate transaction; for rows that no entry of the log needs."""

    async def write_returning(self, query: NamedQuery[P, R], rows: Sequence[P]) -> Sequence[R]:
        """Write rows as `write` does, no row twice; return what the query returns of the rows that it wrote."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        """Read, concurrently with any writer."""

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        """Read several queries at one moment. `brief`: they read only a few rows by their keys."""


class CheckpointKeeper(Protocol):
    """Keeps the last signed checkpoint outside the database, so that an older database is detected."""

    def load(self) -> str | None: ...

    def keep(self, note: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class ImageSaid:
    """What an image and its registry state about its source; `notes` name what does not count, and why."""

    scm_source: bytes | None = None
    layer: str = ""
    """The layer that contains scm-source.json."""
    chains: list[str] = field(default_factory=list)
    """Chain ids: of the first layer, of the first two, … of all of them."""
    layers: list[str] = field(default_factory=list)
    """Digests of the layers, from the base upwards, as the manifest names them."""
    diff_ids: list[str] = field(default_factory=list)
    """Digests of the layers unpacked, as the configuration states them."""
    inherited: str = ""
    """The base image that scm-source.json was inherited from."""
    claims: list[SourceClaim] = field(default_factory=list)
    signed_by: str = ""
    built_by: str = ""
    awaited: str = ""
    """Whose signature may still arrive: keys are trusted for this registry, and none has signed."""
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """What was read in part, or names several sources: without a claim, the source is unknown, not missing."""
    created_at: str = ""
    """When the image was built, by its configuration; empty where it was not read."""
    signatures: int | None = None
    """How many signatures the registry has, by whomever; None where not all were read."""
    signer_known: bool = True
    """Whether `signed_by` is complete: keys are configured, and all signatures were read."""
    sboms: int | None = None
    """How many SBOMs the registry lists; None where none is listed and not everything was read."""
    other_subjects: bool | None = None
    """Whether provenance beside the image is about other digests only; None where not all of it was read."""


class ImageReader(Protocol):
    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        """Return what an image in a registry states about its source. Raises SourceUnavailable."""


class TagReader(Protocol):
    async def digest_of(self, reference: str) -> str | None:
        """Return the digest that `registry/path:tag` names now, or None. Raises SourceUnavailable."""


class ImageStore(Protocol):
    """A registry that images are read from; all bytes are verified by their digest. Raises SourceUnavailable."""

    async def manifest(self, repository: str, reference: str) -> bytes | None: ...

    async def blob(self, repository: str, digest: str) -> bytes | None:
        """Return a small blob; None when it does not exist."""

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        """Return the index of a digest's referrers; None when the registry does not support referrers."""

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        """Scan a layer for its scm-source.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedFact:
    """A collected fact, ready to be stored."""

    outcome: Literal["found", "missing", "absent"]
    value: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    awaited: str = ""
    """What may still arrive, so that a retry is useful; empty when nothing will change."""
    beside: Sequence[tuple[str, str, CollectedFact]] = ()
    """Facts that were found with it, by kind and subject: recorded before it, unless one is known."""

    def same_as(self, outcome: str, reason: str, value: Mapping[str, Any]) -> bool:
        """Return whether a stored fact states the same."""
        return (outcome, reason, value) == (self.outcome, self.reason, self.value)

    def after(self, value: Mapping[str, Any], observed_at: str) -> CollectedFact:
        """Return the fact with what it has to state about the fact before it: that one's value, and its time."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedNames:
    """Names of branches and of tags, in which `*` is any characters."""

    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchAnswer:
    """Whether a repository's protected refs reach a commit. `commit_id` is the default branch's newest commit then."""

    branch: str | None = None
    """None: the repository has no default branch."""
    commit_id: str | None = None
    reachable: bool | None = None
    """Whether it, or another protected branch or tag, reaches the commit. None: not decided; `reason` states why."""
    reason: str = ""
    reached_by: tuple[str, ...] = ()
    """Protected branches and tags that reach it (`heads/main`, `tags/v1`), as far as the history was read."""
    parents_at: str = ""
    """The newest time of the commit's parents; empty if none was fetched."""
    moved_to: str = ""
    """The repository that the server redirects to, as host/path: it was renamed."""


class CommitReader(Protocol):
    async def commit(self, repository: SourceRepository, commit_id: str) -> CommitObject | None:
        """Return exactly one commit object; None when the server has no such commit. Raises SourceUnavailable."""

    async def branch(
        self, repository: SourceRepository, commit_id: str, protected: ProtectedNames | None = None
    ) -> BranchAnswer:
        """Return whether the default branch, or one of the protected branches and tags, reaches a commit, as of now.

        Raises SourceUnavailable.
        """


class CallerIdentity(Protocol):
    async def caller(self, proof: StsProof, signed: Mapping[str, str]) -> tuple[str, str, str]:
        """Return who signed, by STS: (account, ARN, host of STS). Raises StsProofInvalid or SourceUnavailable."""


class ListedInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as DescribeInstances lists it. `launched_at` is its last start."""

    instance_id: str
    state: str
    launched_at: str
    details: dict[str, str] = {}
    """What else it states: `key_name`, empty without a key pair; `imds_tokens`; `image_id`. Absent: not stated."""


class DescribedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An AMI as DescribeImages returns it; None: not stated. Texts are empty where AWS states that there is none."""

    name: str | None = None
    owner: str | None = None
    owner_alias: str | None = None
    state: str | None = None
    created_at: str | None = None
    deprecated_at: str | None = None
    expires_at: str | None = None
    """The tag `ExpirationTime`."""
    tags: dict[str, str] = {}
    copied_from: dict[str, str] | None = None
    """`image_id` and `region` of the AMI that it was copied from; None: not stated, or it was made of an instance."""


ProbeOutcome = Literal["allowed", "denied", "unavailable", "not asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedCall:
    """How a call would end that a source makes, and the permission that it needs."""

    source: str
    permission: str
    outcome: ProbeOutcome
    reason: str = ""


class Ec2Inventory(Protocol):
    """The EC2 API of many accounts. Raises SourceUnavailable."""

    async def instances(self, account_id: str, region: str) -> Sequence[ListedInstance]: ...

    def asking(self, account_id: str, region: str) -> AbstractAsyncContextManager[None]:
        """Reuse one client for all requests of the block. One block at a time for an account and region."""

    async def image(self, account_id: str, region: str, image_id: str) -> DescribedImage | None:
        """Return an AMI as the account sees it; None when AWS shows it none."""

    async def user_data(self, account_id: str, region: str, instance_id: str) -> bytes | None:
        """Return raw user data, or None. A denial has the code `ec2-denied`, throttling `ec2-throttled`."""
