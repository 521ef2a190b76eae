"""A reading that fails makes what rests on it unknown at once, and one that succeeds again settles it; retries add nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import COMMIT, DIGEST, Machine
from fakes.organisation import FakeOrganisation
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.covered import CoveredAccounts
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import snapshot
from whence_aggregator.organisation.source import OrganisationSource
from whence_aggregator.organisation.values import Account, SourceName
from whence_aggregator.ports import BranchAnswer, Database, DescribedImage, SourceUnavailable
from whence_aggregator.queries.compliance import VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array
from whence_aggregator.storage.sqlite import SqliteDatabase

AMI, ACCOUNT = "ami-12c6146b", "123456789012"
PLACE = f"{ACCOUNT}/eu-central-1"
ONE = "i-0123456789abcdef0"
LAUNCHED = "2026-11-22T11:59:59.000Z"
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet"
AWAY = SourceUnavailable("git-refused", "the Git server is away")
DENIED = SourceUnavailable("ec2-denied", "EC2 denies it: UnauthorizedOperation")
RULES = RulesInForce.of(RuleSettings(ami_owners=(ACCOUNT,)), ["inventory"])
DIRTY_IN_REGISTRY = (
    b'{"url":"git:https://git.example.org/other/thing.git","revision":"%s","status":"M a.py","author":"a"}'
    % (b"d" * 40)
)
UNREACHED = BranchAnswer(branch="main", commit_id="f" * 40, reachable=False, reached_by=())


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite alone: the same queries run on both databases in other tests."""
    opened = await SqliteDatabase.open(tmp_path / "ledger.db")
    yield opened
    await opened.close()


@pytest.fixture
async def house(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, rules=RULES).running() as running:
        await running.register()
        running.sources.images[DIGEST] = None
        running.sources.commits[COMMIT] = MESSAGE
        running.ec2.listed = {ONE: ("running", LAUNCHED)}
        running.ec2.details = {ONE: {"key_name": "ops", "image_id": AMI, "imds_tokens": "required"}}
        running.ec2.amis = {AMI: DescribedImage(name="taupage", owner="999999999999", state="available")}
        yield running


async def boot(house: InProcess) -> Machine:
    machine = await house.machine(ONE)
    await house.say(machine)
    await house.inventory.collect(PLACE)
    await house.work()
    return machine


async def of_instance(house: InProcess, rule: str) -> tuple[str, str]:
    return {row["rule"]: (row["verdict"], row["reason"]) for row in await standing_verdicts(house.database, ONE)}[rule]


async def of_subject(house: InProcess, name: str, rule: str) -> tuple[str, str]:
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([name])}))
    return next((row["verdict"], row["reason"]) for row in rows if row["rule"] == rule)


async def judged(house: InProcess) -> int:
    return len(await house.entries("verdict"))


async def judge(house: InProcess) -> None:
    while await house.evaluator.work():
        pass


async def test_a_version_is_unknown_while_its_branch_cannot_be_read_and_retries_append_nothing(
    house: InProcess,
) -> None:
    house.sources.branches[COMMIT] = UNREACHED
    await boot(house)
    assert (await of_instance(house, "commit-unmerged"))[0] == "fail"
    house.sources.branches[COMMIT] = AWAY
    house.clock.advance(300)
    assert await house.worker.work() == 1
    await judge(house)
    expected = (
        "unknown",
        "it is not known whether the default branch reaches it: it could not be read again since "
        "2026-11-22T12:05:00.000Z: the Git server is away",
    )
    assert await of_instance(house, "commit-unmerged") == expected
    assert (await of_subject(house, "greeter@1.0", "check-could-not-run"))[0] == "fail"
    stood = await judged(house)
    for _ in range(3):
        house.clock.advance(10)
        assert await house.worker.work() == 1
        assert await house.evaluator.work() == 0, "nothing new is known"
    assert await judged(house) == stood
    house.sources.branches[COMMIT] = UNREACHED
    house.clock.advance(10)
    await house.worker.work()
    await judge(house)
    assert (await of_instance(house, "commit-unmerged"))[0] == "fail"
    assert (await of_subject(house, "greeter@1.0", "check-could-not-run"))[0] == "pass"


async def test_a_source_that_was_never_read_gives_the_same_reason_at_each_attempt(house: InProcess) -> None:
    house.sources.commits[COMMIT] = AWAY
    machine = await boot(house)
    assert await of_instance(house, "commit-not-found") == ("unknown", "the Git server is away")
    stood = await judged(house)
    for _ in range(3):
        house.clock.advance(10)
        await house.say(machine)
        await house.work()
    assert await judged(house) == stood
    link = (await house.lineage(ONE)).link("commit")
    assert link.reason == "the Git server is away; next attempt at 2026-11-22T12:00:40.000Z"


async def test_an_image_that_its_registry_lacked_does_not_pass_when_the_registry_fails(house: InProcess) -> None:
    house.sources.images[DIGEST] = SourceUnavailable("registry-image-unknown", "the registry does not have it")
    await boot(house)
    assert await of_instance(house, "image-mutable") == ("fail", "the registry does not have it")
    house.sources.images[DIGEST] = SourceUnavailable("registry-unreachable", "the registry is away")
    house.clock.advance(300)
    await house.worker.work()
    await judge(house)
    why = "the registry was not read: it could not be read again since 2026-11-22T12:05:00.000Z: the registry is away"
    assert await of_instance(house, "image-mutable") == ("unknown", why)


async def test_a_clean_source_is_unknown_until_the_registry_was_read_which_may_state_changes(house: InProcess) -> None:
    house.sources.images[DIGEST] = SourceUnavailable("registry-unreachable", "the registry is away")
    await boot(house)
    why = "the registry was not read, and may state uncommitted changes: the registry is away"
    assert await of_instance(house, "source-dirty") == ("unknown", why)
    house.sources.images[DIGEST] = DIRTY_IN_REGISTRY
    house.clock.advance(300)
    await house.worker.work()
    await judge(house)
    expected = ("fail", "the image was built from a tree with uncommitted changes")
    assert await of_instance(house, "source-dirty") == expected
    assert (await of_instance(house, "source-missing"))[0] == "fail", "agent and registry read different files"


async def test_an_ami_is_unknown_while_it_cannot_be_described(house: InProcess) -> None:
    await boot(house)
    assert (await of_subject(house, AMI, "ami-untrusted"))[0] == "fail"
    house.ec2.amis[AMI] = DENIED
    house.clock.advance(86_400)
    await house.worker.work()
    await judge(house)
    reason = "it could not be read again since 2026-11-23T12:00:00.000Z: EC2 denies it: UnauthorizedOperation"
    assert await of_subject(house, AMI, "ami-untrusted") == ("unknown", f"the AMI was not read: {reason}")
    house.ec2.amis[AMI] = DescribedImage(name="taupage", owner="999999999999", state="available")
    house.clock.advance(10)
    await house.worker.work()
    await judge(house)
    assert (await of_subject(house, AMI, "ami-untrusted"))[0] == "fail"


async def test_an_instance_is_unknown_while_its_account_cannot_be_listed(house: InProcess) -> None:
    await boot(house)
    assert (await of_instance(house, "ssh-keypair-used"))[0] == "fail"
    house.ec2.away = True
    for _ in range(3):
        with pytest.raises(SourceUnavailable):
            await house.inventory.collect(PLACE)
        await judge(house)
    expected = ("unknown", "not known: the inventory, which cannot be read: EC2 is away")
    for rule in ("ssh-keypair-used", "imdsv2-not-required", "instance-unlisted", "secret-in-user-data"):
        assert await of_instance(house, rule) == expected, rule
    stood = await judged(house)
    with pytest.raises(SourceUnavailable):
        await house.inventory.collect(PLACE)
    assert await house.evaluator.work() == 0
    assert await judged(house) == stood
    house.ec2.away = False
    house.clock.advance(1)
    await house.inventory.collect(PLACE)
    await judge(house)
    assert (await of_instance(house, "ssh-keypair-used"))[0] == "fail"
    assert (await of_instance(house, "imdsv2-not-required"))[0] == "pass"


async def test_an_account_is_not_covered_while_one_of_its_regions_cannot_be_listed(
    database: Database, authority: SigningAuthority
) -> None:
    covered = CoveredAccounts(
        database=database,
        directory=OrganisationDirectory(database),
        allowed={ACCOUNT},
        lists=True,
        events=None,
        drifts=None,
    )
    rules = RulesInForce.of(sources=["inventory", "organisation"])
    async with InProcess(database, authority, rules=rules, organisation_accounts=covered).running() as house:
        stated = snapshot("file", accounts=[Account(account_id=ACCOUNT, status="ACTIVE")])
        sources = {stated.source: FakeOrganisation(stated)}
        recorder = OrganisationRecorder(database=database, ledger=house.ledger, sources=sources, now=house.clock)
        await recorder.read("file")
        await house.inventory.collect(PLACE)
        await house.evaluator.sweep()
        await judge(house)
        rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([ACCOUNT])}))
        assert [row["verdict"] for row in rows] == []
        house.ec2.away = True
        for _ in range(3):
            with pytest.raises(SourceUnavailable):
                await house.inventory.collect(PLACE)
            await judge(house)
        assert await of_subject(house, ACCOUNT, "account-uncovered") == ("fail", "eu-central-1: EC2 is away")
        house.ec2.away = False
        house.clock.advance(1)
        await house.inventory.collect(PLACE)
        await judge(house)
        assert (await of_subject(house, ACCOUNT, "account-uncovered"))[0] == "pass"


async def test_an_account_is_not_known_to_be_covered_until_each_of_its_regions_was_listed(
    database: Database, authority: SigningAuthority
) -> None:
    covered = CoveredAccounts(
        database=database,
        directory=OrganisationDirectory(database),
        allowed={ACCOUNT},
        lists=True,
        events=None,
        drifts=None,
    )
    async with InProcess(database, authority).running() as house:
        stated = snapshot("file", accounts=[Account(account_id=ACCOUNT, status="ACTIVE")])
        sources = {stated.source: FakeOrganisation(stated)}
        await OrganisationRecorder(database=database, ledger=house.ledger, sources=sources, now=house.clock).read(
            "file"
        )
        await house.inventory.collect(PLACE)
        assert (await covered.of([ACCOUNT]))[ACCOUNT].listed is True
        house.ec2.away = True
        with pytest.raises(SourceUnavailable):
            await house.inventory.collect(f"{ACCOUNT}/eu-west-1")
        assert (await covered.of([ACCOUNT]))[ACCOUNT].listed is None
        house.ec2.away = False
        house.clock.advance(1)
        await house.inventory.collect(f"{ACCOUNT}/eu-west-1")
        assert (await covered.of([ACCOUNT]))[ACCOUNT].listed is True


async def test_instances_are_judged_again_when_who_owns_their_account_changes(house: InProcess) -> None:
    await boot(house)
    source = FakeOrganisation(snapshot("file"))
    sources: dict[SourceName, OrganisationSource] = {"file": source}
    recorder = OrganisationRecorder(database=house.database, ledger=house.ledger, sources=sources, now=house.clock)
    for owner, others in (("hello", 0), ("ship", 0), ("ship", 1)):
        about = OTHER_ACCOUNT if others else ACCOUNT
        source.says = snapshot("file", accounts=[Account(account_id=about, status="ACTIVE", owner=owner)])
        await recorder.read("file")
        assert await house.evaluator.work() == 1
        await judge(house)
    await recorder.read("file")
    assert await house.evaluator.work() == 0, "nothing new was stated"
