"""A recorded statement about an AMI. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

EC2_TAG = "whence:statement"
"""The tag of an AMI that names its statement's digest: the account's owner writes it, and EC2 returns it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiStatement:
    """A statement, with one AMI that it is about."""

    image_id: str
    region: str
    named_index: int
    """The entry that names this AMI; that of the statement is `ledger_index`."""
    ledger_index: int
    digest: str
    name: str
    root_digest: str
    builder_id: str
    key_id: str
    repository: str
    commit_id: str
    modified: bool
    finished_at: str
    packages: int
    recorded_at: str
    recorded_by: str
    trusted: bool = False
    """Whether the settings still trust this builder with this key."""

    def to_wire(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "digest": self.digest,
            "name": self.name,
            "root_digest": self.root_digest,
            "builder_id": self.builder_id,
            "key_id": self.key_id,
            "trusted": self.trusted,
            "repository": self.repository or None,
            "commit": self.commit_id or None,
            "modified": self.modified,
            "finished_at": self.finished_at,
            "packages": self.packages,
            "recorded_at": self.recorded_at,
            "recorded_by": self.recorded_by,
            "ledger_index": self.ledger_index,
            "named_index": self.named_index,
        }


def contradiction(statements: Iterable[AmiStatement], *, agent: str = "", tag: str = "") -> str | None:
    """Return why an AMI's statements contradict each other, its tag, or what a machine's agent states; else None."""
    digests = sorted({one.digest for one in statements})
    if len(digests) > 1:
        return f"{len(digests)} statements name this AMI: {', '.join(digests[:3])}"
    for source, stated in (("the agent", agent), (f"the tag {EC2_TAG} of the AMI in EC2", tag)):
        if digests and stated and stated != digests[0]:
            return f"{source} states the statement {stated[:80]}, and the AMI was recorded with {digests[0]}"
    return None
