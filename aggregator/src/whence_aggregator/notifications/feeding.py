"""Feeds destinations with the steps of violations: each step is planned once for each destination, in their order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.planning import Effect, Hold, Send, Skip, TakenStep, Told, plan
from whence_aggregator.notifications.rows import (
    DestinationState,
    away_destinations,
    destination_states,
    newest_index,
    newest_planned,
    taken_steps,
    told_by_violation,
)
from whence_aggregator.ports import Database, Transaction
from whence_aggregator.queries.notifications import (
    ADD_NOTIFICATION,
    ADD_NOTIFICATION_DESTINATION,
    AWAY_DESTINATIONS,
    DROP_AWAY_DESTINATION,
    DROP_NOTIFICATION_TRACK,
    DROP_NOTIFICATION_TRACKS,
    DROP_OLD_NOTIFICATIONS,
    FED_TO,
    HOLD_NOTIFICATION,
    NEWEST_STEP,
    NOTIFICATION_DESTINATIONS,
    NOTIFICATION_TRACKS,
    PUT_NOTIFICATION_TRACK,
    SKIP_NOTIFICATION,
    SKIP_WAITING_NOTIFICATIONS,
    STEPS_TO_PLAN,
    AddNotificationParameters,
    FedToParameters,
)
from whence_aggregator.queries.query import array
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

STEPS_AT_ONCE_MAX = 200
"""Steps that one transaction plans."""
AWAY = timedelta(days=7)
"""A destination that was not configured for so long begins with what is new, as one that was never there."""
FED_NOTED = TIDIED = timedelta(hours=1)
KEPT = timedelta(days=30)
"""How long it is kept what was sent or skipped."""


def message_id(destination: str, violation: str, ledger_index: int) -> str:
    """Return the id of a message: the same whenever and by whomever it is sent."""
    named = f"{destination}\n{violation}\n{ledger_index}"
    return f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class _Planned:
    """What follows from the steps of one transaction. A step is added first, and may then be held or skipped."""

    told: dict[str, Told | None] = field(default_factory=dict)
    added: list[AddNotificationParameters] = field(default_factory=list)
    held: dict[int, tuple[str, bool]] = field(default_factory=dict)
    skipped: dict[int, tuple[str, str]] = field(default_factory=dict)


class Feeding:
    """Plans deliveries. Several replicas may run it: each plans in a transaction, from where the last one ended."""

    def __init__(self, *, database: Database, destinations: Sequence[Destination], now: Now) -> None:
        self._database = database
        self._destinations: Mapping[str, Destination] = {one.name: one for one in destinations}
        self._now = now
        self._tidied: datetime | None = None

    async def start(self) -> None:
        """Let destinations that are new begin with what is new."""
        async with self._database.transaction() as transaction:
            newest = newest_index(await transaction.fetch(NEWEST_STEP.bind({})))
            known, now = await self._states(transaction), self._now()
            new = [
                name for name in self._destinations
                if name not in known or parse_instant(known[name].fed_at) + AWAY < now
            ]  # fmt: skip
            await transaction.execute(
                ADD_NOTIFICATION_DESTINATION.bind(
                    [{"name": name, "fed_index": newest, "fed_at": to_instant(now)} for name in new]
                ),
                SKIP_WAITING_NOTIFICATIONS.bind([{"destination": name, "done_at": to_instant(now)} for name in new]),
                DROP_NOTIFICATION_TRACKS.bind([{"destination": name} for name in new]),
            )
        for name in new:
            log.info("notifications begin with what is new", extra=fields(destination=name))

    async def feed(self) -> bool:
        """Plan the steps that are new; return whether there may be more."""
        newest = newest_index(await self._database.fetch(NEWEST_STEP.bind({})))
        now = self._now()
        rows = await self._database.fetch(NOTIFICATION_DESTINATIONS.bind({"names": array(sorted(self._destinations))}))
        more = False
        for one in destination_states(rows).values():
            if one.fed_index < newest:
                async with self._database.transaction() as transaction:
                    more |= await self.plan(transaction, one.name)
            elif parse_instant(one.fed_at) + FED_NOTED < now:
                fed_at = to_instant(now)
                await self._database.write(
                    FED_TO.bind([{"name": one.name, "fed_index": one.fed_index, "fed_at": fed_at}])
                )
        return more

    async def tidy(self) -> None:
        """Delete what was sent or skipped long ago, and retire destinations that nobody configures, once an hour."""
        now = self._now()
        if self._tidied is None or self._tidied + TIDIED < now:
            await self._database.write(DROP_OLD_NOTIFICATIONS.bind([{"before": to_instant(now - KEPT)}]))
            await self._retire(now)
            self._tidied = now

    async def _retire(self, now: datetime) -> None:
        """Skip what waits for destinations that no replica has had in its settings for a week."""
        before = to_instant(now - AWAY)
        away = away_destinations(await self._database.fetch(AWAY_DESTINATIONS.bind({"before": before})))
        for name in away:
            if name in self._destinations:
                continue
            async with self._database.transaction() as transaction:
                if not await transaction.fetch(DROP_AWAY_DESTINATION.bind({"name": name, "before": before})):
                    continue  # another replica has it again
                await transaction.execute(
                    SKIP_WAITING_NOTIFICATIONS.bind([{"destination": name, "done_at": to_instant(now)}]),
                    DROP_NOTIFICATION_TRACKS.bind([{"destination": name}]),
                )
            log.warning(
                "a destination was not configured for a week: what waited for it is not sent",
                extra=fields(destination=name),
            )

    async def plan(self, transaction: Transaction, name: str) -> bool:
        """Plan a destination's next steps in a transaction; return whether there may be more."""
        states = await self._states(transaction)
        rows = await transaction.fetch(
            STEPS_TO_PLAN.bind({"after": states[name].fed_index, "limit": STEPS_AT_ONCE_MAX})
        )
        if not rows:
            return False
        taken = taken_steps(rows)
        violations = array(sorted({one.after.id for one in taken}))
        tracks = await transaction.fetch(NOTIFICATION_TRACKS.bind({"destination": name, "violations": violations}))
        planned = _planned(told_by_violation(tracks), taken, self._destinations[name])
        await self._write(transaction, name, planned)
        fed: FedToParameters = {
            "name": name, "fed_index": newest_planned(rows), "fed_at": to_instant(self._now())
        }  # fmt: skip
        await transaction.execute(FED_TO.bind([fed]))
        return len(rows) == STEPS_AT_ONCE_MAX

    async def _states(self, transaction: Transaction) -> dict[str, DestinationState]:
        asked = NOTIFICATION_DESTINATIONS.bind({"names": array(sorted(self._destinations))})
        return destination_states(await transaction.fetch(asked))

    async def _write(self, transaction: Transaction, name: str, planned: _Planned) -> None:
        at = to_instant(self._now())
        await transaction.execute(
            ADD_NOTIFICATION.bind(planned.added),
            HOLD_NOTIFICATION.bind(
                [
                    {"destination": name, "violation": violation, "ledger_index": index, "held": int(held)}
                    for index, (violation, held) in planned.held.items()
                ]
            ),
            SKIP_NOTIFICATION.bind(
                [
                    {
                        "destination": name, "violation": violation, "ledger_index": index, "code": "skipped",
                        "failure": why, "done_at": at,
                    }
                    for index, (violation, why) in planned.skipped.items()
                ]
            ),
            DROP_NOTIFICATION_TRACK.bind(
                [
                    {"destination": name, "violation": violation}
                    for violation, told in planned.told.items()
                    if told is None
                ]
            ),
            PUT_NOTIFICATION_TRACK.bind(
                [
                    {
                        "destination": name, "violation": violation, "announced": told.announced,
                        "not_before": told.not_before, "committed": int(told.committed),
                    }
                    for violation, told in planned.told.items()
                    if told is not None
                ]
            ),
        )  # fmt: skip


def _planned(known: Mapping[str, Told], taken: Sequence[TakenStep], destination: Destination) -> _Planned:
    found = _Planned()
    for one in taken:
        violation = one.after.id
        before = found.told[violation] if violation in found.told else known.get(violation)
        found.told[violation], effects = plan(before, one, destination)
        for effect in effects:
            _note(found, effect, one, destination.name)
    return found


def _note(found: _Planned, effect: Effect, taken: TakenStep, destination: str) -> None:
    violation, index = taken.after.id, effect.ledger_index
    match effect:
        case Send():
            found.added.append(
                {
                    "destination": destination, "violation": violation, "ledger_index": index, "step": taken.step,
                    "id": message_id(destination, violation, index), "due_at": effect.due_at,
                }
            )  # fmt: skip
        case Hold():
            found.held[index] = violation, effect.held
        case Skip():
            found.skipped[index] = violation, effect.why
