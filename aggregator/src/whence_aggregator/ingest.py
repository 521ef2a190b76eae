"""Ingest: envelope, key, signature, sequence; then one transaction for ledger and projections; then the receipt.

Statements commute and are idempotent: the same bytes again give the first receipt, an older sequence becomes history
without moving the state, and another statement under a taken sequence is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.enrolment import Enrolment, Enrolments
from whence_aggregator.group_commit import GroupCommit
from whence_aggregator.ledger.append import Entry, append
from whence_aggregator.ports import Conflict, Database, Forbidden, Parameters, Row, Transaction, Unauthenticated
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.envelope import Envelope
from whence_common.keys import public_key_from_wire
from whence_common.logs import fields
from whence_common.scm_source import ScmSource, repository_of
from whence_common.statement import Predicate, Statement

log = logging.getLogger(__name__)

BATCH_MAX = 256
QUEUE_MAX = 4_096
EVALUATE_AFTER_SECONDS = 1.0
"""An instance that says much is judged once for all of it."""
_KEYS_CACHED_MAX = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A statement whose signature holds for the instance it speaks of."""

    envelope: Envelope
    digest: str
    predicate: Predicate
    enrolment: Enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The receipt: this digest is in the ledger at this index. `replayed` when it was there before."""

    digest: str
    ledger_index: int
    replayed: bool

    def to_wire(self) -> dict[str, object]:
        return {"digest": self.digest, "ledger_index": self.ledger_index, "replayed": self.replayed}


class Ingest:
    """Accepts statements. `run` is the service that commits them in groups."""

    def __init__(self, *, database: Database, enrolments: Enrolments, now: Now, on_work: Callable[[], None]) -> None:
        self._database = database
        self._enrolments = enrolments
        self._now = now
        self._on_work = on_work
        self._by_key: dict[str, tuple[Enrolment, ec.EllipticCurvePublicKey]] = {}
        self._commits = GroupCommit[Verified, Accepted](self._commit, batch_max=BATCH_MAX, queue_max=QUEUE_MAX)
        self.run = self._commits.run

    async def accept(self, content: bytes) -> Accepted:
        """Accept one envelope's bytes. Raises an InputError naming what is wrong, or Overloaded."""
        envelope = Envelope.parse(content)
        enrolment, public_key = await self._binding(envelope)
        payload = envelope.verify(public_key)
        predicate = Statement.from_wire(payload).predicate
        instance = predicate.instance
        if (instance.instance_id, instance.account_id, instance.region) != (
            enrolment.instance_id,
            enrolment.account_id,
            enrolment.region,
        ):
            raise Forbidden("statement-of-other", "the statement speaks of another instance than its key is bound to")
        verified = Verified(envelope=envelope, digest=envelope.digest, predicate=predicate, enrolment=enrolment)
        accepted = await self._commits.submit(verified)
        log.info(
            "statement accepted",
            extra=fields(
                instance=instance.instance_id,
                cause=predicate.cause,
                sequence=predicate.sequence,
                ledger_index=accepted.ledger_index,
                replayed=accepted.replayed,
            ),
        )
        return accepted

    async def _binding(self, envelope: Envelope) -> tuple[Enrolment, ec.EllipticCurvePublicKey]:
        """Find who is bound to the key that the envelope names. Raises Unauthenticated."""
        for key, _ in envelope.signatures:
            if (known := self._by_key.get(key)) is not None:
                return known
            enrolment = await self._enrolments.by_key(key)
            if enrolment is not None:
                if len(self._by_key) >= _KEYS_CACHED_MAX:
                    self._by_key.clear()
                self._by_key[key] = enrolment, public_key_from_wire(enrolment.public_key)
                return self._by_key[key]
        raise Unauthenticated("key-unknown", "no instance is bound to the key of this envelope", fix="enrol first")

    async def _commit(self, batch: Sequence[Verified]) -> Sequence[Accepted | Exception]:
        now = to_instant(self._now())
        async with self._database.transaction() as transaction:
            results, fresh = await _decide(transaction, batch)
            entries = [Entry(kind="statement", body=one.envelope.content) for one in fresh]
            indexes = await append(transaction, entries, recorded_at=now)
            for one, index in zip(fresh, indexes, strict=True):
                results[one.digest] = Accepted(digest=one.digest, ledger_index=index, replayed=False)
            await _project(transaction, list(zip(fresh, indexes, strict=True)), now)
        if fresh:
            self._on_work()
        return [results[one.digest] for one in batch]


async def _decide(
    transaction: Transaction, batch: Sequence[Verified]
) -> tuple[dict[str, Accepted | Exception], list[Verified]]:
    """Tell new statements from known ones and from those whose sequence is taken."""
    digests = msgspec.json.encode([one.digest for one in batch]).decode()
    known = {row["digest"]: row for row in await transaction.fetch("known_statements", {"digests": digests})}
    keys = msgspec.json.encode([list(_key(one)) for one in batch]).decode()
    taken: dict[tuple[str, int, int], Row | Verified] = {
        (row["instance_id"], row["enrolment"], row["sequence"]): row
        for row in await transaction.fetch("taken_sequences", {"keys": keys})
    }
    results: dict[str, Accepted | Exception] = {}
    fresh: dict[str, Verified] = {}
    for one in batch:
        if one.digest in results or one.digest in fresh:
            continue
        if (row := known.get(one.digest)) is not None:
            results[one.digest] = Accepted(digest=one.digest, ledger_index=row["ledger_index"], replayed=True)
        elif _key(one) in taken:
            results[one.digest] = Conflict(
                "sequence-conflict", f"sequence {one.predicate.sequence} of this instance is another statement"
            )
        else:
            taken[_key(one)] = one
            fresh[one.digest] = one
    return results, list(fresh.values())


def _key(one: Verified) -> tuple[str, int, int]:
    return one.enrolment.instance_id, one.enrolment.number, one.predicate.sequence


async def _project(transaction: Transaction, fresh: Sequence[tuple[Verified, int]], now: str) -> None:
    rows = [_row(one, index, now) for one, index in fresh]
    await transaction.execute("add_statement", rows)
    await transaction.execute("move_state", rows)
    seen = [{"instance_id": r["instance_id"], "seen_at": now, "state_digest": r["digest"]} for r in rows]
    await transaction.execute("see", seen)
    commits: list[Parameters] = []
    tasks: list[Parameters] = []
    for one, _ in fresh:
        found = _image_commits(one.predicate)
        commits += found
        tasks += _questions(one.predicate, found, now)
    await transaction.execute("add_image_commit", commits)
    await transaction.execute("add_task_unless_known", tasks)
    due = to_instant(parse_instant(now) + timedelta(seconds=EVALUATE_AFTER_SECONDS))
    evaluations = [{"kind": "evaluate", "subject": row["instance_id"], "due_at": due} for row in rows]
    await transaction.execute("add_task", evaluations)


def _row(one: Verified, index: int, now: str) -> dict[str, object]:
    predicate = one.predicate
    return {
        "digest": one.digest,
        "ledger_index": index,
        "account_id": one.enrolment.account_id,
        "region": one.enrolment.region,
        "instance_id": one.enrolment.instance_id,
        "enrolment": one.enrolment.number,
        "sequence": predicate.sequence,
        "cause": predicate.cause,
        "observed_at": to_instant(parse_instant(predicate.observed_at)),
        "recorded_at": now,
        "application_id": predicate.application_id,
        "application_version": predicate.application_version,
        "user_data_digest": predicate.user_data.digest if predicate.user_data is not None else None,
        "image_digest": predicate.image.digest if predicate.image is not None else None,
    }


def _source(predicate: Predicate) -> ScmSource | None:
    found = predicate.scm_source
    return ScmSource.from_wire(found.document) if found is not None and found.document is not None else None


def _image_commits(predicate: Predicate) -> list[Parameters]:
    source = _source(predicate)
    repository = repository_of(source.url) if source is not None else None
    if predicate.image is None or source is None or source.commit_id is None or repository is None:
        return []
    return [{"commit_id": source.commit_id, "image_digest": predicate.image.digest, "repository": str(repository)}]


def _questions(predicate: Predicate, commits: list[Parameters], now: str) -> list[Parameters]:
    """Say what collectors should find out because of this statement."""
    questions: list[Parameters] = []
    if predicate.image is not None:
        subject = f"{predicate.image.repository}@{predicate.image.digest}"
        questions.append({"kind": "image-source", "subject": subject, "due_at": now})
    questions += [
        {"kind": "commit", "subject": f"{row['repository']}@{row['commit_id']}", "due_at": now} for row in commits
    ]
    return questions
