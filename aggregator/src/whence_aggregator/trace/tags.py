"""The digests that a tag was seen to point to, and the sources that count for one instance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FRONT, REGISTRY = "front", "registry"
"""Values of `said_by` that are not accounts: a push to the registry front, an answer of a registry."""
_ELSEWHERE_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSeen:
    """One observation of the tag's digest. `said_by` is FRONT, REGISTRY or the account of an instance."""

    digest: str
    said_by: str
    ledger_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagHistory:
    """The observations of a tag that count for one instance: `seen`, oldest first, one for each digest.

    The front's own record is complete, so if there is one, no other source counts. For other registries, the
    registry's answers and statements of the instance's own account count. Statements of other accounts are in
    `elsewhere`.
    """

    in_front: bool = False
    seen: Sequence[TagSeen] = ()
    elsewhere: Sequence[TagSeen] = ()

    @classmethod
    def of(cls, seen: Sequence[TagSeen], *, account_id: str) -> TagHistory:
        in_front = any(one.said_by == FRONT for one in seen)
        counting = (FRONT,) if in_front else (REGISTRY, account_id)
        counted: dict[str, TagSeen] = {}
        for one in sorted(seen, key=lambda one: one.ledger_index):
            if one.said_by in counting:
                counted.setdefault(one.digest, one)
        others = [one for one in seen if one.said_by not in (FRONT, REGISTRY, account_id) and one.digest not in counted]
        return cls(in_front=in_front, seen=tuple(counted.values()), elsewhere=tuple(others[:_ELSEWHERE_MAX]))

    def wrong(self, source: str, *digests: str | None) -> str | None:
        """Return why the tag `source` contradicts an instance that runs one of `digests` (image or index), or None."""
        named = [one.digest for one in self.seen]
        if self.in_front and not set(named) & set(digests):
            return f"the registry front never recorded that {source} points to this image"
        if len(named) > 1:
            return f"the tag has moved: {source} pointed to {len(named)} different images"
        return None
