"""The commits that came with a version, and their authors: who may not approve its code. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whence_aggregator.approvals.people import Authors
from whence_aggregator.approvals.previous import NO_PREVIOUS, PreviousVersion

Extent = Literal["all", "head", "unknown"]
_HEAD_ONLY = "only the authors of the image's own commit are known, not of the commits before it"
NO_VERSION_BEFORE = "no version of the application was recorded before this one"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCommits:
    """The commits since the previous version. `all`: they were read; `head`: only the image's own commit counts."""

    extent: Extent = "head"
    why: str = NO_VERSION_BEFORE
    """Why not all commits are known; empty for `all`."""
    previous: PreviousVersion = NO_PREVIOUS
    commits: tuple[str, ...] = ()
    """Subjects of the facts about these commits."""
    authors: Authors = field(default_factory=Authors)
    """Of all these commits; `unknown` where not all are known."""
    question: str | None = None
    """The subject of the fact about the commits in between; None where it is not asked."""
    asked: bool = False
    """Whether the question was answered."""
    observed_at: str = ""
    ledger_index: int | None = None

    @property
    def unsettled(self) -> bool:
        """Return whether another version may turn out to be the previous one, once its commit is known."""
        return bool(self.previous.unread)

    @property
    def note(self) -> str:
        """Return whose approvals of the code do not count."""
        if self.extent == "head":
            return f"{_HEAD_ONLY}: {self.why}"
        since = f" since version {self.previous.version}" if self.previous.version else ""
        if self.extent == "unknown":
            return f"not all authors of the commits{since} are known: {self.why}"
        plural = "" if len(self.commits) == 1 else "s"
        return f"the authors of {len(self.commits)} commit{plural}{since} do not approve the code"

    def to_wire(self) -> dict[str, object]:
        previous = self.previous
        return {
            "extent": self.extent,
            "previous_version": previous.version or None,
            "previous_digest": previous.digest or None,
            "previous_commit": previous.commit_id or None,
            "count": len(self.commits) if self.extent == "all" else None,
            "reason": self.why or None,
        }


HEAD_ALONE = VersionCommits()
