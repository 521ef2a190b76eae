"""What Git servers return about commits: objects, signatures, and the commits between two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from whence_common.scm_source import SourceRepository

SignatureForm = Literal["ssh", "openpgp", "x509", "other", "none"]
SignatureState = Literal["good", "bad", "unknown key", "none", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitObject:
    """A commit object. Git verified that the whole object hashes to its id."""

    content: bytes
    """Its first bytes, as many as are read."""
    trailers: tuple[tuple[str, str], ...] = ()
    """Keys and values as `git interpret-trailers --parse` prints them: from the whole message."""
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAnswer:
    """What Git found when it verified a commit's signature with the keys that are trusted now."""

    state: SignatureState
    form: SignatureForm
    signer: str = ""
    """The principal of `allowed_signers`, or the user id of an OpenPGP key."""
    key: str = ""
    """The key's fingerprint."""
    reason: str = ""
    by_host: bool = False
    """Whether the key is the code host's, which signs what anybody commits in its pages."""
    expired: bool = False
    """Whether the state is unknown only because the key's validity has ended since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSide:
    """The commits that one of two commits reaches and the other does not, in the order of `git log`."""

    count: int
    commits: tuple[str, ...]
    """The first of them: not all, if there are more than are kept."""
    counted_whole: bool = True
    """False: there are more than `count`, the most that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAnswer:
    """The commits between two. `ahead`: those of head that base does not have; `behind`: those of base."""

    merge_base: str = ""
    """Empty: the two have no commit in common."""
    ahead: RangeSide | None = None
    """None: not known; `reason` states why."""
    behind: RangeSide | None = None
    objects: Mapping[str, CommitObject] = field(default_factory=dict)
    """The kept commits, by id; one that is not there could not be read."""
    missing: tuple[str, ...] = ()
    """Those of the two that the server does not have."""
    reason: str = ""


class SignatureReader(Protocol):
    async def signature(self, repository: SourceRepository, commit_id: str) -> SignatureAnswer:
        """Verify a commit's signature with the keys that are trusted for the repository. Raises SourceUnavailable."""


class RangeReader(Protocol):
    async def between(self, repository: SourceRepository, base: str, head: str) -> RangeAnswer:
        """Return the commits between two commits, in both directions. Raises SourceUnavailable."""
