"""Delivery: tells the aggregator what waits on disk, and stays in touch."""

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
from whence_agent.report.disk_road import disk_as_road
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
"""A long outbox told to a slow aggregator; each call has a bound of its own."""
_LOST_BINDING = ("key-unknown", "heartbeat-mac", "enrolment-superseded", "receipt-invalid")
"""After these the machine enrols again: the binding is gone, or the log has another key now."""
ENDING_CODES = frozenset(
    {
        "body-too-large", "entry-malformed", "envelope-malformed", "envelope-signature", "envelope-signatures",
        "envelope-too-large", "envelope-type", "image-source-of-other", "sequence-ahead", "sequence-conflict",
        "statement-malformed", "statement-of-other", "statement-too-deep", "statement-type", "text-unstorable",
    }
)  # fmt: skip
"""What the aggregator says of a statement that it will never take, whenever it is sent: it is kept aside then. After
every other answer, of the aggregator or of anything else on the road, the statement stays in the outbox."""
_STOPPED = "http-4"
"""Codes of refusals by something else than the aggregator: a firewall may stop a statement for its size or content."""
STOPPED_MAX = 3
"""So many statements that are stopped end a round; the others wait no longer for fewer than that."""
_COUNTER_MOVES = ("heartbeat-behind", "heartbeat-ahead")
_SEQUENCE_MOVES = ("sequence-conflict", "sequence-ahead")
"""After these the agent goes on after the number that the aggregator states: its state directory is an older copy."""
_BEATS_A_ROUND_MAX = 3
"""Each replica may know a newer number than the one before."""


class Delivery:
    """The road to the aggregator. A statement leaves the disk only once its receipt names its digest."""

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
        """Sequences that the aggregator took, and whose receipts are not accepted yet."""
        self._followed = False
        self._delivering = asyncio.Lock()

    async def enrol(self) -> None:
        """Bind this instance to its key, unless that is done. Raises AggregatorUnavailable."""
        await self._enrolment.bind(self._aggregator)

    async def enrol_over(self, road: EnrolmentRoad) -> None:
        """Bind this instance to its key over another road than the aggregator's own. Raises AggregatorUnavailable."""
        await self._enrolment.bind(road, again=True)

    def identify(self, identity: InstanceIdentity) -> None:
        """See whose key this is, before it signs anything; a key of another machine is replaced."""
        self._enrolment.identify(identity)

    async def run(self) -> None:
        """Deliver for ever; back off while the aggregator is away or refuses."""
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
        """Tell what waits, and that the machine is there, whatever receipts are worth. Raises AggregatorUnavailable."""
        try:
            await self._deliver_all()
        except ReceiptRefused:
            await self._heartbeat()
            raise
        await self._heartbeat()

    async def flush(self, *, seconds_max: float) -> None:
        """Deliver what waits, as far as that is possible in so many seconds; the rest stays on disk."""
        try:
            async with asyncio.timeout(seconds_max):
                await self.enrol()
                await self._deliver_all()
        except (AggregatorUnavailable, TimeoutError) as exc:
            log.warning("statements wait on disk", extra=fields(waiting=len(self._outbox), reason=str(exc)))

    async def _deliver_all(self) -> None:
        """Tell everything that waits, oldest first. Raises AggregatorUnavailable when it is to be tried again."""
        async with self._delivering:
            with disk_as_road():
                await self._deliver_waiting()

    async def _deliver_waiting(self) -> None:
        """Deliver in order. What something on the road stops, or whose receipt is not enough, holds back few others."""
        stopped: list[AggregatorUnavailable] = []
        unproven: list[AggregatorUnavailable] = []
        after = -1
        while (waiting := self._outbox.oldest(after=after)) is not None:
            after = waiting.sequence
            if unproven and after in self._submitted:
                continue  # what is older waits still, and so would this one
            try:
                receipt = await self._aggregator.submit(waiting.envelope)
            except AggregatorUnavailable as exc:
                if not exc.retryable and exc.code in ENDING_CODES and not self._enrolment.is_doubted(exc.code):
                    self._refused(waiting, exc)
                    if self._follow(exc):
                        after = -1  # what is stated again may have a lower sequence
                    continue
                stopped.append(exc)
                if not exc.code.startswith(_STOPPED) or len(stopped) >= STOPPED_MAX:
                    raise
                continue
            try:
                self._accept(waiting, receipt)
            except ReceiptRefused as exc:
                unproven.append(exc)
        for first in (*stopped, *unproven):
            raise first

    def _accept(self, waiting: Waiting, receipt: StatementReceipt) -> None:
        """Let a statement leave the disk whose receipt is enough. Raises AggregatorUnavailable."""
        try:
            self._receipts.check(receipt, waiting.envelope)
        except ReceiptRefused:
            self._submitted.add(waiting.sequence)
            raise
        self._submitted.discard(waiting.sequence)
        self._acknowledged(waiting, receipt.ledger_index)
        self._state_news()

    def _state_news(self) -> None:
        """State everything once more when there is news of the log: another one lacks what the last one had."""
        if self._receipts.take_news():
            self._reporter.restate()

    def _refused(self, waiting: Waiting, exc: AggregatorUnavailable) -> None:
        """Keep a statement aside that the aggregator will never take. Raises AggregatorUnavailable."""
        log.error("statement refused", extra=fields(sequence=waiting.sequence, code=exc.code, message=exc.message))
        try:
            self._outbox.refuse(waiting.sequence, exc.code)
        except OSError as error:
            message = f"a refused statement ({exc.code}) cannot be kept aside: {error}"
            raise AggregatorUnavailable("outbox-unwritable", message, fix="see the disk and the permissions") from error
        self._progress.delivered.record_refusal(f"{exc.code}: {exc.message}; see {self._outbox.refused_directory}")
        self._count()

    def _follow(self, exc: AggregatorUnavailable) -> bool:
        """State everything once more after the last sequence taken; not again before something is acknowledged.

        Return whether that was done.
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
        with disk_as_road():
            self._owner.confirm()

    def _failed(self, exc: AggregatorUnavailable) -> None:
        self._state_news()
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
