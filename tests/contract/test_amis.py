"""AMIs as facts: asked for once each, read again, and known to have been there before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from fakes.image_builder import BUILDER_ID, REGION, ImageBuilder, deb
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.amis.recording import AmiRecording
from whence_aggregator.amis.submission import parse_submission
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ports import Database, DescribedImage, SourceUnavailable
from whence_aggregator.queries.compliance import VERDICTS_OF, VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array
from whence_common.ami_facts import AmiFacts, PackageFacts

AMI = "ami-12c6146b"
PLACE = "123456789012/eu-central-1"
LAUNCHED = "2026-11-22T11:59:59.000Z"
DAY = 86_400.0
INVENTORY: ConfiguredSource = "inventory"


@pytest.fixture
async def ruled(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    rules = RulesInForce.of(RuleSettings(ami_owners=("123456789012",)), [INVENTORY])
    async with InProcess(database, authority, rules=rules).running() as house:
        machine = await house.machine()
        house.ec2.listed = {machine.instance_id: ("running", LAUNCHED)}
        house.ec2.details = {machine.instance_id: {"image_id": AMI, "key_name": ""}}
        await house.say(machine)
        yield house


async def verdicts(house: InProcess, name: str = AMI) -> dict[str, tuple[str, str]]:
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([name])}))
    return {row["rule"]: (row["verdict"], row["reason"]) for row in rows}


async def test_an_ami_of_another_owner_fails_and_passes_when_the_owner_is_another_one(ruled: InProcess) -> None:
    ruled.ec2.amis[AMI] = DescribedImage(name="taupage", owner="1", state="available", deprecated_at="", expires_at="")
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    assert (await verdicts(ruled))["ami-untrusted"][0] == "fail"
    ruled.ec2.amis[AMI] = DescribedImage(name="taupage", owner="123456789012", state="available")
    ruled.clock.advance(DAY + 1)
    await ruled.work()
    assert (await verdicts(ruled))["ami-untrusted"][0] == "pass"


async def test_an_ami_that_aws_no_longer_shows_was_deregistered_and_another_is_unknown_to_it(ruled: InProcess) -> None:
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    found = await verdicts(ruled)
    assert (found["ami-unknown"][0], found["ami-deregistered"][0]) == ("fail", "unknown")
    ruled.ec2.amis[AMI] = DescribedImage(name="taupage", owner="123456789012", state="available")
    ruled.clock.advance(DAY + 1)
    await ruled.work()
    del ruled.ec2.amis[AMI]
    ruled.clock.advance(DAY + 1)
    await ruled.work()
    found = await verdicts(ruled)
    assert (found["ami-unknown"][0], found["ami-deregistered"][0]) == ("unknown", "fail")


async def test_a_denied_reading_is_unknown_by_name_and_never_a_pass(ruled: InProcess) -> None:
    ruled.ec2.amis[AMI] = SourceUnavailable("ec2-denied", "EC2 of account 123456789012 denies the request")
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    await ruled.say(await ruled.machine("i-00000000000000002"))
    await ruled.work()
    found = await verdicts(ruled)
    assert {found[rule][0] for rule in ("ami-untrusted", "ami-unknown", "ami-expired", "ami-deregistered")} == {
        "unknown"
    }
    assert "denies the request" in found["ami-unknown"][1]


BUILDER = ImageBuilder()
STATEMENTS: ConfiguredSource = "ami-trust"
SOLD = DescribedImage(name="taupage", owner="123456789012", state="available", deprecated_at="", expires_at="")


@pytest.fixture
async def stated(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    """An AMI that builders may state, described by the EC2 API, with one instance."""
    settings = RuleSettings(ami_builders=(BUILDER_ID,), ami_days_max=60, ami_packages_differing_max=0)
    rules = RulesInForce.of(settings, [INVENTORY, STATEMENTS])
    trusted = frozenset({BUILDER.pair})
    async with InProcess(database, authority, rules=rules, ami_builders=trusted).running() as house:
        machine = await house.machine()
        house.ec2.listed = {machine.instance_id: ("running", LAUNCHED)}
        house.ec2.details = {machine.instance_id: {"image_id": AMI, "key_name": ""}}
        house.ec2.amis[AMI] = msgspec.structs.replace(SOLD, created_at="2026-11-20T00:00:00.000Z")
        await house.say(machine)
        await house.inventory.collect(PLACE)
        await house.work()
        yield house


async def record(house: InProcess, payload: bytes) -> str:
    submitted = parse_submission(BUILDER.submission(payload, (REGION, AMI)), [BUILDER.trusted])
    recorded = await AmiRecording(ledger=house.ledger, now=house.clock).record(
        submitted, recorded_by="ci", allowed=lambda _: True
    )
    await house.work()
    return recorded.digest


async def test_an_ami_without_a_statement_fails_until_an_allowed_builder_states_it(stated: InProcess) -> None:
    found = await verdicts(stated)
    assert found["ami-unstated"] == ("fail", "no statement about this AMI is recorded")
    await record(stated, BUILDER.payload())
    assert (await verdicts(stated))["ami-unstated"][0] == "pass"
    await record(stated, BUILDER.payload(deb("openssl", "1")))
    assert (await verdicts(stated))["ami-unstated"][0] == "fail", "two statements name it"


async def test_an_ami_whose_build_is_too_old_has_expired_however_young_its_copy_is(stated: InProcess) -> None:
    assert "ami-expired" not in await verdicts(stated), "it passes"
    await record(stated, BUILDER.payload(finished_at="2026-08-01T00:00:00Z"))
    verdict, reason = (await verdicts(stated))["ami-expired"]
    assert (verdict, reason.split(" by ")[0]) == ("fail", "the AMI was built at 2026-08-01T00:00:00Z")


async def test_an_ami_expires_as_the_days_pass_without_anything_new(stated: InProcess) -> None:
    await record(stated, BUILDER.payload(finished_at="2026-09-24T00:00:00Z"))
    assert "ami-expired" not in await verdicts(stated), "it passes"
    stated.clock.advance(2 * DAY)
    for _ in range(300):
        await stated.evaluator.sweep()
    await stated.work()
    assert (await verdicts(stated))["ami-expired"][0] == "fail"


async def test_a_machine_that_differs_from_its_image_fails_and_one_that_states_another_image_contradicts(
    stated: InProcess,
) -> None:
    digest = await record(stated, BUILDER.payload())
    changed = PackageFacts(name="openssl", architecture="amd64", image="1", machine="2")
    same, differs, other = [await stated.machine(f"i-{number:017x}") for number in (1, 2, 3)]
    await stated.say(same, ami=AmiFacts(statement_digest=digest, name="whence-1.2"))
    ami = AmiFacts(statement_digest=digest, name="whence-1.2", differing=1, differences=[changed])
    await stated.say(differs, ami=ami)
    await stated.say(other, ami=AmiFacts(statement_digest="sha256:" + "0" * 64, name="whence-1.2"))
    await stated.work()
    outcomes = {
        machine.instance_id[-1]: [
            (await verdicts_of_instance(stated, machine.instance_id)).get(rule, "pass")
            for rule in ("ami-statement-contradicted", "ami-packages-changed")
        ]
        for machine in (same, differs, other)
    }
    assert outcomes == {"1": ["pass", "pass"], "2": ["pass", "fail"], "3": ["fail", "unknown"]}


async def verdicts_of_instance(house: InProcess, name: str) -> dict[str, str]:
    """Return the verdicts that do not pass."""
    rows = await house.database.fetch(VERDICTS_OF.bind({"instance_ids": array([name])}))
    return {row["rule"]: row["verdict"] for row in rows}
