"""The rotation against a model: whatever fails, lies, is lost or is killed, an application has credentials that work.

Checked at each change outside: what lies in a bucket is accepted by the provider. Checked after each rule: at most two
generations of a kind have not ended. Checked at the end, in good weather: everything is mended, no credential is an
orphan, and no secret stands in the database, in the log or in a message. Somebody else writes to the buckets, deletes
and destroys versions: in good weather each is noticed within an interval, and nothing else is ever taken for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fakes.mint_buckets import BucketMishap, FakeBuckets
from fakes.mint_house import MintReplica, MintWorld, found_secrets
from fakes.mint_provider import FakeProvider, ProviderMishap
from landscape.endurance import repeated
from landscape.killed import Killed, killed_at
from whence_aggregator.mint.state import LIVE_MAX, MintState
from whence_aggregator.mint.values import OBJECTS
from whence_aggregator.ports import Conflict, NotFound
from whence_aggregator.storage.sqlite import SqliteDatabase

APPLICATIONS = ("greeter", "waiter")
BUCKETS = ("one", "two", "three")
PROVIDER_MISHAPS = st.lists(st.just("fine") | st.sampled_from(get_args(ProviderMishap)), max_size=12)
BUCKET_MISHAPS = st.lists(st.just("fine") | st.sampled_from(get_args(BucketMishap)), max_size=8)
"""Of the requests of one rule, the last first; about half of them go well, so that a rotation comes far."""


def watched(state: MintState | None, kind: Any, bucket: str) -> bool:
    """Return whether a bucket is one that mint looks at: it wants it to hold the current generation, and nothing newer."""
    if state is None or state.stored.deleted_at or kind not in state.application.credentials:
        return False
    current = state.current(kind)
    is_known = current is not None and current.phase == "committed" and bucket in current.versions
    return is_known and bucket in state.application.buckets and not state.is_being_written(kind, bucket)


class Records(logging.Handler):
    """Keeps every line that is logged, with its fields and its traceback."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")


class Rotations(RuleBasedStateMachine):
    """Two replicas of mint over one database."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="whence-mint-"))
        self.runner = asyncio.Runner()
        self.records = Records()
        logging.getLogger("whence_aggregator").addHandler(self.records)
        self.provider_mishaps: list[ProviderMishap] = []
        self.bucket_mishaps: list[BucketMishap] = []
        self.denied: set[str] = set()
        self.replicas: list[MintReplica] = []
        self.databases: list[SqliteDatabase] = []
        self.destroyed: set[tuple[str, str]] = set()

    def wait(self, call: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await call

        return self.runner.run(waited())

    @initialize(
        style=st.sampled_from(["beside", "new-client"]), is_finding=st.booleans(), loses=st.booleans(), is_minted=st.booleans()
    )  # fmt: skip
    def begin(self, style: Any, is_finding: bool, loses: bool, is_minted: bool) -> None:
        self.world = MintWorld(
            provider=FakeProvider(
                style=style, is_finding=is_finding, finds_lost=not loses, weather=self.provider_weather
            ),
            buckets=FakeBuckets(weather=self.bucket_weather),
        )
        for number in range(2):
            self.wait(self.open(number))
        for application_id in APPLICATIONS:
            self.world.register(application_id)
        if is_minted:
            self.wait(self.replicas[0].write("greeter", "one", "two"))
            self.wait(self.replicas[0].run("greeter"))

    def provider_weather(self, _: str) -> ProviderMishap:
        return self.provider_mishaps.pop() if self.provider_mishaps else "fine"

    def bucket_weather(self, bucket: str) -> BucketMishap:
        if bucket in self.denied:
            return "away"
        return self.bucket_mishaps.pop() if self.bucket_mishaps else "fine"

    async def open(self, number: int) -> None:
        """Start a process of mint over the database."""
        database = await SqliteDatabase.open(self.directory / "mint.db")
        replica = MintReplica(database, self.world)
        await replica.ledger.start()
        self.replicas[number : number + 1] = [replica]
        self.databases[number : number + 1] = [database]

    async def restart(self, number: int) -> None:
        await self.databases[number].close()
        await self.open(number)

    @rule(
        application_id=st.sampled_from(APPLICATIONS),
        buckets=st.lists(st.sampled_from(BUCKETS), unique=True, max_size=3),
        is_confidential=st.booleans(),
        credentials=st.sampled_from([("user", "client"), ("client",), ("user",)]),
    )
    def write(self, application_id: str, buckets: list[str], is_confidential: bool, credentials: Any) -> None:
        async def written() -> None:
            options = {"is_confidential": is_confidential, "credentials": credentials}
            await self.replicas[0].write(application_id, *buckets, **options)
            self.world.named[application_id] = set(buckets)

        self.command(written())

    @rule(application_id=st.sampled_from(APPLICATIONS), what=st.sampled_from(["renew", "revoke", "delete"]))
    def order(self, application_id: str, what: str) -> None:
        self.command(getattr(self.replicas[1].applications, what)(application_id, by="ada"))

    def command(self, call: Awaitable[None]) -> None:
        with contextlib.suppress(NotFound, Conflict):
            self.wait(call)

    @rule(
        number=st.integers(0, 1), application_id=st.sampled_from(APPLICATIONS),
        provider=PROVIDER_MISHAPS, bucket=BUCKET_MISHAPS,
    )  # fmt: skip
    def rotate(self, number: int, application_id: str, provider: Any, bucket: Any) -> None:
        self.provider_mishaps, self.bucket_mishaps = list(provider), list(bucket)
        self.wait(self.replicas[number].run(application_id))
        self.provider_mishaps, self.bucket_mishaps = [], []

    @rule(
        number=st.integers(0, 1), application_id=st.sampled_from(APPLICATIONS), at=st.integers(1, 80),
        provider=PROVIDER_MISHAPS, bucket=BUCKET_MISHAPS,
    )  # fmt: skip
    def kill(self, number: int, application_id: str, at: int, provider: Any, bucket: Any) -> None:
        """Kill a process at one of its awaits, and start another."""
        self.provider_mishaps, self.bucket_mishaps = list(provider), list(bucket)
        with contextlib.suppress(Killed):
            self.wait(killed_at(at, self.replicas[number].run(application_id)))
        self.provider_mishaps, self.bucket_mishaps = [], []
        self.wait(self.restart(number))

    @rule(
        application_id=st.sampled_from(APPLICATIONS), seed=st.integers(0, 2**16), ordered=st.booleans(),
        provider=PROVIDER_MISHAPS, bucket=BUCKET_MISHAPS,
    )  # fmt: skip
    def race(self, application_id: str, seed: int, ordered: bool, provider: Any, bucket: Any) -> None:
        """Have both replicas rotate one application, as after a lease that was lost; an order may come meanwhile."""
        self.provider_mishaps, self.bucket_mishaps = list(provider), list(bucket)
        drawn = random.Random(seed)

        async def late(number: int) -> None:
            for _ in range(drawn.randrange(20)):
                await asyncio.sleep(0)
            await self.replicas[number].run(application_id)

        async def order() -> None:
            for _ in range(drawn.randrange(40)):
                await asyncio.sleep(0)
            what = drawn.choice(["renew", "revoke", "delete"])
            with contextlib.suppress(NotFound, Conflict):
                await getattr(self.replicas[0].applications, what)(application_id, by="eve")

        async def all_together() -> None:
            await asyncio.gather(late(0), late(1), *([order()] if ordered else []))

        self.wait(all_together())
        self.provider_mishaps, self.bucket_mishaps = [], []

    @rule(number=st.integers(0, 11), how=st.sampled_from(["overwrite", "delete", "destroy"]))
    def tamper(self, number: int, how: str) -> None:
        """Have somebody else change the newest object of a bucket that is known to hold the current generation."""
        states = {name: self.wait(self.replicas[0].store.load(name)) for name in APPLICATIONS}
        known = [
            (bucket, f"{name}/{OBJECTS[kind]}")
            for name, kind, bucket in itertools.product(APPLICATIONS, OBJECTS, BUCKETS)
            if watched(states[name], kind, bucket)
        ]
        if not known or self.world.buckets.latest(*known[number % len(known)]) is None:
            return
        bucket, key = known[number % len(known)]
        if how == "destroy":
            self.world.buckets.destroy(bucket, key)
            self.destroyed.add((bucket, key))
        else:
            self.world.buckets.overwrite(bucket, key, b"{}" if how == "overwrite" else None)

    @rule(application_id=st.sampled_from(APPLICATIONS), number=st.integers(0, 1))
    def look(self, application_id: str, number: int) -> None:
        """In good weather what somebody else changed is noticed within an interval, and the minute of a second look."""
        mint = self.replicas[number]
        for seconds in (mint.rules.bucket_look_seconds, mint.rules.making_seconds_max):
            self.world.clock.advance(seconds)
            progress = self.wait(mint.run(application_id))
            while progress is not None and progress.reason == "more steps are due":
                progress = self.wait(mint.run(application_id))
        state = self.wait(mint.store.load(application_id))
        for kind, bucket in itertools.product(OBJECTS, BUCKETS):
            if watched(state, kind, bucket) and self.world.buckets.is_harmed(
                bucket, f"{application_id}/{OBJECTS[kind]}"
            ):
                noted = state.stored.failures[f"bucket {kind} {bucket}"]
                assert bucket in state.current(kind).disturbances
                assert noted.code in ("bucket-tampered", "bucket-unrecorded")

    @precondition(lambda self: self.replicas)
    @invariant()
    def nobody_is_accused_of_what_mint_did(self) -> None:
        for application_id in APPLICATIONS:
            state = self.wait(self.replicas[0].store.load(application_id))
            for one in state.generations if state is not None else ():
                for bucket, look in one.looks.items():
                    is_harmed = (bucket, f"{application_id}/{OBJECTS[one.kind]}") in self.destroyed
                    foreign = look.version_id in self.world.buckets.foreign
                    assert look.finding != "tampered" or is_harmed or foreign

    @rule(seconds=st.sampled_from([1.0, 61.0, 600.0, 7_201.0, 90_000.0, 31 * 86_400.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(
        application_id=st.sampled_from(APPLICATIONS), denied=st.sets(st.sampled_from(BUCKETS), min_size=1),
        seconds=st.sampled_from([3_601.0, 90_000.0]), is_forgetting=st.booleans(), provider=PROVIDER_MISHAPS,
    )  # fmt: skip
    def wait_for_buckets(
        self, application_id: str, denied: set[str], seconds: float, is_forgetting: bool, provider: Any
    ) -> None:
        """Have buckets deny a rotation for hours; the provider may end meanwhile what was not committed."""
        self.command(self.replicas[0].applications.renew(application_id, by="ada"))
        self.denied = denied
        self.wait(self.replicas[0].run(application_id))
        self.denied = set()
        self.world.clock.advance(seconds)
        if is_forgetting:
            self.world.provider.forget(self.world.buckets.documents())
        self.provider_mishaps = list(provider)
        self.wait(self.replicas[1].run(application_id))
        self.provider_mishaps = []

    @rule(
        application_id=st.sampled_from(APPLICATIONS),
        how=st.sampled_from(["newest", "older", "none", "silent", "no ids"]),
    )
    def report(self, application_id: str, how: str) -> None:
        """Have the instances report which generation they hold."""
        state = self.wait(self.replicas[0].store.load(application_id))
        held: dict[Any, str | None] = {}
        for one in state.generations if state is not None else ():
            if one.phase in ("published", "committed", "ending") and (how != "older" or one.kind not in held):
                held[one.kind] = one.id.generation if how != "no ids" else None
        instances = [] if how == "none" else [held]
        self.world.hold(application_id, *instances, is_heard=how != "silent")

    @rule(application_id=st.sampled_from(APPLICATIONS), how=st.sampled_from(["active", "inactive", "absent"]))
    def register(self, application_id: str, how: str) -> None:
        if how == "absent":
            self.world.kio.known.pop(application_id, None)
        else:
            self.world.register(application_id, is_active=how == "active", team_id="hello")

    @precondition(lambda self: self.replicas)
    @invariant()
    def no_more_generations_than_may_be(self) -> None:
        for application_id in APPLICATIONS:
            state = self.wait(self.replicas[0].store.load(application_id))
            for kind in ("user", "client") if state is not None else ():
                assert len(state.live(kind)) <= LIVE_MAX

    @precondition(lambda self: self.replicas)
    @invariant()
    def no_secret_where_none_may_be(self) -> None:
        """Look for every secret that was ever made in what is stored and in what is logged."""
        secrets = [*self.world.provider.secrets(), "rat-"]
        stored = (file.read_bytes() for file in self.directory.iterdir())
        assert found_secrets(stored, secrets) == []
        assert found_secrets((line.encode() for line in self.records.lines), secrets) == []

    def teardown(self) -> None:
        try:
            if self.replicas:
                self.wait(self.settled())
                self.no_secret_where_none_may_be()
        finally:
            logging.getLogger("whence_aggregator").removeHandler(self.records)
            for database in self.databases:
                self.wait(database.close())
            self.runner.close()
            shutil.rmtree(self.directory)

    async def settled(self) -> None:
        """In good weather everything is mended: what is wanted is there and works, and nothing else is accepted."""
        mint = self.replicas[0]
        for application_id in APPLICATIONS:
            self.world.register(application_id)
            await mint.settle(application_id)
            state = await mint.store.load(application_id)
            if self.world.provider.finds_lost:
                assert await mint.orphans(application_id) == []
            alive = [one for one in state.generations if one.is_live] if state is not None else []
            live = {one.id.generation for one in alive}
            serials = {one.handle.get("txid") for one in alive}
            accepted = self.world.provider.accepted(application_id)
            kept = [one.document for one in accepted if one.id.generation in live or one.serial in serials]
            left = {one.id.generation for one in accepted if one.document not in kept}
            assert left <= {one.generation for one in await mint.applications.possible_orphans(application_id)}
            wanted = set(state.application.credentials) if state is not None and not state.stored.gone_at else set()
            buckets = state.application.buckets if state is not None else ()
            for bucket in BUCKETS:
                objects = set(mint.objects(application_id, bucket))
                assert objects == (wanted if bucket in buckets else set())
            if state is None or state.stored.gone_at:
                continue
            assert state.stored.failures == {}
            for kind in wanted if buckets else ():
                assert len(state.live(kind)) <= LIVE_MAX
                assert all(one.phase == "committed" for one in state.live(kind))
                assert set(state.live(kind)[-1].versions) >= set(buckets)


def run(*, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Rotations,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.endurance
def test_whatever_happens_an_application_has_credentials_that_work() -> None:
    run(examples=repeated(sample=25, whole=1_000), steps=25)
