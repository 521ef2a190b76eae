"""Delivers what is due: claims it for the holder of the destination's lease, sends it, and marks what became of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.feeding import Feeding
from whence_aggregator.notifications.flood import SUMMARY_STEPS_MAX, WINDOW, SentMessages, rest_until, turn
from whence_aggregator.notifications.outcome import DeliveryOutcome, Parcel, Sender
from whence_aggregator.notifications.rows import WaitingDelivery, destination_states, sent_messages, waiting
from whence_aggregator.ports import Database, StorageUnavailable, Transaction
from whence_aggregator.queries.notifications import (
    BEGUN_DIGEST,
    DISABLE_DESTINATION,
    LEASE_DESTINATION,
    MARK_DESTINATION,
    MARK_NOTIFICATION,
    NEXT_DIGEST,
    NEXT_NOTIFICATION,
    NOTIFICATION_DESTINATIONS,
    NOTIFIED_SINCE,
    RELEASE_DESTINATION,
    TRY_NOTIFICATION,
    DisableDestinationParameters,
    MarkDestinationParameters,
    MarkNotificationParameters,
)
from whence_aggregator.queries.query import BoundCommand, array
from whence_common.backoff import Backoff
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

LEASE_SECONDS = 180.0
"""Longer than a message takes with its mark (webhooks.SECONDS_MAX, smtp_mailer.SECONDS_MAX)."""
PARCELS_AT_ONCE_MAX = 100
"""After so many, the others of a destination wait for the next turn."""
DIGEST_STEPS_MAX = 1_000
MARKS_MAX = 10
RETRY_AFTER_SECONDS_MAX = 4 * 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A destination with what sends to it."""

    destination: Destination
    sender: Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPatience:
    """How long is waited after a failure: before the delivery is tried again, and before the destination is."""

    delivery: Backoff
    destination: Backoff
    finish_seconds_max: float = 10.0
    """For a message that is under way when the program stops."""
    mark_seconds: float = 2.0
    """Before an outcome that could not be noted is noted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    parcel: Parcel
    tried: Sequence[WaitingDelivery]
    """As they were before this try."""
    failures: int
    """Of the destination, one after the other."""
    rest_until: datetime | None = None
    """Until when the destination gets no more, once this one has arrived."""


class Delivering:
    """Sends to destinations. `holder` names this process among replicas; `count` is told destination and outcome."""

    def __init__(
        self, *, database: Database, feeding: Feeding, lanes: Sequence[Lane], holder: str,
        patience: DeliveryPatience, now: Now, count: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._database = database
        self._feeding = feeding
        self._lanes: Mapping[str, Lane] = {one.destination.name: one for one in lanes}
        self._holder = holder
        self._patience = patience
        self._now = now
        self._count = count

    async def due(self) -> list[str]:
        """Return the destinations to which something may be sent now."""
        rows = await self._database.fetch(NOTIFICATION_DESTINATIONS.bind({"names": array(sorted(self._lanes))}))
        now, found = self._now(), []
        for one in destination_states(rows).values():
            until = self._lanes[one.name].destination.hours.ready_until(now)
            if not one.due_at or one.disabled_at or one.paused_until > to_instant(now) or until is None:
                continue
            if one.due_at <= to_instant(until):
                found.append(one.name)
        return found

    async def run(self, name: str) -> int:
        """Send what is due to a destination, one message after the other; return their number."""
        lane = self._lanes[name]
        for number in range(PARCELS_AT_ONCE_MAX):
            claimed = await self._claim(lane)
            if claimed is None:
                return number
            await self._finished(self._deliver(lane, claimed))
        return PARCELS_AT_ONCE_MAX

    async def _deliver(self, lane: Lane, claimed: _Claimed) -> None:
        outcome = await _sent(lane, claimed.parcel, self._now())
        await self._mark(lane.destination, claimed, outcome)

    async def _finished(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work; if the program stops meanwhile, give it time to end, else a message would be sent twice."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=self._patience.finish_seconds_max)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def _claim(self, lane: Lane) -> _Claimed | None:
        """Return the next message after noting the try; None if there is none, or another replica sends.

        Every step of until now is planned first, so that nothing is sent that has ended meanwhile.
        """
        name = lane.destination.name
        async with self._database.transaction() as transaction:
            if await self._feeding.plan(transaction, name):
                return None  # the next turn plans the others
            now = self._now()
            until = lane.destination.hours.ready_until(now)
            sent = await self._messages(transaction, lane.destination, now)
            if until is None or not await self._next(transaction, lane.destination, until, sent):
                return None
            lease = to_instant(now + timedelta(seconds=LEASE_SECONDS))
            leased = await transaction.fetch(
                LEASE_DESTINATION.bind(
                    {"name": name, "lease_by": self._holder, "lease_until": lease, "now": to_instant(now)}
                )
            )
            if not leased:
                return None
            sent = await self._messages(transaction, lane.destination, now)  # another replica may have sent one
            found = await self._next(transaction, lane.destination, until, sent)
            if not found:
                await transaction.execute(RELEASE_DESTINATION.bind([{"name": name, "lease_by": self._holder}]))
                return None
            (state,) = destination_states(
                await transaction.fetch(NOTIFICATION_DESTINATIONS.bind({"names": array([name])}))
            ).values()
            parcel = _parcel(lane.destination, found)
            digest = parcel.id if parcel.id != found[0].notification.id else ""
            await transaction.execute(
                TRY_NOTIFICATION.bind(
                    [
                        {
                            "destination": name, "violation": one.violation, "digest": digest,
                            "ledger_index": one.notification.ledger_index, "attempts": one.attempts + 1,
                            "first_tried_at": one.first_tried_at or to_instant(now),
                        }
                        for one in found
                    ]
                )
            )  # fmt: skip
        rest = rest_until(sent, now=now, bound=lane.destination.messages_per_hour_max)
        return _Claimed(parcel=parcel, tried=found, failures=state.failures, rest_until=rest)

    async def _messages(self, transaction: Transaction, destination: Destination, now: datetime) -> SentMessages:
        if destination.messages_per_hour_max is None:
            return SentMessages(count=0, oldest="")
        since = to_instant(now - WINDOW)
        asked = NOTIFIED_SINCE.bind({"destination": destination.name, "since": since})
        return sent_messages(await transaction.fetch(asked))

    async def _next(
        self, transaction: Transaction, destination: Destination, until: datetime, sent: SentMessages
    ) -> list[WaitingDelivery]:
        """Return the steps of the next message: those of one that was begun first."""
        name, next_turn = destination.name, turn(sent, bound=destination.messages_per_hour_max)
        if next_turn == "none":
            return []
        begun = waiting(await transaction.fetch(BEGUN_DIGEST.bind({"destination": name})))
        if begun:
            return begun
        if destination.kind == "mail" or next_turn == "all":
            limit = DIGEST_STEPS_MAX if destination.kind == "mail" else SUMMARY_STEPS_MAX
            wanted = NEXT_DIGEST.bind({"destination": name, "until": to_instant(until), "limit": limit})
            found = waiting(await transaction.fetch(wanted))
            if destination.kind == "mail" or (found := _untried(found)):
                return found
        asked = NEXT_NOTIFICATION.bind({"destination": name, "until": to_instant(until)})
        return waiting(await transaction.fetch(asked))

    async def _mark(self, destination: Destination, claimed: _Claimed, outcome: DeliveryOutcome) -> None:
        now = self._now()
        rows = [self._marked(destination, one, outcome, now) for one in claimed.tried]
        died = [row for row in rows if row["state"] == "dead"]
        failed = outcome.kind == "failed"
        failures = claimed.failures + 1 if failed else 0
        rest = destination.seconds_between
        if outcome.kind == "accepted" and claimed.rest_until is not None:
            rest = max(rest, (claimed.rest_until - now).total_seconds())
        if failed:
            stated = min(outcome.retry_after_seconds or 0.0, RETRY_AFTER_SECONDS_MAX)
            rest = max(self._patience.destination.seconds(failures), stated)
        state: MarkDestinationParameters = {
            "name": destination.name, "failures": failures, "lease_by": self._holder,
            "paused_until": to_instant(now + timedelta(seconds=rest)) if rest else "",
        }  # fmt: skip
        writes = [MARK_NOTIFICATION.bind(rows), MARK_DESTINATION.bind([state])]
        if outcome.kind == "gone":
            gone: DisableDestinationParameters = {
                "name": destination.name, "disabled_at": to_instant(now), "disabled_reason": outcome.reason,
            }  # fmt: skip
            writes.append(DISABLE_DESTINATION.bind([gone]))
        await self._write(writes)
        self._count(destination.name, "dead" if died else outcome.kind)
        _log(destination, claimed, outcome, dead=bool(died))

    async def _write(self, writes: Sequence[BoundCommand]) -> None:
        """Note an outcome; a database that is busy for a moment is no reason to send a message twice."""
        for _ in range(MARKS_MAX - 1):
            try:
                await self._database.write(*writes)
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                await pause(self._patience.mark_seconds)
            else:
                return
        await self._database.write(*writes)

    def _marked(
        self, destination: Destination, one: WaitingDelivery, outcome: DeliveryOutcome, now: datetime
    ) -> MarkNotificationParameters:  # fmt: skip
        first = parse_instant(one.first_tried_at) if one.first_tried_at else now
        late = now - first >= timedelta(seconds=destination.give_up_after_seconds)
        state, due_at, code = "waiting", "", outcome.code
        if outcome.kind == "accepted":
            state = "sent"
        elif outcome.kind == "refused" or (outcome.kind == "failed" and late):
            state = "dead"
        elif outcome.kind == "failed" and destination.kind != "mail" and not one.digest:
            rest = self._patience.delivery.seconds(one.attempts + 1, at_least_seconds=outcome.retry_after_seconds)
            due_at = to_instant(now + timedelta(seconds=rest))
        return {
            "destination": destination.name, "violation": one.violation,
            "ledger_index": one.notification.ledger_index, "attempts": one.attempts + 1, "state": state,
            "due_at": due_at, "code": code, "failure": outcome.reason,
            "done_at": to_instant(now) if state != "waiting" else "",
        }  # fmt: skip


async def _sent(lane: Lane, parcel: Parcel, now: datetime) -> DeliveryOutcome:
    """Send a message. One that our own bug breaks must not end the program again and again."""
    try:
        return await lane.sender.send(parcel, now)
    except Exception:
        log.exception("a bug made a notification fail", extra=fields(destination=lane.destination.name, id=parcel.id))
        return DeliveryOutcome(kind="failed", code="bug", reason="the aggregator failed; see its log")


def _untried(found: Sequence[WaitingDelivery]) -> list[WaitingDelivery]:
    """Return what a summary may state: what was tried alone may have arrived, and is sent again with its own id."""
    tried = {one.violation for one in found if one.attempts}
    return [one for one in found if one.violation not in tried]


def _parcel(destination: Destination, found: Sequence[WaitingDelivery]) -> Parcel:
    notifications = [one.notification for one in found]
    if destination.kind != "mail" and len(found) == 1 and not found[0].digest:
        return Parcel(id=notifications[0].id, notifications=notifications)
    named = "\n".join(sorted(one.id for one in notifications))
    kind = "digest-" if destination.kind == "mail" else "msg_"
    identity = found[0].digest or f"{kind}{hashlib.sha256(named.encode()).hexdigest()[:32]}"
    return Parcel(id=identity, notifications=notifications)


def _log(destination: Destination, claimed: _Claimed, outcome: DeliveryOutcome, *, dead: bool) -> None:
    about = fields(
        destination=destination.name, id=claimed.parcel.id, steps=len(claimed.tried), code=outcome.code,
        reason=outcome.reason,
    )  # fmt: skip
    if outcome.kind == "gone":
        log.error("a destination wants no more notifications, and is switched off", extra=about)
    elif dead:
        log.error("a notification is a dead letter", extra=about)
    elif outcome.kind == "failed":
        log.warning("a notification failed, and is tried again", extra=about)
    elif outcome.code:
        log.warning("notified, but not everybody", extra=about)
    else:
        log.info("notified", extra=about)
