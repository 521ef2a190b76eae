"""Violations whose steps a test takes, and a receiver in this process that refuses, fails and dies as it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.clocks import FakeClock
from whence_aggregator.notifications.delivering import Delivering, DeliveryPatience, Lane
from whence_aggregator.notifications.destination import STEPS, Destination
from whence_aggregator.notifications.feeding import Feeding
from whence_aggregator.notifications.outcome import ACCEPTED, DeliveryOutcome, Parcel
from whence_aggregator.notifications.service import Notifying
from whence_aggregator.ports import Database
from whence_aggregator.projections.violations import project_violation_steps
from whence_aggregator.violations.group import Group
from whence_common.backoff import Backoff
from whence_common.clock import to_instant

FAILED = DeliveryOutcome(kind="failed", code="http-503", reason="hooks.example.org answers with HTTP 503")
REFUSED = DeliveryOutcome(kind="refused", code="http-400", reason="hooks.example.org answers with HTTP 400")
GONE = DeliveryOutcome(kind="gone", code="gone", reason="hooks.example.org answers with HTTP 410")
PATIENCE = DeliveryPatience(
    delivery=Backoff(first_seconds=10.0, longest_seconds=3_600.0, random=lambda: 1.0),
    destination=Backoff(first_seconds=1.0, longest_seconds=300.0, random=lambda: 1.0),
    finish_seconds_max=0.01,
    mark_seconds=0.0,
)


def everything(name: str = "ops", **changes: Any) -> Destination:
    """Return a destination that is told of every step at once."""
    stated: dict[str, Any] = {"kind": "webhook", "host": "hooks.example.org", "steps": frozenset(STEPS)}
    return Destination(name=name, **{**stated, **changes})


class Killed(BaseException):
    """The process ended here."""


class Violations:
    """Takes steps of violations, each a millisecond and an entry further in a log that has nothing else."""

    def __init__(self, database: Database, clock: FakeClock, *, first: int = 0) -> None:
        self._database = database
        self._clock = clock
        self.next = first

    async def step(
        self, step: str, subject: str = "greeter@1.0", *, team: str = "hello", severity: int = 3, **more: Any
    ) -> int:
        """Take a step now; return its index."""
        at = to_instant(self._clock())
        group = Group(rule="image-unsigned", kind="version", subject=subject)
        event: dict[str, Any] = {
            "step": step, "at": at, "by": "", "account_id": "123456789012", "reason": "no signature",
            "violation": {"id": group.id, "rule": group.rule, "kind": group.kind, "subject": subject},
        }  # fmt: skip
        if step in ("opened", "reopened", "changed"):
            detail = {"title": "The image is not signed", "remedy": "sign it", "source": "rule", "tokens": []}
            event["about"] = {
                "application_id": subject.partition("@")[0], "account_id": "123456789012", "team": team,
                "severity": severity, "detail": detail,
            }  # fmt: skip
        if step in ("opened", "reopened", "unconfirmed"):
            event["since"] = at
        if step == "acknowledged":
            event |= {"by": "ada", "comment": "on it"}
        if step == "exempted":
            event |= {
                "by": "olga",
                "comment": "accepted",
                "exemption": {"id": "e-1", "until": "2027-01-01T00:00:00.000Z"},
            }
        index, self.next = self.next, self.next + 1
        async with self._database.transaction() as transaction:
            await project_violation_steps(transaction, [(index, {**event, **more})])
        self._clock.advance(0.001)
        return index


@dataclass
class Receiver:
    """A Sender that keeps what arrives. `answers` are given in turn; then everything is accepted."""

    answers: deque[DeliveryOutcome] = field(default_factory=deque)
    killed_before: bool = False
    """The process dies before the message leaves."""
    killed_after: bool = False
    """It dies after the message was received, and before that is noted."""
    got: list[Parcel] = field(default_factory=list)
    tried: list[Parcel] = field(default_factory=list)

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        self.tried.append(parcel)
        if self.killed_before:
            self.killed_before = False
            raise Killed
        answer = self.answers.popleft() if self.answers else ACCEPTED
        if answer.kind == "accepted":
            self.got.append(parcel)
        if self.killed_after:
            self.killed_after = False
            raise Killed
        return answer

    @property
    def steps(self) -> list[str]:
        return [one.step for parcel in self.got for one in parcel.notifications]

    @property
    def indexes(self) -> list[int]:
        return [one.ledger_index for parcel in self.got for one in parcel.notifications]


class House:
    """Everything that notifies, over a database and a clock; `holder` names the process."""

    def __init__(
        self, database: Database, clock: FakeClock, destinations: Sequence[Destination], *, holder: str = "a",
        receivers: dict[str, Receiver] | None = None, patience: DeliveryPatience = PATIENCE,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.receivers = receivers or {one.name: Receiver() for one in destinations}
        self.counted: list[tuple[str, str]] = []
        lanes = [Lane(destination=one, sender=self.receivers[one.name]) for one in destinations]
        self.feeding = Feeding(database=database, destinations=destinations, now=clock)
        self.delivering = Delivering(
            database=database, feeding=self.feeding, lanes=lanes, holder=holder, patience=patience, now=clock,
            count=lambda *of: self.counted.append(of),
        )  # fmt: skip
        self.service = Notifying(feeding=self.feeding, delivering=self.delivering)

    async def turn(self) -> None:
        """Plan what is new, and send what is due."""
        while await self.feeding.feed():
            pass
        for name in await self.delivering.due():
            await self.delivering.run(name)
