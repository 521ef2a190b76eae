"""A trail's queue and buckets that deliver at least once, and what reads them over a house's database.

Each call to the outside, and each write, is a step at which the reader can die: `dies_at` counts them. What died is made
anew over the same database and the same AWS.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fakes.cloud_trail import ACCOUNT, BUCKET, REGION
from fakes.in_process import InProcess
from whence_aggregator.adapters.log_file_readers import InThreads
from whence_aggregator.events.allowed import AllowedTrails
from whence_aggregator.events.dead_box import DeadBox, Replaying
from whence_aggregator.events.digest_verifying import DigestVerifying
from whence_aggregator.events.file_reading import LogFileReading
from whence_aggregator.events.intake import TrailIntake
from whence_aggregator.events.ports import QueuedMessage, ReadObject, TrailPublicKey
from whence_aggregator.events.recorder import EventRecorder
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.taking import DIGEST_KIND, LOG_KIND, REPLAY_KIND, MessagePlace, MessageTaker
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, SourceUnavailable, Transaction
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.wiring.work import kinds_of
from whence_aggregator.work.task import Work
from whence_common.backoff import Backoff
from whence_common.ledger_entry import kind_of

QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/trail"


class Died(BaseException):
    """The process was killed at this step."""


@dataclass
class Steps:
    """Counts steps; at the one that is chosen, the process dies."""

    dies_at: int = 0
    count: int = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            raise Died


@dataclass
class FakeQueue:
    """A queue; a message that is not deleted is delivered again, in any order, and sometimes though it was deleted."""

    steps: Steps
    random: Random
    url: str = QUEUE
    region: str = REGION
    bodies: dict[str, str] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    """Bodies that are delivered once more after they were deleted."""
    failing: list[SourceUnavailable] = field(default_factory=list)
    """Raised by the next receives, in turn."""
    delivered: int = 0

    def send(self, body: str, *, copies: int = 1) -> None:
        for _ in range(copies):
            self.bodies[f"receipt-{len(self.bodies)}-{self.random.random()}"] = body

    async def receive(self) -> Sequence[QueuedMessage]:
        self.steps.step()
        if self.failing:
            raise self.failing.pop(0)
        receipts = sorted(self.bodies)
        self.random.shuffle(receipts)
        found = [QueuedMessage(body=self.bodies[one], receipt=one, sent_at=1) for one in receipts[:3]]
        self.delivered += len(found)
        return found

    async def extend(self, receipts: Sequence[str]) -> None:
        self.steps.step()

    async def delete(self, receipts: Sequence[str]) -> None:
        for one in receipts:
            self.steps.step()
            self.bodies.pop(one, None)
        for body in self.again:
            self.send(body)
        self.again.clear()

    async def waiting(self) -> int:
        return len(self.bodies)


@dataclass
class FakeObjects:
    """Buckets; `failing` is raised by the next reads of a key, in turn."""

    steps: Steps
    stored: dict[tuple[str, str], ReadObject] = field(default_factory=dict)
    failing: dict[str, list[SourceUnavailable]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def put(self, key: str, content: bytes, *, bucket: str = BUCKET, signature: str = "", made: str = "") -> None:
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.stored[bucket, key] = ReadObject(content=content, etag=etag, signature=signature, generated_at=made)

    async def read(self, bucket: str, key: str, *, unless_etag: str = "") -> ReadObject | None:
        self.steps.step()
        if self.failing.get(key):
            raise self.failing[key].pop(0)
        found = self.stored.get((bucket, key))
        if found is None:
            raise TrailRefused("object-missing", f"s3://{bucket}/{key} does not exist")
        if found.etag == unless_etag:
            return None
        self.reads.append(key)
        return found


@dataclass
class FakeKeys:
    """CloudTrail's public keys by region."""

    keys: dict[str, list[TrailPublicKey]] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    failing: list[SourceUnavailable] = field(default_factory=list)

    async def listed(self, region: str, *, starts_at: int, ends_at: int) -> Sequence[TrailPublicKey]:
        if self.failing:
            raise self.failing.pop(0)
        self.asked.append((region, starts_at, ends_at))
        return self.keys.get(region, [])


class MortalDatabase:
    """A database during whose writes the process may die: before the commit, and right after it."""

    def __init__(self, database: Database, steps: Steps) -> None:
        self._database = database
        self._steps = steps

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Transaction]:
            async with self._database.transaction() as transaction:
                yield transaction
                self._steps.step()
            self._steps.step()

        return opened()

    async def write(self, *writes: Any) -> None:
        self._steps.step()
        await self._database.write(*writes)
        self._steps.step()

    async def write_returning(self, query: Any, rows: Any) -> Any:
        return await self._database.write_returning(query, rows)

    async def fetch(self, asked: Any) -> Any:
        return await self._database.fetch(asked)

    async def fetch_all(self, asked: Any, *, brief: bool = False) -> Any:
        return await self._database.fetch_all(asked, brief=brief)


class TrailWorld:
    """A trail over a house. `accounts` are accepted; `inline` are those whose records EventBridge may send."""

    def __init__(
        self,
        house: InProcess,
        *,
        accounts: Collection[str] = (ACCOUNT,),
        inline: Collection[str] = (ACCOUNT,),
        buckets: Mapping[str, Collection[str]] | None = None,
        topics: Collection[str] = (),
        seed: int = 1,
    ) -> None:
        self.house = house
        self.steps = Steps()
        self.queue = FakeQueue(self.steps, Random(seed))
        self.objects = FakeObjects(self.steps)
        self.keys = FakeKeys()
        self.accounts = set(accounts)
        self.inline = set(inline)
        self.buckets = dict(buckets) if buckets is not None else {BUCKET: ()}
        self.place = MessagePlace(url=QUEUE, inline_accounts=self.inline, topics=tuple(topics))
        self.woken = 0
        self.ledger = house.ledger
        self.start(house.database, house.ledger)

    def start(self, database: Database, ledger: Ledger) -> None:
        """Make the reader, as a process does that starts."""
        house = self.house
        allowed = AllowedTrails(buckets=self.buckets, accounts=lambda: self.accounts)
        recorder = EventRecorder(ledger=ledger, now=house.clock, on_work=self._wake)
        taker = MessageTaker(
            database=database, recorder=recorder, allowed=allowed, verifies=True, now=house.clock, on_work=self._wake
        )
        self.intake = TrailIntake(
            queue=self.queue, place=self.place, database=database, taker=taker, now=house.clock,
            backoff=Backoff(first_seconds=1.0, longest_seconds=1.0, random=lambda: 1.0),
        )  # fmt: skip
        self.box = DeadBox(database=database, now=house.clock)
        reading = LogFileReading(
            database=database, objects=self.objects, reader=InThreads(), recorder=recorder, allowed=allowed,
            now=house.clock,
        )  # fmt: skip
        verifying = DigestVerifying(
            database=database, ledger=ledger, objects=self.objects, keys=self.keys, allowed=allowed, days_max=7,
            now=house.clock, on_work=self._wake,
        )  # fmt: skip
        places = {QUEUE: self.place}
        replaying = Replaying(box=self.box, database=database, taker=taker, places=places, now=house.clock)
        others = {
            LOG_KIND: Work(handler=reading), DIGEST_KIND: Work(handler=verifying), REPLAY_KIND: Work(handler=replaying),
        }  # fmt: skip
        kinds = kinds_of(ledger, house.collectors, house.inventory, now=house.clock, further=others)
        self.worker = house.worker_of(kinds)

    async def restart(self, *, dies_at: int = 0) -> None:
        """Start a process over the same database and AWS, which dies at a step, or lives."""
        house = self.house
        self.steps.count, self.steps.dies_at = 0, dies_at
        mortal = MortalDatabase(house.database, self.steps)
        self.ledger = Ledger(
            database=mortal, reader=house.reader, kinds=KINDS, signers=house.signers, keeper=house.keeper,
            now=house.clock,
        )  # fmt: skip
        self.start(mortal, self.ledger)
        await self.ledger.start()

    def _wake(self) -> None:
        self.woken += 1

    async def settle(self) -> None:
        """Receive and work until nothing waits that is due."""
        while self.queue.bodies or await self.worker.work():
            if self.queue.bodies:
                await self.intake.round()

    async def events(self) -> list[dict[str, Any]]:
        """Return the entries of events, in the order of the log."""
        return [kind_of(one.content or b"")[1] for one in await self.house.entries("cloud-event")]

    async def dead(self) -> list[tuple[str, str, int]]:
        """Return sort, code and record of each dead letter."""
        letters, _ = await self.box.page(after="", limit=1_000)
        return sorted((one.sort, one.code, one.number) for one in letters)
