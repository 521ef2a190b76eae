"""Replay: applies entries in order, through the same projections as when they were appended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from whence_aggregator.ledger.kinds import EntryKind, Event
from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ports import StorageUnavailable, Transaction
from whence_aggregator.projections.kinds import STATEMENT
from whence_aggregator.projections.rows import known_instances, named
from whence_aggregator.projections.stated import AppendedStatement, Stated
from whence_aggregator.projections.statements import Combinations, project_statements
from whence_common.envelope import Envelope
from whence_common.errors import InputError
from whence_common.ledger_entry import EntryInvalid, type_of
from whence_common.statement import Statement

BATCH_MAX = 240
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""The errors that malformed events raise."""
Bound = tuple[str, int, str]
"""(instance id, number of the enrolment, public key)."""


class Replay:
    """Applies entries to a transaction. `on_entry` may verify each further; `skipped` counts pruned bodies by kind."""

    def __init__(
        self, transaction: Transaction, *, kinds: Mapping[str, EntryKind], on_error: Callable[[int, str], None]
    ) -> None:
        self._transaction = transaction
        self._kinds = kinds
        self._on_error = on_error
        self._combinations = Combinations()
        self._statements: list[AppendedStatement] = []
        self._gathered: tuple[str, int] = ("", 0)
        """Kind and version of the events waiting to be projected."""
        self._events: list[tuple[int, Event]] = []
        self.bound: dict[str, Bound] = {}
        self.skipped: dict[str, int] = {}
        self.removed: dict[str, int] = {}
        """Of those skipped, how many an entry names as removed with the rows derived from them, by kind."""
        self.broken = False
        self.latest: int | None = None

    async def apply(self, entries: AsyncIterator[Stored]) -> int:
        """Apply all entries; return their number."""
        count = 0
        async for stored in entries:
            count += 1
            try:
                await self._take(stored)
            except (InputError, *_MALFORMED) as exc:
                self._on_error(stored.ledger_index, f"its content cannot be used: {type(exc).__name__}: {exc}")
        await self._flush()
        return count

    @property
    def lossy(self) -> int:
        """Return how many bodies are gone whose rows are still there, so that deriving again lacks them."""
        lost = {kind: n - self.removed.get(kind, 0) for kind, n in self.skipped.items()}
        return sum(n for kind, n in lost.items() if not self._kinds[kind].removable)

    async def _take(self, stored: Stored) -> None:
        if stored.content is None:
            self.skipped[stored.kind] = self.skipped.get(stored.kind, 0) + 1
            return
        kind, version, event = type_of(stored.content)
        if kind == STATEMENT:
            statement = self._statement(stored.ledger_index, stored.content)
            if self._events or len(self._statements) >= BATCH_MAX:
                await self._flush()
            self._statements.append(statement)
            return
        described = self._kinds.get(kind)
        if described is None or version not in described.project:
            raise EntryInvalid(f"unknown entry {kind}:v{version}: use the newer version of this program")
        if kind == "enrolment":
            instance = event["instance"]["instance_id"]
            self.bound[event["key_id"]] = instance, event["number"], event["public_key"]
        if kind == "pruned" and "indexes" in event:
            self.removed[event["kind"]] = self.removed.get(event["kind"], 0) + len(event["indexes"])
        apart = self._gathered != (kind, version) or not described.together(self._events, event)
        if self._statements or (self._events and apart) or len(self._events) >= BATCH_MAX:
            await self._flush()
        self._gathered = kind, version
        self._events.append((stored.ledger_index, event))

    def _statement(self, index: int, content: bytes) -> AppendedStatement:
        envelope = Envelope.parse(content)
        found = next((self.bound[key] for key, _ in envelope.signatures if key in self.bound), None)
        if found is None:
            raise EntryInvalid("its key is not bound by an earlier enrolment")
        predicate = Statement.from_wire(envelope.payload).predicate
        if predicate.instance.instance_id != found[0]:
            raise EntryInvalid(f"its key is bound to {found[0]}, but it is about another instance")
        return AppendedStatement(
            ledger_index=index, instance_id=found[0], enrolment=found[1], stated=Stated.of(predicate)
        )

    async def _flush(self) -> None:
        """Project the gathered entries. A failure ends projecting: nothing after it would be correct."""
        statements, self._statements = self._statements, []
        events, self._events = self._events, []
        if self.broken or not (statements or events):
            return
        first = statements[0].ledger_index if statements else events[0][0]
        try:
            await self._project_all(statements, events)
        except (InputError, StorageUnavailable, *_MALFORMED) as exc:
            self.broken = True
            self._on_error(first, f"it does not fit the entries before it: {type(exc).__name__}: {exc}")

    async def _project_all(self, statements: list[AppendedStatement], events: list[tuple[int, Event]]) -> None:
        if statements:
            rows = await self._transaction.fetch(named([one.instance_id for one in statements]))
            known = known_instances(rows)
            writes = await project_statements(
                self._transaction, statements, known, self._combinations, self.latest or 0
            )
            await self._transaction.execute(*writes)
        if events:
            kind, version = self._gathered
            await self._kinds[kind].project[version](self._transaction, self, events)
