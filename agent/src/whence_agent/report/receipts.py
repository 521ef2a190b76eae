"""Receipts: a statement leaves the disk only once its receipt proves that it is in the log, which has one history.

The log's keys are those of the settings; without any, those that the aggregator named at enrolment. Each checkpoint
must continue the last accepted one. If the settings name witnesses, it must carry their cosignatures: then a replica
that holds the log's key cannot present a separate log to this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from whence_agent.ports_aggregator import AggregatorUnavailable, StatementReceipt
from whence_agent.progress.progress import Progress
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.seen_logs import LOGS_MAX, Fork, SeenLogs
from whence_agent.settings import Settings
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.errors import InputError, one_line
from whence_common.log_policy import Policy, count_distinct
from whence_common.merkle import ProofInvalid, check_consistency
from whence_common.note import Checkpoint, Note, VerifierKey
from whence_common.problems import Problem, Severity
from whence_common.receipt import Receipt
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_KEYS_NAME = "log-keys"
_COSIGNED_AFTER_SECONDS = 5.0
"""Pause before the next request: by default, witnesses receive a checkpoint every ten seconds."""


class ReceiptRefused(AggregatorUnavailable):
    """The aggregator accepted the statement, but its receipt does not suffice for the statement to leave the disk."""


class ReceiptUnwitnessed(ReceiptRefused):
    """The log has signed a receipt, but the witnesses have not cosigned a checkpoint over the statement yet."""

    def __init__(self, message: str) -> None:
        fix = "wait: it is requested again; if it persists, check the witnesses and `aggregator_witness_keys`"
        super().__init__("receipt-unwitnessed", message, fix=fix, retry_after_seconds=_COSIGNED_AFTER_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """The keys whose signatures the settings require. Without log keys, those named at enrolment are used."""

    log_keys: Sequence[VerifierKey] = ()
    witness_keys: Sequence[VerifierKey] = ()
    witnesses_least: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Trusted:
        """Return the keys of validated settings."""
        witnesses = tuple(map(VerifierKey.parse, settings.aggregator_witness_keys))
        least = settings.aggregator_witnesses_least
        return cls(
            log_keys=tuple(map(VerifierKey.parse, settings.aggregator_log_keys)),
            witness_keys=witnesses,
            witnesses_least=count_distinct(witnesses) if least is None else least,
        )


class Receipts:
    """Verifies receipts for this machine's statements, and stores what it has seen of the log."""

    def __init__(self, *, key: InstanceKey, trusted: Trusted, seen: SeenLogs, progress: Progress) -> None:
        self._key = key
        self._trusted = trusted
        self._seen = seen
        self._progress = progress
        last = seen.last()
        self._origin = last.origin if last is not None else ""
        """The log of the last receipt, for which the next consistency proof is requested."""
        self._has_findings = False
        self._changed = ""
        self._record_problems()

    @property
    def seen_size(self) -> int | None:
        """Return the size of the current log's last accepted checkpoint."""
        found = self._seen.of(self._origin)
        return found[0].size if found is not None else None

    def take_findings(self) -> bool:
        """Return whether there are findings about the log that no statement contains yet, and reset that."""
        found, self._has_findings = self._has_findings, False
        return found

    def learn(self, log_keys: Sequence[str]) -> None:
        """Store the log keys that the aggregator named at enrolment. Raises AggregatorUnavailable if one is invalid."""
        if self._trusted.log_keys:
            return
        try:
            known = [str(VerifierKey.parse(one)) for one in log_keys]
        except InputError as exc:
            message = "the aggregator named a log key that is not a verifier key"
            raise AggregatorUnavailable("answer-malformed", message) from exc
        self._key.remember(_KEYS_NAME, {"keys": known})

    def check(self, receipt: StatementReceipt, envelope: bytes) -> None:
        """Accept a receipt for these bytes. Raises AggregatorUnavailable, which states what the receipt lacks.

        It must prove that the bytes are in the log, that the log continues what was seen, and its cosignatures.
        """
        if receipt.digest != sha256_digest(envelope):
            raise AggregatorUnavailable("receipt-for-other", "the receipt is not for the submitted bytes")
        keys = self._trusted.log_keys or self._keys_of_enrolment()
        if not keys:
            if self._trusted.witness_keys:
                raise ReceiptUnwitnessed("the aggregator has no signed log that witnesses could cosign")
            return  # an aggregator without a signed log names no key
        try:
            proof = Receipt.parse(receipt.proof.encode())
            checkpoint, _ = proof.check(envelope, Policy(log_keys=keys))
        except InputError as exc:
            raise AggregatorUnavailable("receipt-invalid", f"the receipt is invalid: {exc.message}") from exc
        if proof.index != receipt.ledger_index:
            message = "the receipt is for another ledger index than the answer states"
            raise AggregatorUnavailable("receipt-invalid", message)
        self._check_continues(checkpoint, proof.note, receipt.consistency)
        self._check_witnessed(keys, proof.note)
        self._store(checkpoint, proof.note)

    def _check_continues(self, checkpoint: Checkpoint, note: Note, proof: Sequence[bytes] | None) -> None:
        """Refuse a checkpoint that does not continue the history seen so far. Raises ReceiptRefused."""
        asked, self._origin = self._origin, checkpoint.origin
        found = self._seen.of(checkpoint.origin)
        if found is None:
            return
        seen, kept = found
        if seen == checkpoint:
            return
        first, past = sorted((seen, checkpoint), key=lambda one: one.size)
        if first.size == past.size:
            proof = ()
        elif proof is None or asked != checkpoint.origin:
            raise _unproven(seen, checkpoint)
        try:
            check_consistency(first.size, past.size, first.root, past.root, proof)
        except ProofInvalid as exc:
            message = self._forked(kept, note)
            raise ReceiptRefused("log-forked", message, fix=_FORK_FIX) from exc

    def _check_witnessed(self, keys: Sequence[VerifierKey], note: Note) -> None:
        trusted = self._trusted
        if not trusted.witness_keys:
            return
        try:
            Policy(log_keys=keys, witness_keys=trusted.witness_keys, witnesses_least=trusted.witnesses_least).check(
                note
            )
        except InputError as exc:
            raise ReceiptUnwitnessed(f"the receipt is not cosigned: {exc.message}") from exc

    def _store(self, checkpoint: Checkpoint, note: Note) -> None:
        found, before = self._seen.of(checkpoint.origin), self._seen.last()
        other = before is not None and before.origin != checkpoint.origin
        larger = found is None or found[0].size < checkpoint.size
        if not larger and not other:
            return
        if found is None and self._seen.full:
            message = f"the aggregator has presented more logs than the {LOGS_MAX} that this machine remembers"
            raise ReceiptRefused("logs-too-many", message, fix=_FORK_FIX)
        try:
            self._seen.keep(str(note) if found is None or larger else found[1])
        except OSError as exc:
            raise _disk(exc) from exc
        if before is not None and other:
            self._changed = f"the aggregator's log is now {one_line(checkpoint.origin, 120)}, and was"
            self._changed += f" {one_line(before.origin, 120)}: the two histories cannot be compared"
            log.error("the aggregator has another log", extra=fields(before=before.origin, now=checkpoint.origin))
            self._has_findings = True
        self._record_problems()

    def _forked(self, kept: str, note: Note) -> str:
        """Store the evidence of a fork; return the message for it."""
        fork = Fork(kept=kept, shown=str(note), seen_at=to_instant(self._progress.now()))
        try:
            new = self._seen.fork(fork)
        except OSError as exc:
            raise _disk(exc) from exc
        if new:
            log.error("the log has forked", extra=fields(kept=fork.kept, shown=fork.shown))
            self._has_findings = True
        self._record_problems()
        return _fork(fork).message

    def _record_problems(self) -> None:
        """Record all problems of the log, for the status and for statements."""
        found = [_fork(one) for one in self._seen.forks]
        if self._changed:
            found.append(_problem("warning", "log-changed", self._changed, _CHANGED_FIX))
        if self._seen.damaged:
            message = "log-seen.json could not be read: a fork from the log seen before would not be detected"
            found.append(_problem("warning", "log-seen-damaged", message, "check the disk; replace the instance"))
        self._progress.delivered.record_log_problems(tuple(found))

    def _keys_of_enrolment(self) -> tuple[VerifierKey, ...]:
        found = self._key.remembered(_KEYS_NAME).get("keys", [])
        try:
            return tuple(VerifierKey.parse(str(one)) for one in found)
        except (InputError, TypeError):
            return ()


_FORK_FIX = (
    "the log's key signed two histories: keep log-seen.json of the state directory, which is the proof, and contact the"
    " operator of the aggregator; after a restored backup, the log needs a new name"
)
_CHANGED_FIX = "nothing, if the aggregator's operator announced it: the new log's entry `log-key` states the reason"


def _disk(exc: OSError) -> ReceiptRefused:
    message = f"log-seen.json cannot be written: {exc.strerror}"
    return ReceiptRefused("disk-error", message, fix="check the disk's space and health")


def _unproven(seen: Checkpoint, checkpoint: Checkpoint) -> ReceiptRefused:
    if checkpoint.size < seen.size:
        message = f"the log has fewer than the {seen.size} entries that this machine has seen"
        fix = "restore the aggregator's newer database, or give the log a new name: whence-aggregator ledger continue"
        return ReceiptRefused("log-shorter", message, fix=fix)
    message = f"the aggregator does not prove that its log continues the {seen.size} entries that this machine has seen"
    return ReceiptRefused("log-unproven", message, fix="upgrade the aggregator before its agents")


def _fork(fork: Fork) -> Problem:
    kept, shown = (Checkpoint.parse(Note.parse(note.encode()).text) for note in (fork.kept, fork.shown))
    message = f"the log {one_line(shown.origin, 120)} has forked: what it signed over {shown.size} entries is not one"
    message += f" history with what it signed over {kept.size} (seen at {one_line(fork.seen_at, 40)})"
    return _problem("error", "log-forked", message, _FORK_FIX)


def _problem(severity: Severity, code: str, message: str, fix: str) -> Problem:
    return Problem(severity=severity, code=code, line=0, column=0, path="", message=message, fix=fix)
