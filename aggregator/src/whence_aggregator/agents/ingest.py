"""Ingest: envelope, key, signature, sequence; then one transaction for the log and projections; then the receipt.

Statements commute and are idempotent: the same bytes again return a receipt for the first entry, an older sequence is
recorded without changing the state, and a different statement with a used sequence is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

from whence_aggregator.agents.enrolment import Enrolment, Enrolments
from whence_aggregator.agents.group_commit import GroupCommit
from whence_aggregator.agents.rows import index_taken
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.agents.verification import Refusal, Submitted, VerifiedStatement, Verifier, key_ids
from whence_aggregator.callers.limits import Limit
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import OutOfOrder, Unauthenticated, WriteConflict
from whence_aggregator.projections.known import KnownInstance, KnownInstances
from whence_aggregator.projections.rows import InstanceRows, known_instances, named
from whence_aggregator.projections.stated import AppendedStatement
from whence_aggregator.projections.statements import Combinations, project_statements
from whence_aggregator.queries.agents import SEE, STATEMENT_TAKEN, StatementTakenParameters
from whence_aggregator.queries.query import together
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.work.questions import question
from whence_common.clock import Now, to_instant, to_millis
from whence_common.counting import LEAP_MAX
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

BATCH_MAX = 96
"""Largest batch: commits of this size take more regular times than larger ones, at the same rate."""
CHECKED_AT_ONCE_MAX = 32
CHECKS_AT_ONCE = 2
"""Concurrent batches: the verifier has the next one ready when it ends one."""
KEYS_AT_ONCE_MAX = 128
QUEUE_MAX = 4_096
_KEYS_CACHED_MAX = 50_000
_QUESTIONS_KEPT_MAX = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A statement with a valid signature by a key of its instance."""

    checked: VerifiedStatement
    content: bytes
    base: bytes | None
    enrolment: Enrolment
    request_id: str

    @property
    def key(self) -> tuple[str, int, int]:
        return self.enrolment.instance_id, self.enrolment.number, self.checked.stated.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An accepted statement, with the receipt for its entry. `replayed` is true when the entry existed before."""

    digest: str
    ledger_index: int
    replayed: bool
    receipt: str

    def to_wire(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "ledger_index": self.ledger_index,
            "replayed": self.replayed,
            "receipt": self.receipt,
        }


class Ingest:
    """Accepts statements. `run` is the service that commits them in groups."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        enrolments: Enrolments,
        verifier: Verifier,
        combinations: Combinations,
        sightings: Sightings,
        instance_limit: Limit,
        account_limit: Limit,
        instance_bytes: Limit,
        account_bytes: Limit,
        now: Now,
        on_work: Callable[[bool], None],
    ) -> None:
        self._ledger = ledger
        self._combinations = combinations
        self._sightings = sightings
        self._instance_limit = instance_limit
        self._account_limit = account_limit
        self._instance_bytes = instance_bytes
        self._account_bytes = account_bytes
        self._now = now
        self._on_work = on_work
        self._by_key: dict[str, Enrolment] = {}
        self._instances = KnownInstances(ledger.moved_since)
        self._asked: set[tuple[str, str, str]] = set()
        """(account, kind, subject): each account has its own tasks, which do not wait behind those of others."""
        self._bindings = GroupCommit[str, Enrolment | None](
            enrolments.by_keys, batch_max=KEYS_AT_ONCE_MAX, queue_max=QUEUE_MAX
        )
        self._commits = GroupCommit[Verified, Accepted](self._commit, batch_max=BATCH_MAX, queue_max=QUEUE_MAX)
        self._checks = GroupCommit[Submitted, VerifiedStatement | Refusal](
            verifier.verify, batch_max=CHECKED_AT_ONCE_MAX, queue_max=QUEUE_MAX, at_once=CHECKS_AT_ONCE
        )

    async def accept(self, content: bytes, *, request_id: str = "") -> Accepted:
        """Accept one envelope's bytes. Raises an InputError that states what is wrong, or Overloaded."""
        enrolment = await self._binding(content)
        instance = enrolment.instance_id
        base = self._ledger.bases.layout(self._instances.number(instance))
        checked = await self._checks.submit(
            Submitted(content, enrolment.public_key, instance, enrolment.account_id, enrolment.region, base)
        )
        if isinstance(checked, Refusal):
            raise checked.error()
        self._instance_limit.take(instance)
        self._account_limit.take(enrolment.account_id)
        self._instance_bytes.take(instance, len(content))
        self._account_bytes.take(enrolment.account_id, len(content))
        return await self._commits.submit(
            Verified(checked=checked, content=content, base=base, enrolment=enrolment, request_id=request_id)
        )

    def queues(self) -> Mapping[str, tuple[int, int]]:
        """Return the number of waiting envelopes, and its maximum, by step."""
        return {
            "keys": self._bindings.waiting,
            "signatures": self._checks.waiting,
            "statements": self._commits.waiting,
        }

    async def run(self) -> None:
        """Look up, verify and commit until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bindings.run())
            group.create_task(self._commits.run())
            group.create_task(self._checks.run())

    async def _binding(self, content: bytes) -> Enrolment:
        """Return the binding of the key that the envelope names, before any other work. Raises Unauthenticated."""
        for key in key_ids(content):
            if (known := self._by_key.get(key)) is not None:
                return known
            enrolment = await self._bindings.submit(key)
            if enrolment is not None:
                if len(self._by_key) >= _KEYS_CACHED_MAX:
                    self._by_key.clear()
                self._by_key[key] = enrolment
                return enrolment
        raise Unauthenticated("key-unknown", "no instance is bound to the key of this envelope", fix="enrol first")

    async def _commit(self, batch: Sequence[Verified]) -> Sequence[Accepted | Exception]:
        """Commit with the cached rows of instances; read them first if they are missing or another replica appended."""
        edition = self._ledger.edition
        known = self._instances.moving(edition, (one.key for one in batch))
        if known is not None:
            with suppress(WriteConflict):
                return await self._committed(batch, self._ledger.writing(edition=edition), known)
        asked = named([one.enrolment.instance_id for one in batch])
        return await self._committed(batch, self._ledger.writing(together(asked), sized=True), None)

    async def _committed(
        self,
        batch: Sequence[Verified],
        opened: AbstractAsyncContextManager[Writing[InstanceRows]],
        known: dict[str, KnownInstance] | None,
    ) -> Sequence[Accepted | Exception]:
        now = self._now()
        questions: set[tuple[str, str, str]] = set()
        try:
            async with opened as writing:
                if known is None:
                    known = known_instances(writing.found[0])
                fresh, standing = await self._decide(writing, batch, known)
                places = await self._append(writing, fresh, known)
                appended = [
                    AppendedStatement(
                        ledger_index=index,
                        instance_id=one.enrolment.instance_id,
                        enrolment=one.enrolment.number,
                        stated=one.checked.stated,
                        next_base=next_base,
                    )
                    for one, (index, next_base) in zip(fresh, places, strict=True)
                ]
                if appended:
                    writing.writes += await project_statements(
                        writing.transaction, appended, known, self._combinations, writing.latest
                    )
                    heard = ((one.instance_id, one.enrolment) for one in appended)
                    seen = self._sightings.rows(heard, to_millis(now))
                    questions = {(one.enrolment.account_id, *q) for one in fresh for q in one.checked.questions}
                    questions -= self._asked
                    due = to_instant(now)
                    tasks = [question(kind, s, due_at=due, lane=lane) for lane, kind, s in sorted(questions)]
                    writing.writes += [SEE.bind(seen), ADD_TASK_UNLESS_KNOWN.bind(tasks)]
        except BaseException:
            self._combinations.forget()
            raise
        self._instances.keep(writing.edition, known)
        if len(self._asked) > _QUESTIONS_KEPT_MAX:
            self._asked.clear()
        self._asked |= questions
        if fresh:
            self._on_work(bool(questions))
        return await self._answers(
            batch, {one.key: index for one, (index, _) in zip(fresh, places, strict=True)}, standing
        )

    async def _decide(
        self, writing: Writing[InstanceRows], batch: Sequence[Verified], known: Mapping[str, KnownInstance]
    ) -> tuple[list[Verified], dict[bytes, int | Exception]]:
        """Return the new statements, and by digest the index of each known one, or the error of a used sequence."""
        fresh: dict[tuple[str, int, int], Verified] = {}
        standing: dict[bytes, int | Exception] = {}
        for one in batch:
            digest = one.checked.digest
            if digest in standing:
                continue
            first = fresh.get(one.key)
            instance = known[one.enrolment.instance_id]
            if first is not None:
                if first.checked.digest != digest:
                    standing[digest] = _taken(one, instance)
                continue
            if (ahead := _ahead(one, instance)) is not None:
                standing[digest] = ahead
                continue
            if (one.enrolment.number, one.checked.stated.sequence) > instance.order:
                fresh[one.key] = one
                continue
            place: StatementTakenParameters = {
                "instance": instance.number,
                "enrolment": one.enrolment.number,
                "sequence": one.checked.stated.sequence,
            }
            index = index_taken(await writing.transaction.fetch(STATEMENT_TAKEN.bind(place)))
            if index is None:
                fresh[one.key] = one
                continue
            found = await self._ledger.reader.find(f"sha256:{digest.hex()}")
            same = found is not None and found.ledger_index == index
            standing[digest] = index if same else _taken(one, instance)
        return list(fresh.values()), standing

    async def _append(
        self, writing: Writing[InstanceRows], fresh: Sequence[Verified], known: Mapping[str, KnownInstance]
    ) -> list[tuple[int, int]]:
        instances = {name: known[name] for name in (one.enrolment.instance_id for one in fresh)}
        wanted = {one.number: one.base for one in instances.values()}
        await self._ledger.load_bases(writing.transaction, wanted)
        return await writing.append(
            [
                NewEntry(
                    kind="statement",
                    content=one.content,
                    checked=one.checked,
                    base=one.base,
                    packed_with=known[one.enrolment.instance_id].number,
                )
                for one in fresh
            ]
        )

    async def _answers(
        self,
        batch: Sequence[Verified],
        indexes: Mapping[tuple[str, int, int], int],
        standing: Mapping[bytes, int | Exception],
    ) -> Sequence[Accepted | Exception]:
        receipts = dict(zip(indexes.values(), self._ledger.receipts(list(indexes.values())), strict=True))
        answers: list[Accepted | Exception] = []
        logged: list[str] = []
        for one in batch:
            before = standing.get(one.checked.digest)
            if isinstance(before, Exception):
                answers.append(before)
                continue
            index = indexes[one.key] if before is None else before
            receipt = receipts.get(index)
            if receipt is None:
                receipt = receipts[index] = await self._ledger.receipt(index)
            answers.append(
                Accepted(
                    digest=f"sha256:{one.checked.digest.hex()}",
                    ledger_index=index,
                    replayed=before is not None,
                    receipt=receipt,
                )
            )
            logged.append(f"{one.enrolment.instance_id}#{one.checked.stated.sequence}={index} {one.request_id}")
        log.info("statements accepted", extra=fields(new=len(indexes), statements=logged))
        return answers


def _ahead(one: Verified, instance: KnownInstance) -> OutOfOrder | None:
    """Return the error for a sequence so high that few could follow it: the instance's state could no longer change."""
    enrolment, newest = instance.order
    last = newest if enrolment == one.enrolment.number else 0
    sequence = one.checked.stated.sequence
    if one.enrolment.number < enrolment or sequence - last <= LEAP_MAX:
        return None
    message = f"sequence {sequence} is more than {LEAP_MAX} above the last one accepted, {last}"
    return OutOfOrder("sequence-ahead", message, fix="continue with the sequence after last_taken", last_taken=last)


def _taken(one: Verified, instance: KnownInstance) -> OutOfOrder:
    enrolment, newest = instance.order
    return OutOfOrder(
        "sequence-conflict", f"sequence {one.checked.stated.sequence} of this instance belongs to another statement",
        fix="continue with the sequence after last_taken",
        last_taken=newest if enrolment == one.enrolment.number else None,
    )  # fmt: skip
