"""What the use cases need from the outside. No third-party type crosses these lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import msgspec

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
    """The database does not answer, is locked, or its disk is full. Nothing was acknowledged."""


class WriteConflict(StorageUnavailable):
    """Another replica wrote what was to be written: nothing was. Read again, then write again."""


class Conflict(InputError):
    """What is asked contradicts what is stored."""


class OutOfOrder(Conflict):
    """A number that must grow did not, or leapt too far.

    `last_taken` is the last one taken, where it is known: an honest sender goes on after it, and to anybody else it is
    of no use without the sender's key.
    """

    def __init__(self, code: str, message: str, *, fix: str, last_taken: int | None) -> None:
        super().__init__(code, message, fix=fix)
        self.last_taken = last_taken


class Forbidden(InputError):
    """The caller is known and may not do this, or is not who it must be."""


class Unauthenticated(InputError):
    """The caller has not proved who it is."""


class NotFound(InputError):
    """There is no such thing here."""


class Overloaded(RoadError):
    """More waits than can be taken; try again after `retry_after_seconds`."""


class SourceUnavailable(RoadError):
    """A registry or Git server cannot be asked now, or must not be; the reason is shown until it can."""


class Transaction(Protocol):
    """One write transaction; all or nothing.

    It begins, and holds off other replicas, with the first that is asked of it. Raises WriteConflict for a row that is
    there already.
    """

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]: ...

    async def fetch_all(self, asked: BoundQueries[T]) -> T: ...

    async def execute(self, *writes: BoundCommand) -> None:
        """Run queries in order, each once for each of its rows. No row of an insert may appear twice."""

    async def finish(self, *writes: BoundCommand) -> None:
        """Run queries and commit, in one round trip. Nothing may follow but leaving the transaction."""


class Database(Protocol):
    """A store of rows. Raises StorageUnavailable."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open the one write transaction there is at a time, over all replicas; commits on leaving, durably."""

    async def write(self, *writes: BoundCommand) -> None:
        """Write what touches no entry of the log, durably, in a transaction of its own."""

    async def write_returning(self, query: NamedQuery[P, R], rows: Sequence[P]) -> Sequence[R]:
        """Write rows as `write` does, no row twice, and return what the query returns of those that it wrote."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        """Read, beside any writer."""

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        """Read several things as they were at one moment. `brief`: a few rows by their keys, and nothing else."""


class CheckpointKeeper(Protocol):
    """Keeps the last signed checkpoint outside the database, so that an older database is noticed."""

    def load(self) -> str | None: ...

    def keep(self, note: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class ImageSaid:
    """What an image and its registry say of its source; `notes` are what does not count, and why."""

    scm_source: bytes | None = None
    layer: str = ""
    """The layer that scm-source.json is in."""
    chains: list[str] = field(default_factory=list)
    """What the first layer is, the first two, … all of them."""
    inherited: str = ""
    """The base image whose scm-source.json is found in this one."""
    claims: list[SourceClaim] = field(default_factory=list)
    signed_by: str = ""
    built_by: str = ""
    awaited: str = ""
    """Whose signature may yet come: keys are trusted for this registry, and none has signed."""
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """What was not read whole, or names several sources: without a claim, the source is unknown and not missing."""
    signer_known: bool = True
    """Whether `signed_by` is the whole truth: keys are configured, and all signatures were read."""


class ImageReader(Protocol):
    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        """Read what an image in a registry says of its source. Raises SourceUnavailable."""


class TagReader(Protocol):
    async def digest_of(self, reference: str) -> str | None:
        """Give the digest that `registry/path:tag` names now; None when it names nothing. Raises SourceUnavailable."""


class ImageStore(Protocol):
    """A registry that images are read from; all bytes are those of their digest. Raises SourceUnavailable."""

    async def manifest(self, repository: str, reference: str) -> bytes | None: ...

    async def blob(self, repository: str, digest: str) -> bytes | None:
        """Give a small blob."""

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        """Give the index of what refers to a digest; None where the registry does not know such."""

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        """Scan a layer for its scm-source.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedFact:
    """What was found out, ready to be stored."""

    outcome: Literal["found", "missing", "absent"]
    value: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    awaited: str = ""
    """What may yet come, so that it is worth asking again; empty where nothing will change."""

    def same_as(self, outcome: str, reason: str, value: Mapping[str, Any]) -> bool:
        """Return whether a stored fact states the same."""
        return (outcome, reason, value) == (self.outcome, self.reason, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFinding(CollectedFact):
    """Whether the default branch reaches a commit. Its head moves all the time, which alone is nothing new."""

    def same_as(self, outcome: str, reason: str, value: Mapping[str, Any]) -> bool:
        return (outcome, reason, {**value, "head": None}) == (self.outcome, self.reason, {**self.value, "head": None})


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchAnswer:
    """Whether a repository's default branch reaches a commit. `commit_id` is the branch's newest commit then."""

    branch: str | None = None
    """None: the repository has no default branch."""
    commit_id: str | None = None
    reachable: bool | None = None
    """None: it could not be decided, and `reason` says why."""
    reason: str = ""


class CommitReader(Protocol):
    async def commit(self, repository: SourceRepository, commit_id: str) -> bytes | None:
        """Fetch exactly one commit object; None when the server has no such commit. Raises SourceUnavailable."""

    async def branch(self, repository: SourceRepository, commit_id: str) -> BranchAnswer:
        """Return whether the default branch reaches a commit, as of now. Raises SourceUnavailable."""


class CallerIdentity(Protocol):
    async def caller(self, proof: StsProof, signed: Mapping[str, str]) -> tuple[str, str, str]:
        """Ask STS who signed: (account, ARN, host asked). Raises StsProofInvalid or SourceUnavailable."""


class ListedInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as DescribeInstances lists it. `launched_at` is when it was started last."""

    instance_id: str
    state: str
    launched_at: str


class Ec2Inventory(Protocol):
    """The EC2 API of many accounts. Raises SourceUnavailable."""

    async def instances(self, account_id: str, region: str) -> Sequence[ListedInstance]: ...

    def asking(self, account_id: str, region: str) -> AbstractAsyncContextManager[None]:
        """Keep, for the block, what it takes to ask many questions there. One block at a time for a place."""

    async def user_data(self, account_id: str, region: str, instance_id: str) -> bytes | None:
        """Return raw user data, None for none. A denial has the code `ec2-denied`, throttling `ec2-throttled`."""
