"""A fleet that changes all the time, on moto: Auto Scaling, stops, starts, reboots, spot notices, lost and late messages.

moto answers EC2's own protocol; what runs is read from it by DescribeInstances, beside the collector. After each listing
the command lists exactly what runs and spoke, accounts count silence right, and every failure that was recorded is true.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from fakes.in_process import ROOT, SECRET, SILENT_AFTER_SECONDS, InProcess
from fakes.known_caller import called_by
from fakes.machine import REPOSITORY, Machine
from fakes.signing_authority import SigningAuthority
from landscape.aws import ACCOUNT, AMI, REGION, Aws, moto_server
from landscape.endurance import repeated
from whence_aggregator.adapters.aws_inventory import AwsInventory
from whence_aggregator.amis.package_search import PackageSearch
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.compliance.sweeping import ENDED_SWEEPS
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import ListedInstance
from whence_aggregator.queries.compliance import VERDICTS_OF
from whence_aggregator.queries.query import together
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_aggregator.whence.cli import whence
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.heartbeat import Heartbeat, derive_key, mac
from whence_common.statement import ContainerFacts, ImageFacts, InstanceFacts, UserDataFacts

PLACE = f"{ACCOUNT}/{REGION}"
IMAGES = {"greeter": "sha256:" + "1" * 64, "farewell": "sha256:" + "2" * 64}
RULES = ("agent-silent", "instance-unlisted", "user-data-changed", "clock-off")
SILENT_AFTER = timedelta(seconds=SILENT_AFTER_SECONDS)
STEP_SECONDS, STEPS, CLOCK_OFF_SECONDS = 60.0, 7, 300
ON_THE_WAY = (30, 70, 100)


def data_of(application: str, version: int = 1) -> bytes:
    return f"#taupage-ami-config\napplication_id: {application}\napplication_version: '{version}'\n".encode()


@dataclass(eq=False)
class Instance:
    """What is true of one instance, and what has arrived of it."""

    machine: Machine
    application: str
    data: bytes
    launched: datetime
    plain: bool = False
    """Whether it is of no Auto Scaling group: those are stopped and started."""
    skew: float = 0.0
    installed: bool = True
    """Whether it has an agent."""
    liar: bool = False
    """Whether its agent states other user data than the instance has."""
    impostor: bool = False
    """Whether somebody goes on speaking with its key after it was terminated."""
    state: str = "running"
    mute_since: datetime | None = None
    outbox: list[tuple[int, str, datetime, datetime, bytes]] = field(default_factory=list)
    """Statements that could not be sent: sequence, image, time that they name, launch, envelope."""
    heard_at: datetime | None = None
    newest: int = 0
    shown: str | None = None
    """The image of the newest statement that arrived."""
    off: bool = False
    """Whether the clock of the newest statement that arrived was certainly off."""
    lied: bool = False
    beats: int = 0
    """How many heartbeats arrived."""

    @property
    def clock_is_off(self) -> bool:
        """Whether statements, or heartbeats, can tell for certain: one that is ahead, or several that are behind."""
        return self.off or (abs(self.skew) > CLOCK_OFF_SECONDS and self.beats >= (1 if self.skew > 0 else 2))

    @property
    def name(self) -> str:
        return self.machine.instance_id

    @property
    def speaks(self) -> bool:
        alive = self.state == "running" or (self.impostor and self.state == "terminated")
        return self.installed and alive and self.mute_since is None


class Launches:
    """EC2 as AwsInventory reads it, with the times of launch on the test's clock: moto has them on the real one."""

    def __init__(self, ec2: AwsInventory, fleet: dict[str, Instance]) -> None:
        self._ec2, self._fleet = ec2, fleet
        self.asking, self.user_data, self.image = ec2.asking, ec2.user_data, ec2.image

    async def instances(self, account_id: str, region: str) -> list[ListedInstance]:
        found = await self._ec2.instances(account_id, region)
        return [
            msgspec.structs.replace(one, launched_at=to_instant(self._fleet[one.instance_id].launched)) for one in found
        ]


class Churn:
    """Moves the fleet, carries its messages, and compares answers with what is true."""

    def __init__(self, house: InProcess, aws: Aws, url: str, chance: random.Random) -> None:
        self.house, self.aws, self.url, self.chance = house, aws, url, chance
        self.ec2, self.scaling = aws.client("ec2"), aws.client("autoscaling")
        self.fleet: dict[str, Instance] = {}
        self.running: set[str] = set()
        """What ran in the newest DescribeInstances."""
        self.under_way: list[tuple[datetime, Instance, tuple[int, str, datetime, datetime, bytes]]] = []
        adapter = AwsInventory(role_name="whence-inventory", session_name="whence", endpoint_url=aws.url)
        self.inventory = InventoryCollector(
            database=house.database,
            ledger=house.ledger,
            ec2=Launches(adapter, self.fleet),
            seconds=300,
            now=house.clock,
        )
        self.checked = 0
        self.counted: Counter[str] = Counter()

    @property
    def now(self) -> datetime:
        return self.house.clock()

    async def call(self, service: Any, operation: str, **values: Any) -> Any:
        return await asyncio.to_thread(getattr(service, operation), **values)

    async def described(self) -> dict[str, dict[str, Any]]:
        """Return what moto has that was not terminated, by its own client."""
        alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=alive, PaginationConfig={"PageSize": 1000}
        )
        found = await asyncio.to_thread(list, pages)
        return {
            one["InstanceId"]: one for page in found for group in page["Reservations"] for one in group["Instances"]
        }

    async def set_up(self, size: int) -> None:
        """Make two Auto Scaling groups, and instances of no group that are stopped and started."""
        for application in IMAGES:
            data = base64.b64encode(data_of(application)).decode()
            await self.call(
                self.ec2, "create_launch_template", LaunchTemplateName=application,
                LaunchTemplateData={"ImageId": AMI, "InstanceType": "t3.small", "UserData": data},
            )  # fmt: skip
            await self.call(
                self.scaling, "create_auto_scaling_group", AutoScalingGroupName=application, MinSize=0,
                MaxSize=size, DesiredCapacity=size * 2 // 5, AvailabilityZones=[f"{REGION}a"],
                LaunchTemplate={"LaunchTemplateName": application, "Version": "$Latest"},
            )  # fmt: skip
            plain = max(size // 10, 1)
            await self.call(
                self.ec2, "run_instances", ImageId=AMI, MinCount=plain, MaxCount=plain,
                UserData=data_of(application).decode(),
                TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "plain", "Value": application}]}],
            )  # fmt: skip
        await self.meet()

    async def meet(self) -> None:
        """See which instances EC2 has made and ended since; the new ones boot."""
        booted, described = [], await self.described()
        self.running = {name for name, one in described.items() if one["State"]["Name"] == "running"}
        for name in self.fleet.keys() - described.keys():
            self.fleet[name].state = "terminated"
        for name, one in described.items():
            if name in self.fleet:
                self.fleet[name].state = one["State"]["Name"]
                continue
            tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
            application = tags.get("plain") or tags["aws:autoscaling:groupName"]
            machine = Machine(self.house.authority, name, accountId=ACCOUNT, pendingTime=to_instant(self.now))
            made = Instance(machine, application, data_of(application), self.now, plain="plain" in tags)
            self.fleet[name] = made
            number = len(self.fleet)  # not by chance: a small fleet has each of them too
            made.skew = self.chance.choice((-10_800, 7_200, -400_000_000)) if number % 20 == 3 else 0.0
            made.installed = number % 50 != 9
            made.liar, made.impostor = number % 50 == 21, number % 20 == 7
            if made.installed:
                booted.append(made)
        await asyncio.gather(*(self.house.enrol(made.machine) for made in booted))
        for made in booted:
            await self.state_of(made, "boot")

    async def state_of(self, one: Instance, cause: str) -> None:
        """Have the agent make a statement. It arrives at once, a little late, much later from the outbox, or never."""
        if not one.installed or one.mute_since is not None:
            return
        image = IMAGES[one.application]
        observed = self.now + timedelta(seconds=one.skew)
        content = one.machine.statement(
            cause=cause,
            observed_at=to_instant(observed),
            instance=InstanceFacts(
                account_id=ACCOUNT, region=REGION, instance_id=one.name, image_id=AMI,
                pending_time=to_instant(one.launched),
            ),
            user_data=UserDataFacts(digest=sha256_digest(one.data + b"#lie" * one.liar), document={}),
            image=ImageFacts(source=f"{REPOSITORY}:1", repository=REPOSITORY, digest=image),
            containers=[ContainerFacts(name="app", container_id="1", image_digest=image, state="running")],
        )  # fmt: skip
        sent = (one.machine.sequence, image, observed, one.launched, content)
        luck = self.chance.random()
        if luck < 0.04 or (cause == "stop" and luck < 0.15):
            return  # lost for good
        if luck < 0.2:
            self.under_way.append((self.now + timedelta(seconds=self.chance.choice(ON_THE_WAY)), one, sent))
        elif luck < 0.25:
            one.outbox.append(sent)
        else:
            await self.arrive([(one, sent)])

    async def arrive(self, sent: Iterable[tuple[Instance, tuple[int, str, datetime, datetime, bytes]]]) -> None:
        sent = list(sent)
        await asyncio.gather(*(self.house.ingest.accept(content) for _, (*_, content) in sent))
        for one, (sequence, image, observed, launched, _) in sent:
            one.heard_at = self.now
            if sequence > one.newest:
                one.newest, one.shown, one.lied = sequence, image, one.liar
                off = timedelta(seconds=CLOCK_OFF_SECONDS)
                one.off = observed - self.now > off or launched - observed > off

    async def pass_time(self) -> None:
        """Let a minute pass: agents beat, and what was under way arrives."""
        self.house.clock.advance(STEP_SECONDS)
        due = [(one, sent) for at, one, sent in self.under_way if at <= self.now]
        self.under_way = [entry for entry in self.under_way if entry[0] > self.now]
        for one in self.fleet.values():
            if one.outbox and one.speaks and one.state == "running" and self.chance.random() < 0.1:
                due += [(one, sent) for sent in one.outbox]
                one.outbox.clear()
        await self.arrive(due)
        beating = [one for one in self.fleet.values() if one.speaks and self.chance.random() > 0.1]
        await asyncio.gather(*(self.beat(one) for one in beating))

    async def beat(self, one: Instance) -> None:
        one.beats += 1
        content = Heartbeat(
            instance_id=one.name, enrolment=1, counter=one.beats, sequence=one.machine.sequence,
            state_digest="sha256:" + "0" * 64, sent_at=self.now + timedelta(seconds=one.skew),
        ).to_wire()  # fmt: skip
        key = derive_key(SECRET, instance_id=one.name, enrolment=1)
        await self.house.heartbeats.accept(content, mac(key, content))
        one.heard_at = self.now

    def of(self, application: str) -> list[Instance]:
        return [one for one in self.fleet.values() if one.application == application]

    def some(self, share: float, *, state: str = "running", plain: bool | None = None) -> list[Instance]:
        """Choose some of the instances in a state."""
        found = [one for one in self.fleet.values() if one.state == state and plain in (None, one.plain)]
        return self.chance.sample(found, min(len(found), max(1, int(len(self.fleet) * share))))

    async def churn(self) -> None:
        """Let a round of everything happen."""
        for one in self.some(0.03):
            if one.mute_since is None and one.installed:
                one.mute_since = self.now
        for one in self.some(0.02):
            await self.state_of(one, "stop")
            await self.state_of(one, "boot")  # a reboot
        for one in self.some(0.01, state="stopped"):
            await self.start(one)
        await self.end(self.some(0.03, plain=True), "stop_instances")
        noticed = self.some(0.02)  # spot: drained, and stopped two minutes later
        for one in noticed:
            await self.state_of(one, "stop")
        for _ in range(2):
            await self.pass_time()
        await self.end(noticed, "terminate_instances", states=False)
        await self.end(self.some(0.01), "terminate_instances")
        for application in IMAGES:
            there = sum(one.state == "running" and not one.plain for one in self.of(application))
            for share in (self.chance.uniform(0.7, 0.9), self.chance.uniform(1.0, 1.1)):  # some are replaced, with more
                await self.call(
                    self.scaling, "set_desired_capacity", AutoScalingGroupName=application,
                    DesiredCapacity=max(int(there * share), 1),
                )  # fmt: skip
        await self.meet()

    async def end(self, chosen: list[Instance], operation: str, *, states: bool = True) -> None:
        if states:
            for one in chosen:
                await self.state_of(one, "stop")
        if chosen:
            await self.call(self.ec2, operation, InstanceIds=[one.name for one in chosen])
        for one in chosen:
            one.state = "stopped" if operation == "stop_instances" else "terminated"

    async def start(self, one: Instance) -> None:
        """Start a stopped instance, half of the time with other user data and thereby another image."""
        if self.chance.random() < 0.5:
            one.application = "farewell" if one.application == "greeter" else "greeter"
            one.data = data_of(one.application, 2)
            await self.call(
                self.ec2,
                "modify_instance_attribute",
                InstanceId=one.name,
                UserData={"Value": base64.b64encode(one.data)},
            )
            if self.chance.random() < 0.5:  # it is started after a listing only
                return
        await self.call(self.ec2, "start_instances", InstanceIds=[one.name])
        one.state, one.launched, one.mute_since = "running", self.now, None
        await self.state_of(one, "boot")

    async def listed(self) -> None:
        """Record a listing, judge everything, and compare every answer with the truth."""
        await self.inventory.collect(PLACE)
        await self.house.evaluator.sweep()
        while await self.house.evaluator.work():
            pass
        for image in IMAGES.values():
            assert await self.shown(image) == {name for name in self.running if self.fleet[name].shown == image}
        await self.compare_counts()
        await self.compare_failures()

    async def shown(self, image: str) -> set[str]:
        """Return what `whence instances --image` lists."""
        arguments = ["--url", self.url, "instances", "--image", image, "--all", "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, whence, arguments)
        assert result.exit_code == 0, result.output
        return {row["instance_id"] for row in json.loads(result.stdout)["instances"]}

    def heard(self, one: Instance) -> str:
        if one.heard_at is not None:
            return "speaking" if self.now - one.heard_at <= SILENT_AFTER else "silent"
        return "awaited" if self.now - one.launched <= SILENT_AFTER else "never"

    async def compare_counts(self) -> None:
        result = await asyncio.to_thread(CliRunner().invoke, whence, ["--url", self.url, "accounts", "--json"])
        (account,) = json.loads(result.stdout)["accounts"]
        (region,) = account["regions"]
        true = Counter(self.heard(self.fleet[name]) for name in self.running)
        words = ("speaking", "silent", "never", "awaited")
        assert {word: region[word] for word in words} == {word: true[word] for word in words}
        assert region["running"] == len(self.running)
        assert region["life"]["stopped"] == sum(1 for one in self.fleet.values() if one.state == "stopped")
        assert region["unknown"] == {"speaking": 0, "silent": 0, "never": 0}
        assert account["instances_ever"] == sum(1 for one in self.fleet.values() if one.newest)

    async def compare_failures(self) -> None:
        """Check each failure that was recorded since the last listing."""
        size = await self.house.reader.size()
        recorded = [one async for one in self.house.reader.entries(self.checked, size) if one.kind == "verdict"]
        self.checked = size
        for entry in recorded:
            stated = json.loads(entry.content or b"")
            for verdict in stated["verdicts"]:
                if verdict["rule"] in RULES and verdict["verdict"] == "fail":
                    self.counted[verdict["rule"]] += 1
                    one = self.fleet[stated["subject"]["id"]]
                    assert self.is_true(one, verdict["rule"]), (verdict, one)

    def is_true(self, one: Instance, rule: str) -> bool:
        if rule == "agent-silent":
            return one.state == "running" and one.mute_since is not None and self.heard(one) == "silent"
        if rule == "instance-unlisted":
            return one.state == "terminated" and one.impostor and one.mute_since is None
        return one.lied and one.state == "running" if rule == "user-data-changed" else one.clock_is_off

    async def open_failures(self, rule: str) -> set[str]:
        rows = await self.house.database.fetch_all(
            together(VERDICTS_OF.bind({"instance_ids": json.dumps(sorted(self.fleet))}))
        )
        return {row["instance_id"] for row in rows[0] if (row["rule"], row["verdict"]) == (rule, "fail")}

    async def settle(self) -> None:
        """List once more; then exactly those failures are open that are true."""
        for _ in range(STEPS):
            await self.pass_time()
        self.house.clock.advance(2)
        await self.listed()
        for _ in range(ENDED_SWEEPS):
            await self.house.evaluator.sweep()
        while await self.house.evaluator.work():
            pass
        await self.compare_failures()
        spoke = [one for one in self.fleet.values() if one.newest]
        for rule in RULES[:2]:
            true = {one.name for one in spoke if self.is_true(one, rule)}
            assert await self.open_failures(rule) == true, rule
        for rule in RULES[2:]:
            assert {one.name for one in spoke if self.is_true(one, rule) and one.state == "running"} <= (
                await self.open_failures(rule)
            )


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the aggregator's own role would give it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@asynccontextmanager
async def served(house: InProcess) -> AsyncIterator[str]:
    """Serve what the command asks for; give the address."""
    calls = QueryCalls(
        database=house.database,
        log=LogReader(house.database),
        search=house.search,
        tracer=house.tracer,
        rules=house.rules,
        packages=PackageSearch(
            database=house.database, listening=house.listening, search=house.search, trusted=frozenset()
        ),
    ).routes()
    calls += AccountCalls(
        Accounts(database=house.database, accounts=[ACCOUNT], listening=house.listening),
        OrganisationDirectory(house.database),
        Moments(database=house.database, now=house.clock),
        TrailCoverage(database=house.database, configured=False, now=house.clock),
        None,
    ).routes()
    application = web.Application(middlewares=[called_by(ROOT)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestServer(application) as server:
        yield str(server.make_url("/")).rstrip("/")


async def lived(house: InProcess, aws: Aws, *, size: int, rounds: int, seed: int) -> Churn:
    async with served(house) as url:
        churn = Churn(house, aws, url, random.Random(seed))
        await churn.set_up(size)
        for _ in range(rounds):
            for _ in range(STEPS):
                await churn.pass_time()
            await churn.churn()
            churn.house.clock.advance(2)
            await churn.listed()
        await churn.settle()
    return churn


@pytest.mark.endurance
async def test_instances_come_and_go_and_every_answer_is_right(
    tmp_path: Path, aws: Aws, authority: SigningAuthority
) -> None:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    try:
        async with InProcess(database, authority).running() as house:
            churn = await lived(house, aws, size=repeated(sample=100, whole=600), rounds=3, seed=16)
    finally:
        await database.close()
    assert len(churn.fleet) >= repeated(sample=150, whole=1000)
    assert set(churn.counted) == set(RULES), "each rule has failures that are true"


async def test_a_small_fleet_is_answered_alike_by_both_stores(house: InProcess, aws: Aws) -> None:
    churn = await lived(house, aws, size=30, rounds=4, seed=5)
    assert len(churn.fleet) >= 30
