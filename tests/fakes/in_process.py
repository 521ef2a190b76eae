"""The aggregator's use cases over a real database, in this process, with time and answers that tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime

from fakes.clocks import CountingRandom, FakeClock
from fakes.kept_blobs import KeptBlobs
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.enrolment import Enrolments
from whence_aggregator.agents.heartbeats import Heartbeats
from whence_aggregator.agents.ingest import Accepted, Ingest
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.agents.verification import InThisProcess
from whence_aggregator.applications.applications import Applications
from whence_aggregator.applications.entries import ApplicationEntries
from whence_aggregator.applications.handovers import Handovers
from whence_aggregator.applications.history import ApplicationHistory
from whence_aggregator.applications.listing import ApplicationLists
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.versions import Versions
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import EnrolmentLimits, Limit, Rate
from whence_aggregator.collect.branches import BranchCollector
from whence_aggregator.collect.collectors import Collector, ImageSourceCollector, TagCollector
from whence_aggregator.collect.commits import CommitCollector, RangeCollector, SignatureCollector
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.collect.protection import ProtectionSources
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.subjects import OrganisationAccounts
from whence_aggregator.findings.images import ScannedImages
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import (
    BranchAnswer,
    CallerIdentity,
    CheckpointKeeper,
    Database,
    DescribedImage,
    ImageSaid,
    ListedInstance,
    ProtectedNames,
    SourceUnavailable,
)
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, SignatureAnswer
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.projections.readings import resting_on
from whence_aggregator.projections.statements import Combinations
from whence_aggregator.registry.pushes import Pushes, Rules
from whence_aggregator.trace.facts import BRANCH_KIND, RANGE_KIND, SIGNATURE_KIND
from whence_aggregator.trace.lineage import Lineage, LinkName
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.search import Search
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_aggregator.trackers.protection import ProtectionReader
from whence_aggregator.wiring.rules import load_evaluator
from whence_aggregator.wiring.work import kinds_of, work_on_ranges
from whence_aggregator.work.lanes import SHARES, LaneShares
from whence_aggregator.work.questions import ask_version
from whence_aggregator.work.task import Work
from whence_aggregator.work.worker import Worker
from whence_common.backoff import Backoff
from whence_common.identity_document import Authorities
from whence_common.note import Signer
from whence_common.scm_source import SourceRepository

AUDIENCE = "https://whence.example.org"
SILENT_AFTER_SECONDS = 300.0
ORIGIN = "whence.example.org"
SECRET = b"s" * 32
OTHER_ACCOUNT = "210987654321"
REGIONS = ("eu-central-1", "eu-west-1")
LIMITLESS = Rate(per_second=1e9, burst=1e9)
ROOT = Caller(name="root", teams=None)


@dataclass
class FakeSources:
    """A registry and a Git server that answer what a test says; an exception is raised, None means it is not there."""

    images: dict[str, bytes | SourceUnavailable | None] = field(default_factory=dict)
    tags: dict[str, str | SourceUnavailable] = field(default_factory=dict)
    says: dict[str, ImageSaid] = field(default_factory=dict)
    commits: dict[str, bytes | SourceUnavailable | None] = field(default_factory=dict)
    branches: dict[str, BranchAnswer | SourceUnavailable] = field(default_factory=dict)
    """By commit; every other one that is there is reached by `main`."""
    asked_for: list[ProtectedNames] = field(default_factory=list)
    """The protected names that branches were asked with."""
    signatures: dict[str, SignatureAnswer] = field(default_factory=dict)
    ranges: dict[tuple[str, str], RangeAnswer] = field(default_factory=dict)
    """By base and head."""

    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        away = SourceUnavailable("registry-unreachable", "the registry is away")
        said = self.says.get(digest)
        return said if said is not None else ImageSaid(scm_source=_answer(self.images.get(digest, away)))

    async def digest_of(self, reference: str) -> str | None:
        found = self.tags.get(reference)
        if isinstance(found, SourceUnavailable):
            raise found
        return found

    async def commit(self, repository: SourceRepository, commit_id: str) -> CommitObject | None:
        away = SourceUnavailable("git-refused", "the Git server is away")
        content = _answer(self.commits.get(commit_id, away))
        return CommitObject(content=content) if content is not None else None

    async def signature(self, repository: SourceRepository, commit_id: str) -> SignatureAnswer:
        await self.commit(repository, commit_id)
        return self.signatures.get(commit_id, SignatureAnswer(state="unknown", form="ssh", reason="no keys"))

    async def between(self, repository: SourceRepository, base: str, head: str) -> RangeAnswer:
        return self.ranges.get((base, head), RangeAnswer(reason="the history is not known"))

    async def branch(
        self, repository: SourceRepository, commit_id: str, protected: ProtectedNames | None = None
    ) -> BranchAnswer:
        self.asked_for.append(protected or ProtectedNames())
        await self.commit(repository, commit_id)
        answer = self.branches.get(
            commit_id, BranchAnswer(branch="main", commit_id="f" * 40, reachable=True, reached_by=("heads/main",))
        )
        if isinstance(answer, SourceUnavailable):
            raise answer
        return answer


@dataclass
class FakeEc2:
    """The EC2 API of one account and region. `away` makes it fail."""

    listed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """State and launch time by instance."""
    data: dict[str, bytes | SourceUnavailable] = field(default_factory=dict)
    """User data by instance; an exception is raised."""
    details: dict[str, dict[str, str]] = field(default_factory=dict)
    """What else it states of an instance."""
    amis: dict[str, DescribedImage | SourceUnavailable] = field(default_factory=dict)
    away: bool = False
    refuses: dict[str, SourceUnavailable] = field(default_factory=dict)
    """By account: its listings are refused."""
    asked: list[str] = field(default_factory=list)
    twice: bool = False
    """Whether its pages overlap."""

    async def instances(self, account_id: str, region: str) -> list[ListedInstance]:
        if self.away:
            raise SourceUnavailable("ec2-unavailable", "EC2 is away")
        if account_id in self.refuses:
            raise self.refuses[account_id]
        return [
            ListedInstance(instance_id=name, state=state, launched_at=launched_at, details=self.details.get(name, {}))
            for name, (state, launched_at) in self.listed.items()
        ] * (2 if self.twice else 1)

    def asking(self, account_id: str, region: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def image(self, account_id: str, region: str, image_id: str) -> DescribedImage | None:
        found = self.amis.get(image_id)
        if isinstance(found, SourceUnavailable):
            raise found
        return found

    async def user_data(self, account_id: str, region: str, instance_id: str) -> bytes | None:
        self.asked.append(instance_id)
        if instance_id not in self.listed and instance_id not in self.data:
            raise SourceUnavailable("ec2-unavailable", "EC2 cannot be asked: InvalidInstanceID.NotFound")
        return _answer(self.data.get(instance_id))


def _answer(answer: bytes | SourceUnavailable | None) -> bytes | None:
    if isinstance(answer, SourceUnavailable):
        raise answer
    return answer


class KnownTeams:
    """The organisation's teams; None: any."""

    known: frozenset[str] | None = None

    async def exists(self, team_id: str) -> bool:
        return self.known is None or team_id in self.known


class KeptCheckpoint:
    """Keeps the last checkpoint in memory."""

    def __init__(self) -> None:
        self.note: str | None = None

    def load(self) -> str | None:
        return self.note

    def keep(self, note: str) -> None:
        self.note = note


class NewestLog:
    """The log, as tracing reads it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def content(self, entry: PackedEntry) -> bytes:
        return self._ledger.reader.content(entry)

    async def content_of(self, entry: PackedEntry) -> bytes | None:
        return await self._ledger.reader.content_of(entry)

    @property
    def note(self) -> str:
        return self._ledger.note


def limits_of(rate: Rate, clock: Callable[[], float] = lambda: 0.0) -> EnrolmentLimits:
    """Make limits for enrolments that all have the same rate."""
    names = ("instance", "account", "address", "instance", "instance")
    return EnrolmentLimits(
        **dict(
            zip(
                ("instance", "account", "address_attempts", "instance_attempts", "refusals"),
                (Limit(name, rate, clock) for name in names), strict=True,
            )
        )
    )  # fmt: skip


class InProcess:
    """Everything wired as the program wires it, but for the outside."""

    def __init__(
        self,
        database: Database,
        authority: SigningAuthority,
        *,
        clock: FakeClock | None = None,
        keeper: CheckpointKeeper | None = None,
        caller_identity: CallerIdentity | None = None,
        seeds: Sequence[bytes] = (b"l" * 32,),
        heard_until: datetime | None = None,
        limits: EnrolmentLimits | None = None,
        sts_required: bool = False,
        accounts: Container[str] = frozenset({"123456789012", OTHER_ACCOUNT}),
        approvals: ApprovalPolicy | None = None,
        trackers: KnownTrackers = NO_TRACKERS,
        tracker_collectors: Mapping[str, Collector] | None = None,
        git_hosts: Container[str] | None = None,
        rules: RulesInForce | None = None,
        organisation_accounts: OrganisationAccounts | None = None,
        scanners: Scanners | None = None,
        ami_builders: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self.database = database
        self.authority = authority
        self.clock = clock or FakeClock()
        self.sources = FakeSources()
        self.keeper = keeper or KeptCheckpoint()
        self.signers = [Signer(ORIGIN, seed) for seed in seeds]
        self.reader = LogReader(database)
        self.ledger = Ledger(
            database=database, reader=self.reader, kinds=KINDS, signers=self.signers, keeper=self.keeper, now=self.clock
        )
        self.listening = Listening(self.clock, silent_after_seconds=SILENT_AFTER_SECONDS, heard_until=heard_until)
        self.search = Search(database=database, listening=self.listening)
        self.tracer = Tracer(
            database=database,
            search=self.search,
            log=NewestLog(self.ledger),
            now=self.clock,
            listening=self.listening,
            approvals=approvals,
            trackers=trackers,
            git_hosts=git_hosts,
            ami_builders=ami_builders,
        )
        self.versions = Versions(
            database=database,
            ledger=self.ledger,
            policy=approvals,
            front="pierone.example.org",
            limits=[Limit("caller", LIMITLESS, unit="bytes"), Limit("team", LIMITLESS, unit="bytes")],
            now=self.clock,
            asked=ask_version,
        )
        self.rules = rules or RulesInForce.of()
        self._collect(approvals, trackers, tracker_collectors or {}, organisation_accounts, scanners)
        self._hear(accounts, caller_identity, limits or limits_of(LIMITLESS), sts_required=sts_required)
        self._register()

    def _collect(
        self, approvals: ApprovalPolicy | None, trackers: KnownTrackers, tracker_collectors: Mapping[str, Collector],
        organisation_accounts: OrganisationAccounts | None, scanners: Scanners | None,
    ) -> None:  # fmt: skip
        """Make what judges and what asks the outside."""
        self.evaluator = load_evaluator(
            self.database,
            self.ledger,
            self.tracer,
            self.listening,
            self.rules,
            now=self.clock,
            trackers=trackers,
            accounts=organisation_accounts,
            images=ScannedImages(database=self.database, scanners=scanners) if scanners is not None else None,
        )
        self.ec2 = FakeEc2()
        self.inventory = InventoryCollector(
            database=self.database, ledger=self.ledger, ec2=self.ec2, seconds=300.0, now=self.clock
        )
        self.protectors: dict[str, ProtectionReader] = {}
        """What a test adds is read from then on."""
        self.protection = ProtectionSources(settings={}, hosts=self.protectors, now=self.clock)
        self.collectors: dict[str, Collector] = {
            "image-source": ImageSourceCollector(self.sources),
            "tag": TagCollector(self.sources),
            "commit": CommitCollector(self.sources),
            BRANCH_KIND: BranchCollector(self.sources, self.protection),
            **tracker_collectors,
            SIGNATURE_KIND: SignatureCollector(self.sources),
            RANGE_KIND: RangeCollector(self.sources),
        }
        reader = self.tracer.commits if approvals is not None else None
        ranges = work_on_ranges(self.database, reader, trackers, now=self.clock)
        kinds = kinds_of(self.ledger, self.collectors, self.inventory, further=ranges, now=self.clock)
        self.worker = self.worker_of(kinds)

    def _hear(
        self, accounts: Container[str], caller_identity: CallerIdentity | None, limits: EnrolmentLimits, *,
        sts_required: bool,
    ) -> None:  # fmt: skip
        """Make what agents speak to."""
        self.enrolments = Enrolments(
            database=self.database,
            ledger=self.ledger,
            challenges=Challenges(
                database=self.database, secret=SECRET, audience=AUDIENCE, now=self.clock, random_bytes=CountingRandom()
            ),
            authorities=Authorities.from_pem(dict.fromkeys(REGIONS, self.authority.pem)),
            accounts=accounts,
            audience=AUDIENCE,
            heartbeat_secret=SECRET,
            caller_identity=caller_identity,
            sts_required=sts_required,
            document_seconds_max=3600.0,
            limits=limits,
            now=self.clock,
        )
        self.sightings = Sightings(SECRET)
        self.ingest = Ingest(
            ledger=self.ledger,
            enrolments=self.enrolments,
            verifier=InThisProcess(),
            combinations=Combinations(),
            sightings=self.sightings,
            instance_limit=Limit("instance", LIMITLESS),
            account_limit=Limit("account", LIMITLESS),
            instance_bytes=Limit("instance", LIMITLESS, unit="bytes"),
            account_bytes=Limit("account", LIMITLESS, unit="bytes"),
            now=self.clock,
            on_work=self.wake,
        )
        self.heartbeats = Heartbeats(
            database=self.database,
            secret=SECRET,
            sightings=self.sightings,
            listening=self.listening,
            limit=Limit("instance", LIMITLESS),
            now=self.clock,
        )

    def _register(self) -> None:
        """Make the registry front and the application registry."""
        self.pushes = Pushes(
            database=self.database,
            ledger=self.ledger,
            backend=KeptBlobs(),
            rules=Rules(
                name="pierone.example.org",
                snapshots=True,
                scratch_teams=frozenset({"scratch"}),
                signature_tags_move=True,
            ),
            now=self.clock,
            on_work=self.wake,
        )
        self.team_lookup = KnownTeams()
        entries = ApplicationEntries(
            caller_bytes=Limit("caller", LIMITLESS, unit="bytes"),
            team_bytes=Limit("team", LIMITLESS, unit="bytes"),
            now=self.clock,
        )
        self.applications = Applications(
            database=self.database, ledger=self.ledger, entries=entries, teams=self.team_lookup, now=self.clock,
            on_work=self.wake,
        )  # fmt: skip
        self.handovers = Handovers(
            database=self.database, ledger=self.ledger, entries=entries, teams=self.team_lookup, now=self.clock,
            on_work=self.wake,
        )  # fmt: skip
        self.application_lists = ApplicationLists(database=self.database, now=self.clock)
        self.application_history = ApplicationHistory(database=self.database, now=self.clock)

    def worker_of(self, kinds: Mapping[str, Work], shares: LaneShares = SHARES) -> Worker:
        """Return a worker on the test's clock."""
        return Worker(
            database=self.database, kinds=kinds, now=self.clock, seconds=lambda: self.clock().timestamp(), shares=shares,
            backoff=Backoff(first_seconds=10.0, longest_seconds=10.0, random=lambda: 1.0), marks=resting_on,
        )  # fmt: skip

    def wake(self, tasks: bool = True) -> None:
        """Wake the worker, as the server does."""
        if tasks:
            self.worker.wake()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[InProcess]:
        """Run the services that commit in groups."""
        await self.ledger.start()
        tasks = [asyncio.create_task(run()) for run in (self.ingest.run, self.heartbeats.run)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def nonce(self) -> str:
        return str(self.enrolments.challenge()["challenge"])

    async def enrol(self, machine: Machine) -> dict[str, object]:
        return await self.enrolments.enrol(machine.request(await self.nonce(), AUDIENCE))

    async def machine(self, instance_id: str = "i-0123456789abcdef0", **document: str) -> Machine:
        """Give a machine that has enrolled."""
        machine = Machine(self.authority, instance_id, **document)
        await self.enrol(machine)
        return machine

    async def say(self, machine: Machine, **changes: object) -> Accepted:
        return await self.ingest.accept(machine.statement(**changes))

    async def work(self) -> None:
        """Do everything that is due once the evaluations of what was said are."""
        while await self.worker.work() or await self.evaluator.work():
            pass

    async def entries(self, kind: str | None = None) -> list[Stored]:
        """Give the log's entries, or those of one kind."""
        found = [one async for one in self.reader.entries(0, await self.reader.size())]
        assert [one.ledger_index for one in found] == list(range(len(found)))
        return [one for one in found if kind is None or one.kind == kind]

    async def state(self, link: LinkName, instance_id: str = "i-0123456789abcdef0") -> str:
        return (await self.lineage(instance_id)).link(link).state

    async def lineage(
        self, instance_id: str = "i-0123456789abcdef0", at: str | None = None, known_at: str | None = None
    ) -> Lineage:
        return await self.tracer.instance(instance_id, moment=await self.tracer.moments.of(at, known_at))

    async def register(self, application_id: str = "greeter", **changes: object) -> None:
        kio = {"team_id": "hello", "name": "Greeter", "active": True, **changes}
        await self.applications.write(application_id, kio, ROOT)
