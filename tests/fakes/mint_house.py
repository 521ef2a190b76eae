"""mint over a real database, with a provider, buckets, instances and a Kio that tests decide."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fakes.clocks import CountingRandom, FakeClock
from fakes.in_process import ORIGIN, KeptCheckpoint
from fakes.mint_buckets import FakeBuckets, FakeHolders, FakeStandings
from fakes.mint_provider import FakeProvider, ProviderMishap
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.mint.applications import MintApplications, WrittenMint
from whence_aggregator.mint.assembly import MintOutside, rotation_of
from whence_aggregator.mint.calls import MintProvider
from whence_aggregator.mint.key import MintKey
from whence_aggregator.mint.pace import ProviderPace
from whence_aggregator.mint.rotation import MintProgress, Rotation
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintState
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import OBJECTS, CredentialHolder, CredentialKind, KioStanding
from whence_aggregator.ports import Database
from whence_aggregator.projections.kinds import KINDS
from whence_common.backoff import Backoff
from whence_common.ledger_entry import type_of
from whence_common.note import Signer

KEY = b"k" * 32
TEAM = "hello"
KINDS_BOTH: tuple[CredentialKind, ...] = ("user", "client")


class LockedOut(AssertionError):
    """An object in a bucket is not accepted by the provider."""


@dataclass
class MintWorld:
    """What outlives a process: the clock, the provider, the buckets, the instances and Kio."""

    clock: FakeClock = field(default_factory=FakeClock)
    provider: FakeProvider = field(default_factory=FakeProvider)
    buckets: FakeBuckets = field(default_factory=FakeBuckets)
    holders: FakeHolders = field(default_factory=FakeHolders)
    kio: FakeStandings = field(default_factory=FakeStandings)
    random_bytes: Callable[[int], bytes] = field(default_factory=CountingRandom)
    named: dict[str, set[str]] = field(default_factory=dict)
    """The buckets that an application names now, by its id: in another one its credential may end before its object."""

    def __post_init__(self) -> None:
        self.buckets.now = self.clock
        self.provider.on_change = self.buckets.on_change = self.check

    def check(self) -> None:
        """Check that whoever reads an object now gets a credential that works. Raises LockedOut."""
        for bucket, key in self.buckets.objects:
            if self.buckets.is_harmed(bucket, key):
                continue  # what somebody else wrote is not mint's to keep accepted
            if bucket not in self.named.get(key.partition("/")[0], {bucket}):
                continue
            document = self.buckets.latest(bucket, key)
            if document is not None and not self.provider.accepts(document):
                raise LockedOut(f"{bucket}/{key} is not accepted")

    def random_hex(self) -> str:
        return self.random_bytes(16).hex()[::-1]

    async def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def register(self, application_id: str, *, is_active: bool = True, team_id: str = TEAM) -> None:
        self.kio.known[application_id] = KioStanding(name=application_id, team_id=team_id, is_active=is_active)

    def hold(self, application_id: str, *instances: dict[CredentialKind, str | None], is_heard: bool = True) -> None:
        """State what the instances of an application report."""
        self.holders.known[application_id] = [
            CredentialHolder(
                instance_id=f"i-{number}", account_id="123456789012", is_heard=is_heard, generations=held,
                reported_at="",
            )
            for number, held in enumerate(instances)
        ]  # fmt: skip


class MintReplica:
    """One process of mint: over one database, in the world that it shares with others."""

    def __init__(
        self, database: Database, world: MintWorld, *, rules: MintRules | None = None, key: bytes = KEY,
        restored_at: str = "",
    ) -> None:  # fmt: skip
        self.database = database
        self.world = world
        self.rules = rules or MintRules(jitter=0.0)
        self.reader = LogReader(database)
        self.ledger = Ledger(
            database=database, reader=self.reader, kinds=KINDS, signers=[Signer(ORIGIN, b"l" * 32)],
            keeper=KeptCheckpoint(), now=world.clock,
        )  # fmt: skip
        self.store = MintStore(database=database, ledger=self.ledger)
        self.key = MintKey(key, random_bytes=world.random_bytes)
        self.woken = 0
        self.applications = MintApplications(
            store=self.store, now=world.clock, on_work=self._wake,
            per_generation=["stups"] if world.provider.has_client_per_generation else [],
        )  # fmt: skip
        self.pace = ProviderPace(
            seconds=lambda: world.clock.moment.timestamp(), pause=world.pause, between={"stups": 0.0}
        )
        self.rotation = self._rotation(restored_at)

    def _rotation(self, restored_at: str) -> Rotation:
        world = self.world
        provider = MintProvider(clients=world.provider, credentials=world.provider)
        outside = MintOutside(
            providers={"stups": provider}, buckets=world.buckets, holders=world.holders, known=world.kio
        )
        return rotation_of(
            self.store, outside, self.key, rules=self.rules, pace=self.pace,
            backoff=Backoff(first_seconds=30.0, longest_seconds=3_600.0, random=random.Random(24).random),
            now=world.clock, random_hex=world.random_hex, restored_at=restored_at,
        )  # fmt: skip

    def _wake(self) -> None:
        self.woken += 1

    async def write(self, application_id: str, *buckets: str, team_id: str = TEAM, **changes: Any) -> None:
        written: dict[str, Any] = {"is_confidential": True, "provider": "stups", "credentials": KINDS_BOTH, **changes}
        await self.applications.write(
            application_id,
            WrittenMint(buckets=buckets, **written),
            team_id=team_id,
            by="ada",
            username=f"stups_{application_id}",
        )

    async def state(self, application_id: str) -> MintState:
        found = await self.store.load(application_id)
        assert found is not None
        return found

    async def run(self, application_id: str) -> MintProgress | None:
        return await self.rotation.run(application_id)

    async def steps(self) -> list[tuple[str, str]]:
        """Return the kind and the step of every entry of the log."""
        return [(one["credential"], one["step"]) for one in await self.logged()]

    async def logged(self) -> list[dict[str, Any]]:
        entries = [one async for one in self.reader.entries(0, await self.reader.size())]
        typed = [type_of(one.content) for one in entries if one.kind == "credential" and one.content is not None]
        return [members for _, version, members in typed if version == 1]

    def objects(self, application_id: str, bucket: str) -> dict[str, Any]:
        """Return the documents that a reader gets, by kind."""
        found = {kind: self.world.buckets.latest(bucket, f"{application_id}/{name}") for kind, name in OBJECTS.items()}
        return {kind: document for kind, document in found.items() if document is not None}

    async def settle(self, application_id: str, *, days: int = 3) -> None:
        """Run until nothing is due but by age: with good weather, everything that went wrong is mended."""
        until = self.world.clock.moment.timestamp() + days * 86_400
        self.world.clock.advance(61)
        while self.world.clock.moment.timestamp() < until:
            progress = await self.run(application_id)
            if progress is None:
                return
            self.world.clock.advance(max(progress.seconds, 7_000.0))

    async def orphans(self, application_id: str) -> list[str]:
        """Return the credentials that the provider accepts and mint does not know, or the other way round."""
        state = await self.store.load(application_id)
        live = {one.id for one in state.generations if one.is_live} if state is not None else set()
        made = sorted(self.world.provider.credentials, key=lambda one: one.is_accepted)
        newest = {one.id: str(one.document) for one in made if one.id in live}
        return sorted(
            set(newest.values()) ^ {str(one.document) for one in self.world.provider.accepted(application_id)}
        )


def found_secrets(texts: Iterator[bytes], secrets: list[str]) -> list[str]:
    """Return the secrets that stand in one of the texts."""
    return [secret for text in texts for secret in secrets if secret.encode() in text]


async def minted(mint: MintReplica, *buckets: str) -> None:
    """Have an application that has both credentials."""
    await mint.write("greeter", *(buckets or ("one",)))
    await mint.run("greeter")
    mint.world.clock.advance(61)


def of_provider(world: MintWorld, request: str, mishap: ProviderMishap) -> None:
    """Have every request of a name go wrong from now on."""
    world.provider.weather = lambda name: mishap if name == request else "fine"
