"""GuardDuty's detectors, by a fake that is held to botocore's service model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import msgspec
import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_guardduty import FakeDetector, GuardDutyOfAccounts
from fakes.aws_refusals import denied, passed
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import guardduty
from whence_aggregator.accounts.steps.guardduty import DETECTOR

_REGIONS = (REGION, "us-east-1")
_ADDRESS = f"{REGION}/guardduty-detector/detector"
_OWN = {"whence:managed-by": "whence-accounts"}
_ADMINISTRATOR = {"accountId": "999999999999", "relationshipStatus": "Enabled"}


@asynccontextmanager
async def _world(
    moto: Aws, section: dict[str, Any] | None, regions: tuple[str, ...] = (REGION,)
) -> AsyncIterator[tuple[AccountWorld, GuardDutyOfAccounts]]:
    settings = {"guardduty": section} if section is not None else {}
    async with account_world(moto.url, steps=(guardduty.STEP,), settings=settings, regions=regions) as world:
        fake = GuardDutyOfAccounts()
        fake.install(world.aws)
        yield world, fake


def _stands(world: AccountWorld, fake: GuardDutyOfAccounts, **about: Any) -> FakeDetector:
    """Let a detector stand that somebody made."""
    made = FakeDetector(**{"id": "f" * 32, "enabled": True, **about})
    fake.detectors[world.account_id, REGION] = made
    return made


async def test_every_region_gets_a_detector_in_one_call_and_keeps_it(moto: Aws) -> None:
    async with _world(moto, {"finding_publishing_frequency": "ONE_HOUR"}, _REGIONS) as (world, fake):
        plan = await world.plan()
        assert ([one.action for one in plan.changes], world.aws.writes) == (["create", "create"], [])
        await world.apply(plan)
        assert world.aws.writes == ["guardduty:CreateDetector"] * 2
        called = {one.name for one in world.aws.calls if one.name.startswith("guardduty:")}
        assert called <= {*DETECTOR.reads, *DETECTOR.writes}
        await world.converge()
        found = [fake.detectors[world.account_id, one] for one in _REGIONS]
        assert [(one.enabled, one.frequency, one.tags) for one in found] == [(True, "ONE_HOUR", _OWN)] * 2


async def test_only_the_stated_regions_have_one(moto: Aws) -> None:
    async with _world(moto, {"regions": ["us-east-1"]}, _REGIONS) as (world, fake):
        await world.converge()
        assert list(fake.detectors) == [(world.account_id, "us-east-1")]


@pytest.mark.parametrize(
    ("by_hand", "after"),
    [
        ({"enabled": False}, {"enabled": True}),
        ({"frequency": "FIFTEEN_MINUTES"}, {"finding_publishing_frequency": "SIX_HOURS"}),
    ],
)
async def test_a_change_by_hand_is_drift_and_is_put_right_in_one_call(
    moto: Aws, by_hand: dict[str, Any], after: dict[str, Any]
) -> None:
    async with _world(moto, {}) as (world, fake):
        await world.converge()
        for name, value in by_hand.items():
            setattr(fake.detectors[world.account_id, REGION], name, value)
        plan = await world.plan()
        assert [(one.address, one.after) for one in plan.changes] == [(_ADDRESS, after)]
        world.aws.forget()
        await world.apply(plan)
        assert world.aws.writes == ["guardduty:UpdateDetector"]
        await world.converge()


async def test_a_detector_of_others_is_reported_and_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with _world(moto, {}) as (world, fake):
        stands = _stands(world, fake, enabled=False, tags={"team": "security"})
        plan = await world.plan()
        assert [(one.kind, one.address, one.message) for one in plan.remarks] == [
            ("foreign", _ADDRESS, "it exists without our tag and differs in enabled, tags: not changed")
        ]
        await world.converge()
        assert (stands.enabled, stands.tags) == (False, {"team": "security"})
        await world.converge(adopt=(_ADDRESS,))
        assert (stands.enabled, stands.tags) == (True, {"team": "security", **_OWN})


@pytest.mark.parametrize("tags", [{}, _OWN])
async def test_the_detector_of_an_administrator_account_is_never_changed(moto: Aws, tags: dict[str, str]) -> None:
    async with _world(moto, {"finding_publishing_frequency": "ONE_HOUR"}) as (world, fake):
        stands = _stands(world, fake, tags=dict(tags), administrator=_ADMINISTRATOR)
        plan = await world.plan()
        assert plan.changes == ()
        remarks = [one.message for one in plan.remarks]
        assert "its administration by account 999999999999 is left as it is" in remarks
        report = await world.apply(await world.plan(adopt=("*",), delete=("*",)))
        assert [(one.outcome, one.message) for one in report.changes] == [
            (
                "failed", "the detector in eu-west-1 is administered by account 999999999999: not changed",
            )
        ]  # fmt: skip
        assert (stands.frequency, stands.tags, world.aws.writes) == ("SIX_HOURS", tags, [])


async def test_an_account_that_left_its_administrator_is_its_own_again(moto: Aws) -> None:
    async with _world(moto, {"finding_publishing_frequency": "ONE_HOUR"}) as (world, fake):
        resigned = {**_ADMINISTRATOR, "relationshipStatus": "Resigned"}
        _stands(world, fake, tags=dict(_OWN), administrator=resigned)
        plan = await world.plan()
        assert [one.after for one in plan.changes] == [{"finding_publishing_frequency": "ONE_HOUR"}]


async def test_a_detector_that_is_no_longer_stated_is_kept_until_it_is_named(moto: Aws) -> None:
    async with _world(moto, {}, _REGIONS) as (world, fake):
        await world.converge()
        world.settings["guardduty"] = {"regions": ["us-east-1"]}
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (_ADDRESS, "the configuration no longer states it, but it may hold data: not deleted")
        ]
        await world.converge(delete=(_ADDRESS,))
        assert list(fake.detectors) == [(world.account_id, "us-east-1")]


async def test_an_account_that_states_nothing_is_left_as_it_is(moto: Aws) -> None:
    async with _world(moto, None) as (world, fake):
        _stands(world, fake)
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())


@pytest.mark.parametrize("action", DETECTOR.reads)
async def test_detectors_that_cannot_be_read_are_unknown_and_none_is_created(moto: Aws, action: str) -> None:
    async with _world(moto, {}) as (world, fake):
        _stands(world, fake)
        world.aws.before = denied(action)
        plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", f"{REGION}/guardduty-detector/*")]
        assert (plan.changes, plan.is_whole) == ((), False)


async def test_a_refused_creation_is_reported_with_its_permissions_and_the_next_apply_goes_on(moto: Aws) -> None:
    async with _world(moto, {}) as (world, _):
        world.aws.before = denied("guardduty:CreateDetector")
        report = await world.apply(await world.plan())
        (failed,) = report.changes
        assert failed.outcome == "failed"
        assert "guardduty:CreateDetector" in failed.fix
        world.aws.before = passed
        await world.converge()


async def test_a_detector_that_somebody_makes_meanwhile_is_not_taken_over(moto: Aws) -> None:
    async with _world(moto, {"finding_publishing_frequency": "ONE_HOUR"}) as (world, fake):
        plan = await world.plan()
        stands = _stands(world, fake)
        report = await world.apply(plan)
        assert [one.outcome for one in report.changes] == ["refused"]
        assert "moved" in report.error
        assert (stands.frequency, world.aws.writes) == ("SIX_HOURS", [])


async def test_import_states_the_regions_with_a_detector_that_is_on(moto: Aws) -> None:
    async with _world(moto, None, _REGIONS) as (world, fake):
        target = world.account.target
        assert (await import_account(target, world.steps, world.providers)).section == {}
        _stands(world, fake, frequency="ONE_HOUR")
        section = (await import_account(target, world.steps, world.providers)).section
        assert section == {"guardduty": {"finding_publishing_frequency": "ONE_HOUR", "regions": [REGION]}}
        world.settings |= section
        assert (await world.plan()).changes == ()
        _stands(world, fake, administrator=_ADMINISTRATOR)
        assert (await import_account(target, world.steps, world.providers)).section == {}


@pytest.mark.parametrize(
    "section", [{"finding_publishing_frequency": "DAILY"}, {"regions": ["Frankfurt"]}, {"enabled": True}]
)
async def test_values_that_guardduty_does_not_have_are_refused(moto: Aws, section: dict[str, Any]) -> None:
    async with _world(moto, section) as (world, _):
        with pytest.raises(msgspec.ValidationError):
            await world.plan()


async def test_the_fake_answers_as_the_service_model_has_it(moto: Aws) -> None:
    async with _world(moto, {}) as (world, fake):
        client = boto3.client(
            "guardduty", endpoint_url=world.aws.url, region_name=REGION, aws_access_key_id="a",
            aws_secret_access_key="b",
        )  # fmt: skip

        def calls() -> None:
            made = client.create_detector(Enable=True, Tags={"a": "b"})["DetectorId"]
            assert client.list_detectors()["DetectorIds"] == [made]
            with pytest.raises(client.exceptions.BadRequestException):
                client.create_detector(Enable=True)
            client.update_detector(DetectorId=made, FindingPublishingFrequency="ONE_HOUR", Enable=False)
            arn = f"arn:aws:guardduty:{REGION}:123456789012:detector/{made}"
            client.tag_resource(ResourceArn=arn, Tags={"c": "d"})
            found = client.get_detector(DetectorId=made)
            assert (found["Status"], found["FindingPublishingFrequency"]) == ("DISABLED", "ONE_HOUR")
            assert found["Tags"] == {"a": "b", "c": "d"}
            assert client.get_administrator_account(DetectorId=made)["Administrator"] == {}
            fake.detectors["", REGION].administrator = _ADMINISTRATOR
            administrator = client.get_administrator_account(DetectorId=made)["Administrator"]
            assert administrator == {"AccountId": "999999999999", "RelationshipStatus": "Enabled"}
            client.delete_detector(DetectorId=made)
            assert client.list_detectors()["DetectorIds"] == []
            with pytest.raises(client.exceptions.BadRequestException):
                client.get_detector(DetectorId=made)

        await asyncio.to_thread(calls)
