"""Delivery: sends the statements in the outbox to the aggregator, and heartbeats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from whence_agent.ports_aggregator import (
    Aggregator,
    AggregatorUnavailable,
    EnrolmentRoad,
    IdentityProof,
    StatementReceipt,
)
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.report.disk_road import disk_as_unavailable
from whence_agent.report.enrolment import AgentEnrolment
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.outbox import Outbox, Waiting
from whence_agent.report.receipts import ReceiptRefused, Receipts
from whence_agent.report.reporter import Reporter
from whence_common.backoff import Backoff
from whence_common.clock import to_instant
from whence_common.heartbeat import Heartbeat, mac
from whence_common.identity_document import InstanceIdentity
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

_ROUND_SECONDS_MAX = 1200.0
"""Longest time for a full outbox and a slow aggregator; each call has a bound of its own."""
_LOST_BINDING = ("key-unknown", "heartbeat-mac", "enrolment-superseded", "receipt-invalid")
"""Codes after which the machine enrols again: its binding is lost, or the log has another key now."""
PERMANENT_CODES = frozenset(
    {
        "body-too-large", "entry-malformed", "envelope-malformed", "envelope-signature", "envelope-signatures",
        "envelope-too-large", "envelope-type", "image-source-of-other", "sequence-ahead", "sequence-conflict",
        "statement-malformed", "statement-of-other", "statement-too-deep", "statement-type", "text-unstorable",
    }
)  # fmt: skip
"""The aggregator's codes for a statement that it will never accept; it is moved to `refused`. After every other answer,
of the aggregator or of a proxy or firewall, the statement stays in the outbox."""
_BLOCKED = "http-4"
"""Prefix of codes of refusals by something other than the aggregator, such as a firewall that filters by content."""
BLOCKED_MAX = 3
"""After so many blocked statements the round ends; with fewer, the other statements are still delivered."""
_COUNTER_MOVES = ("heartbeat-behind", "heartbeat-ahead")
_SEQUENCE_MOVES = ("sequence-conflict", "sequence-ahead")
"""Codes after which the agent continues after the number that the aggregator states: its state directory is an older
copy."""
_BEATS_A_ROUND_MAX = 3
"""Each replica may have accepted a newer number than the previous one."""


class Delivery:
    """Delivers statements and heartbeats. A statement leaves the disk only once its receipt has been verified."""

    def __init__(
        self,
        *,
        aggregator: Aggregator,
        prover: IdentityProof,
        receipts: Receipts,
        key: InstanceKey,
        counter: HeartbeatCounter,
        owner: KeyOwner,
        outbox: Outbox,
        reporter: Reporter,
        progress: Progress,
        pulse: Pulse,
        heartbeat_seconds: float,
        pause_seconds_max: float,
        random: Callable[[], float],
    ) -> None:
        self._aggregator = aggregator
        self._receipts = receipts
        self._key = key
        self._counter = counter
        self._owner = owner
        self._outbox = outbox
        self._reporter = reporter
        self._progress = progress
        self._pulse = pulse
        self._heartbeat_seconds = heartbeat_seconds
        self._silent_seconds_max = heartbeat_seconds * 1.25 + pause_seconds_max * 4 + _ROUND_SECONDS_MAX
        self._random = random
        self._backoff = Backoff(first_seconds=0.5, longest_seconds=pause_seconds_max, random=random)
        self._enrolment = AgentEnrolment(
            prover=prover, receipts=receipts, key=key, owner=owner, reporter=reporter, progress=progress
        )
        self._submitted: set[int] = set()
        """Sequences of submitted statements whose receipts are not accepted yet."""
        self._followed = False
        self._delivering = asyncio.Lock()

    async def enrol(self) -> None:
        """Bind this instance to its key, unless it is bound already. Raises AggregatorUnavailable."""
        await self._enrolment.bind(self._aggregator)

    async def enrol_over(self, road: EnrolmentRoad) -> None:
        """Bind this instance to its key at another endpoint, a registry front. Raises AggregatorUnavailable."""
        await self._enrolment.bind(road, again=True)

    def identify(self, identity: InstanceIdentity) -> None:
        """Replace the key if it belongs to another machine. To be called before it signs anything."""
        self._enrolment.identify(identity)

    async def run(self) -> None:
        """Deliver until cancelled, with back-off while the aggregator is unreachable or refuses."""
        await self._progress.boot.identified.wait()
        attempt = 0
        while True:
            self._pulse.beat("delivery", silent_seconds_max=self._silent_seconds_max)
            try:
                await self.enrol()
                await self.deliver()
            except AggregatorUnavailable as exc:
                attempt += 1
                self._failed(exc)
                await pause(self._backoff.seconds(attempt, at_least_seconds=exc.retry_after_seconds))
                continue
            attempt = 0
            self._progress.delivered.clear_error()
            await pause(self._heartbeat_seconds * (0.75 + 0.5 * self._random()), self._outbox.arrived)

    async def deliver(self) -> None:
        """Deliver the outbox and send a heartbeat, even if a receipt is refused. Raises AggregatorUnavailable."""
        try:
            await self._deliver_all()
        except ReceiptRefused:
            await self._heartbeat()
            raise
        await self._heartbeat()

    async def flush(self, *, seconds_max: float) -> None:
        """Deliver the outbox for at most so many seconds; the rest stays on disk."""
        try:
            async with asyncio.timeout(seconds_max):
                await self.enrol()
                await self._deliver_all()
        except (AggregatorUnavailable, TimeoutError) as exc:
            log.warning("statements wait on disk", extra=fields(waiting=len(self._outbox), reason=str(exc)))

    async def _deliver_all(self) -> None:
        """Deliver the whole outbox, oldest first. Raises AggregatorUnavailable if it must be tried again."""
        async with self._delivering:
            with disk_as_unavailable():
                await self._deliver_waiting()

    async def _deliver_waiting(self) -> None:
        """Deliver in order. Blocked statements and insufficient receipts delay only a few others."""
        blocked: list[AggregatorUnavailable] = []
        unproven: list[AggregatorUnavailable] = []
        after = -1
        while (waiting := self._outbox.oldest(after=after)) is not None:
            after = waiting.sequence
            if unproven and after in self._submitted:
                continue  # an older statement waits for its receipt, and this one would too
            try:
                receipt = await self._aggregator.submit(waiting.envelope)
            except AggregatorUnavailable as exc:
                if not exc.retryable and exc.code in PERMANENT_CODES and not self._enrolment.starts_over(exc.code):
                    self._refused(waiting, exc)
                    if self._follow(exc):
                        after = -1  # the new statement may have a lower sequence
                    continue
                blocked.append(exc)
                if not exc.code.startswith(_BLOCKED) or len(blocked) >= BLOCKED_MAX:
                    raise
                continue
            try:
                self._accept(waiting, receipt)
            except ReceiptRefused as exc:
                unproven.append(exc)
        for first in (*blocked, *unproven):
            raise first

    def _accept(self, waiting: Waiting, receipt: StatementReceipt) -> None:
        """Remove a statement from disk if its receipt is sufficient. Raises AggregatorUnavailable."""
        try:
            self._receipts.check(receipt, waiting.envelope)
        except ReceiptRefused:
            self._submitted.add(waiting.sequence)
            raise
        self._submitted.discard(waiting.sequence)
        self._acknowledged(waiting, receipt.ledger_index)
        self._state_log_findings()

    def _state_log_findings(self) -> None:
        """State everything again if there are new findings about the log; a new log lacks the earlier statements."""
        if self._receipts.take_findings():
            self._reporter.restate()

    def _refused(self, waiting: Waiting, exc: AggregatorUnavailable) -> None:
        """Move a statement that the aggregator will never accept to `refused`. Raises AggregatorUnavailable."""
        log.error("statement refused", extra=fields(sequence=waiting.sequence, code=exc.code, message=exc.message))
        try:
            self._outbox.refuse(waiting.sequence, exc.code)
        except OSError as error:
            message = f"a refused statement ({exc.code}) cannot be moved to `refused`: {error}"
            fix = "check the disk and the permissions of the state directory"
            raise AggregatorUnavailable("outbox-unwritable", message, fix=fix) from error
        self._progress.delivered.record_refusal(f"{exc.code}: {exc.message}; see {self._outbox.refused_directory}")
        self._count()

    def _follow(self, exc: AggregatorUnavailable) -> bool:
        """State everything again after the last accepted sequence; return whether that was done.

        Not repeated before a statement is acknowledged.
        """
        if exc.code not in _SEQUENCE_MOVES or exc.last_taken is None or self._followed:
            return False
        self._followed = True
        self._key.continue_after(exc.last_taken)
        self._reporter.restate()
        return True

    def _acknowledged(self, waiting: Waiting, ledger_index: int) -> None:
        self._outbox.remove(waiting.sequence)
        self._followed = False
        self._progress.delivered.record_acknowledgement(at=to_instant(self._progress.now()), ledger_index=ledger_index)
        self._count()
        log.info("statement acknowledged", extra=fields(sequence=waiting.sequence, ledger_index=ledger_index))

    async def _heartbeat(self) -> None:
        identity, enrolled = self._progress.boot.observed.identity, self._enrolment.enrolled
        if identity is None or enrolled is None or self._reporter.last_digest is None:
            return
        for attempt in range(1, _BEATS_A_ROUND_MAX + 1):
            heartbeat = Heartbeat(
                instance_id=identity.instance_id,
                enrolment=enrolled.number,
                counter=self._counter.take(),
                sequence=self._reporter.last_sequence,
                state_digest=self._reporter.last_digest,
                sent_at=self._progress.now(),
            )
            body = heartbeat.to_wire()
            try:
                await self._aggregator.heartbeat(body, mac(enrolled.heartbeat_key, body))
            except AggregatorUnavailable as exc:
                if exc.code not in _COUNTER_MOVES or exc.last_taken is None:
                    raise
                self._counter.follow(exc.last_taken, ahead=exc.code == "heartbeat-ahead")
                if attempt == _BEATS_A_ROUND_MAX:
                    raise
            else:
                break
        self._progress.delivered.record_heartbeat(to_instant(heartbeat.sent_at))
        with disk_as_unavailable():
            self._owner.confirm()

    def _failed(self, exc: AggregatorUnavailable) -> None:
        self._state_log_findings()
        if exc.code in _LOST_BINDING:
            self._enrolment.lose()
        if exc.message != self._progress.delivered.error:
            log.warning("aggregator unavailable", extra=fields(code=exc.code, message=exc.message))
        self._progress.delivered.record_error(exc.diagnostics())
        self._count()

    def _count(self) -> None:
        self._progress.delivered.set_counts(
            waiting=len(self._outbox), dropped=self._outbox.dropped, refused=self._outbox.refused
        )
