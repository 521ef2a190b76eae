"""Receipts: a statement leaves the disk only once its receipt proves that it is in the log, which has one history.

The log's keys are those of the settings; without any, those that the aggregator named when this machine enrolled. Each
checkpoint must continue the last one that was accepted. With witnesses in the settings it must carry cosignatures of
theirs: then a replica that has the log's key cannot show this machine a log of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from whence_agent.ports_aggregator import AggregatorUnavailable, StatementReceipt
from whence_agent.progress.progress import Progress
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.seen_logs import Fork, SeenLogs
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

_REMEMBERED = "log-keys"
_COSIGNED_AFTER_SECONDS = 5.0
"""How long to wait before asking again: witnesses are shown checkpoints every ten seconds where nothing else is set."""


class ReceiptRefused(AggregatorUnavailable):
    """The aggregator took the statement, and its receipt is not enough for the statement to leave the disk."""


class ReceiptUnwitnessed(ReceiptRefused):
    """The statement is in the log, as the log says; the witnesses have not cosigned a checkpoint over it yet."""

    def __init__(self, message: str) -> None:
        fix = "it is asked for again; when this stays, see the aggregator's witnesses and `aggregator_witness_keys`"
        super().__init__("receipt-unwitnessed", message, fix=fix, retry_after_seconds=_COSIGNED_AFTER_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Whose signatures receipts need, as the settings say. No log keys: those named at enrolment."""

    log_keys: Sequence[VerifierKey] = ()
    witness_keys: Sequence[VerifierKey] = ()
    witnesses_least: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Trusted:
        """Read checked settings."""
        witnesses = tuple(map(VerifierKey.parse, settings.aggregator_witness_keys))
        least = settings.aggregator_witnesses_least
        return cls(
            log_keys=tuple(map(VerifierKey.parse, settings.aggregator_log_keys)),
            witness_keys=witnesses,
            witnesses_least=count_distinct(witnesses) if least is None else least,
        )


class Receipts:
    """Checks receipts for this machine's statements, and remembers what it saw of the log."""

    def __init__(self, *, key: InstanceKey, trusted: Trusted, seen: SeenLogs, progress: Progress) -> None:
        self._key = key
        self._trusted = trusted
        self._seen = seen
        self._progress = progress
        last = seen.last()
        self._origin = last.origin if last is not None else ""
        """The log that the last receipt was of, for which the next proof is asked."""
        self._news = False
        self._changed = ""
        self._tell()

    @property
    def seen_size(self) -> int | None:
        """The size that was seen of the log whose receipts come now."""
        found = self._seen.of(self._origin)
        return found[0].size if found is not None else None

    def take_news(self) -> bool:
        """Return, once, whether something about the log has been found that is to be stated."""
        news, self._news = self._news, False
        return news

    def learn(self, log_keys: Sequence[str]) -> None:
        """Remember the keys that an aggregator named at enrolment. Raises AggregatorUnavailable for no keys at all."""
        if self._trusted.log_keys:
            return
        try:
            known = [str(VerifierKey.parse(one)) for one in log_keys]
        except InputError as exc:
            message = "the aggregator named a log key that is not a verifier key"
            raise AggregatorUnavailable("answer-malformed", message) from exc
        self._key.remember(_REMEMBERED, {"keys": known})

    def check(self, receipt: StatementReceipt, envelope: bytes) -> None:
        """Accept a receipt for these bytes, or raise AggregatorUnavailable saying what it lacks.

        It must prove that the bytes are in the log, that the log continues what was seen, and who cosigned it.
        """
        if receipt.digest != sha256_digest(envelope):
            raise AggregatorUnavailable("receipt-for-other", "the receipt is for other bytes than were submitted")
        keys = self._trusted.log_keys or self._remembered()
        if not keys:
            if self._trusted.witness_keys:
                raise ReceiptUnwitnessed("the aggregator keeps no signed log that witnesses could cosign")
            return  # an aggregator that keeps no signed log has named no key
        try:
            proof = Receipt.parse(receipt.proof.encode())
            checkpoint, _ = proof.check(envelope, Policy(log_keys=keys))
        except InputError as exc:
            raise AggregatorUnavailable("receipt-invalid", f"the receipt proves nothing: {exc.message}") from exc
        if proof.index != receipt.ledger_index:
            raise AggregatorUnavailable("receipt-invalid", "the receipt is for another entry than the answer names")
        self._check_continues(checkpoint, proof.note, receipt.consistency)
        self._check_witnessed(keys, proof.note)
        self._keep(checkpoint, proof.note)

    def _check_continues(self, checkpoint: Checkpoint, note: Note, proof: Sequence[bytes] | None) -> None:
        """Refuse a checkpoint that does not belong to the history that was seen."""
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

    def _keep(self, checkpoint: Checkpoint, note: Note) -> None:
        found, before = self._seen.of(checkpoint.origin), self._seen.last()
        other = before is not None and before.origin != checkpoint.origin
        larger = found is None or found[0].size < checkpoint.size
        if not larger and not other:
            return
        if found is None and self._seen.full:
            message = "the aggregator has shown more logs than this machine keeps in mind"
            raise ReceiptRefused("logs-too-many", message, fix=_FORK_FIX)
        try:
            self._seen.keep(str(note) if found is None or larger else found[1])
        except OSError as exc:
            raise _disk(exc) from exc
        if before is not None and other:
            self._changed = f"the aggregator's log is {one_line(checkpoint.origin, 120)} now, and was"
            self._changed += f" {one_line(before.origin, 120)}: what it said before cannot be compared with it"
            log.error("the aggregator has another log", extra=fields(before=before.origin, now=checkpoint.origin))
            self._news = True
        self._tell()

    def _forked(self, kept: str, note: Note) -> str:
        """Keep the evidence; return what has happened."""
        fork = Fork(kept=kept, shown=str(note), seen_at=to_instant(self._progress.now()))
        try:
            new = self._seen.fork(fork)
        except OSError as exc:
            raise _disk(exc) from exc
        if new:
            log.error("the log has forked", extra=fields(kept=fork.kept, shown=fork.shown))
            self._news = True
        self._tell()
        return _fork(fork).message

    def _tell(self) -> None:
        """Show on the status, and in statements, what is wrong with the log."""
        found = [_fork(one) for one in self._seen.forks]
        if self._changed:
            found.append(_problem("warning", "log-changed", self._changed, _CHANGED_FIX))
        if self._seen.damaged:
            message = "what this machine had seen of the log could not be read: a fork since then would not be noticed"
            found.append(_problem("warning", "log-seen-damaged", message, "see the disk; replace the instance"))
        self._progress.delivered.record_log_problems(tuple(found))

    def _remembered(self) -> tuple[VerifierKey, ...]:
        found = self._key.remembered(_REMEMBERED).get("keys", [])
        try:
            return tuple(VerifierKey.parse(str(one)) for one in found)
        except (InputError, TypeError):
            return ()


_FORK_FIX = (
    "the log's key signed two histories: keep log-seen.json from the state directory, it is the proof, and ask who runs"
    " the aggregator; after a restored backup they must give the log a new name"
)
_CHANGED_FIX = "nothing, if who runs the aggregator announced it: an entry `log-key` of the new log says why"


def _disk(exc: OSError) -> ReceiptRefused:
    message = f"what was seen of the log cannot be kept: {exc.strerror}"
    return ReceiptRefused("disk-error", message, fix="see the disk's space and health")


def _unproven(seen: Checkpoint, checkpoint: Checkpoint) -> ReceiptRefused:
    if checkpoint.size < seen.size:
        message = f"the log has less than {seen.size} entries, which this machine has seen of it"
        fix = "restore the aggregator's newer database, or give the log a new name: whence-aggregator ledger continue"
        return ReceiptRefused("log-shorter", message, fix=fix)
    message = f"the aggregator does not prove that its log continues the {seen.size} entries that this machine has seen"
    return ReceiptRefused("log-unproven", message, fix="upgrade the aggregator before its agents")


def _fork(fork: Fork) -> Problem:
    kept, shown = (Checkpoint.parse(Note.parse(note.encode()).text) for note in (fork.kept, fork.shown))
    message = f"the log {one_line(shown.origin, 120)} has forked: what it signed over {shown.size} entries is not one"
    message += f" history with what it signed over {kept.size} (shown at {one_line(fork.seen_at, 40)})"
    return _problem("error", "log-forked", message, _FORK_FIX)


def _problem(severity: Severity, code: str, message: str, fix: str) -> Problem:
    return Problem(severity=severity, code=code, line=0, column=0, path="", message=message, fix=fix)
