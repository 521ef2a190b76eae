"""Statements in the ledger, those that were recorded later than what they are about, and bindings of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.ledger.rows import PackedEntry
from whence_common.clock import parse_instant
from whence_common.digest import sha256_digest
from whence_common.envelope import Envelope
from whence_common.statement import Predicate, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRecord:
    """The row of a statement. `observed_at` is by the machine's clock."""

    instance_id: str
    enrolment: int
    observed_at: str
    recorded_at: str
    packed: PackedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatement:
    """A statement in the ledger; its signature was verified before it was appended."""

    digest: str
    ledger_index: int
    instance_id: str
    observed_at: str
    """By the machine's clock."""
    recorded_at: str
    enrolment: int
    predicate: Predicate = field(repr=False)

    @classmethod
    def of(cls, record: StatementRecord, content: bytes) -> StoredStatement:
        """Return the statement in an entry's bytes."""
        return cls(
            digest=sha256_digest(content),
            ledger_index=record.packed.ledger_index,
            instance_id=record.instance_id,
            observed_at=record.observed_at,
            recorded_at=record.recorded_at,
            enrolment=record.enrolment,
            predicate=Statement.from_wire(Envelope.parse(content).payload).predicate,
        )

    @property
    def skew_seconds(self) -> float:
        """Return `observed_at` less `recorded_at`; below zero also when the statement was delivered late."""
        return (parse_instant(self.observed_at) - parse_instant(self.recorded_at)).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A statement that was recorded after the time asked about and names a time at or before it."""

    digest: str | None
    """None when its body was pruned."""
    ledger_index: int
    observed_at: str
    recorded_at: str

    @classmethod
    def of(cls, record: StatementRecord, content: bytes | None) -> Later:
        """Return a statement with the digest of its entry's bytes, where they are kept."""
        return cls(
            digest=sha256_digest(content) if content is not None else None,
            ledger_index=record.packed.ledger_index,
            observed_at=record.observed_at,
            recorded_at=record.recorded_at,
        )

    def to_wire(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "ledger_index": self.ledger_index,
            "observed_at": self.observed_at,
            "recorded_at": self.recorded_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLater:
    """Statements that were recorded after the time they are about: the newest ones, and the total number."""

    total: int = 0
    statements: Sequence[Later] = ()

    def to_wire(self) -> dict[str, object]:
        return {"total": self.total, "statements": [one.to_wire() for one in self.statements]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A binding of a key to the instance, with the identity that was proved at enrolment."""

    number: int
    level: str
    enrolled_at: str
    ledger_index: int
    identity: Mapping[str, Any]

    @classmethod
    def of(cls, stated: Mapping[str, Any], ledger_index: int) -> Binding:
        """Return the binding in an enrolment's entry."""
        return cls(
            number=stated["number"],
            level=stated["level"],
            enrolled_at=stated["enrolled_at"],
            ledger_index=ledger_index,
            identity=stated["instance"],
        )
