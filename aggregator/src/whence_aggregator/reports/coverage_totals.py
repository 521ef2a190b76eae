"""How far sources were read, summed over accounts and regions: what a glance needs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.reports.coverage import Covered, ReadState, SourceCoverage
from whence_common.clock import parse_instant

_WORST: tuple[ReadState, ...] = ("failed", "never", "late", "read")
GROUPS_MAX = 100
"""Groups that an answer has: the worst come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredSource:
    """One source in all places: the host, the scanner or the source of the organisation counts as one of its own."""

    places: Sequence[SourceCoverage]

    def to_wire(self, covered: Covered) -> dict[str, object]:
        states = Counter(one.state for one in self.places)
        reads = sorted(one.read_at for one in self.places if one.read_at is not None)
        oldest = reads[0] if reads else None
        worst = min(self.places, key=lambda one: (_WORST.index(one.state), one.read_at or ""))
        accounts = {one.account_id for one in self.places if one.account_id}
        unread = {one.account_id for one in self.places if one.account_id and one.state != "read"}
        return {
            "source": worst.source, "name": worst.name or None, "state": worst.state, "places": len(self.places),
            **{state: states[state] for state in _WORST},
            "accounts": len(accounts), "accounts_unread": len(unread),
            "oldest_read_at": oldest, "newest_read_at": reads[-1] if reads else None,
            "oldest_age_seconds": (covered.now - parse_instant(oldest)).total_seconds() if oldest else None,
            "worst": worst.to_wire(covered.now) if worst.state != "read" else None,
        }  # fmt: skip


def totals_of(covered: Covered) -> list[dict[str, object]]:
    """Return the sums by source and name, the worst first."""
    found: dict[tuple[str, str], list[SourceCoverage]] = {}
    for one in covered.sources:
        found.setdefault((one.source, one.name), []).append(one)
    order = sorted(found, key=lambda key: (min(_WORST.index(one.state) for one in found[key]), key))
    return [CoveredSource(places=found[key]).to_wire(covered) for key in order[:GROUPS_MAX]]
