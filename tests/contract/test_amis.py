"""AMIs as facts: asked for once each, read again, and known to have been there before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ports import Database, DescribedImage, SourceUnavailable
from whence_aggregator.queries.compliance import VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array

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


async def verdicts(house: InProcess) -> dict[str, tuple[str, str]]:
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([AMI])}))
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
