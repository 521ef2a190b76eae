"""Violations that match filters, with their counts, kept while no violation moves and no exemption ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.violations.brief import BriefViolation, Matched, counted, matching

SELECTIONS_MAX = 16
_NEVER = "9"
"""Sorts after every time."""


class Selection:
    """Violations that match at a moment, and until an exemption ends."""

    def __init__(self, every: Sequence[BriefViolation], wanted: Matched, *, now: str) -> None:
        self.found: Sequence[BriefViolation] = matching(every, wanted, now=now)
        self._from = now
        self._until = min((one.exempt_until for one in every if one.exempt_until > now), default=_NEVER)
        self._facets: Mapping[str, dict[str, int]] | None = None

    def holds_at(self, now: str) -> bool:
        return self._from <= now < self._until

    def facets(self, now: str) -> dict[str, dict[str, int]]:
        """Return counts by facet and value."""
        if self._facets is None:
            self._facets = counted(self.found, now=now)
        return {name: dict(one) for name, one in self._facets.items()}


class Selections:
    """Keeps the newest selections of one state of all violations."""

    def __init__(self) -> None:
        self._every: Sequence[BriefViolation] = ()
        self._kept: dict[Matched, Selection] = {}

    def of(self, every: Sequence[BriefViolation], wanted: Matched, *, now: str) -> Selection:
        """Return what matches filters without `ids`; `every` is the same object while no violation moves."""
        if every is not self._every:
            self._every, self._kept = every, {}
        known = self._kept.pop(wanted, None)
        if known is None or not known.holds_at(now):
            known = Selection(every, wanted, now=now)
        self._kept[wanted] = known
        if len(self._kept) > SELECTIONS_MAX:
            del self._kept[next(iter(self._kept))]
        return known
