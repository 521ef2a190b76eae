"""A cache of the rows of instances between commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from whence_aggregator.projections.stated import AppendedStatement
from whence_aggregator.queries.compliance import AddToTallyParameters
from whence_aggregator.trace.life import Life, life_of

_INSTANCES_KEPT_MAX = 50_000


@dataclass(slots=True)
class KnownInstance:
    """The row of an instance, updated while a batch is projected."""

    number: int
    instance_id: str
    account_id: str
    region: str
    order: tuple[int, int]
    cause: str
    facets: int
    base: int = -1
    newest: AppendedStatement | None = None
    first_index: int = -1
    earliest: int = 0
    """The earliest `observed_at` of its statements, in milliseconds."""
    late_millis: int = 0
    """By how much its first statement was recorded after that."""
    listed: str = ""
    asked_at: int = 0
    spoke_at: int = 0
    life: Life = "unknown"
    life_index: int = -1

    def move(self, newest: AppendedStatement, facets: int, recorded_at: int) -> Life | None:
        """Apply a newer statement, recorded at a time in milliseconds; return the previous life if it changed."""
        self.order = newest.enrolment, newest.stated.sequence
        self.newest, self.facets, self.spoke_at = newest, facets, recorded_at
        self.cause = newest.stated.cause
        life = life_of(listed=self.listed, asked_at=self.asked_at, cause=newest.stated.cause, spoke_at=recorded_at)
        if life == self.life:
            return None
        before, self.life, self.life_index = self.life, life, newest.ledger_index
        return before


class KnownInstances:
    """Instances after the last commits. They are read again when the log is, as it is after any failure.

    `moved_since` returns the instances that other writers changed since an edition; None when that is not known.
    """

    def __init__(self, moved_since: Callable[[int], frozenset[str] | None]) -> None:
        self._known: dict[str, KnownInstance] = {}
        self._edition: int | None = None
        self._moved_since = moved_since

    def moving(self, edition: int | None, keys: Iterable[tuple[str, int, int]]) -> dict[str, KnownInstance] | None:
        """Return the instances of statements (instance, enrolment, sequence); None unless each updates a cached one."""
        found: dict[str, KnownInstance] = {}
        self._follow(edition)
        if edition is None or edition != self._edition:
            return None
        for name, enrolment, sequence in keys:
            known = self._known.get(name)
            if known is None or (enrolment, sequence) <= known.order:
                return None
            found[name] = known
        return found

    def number(self, instance_id: str) -> int | None:
        """Return an instance's number; None when it is not cached."""
        known = self._known.get(instance_id)
        return known.number if known is not None else None

    def keep(self, edition: int | None, known: Mapping[str, KnownInstance]) -> None:
        """Cache the instances after a commit, with the edition that it was based on."""
        self._follow(edition)
        if edition != self._edition or len(self._known) > _INSTANCES_KEPT_MAX:
            self._known.clear()
        self._edition = edition
        for name, one in known.items():
            one.newest = None
            self._known[name] = one

    def _follow(self, edition: int | None) -> None:
        """Drop the instances that other writers changed; all when that is not known."""
        if edition is None or self._edition is None or edition == self._edition:
            return
        moved = self._moved_since(self._edition)
        if moved is not None:
            for name in moved:
                self._known.pop(name, None)
            self._edition = edition


class LifeTally:
    """Changes to the counts of lives, by account."""

    def __init__(self) -> None:
        self._moves: dict[tuple[str, str], int] = {}

    def move(self, account_id: str, before: Life | None, life: Life) -> None:
        """Count an instance whose life changed; `before` is None for a new instance."""
        for one, by in ((before, -1), (life, 1)):
            if one is not None:
                key = account_id, f"life/{one}"
                self._moves[key] = self._moves.get(key, 0) + by

    @property
    def rows(self) -> list[AddToTallyParameters]:
        return [
            {"account_id": account, "subject": subject, "n": n} for (account, subject), n in self._moves.items() if n
        ]
