"""Monthly budgets and their alerts, by a fake that is held to botocore's service model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_budgets import BudgetsOfAccounts, FakeBudget
from fakes.aws_refusals import denied, passed
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import budgets

_ADDRESS = "budget/monthly"
_OWN = {"whence:managed-by": "whence-accounts"}
_TOPIC = "arn:aws:sns:eu-west-1:123456789012:costs"
_EMAILS = {"percent": 80, "emails": ["b@example.org", "a@example.org"]}
_FORECAST = {"percent": 100, "of": "forecasted", "topic": _TOPIC}
_PERMISSIONS = {
    "budgets:ViewBudget": (
        "DescribeBudget", "DescribeBudgets", "DescribeNotificationsForBudget", "DescribeSubscribersForNotification"
    ),
    "budgets:ModifyBudget": (
        "CreateBudget", "UpdateBudget", "DeleteBudget", "CreateNotification", "DeleteNotification", "CreateSubscriber",
        "DeleteSubscriber",
    ),
    "budgets:ListTagsForResource": ("ListTagsForResource",), "budgets:TagResource": ("TagResource",),
}  # fmt: skip
"""Calls by the permission that the Service Authorization Reference states for them."""


@asynccontextmanager
async def _world(moto: Aws, **stated: Any) -> AsyncIterator[tuple[AccountWorld, BudgetsOfAccounts]]:
    async with account_world(moto.url, steps=(budgets.STEP,), settings={"budgets": stated}) as world:
        fake = BudgetsOfAccounts()
        fake.install(world.aws)
        yield world, fake


def _monthly(*alerts: dict[str, Any], amount: float = 100) -> dict[str, Any]:
    return {"monthly": {"amount": amount, "alerts": list(alerts)}}


def _stands(world: AccountWorld, fake: BudgetsOfAccounts, **about: Any) -> FakeBudget:
    """Let a budget stand that somebody made."""
    made = FakeBudget(
        about={
            "BudgetName": "monthly", "BudgetLimit": {"Amount": "7", "Unit": "USD"}, "TimeUnit": "MONTHLY",
            "BudgetType": "COST", **about,
        }
    )  # fmt: skip
    fake.of(world.account_id)["monthly"] = made
    return made


async def test_a_budget_is_created_with_its_alerts_in_one_call_and_stays(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS, _FORECAST, amount=1000.5)) as (world, fake):
        plan = await world.plan()
        assert ([(one.address, one.action) for one in plan.changes], world.aws.writes) == ([(_ADDRESS, "create")], [])
        await world.apply(plan)
        assert world.aws.writes == ["budgets:CreateBudget"]
        await world.converge()
        made = fake.of(world.account_id)["monthly"]
        assert made.about["BudgetLimit"] == {"Amount": "1000.5", "Unit": "USD"}
        assert (made.about["TimeUnit"], made.about["BudgetType"], made.tags) == ("MONTHLY", "COST", _OWN)
        assert made.told == {("ACTUAL", 80): ["a@example.org", "b@example.org"], ("FORECASTED", 100): [_TOPIC]}


async def test_every_call_is_one_that_the_printed_policy_allows(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, _):
        await world.converge()
        world.settings["budgets"] = _monthly(_FORECAST, amount=2)
        await world.apply(await world.plan())
        called = {one.action for one in world.aws.calls if one.name.startswith("budgets:")}
        stated = {*budgets.BUDGET.reads, *budgets.BUDGET.writes}
        assert stated == set(_PERMISSIONS)
        assert called <= {one for actions in _PERMISSIONS.values() for one in actions}


async def test_each_changed_part_is_one_change_and_no_alert_is_missing_meanwhile(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS, _FORECAST)) as (world, fake):
        await world.converge()
        made = fake.of(world.account_id)["monthly"]
        told = {**_EMAILS, "emails": ["b@example.org", "c@example.org"]}
        for section, aspect, writes in (
            (_monthly(_EMAILS, _FORECAST, amount=200), "cost", ["UpdateBudget"]),
            (_monthly(told, _FORECAST, amount=200), "alerts", ["CreateSubscriber", "DeleteSubscriber"]),
            (_monthly({**told, "percent": 90}, amount=200), "alerts", ["CreateNotification", *["DeleteNotification"] * 2]),
            (_monthly(amount=200), "alerts", ["DeleteNotification"]),
        ):  # fmt: skip
            world.settings["budgets"] = section
            plan = await world.plan()
            assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_ADDRESS, [aspect])]
            world.aws.forget()
            await world.apply(plan)
            assert world.aws.writes == [f"budgets:{one}" for one in writes]
        await world.converge()
        assert (made.told, made.about["BudgetLimit"]["Amount"]) == ({}, "200")


async def test_changes_by_hand_are_drift_and_are_put_right(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, fake):
        await world.converge()
        made = fake.of(world.account_id)["monthly"]
        made.about["BudgetLimit"] = {"Amount": "9000", "Unit": "USD"}
        made.about["AutoAdjustData"] = {"AutoAdjustType": "FORECAST"}
        made.alerts = {
            ("ACTUAL", "GREATER_THAN", 80.0, "ABSOLUTE_VALUE"): [{"SubscriptionType": "EMAIL", "Address": "x@y"}]
        }
        assert [list(one.after or {}) for one in (await world.plan()).changes] == [["cost", "alerts"]]
        await world.converge()
        assert made.told == {("ACTUAL", 80): ["a@example.org", "b@example.org"]}
        assert "AutoAdjustData" not in made.about


async def test_a_budget_of_others_is_reported_and_an_adopted_one_keeps_its_filter(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, fake):
        filters = {"CostFilters": {"Service": ["AWS Lambda"]}, "CostTypes": {"IncludeTax": False}}
        stands = _stands(world, fake, **filters)
        plan = await world.plan()
        assert [(one.kind, one.message) for one in plan.remarks] == [
            ("foreign", "it exists without our tag and differs in cost, alerts, tags: not changed"),
            ("foreign", "its filter of costs is left as it is"),
        ]
        await world.converge()
        assert (stands.about["BudgetLimit"]["Amount"], stands.alerts) == ("7", {})
        await world.converge(adopt=(_ADDRESS,))
        assert stands.about["BudgetLimit"]["Amount"] == "100"
        assert {name: stands.about[name] for name in filters} == filters
        assert "TimePeriod" in stands.about


async def test_a_filter_of_the_newer_form_is_kept_without_the_older_one(moto: Aws) -> None:
    async with _world(moto, **_monthly()) as (world, fake):
        newer = {
            "FilterExpression": {"Dimensions": {"Key": "REGION", "Values": ["eu-west-1"]}},
            "Metrics": ["NetUnblendedCost"],
        }
        stands = _stands(world, fake, **newer, CostFilters={}, CostTypes={"IncludeTax": True})
        await world.converge(adopt=(_ADDRESS,))
        assert {name: stands.about[name] for name in newer} == newer
        assert "CostTypes" not in stands.about


async def test_a_budget_is_deleted_with_its_key_and_those_of_others_stay(moto: Aws) -> None:
    async with _world(moto, **_monthly(), yearly={"amount": 5}) as (world, fake):
        await world.converge()
        fake.of(world.account_id)["theirs"] = FakeBudget(about={**_stands_about(), "BudgetName": "theirs"})
        del world.settings["budgets"]["yearly"]
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [("budget/yearly", "delete")]
        await world.converge()
        assert sorted(fake.of(world.account_id)) == ["monthly", "theirs"]
        world.settings["budgets"] = {}
        assert (await world.plan()).changes == (), "nothing of the step is stated"


def _stands_about() -> dict[str, Any]:
    return {"BudgetLimit": {"Amount": "7", "Unit": "USD"}, "TimeUnit": "MONTHLY", "BudgetType": "COST"}


async def test_budgets_that_cannot_be_read_are_unknown_and_none_is_created(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, _):
        await world.converge()
        for action in (*_PERMISSIONS["budgets:ViewBudget"][1:], "ListTagsForResource"):
            world.aws.before = denied(f"budgets:{action}")
            plan = await world.plan()
            assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "budget/*")], action
            assert plan.changes == ()
        world.settings["budgets"] = {}
        assert [one.kind for one in (await world.plan()).remarks] == ["unsearched"]


async def test_a_refused_creation_is_reported_with_its_permissions_and_the_next_apply_goes_on(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, _):
        world.aws.before = denied("budgets:CreateBudget")
        (failed,) = (await world.apply(await world.plan())).changes
        assert (failed.outcome, "budgets:ModifyBudget" in failed.fix) == ("failed", True)
        world.aws.before = passed
        await world.converge()


async def test_alerts_that_were_cut_off_go_on_with_the_next_plan(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS)) as (world, fake):
        await world.converge()
        world.settings["budgets"] = _monthly({**_EMAILS, "percent": 90}, _FORECAST)
        plan = await world.plan()
        world.aws.before = denied("budgets:DeleteNotification")
        assert not (await world.apply(plan)).succeeded
        world.aws.before = passed
        await world.converge()
        assert set(fake.of(world.account_id)["monthly"].told) == {("ACTUAL", 90), ("FORECASTED", 100)}


async def test_import_states_monthly_budgets_of_costs_only(moto: Aws) -> None:
    async with _world(moto, **_monthly(_EMAILS, _FORECAST)) as (world, fake):
        await world.converge()
        kept = fake.of(world.account_id)
        odd: dict[str, dict[str, Any]] = {
            "quarterly": {"TimeUnit": "QUARTERLY"}, "usage": {"BudgetType": "USAGE"},
            "filtered": {"CostFilters": {"Service": ["AWS Lambda"]}}, "adjusting": {"AutoAdjustData": {"AutoAdjustType": "FORECAST"}},
        }  # fmt: skip
        for name, about in odd.items():
            kept[name] = FakeBudget(about={**_stands_about(), "BudgetName": name, **about})
        absolute = {
            ("ACTUAL", "GREATER_THAN", 50.0, "ABSOLUTE_VALUE"): [{"SubscriptionType": "EMAIL", "Address": "x@y"}]
        }
        kept["absolute"] = FakeBudget(about={**_stands_about(), "BudgetName": "absolute"}, alerts=absolute)
        found = await import_account(world.account.target, world.steps, world.providers)
        assert found.section == {
            "budgets": {
                "monthly": {
                    "amount": 100.0, "unit": "USD",
                    "alerts": [
                        {"percent": 80.0, "of": "actual", "emails": ["a@example.org", "b@example.org"]},
                        {"percent": 100.0, "of": "forecasted", "emails": [], "topic": _TOPIC},
                    ],
                }
            }
        }  # fmt: skip
        world.settings = dict(found.section)
        assert (await world.plan()).changes == ()


async def test_the_fake_answers_as_the_service_model_has_it(moto: Aws) -> None:
    async with _world(moto) as (world, fake):
        client = boto3.client(
            "budgets", endpoint_url=world.aws.url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )
        account, errors = {"AccountId": "123456789012"}, client.exceptions
        arn = "arn:aws:budgets::123456789012:budget/b"
        budget = {"BudgetName": "b", **_stands_about()}
        notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
        told = [{"SubscriptionType": "EMAIL", "Address": f"{one}@example.org"} for one in ("a", "b")]
        of = {**account, "BudgetName": "b"}

        def calls() -> None:
            client.create_budget(**account, Budget=budget, ResourceTags=[{"Key": "a", "Value": "b"}])
            with pytest.raises(errors.DuplicateRecordException):
                client.create_budget(**account, Budget=budget)
            client.update_budget(**account, NewBudget={**budget, "BudgetLimit": {"Amount": "8", "Unit": "USD"}})
            (found,) = client.describe_budgets(**account)["Budgets"]
            assert found["BudgetLimit"] == {"Amount": "8.0", "Unit": "USD"}
            assert client.describe_budget(**of)["Budget"]["TimeUnit"] == "MONTHLY"
            client.create_notification(**of, Notification=notification, Subscribers=told[:1])
            with pytest.raises(errors.DuplicateRecordException):
                client.create_notification(**of, Notification=notification, Subscribers=told[:1])
            client.create_subscriber(**of, Notification=notification, Subscriber=told[1])
            client.delete_subscriber(**of, Notification=notification, Subscriber=told[0])
            (listed,) = client.describe_notifications_for_budget(**of)["Notifications"]
            assert listed == {**notification, "ThresholdType": "PERCENTAGE", "NotificationState": "OK"}
            answer = client.describe_subscribers_for_notification(**of, Notification=notification)
            assert answer["Subscribers"] == told[1:]
            client.delete_notification(**of, Notification=notification)
            with pytest.raises(errors.NotFoundException):
                client.delete_notification(**of, Notification=notification)
            client.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "c", "Value": "d"}])
            tags = client.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]
            assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
            client.delete_budget(**of)
            with pytest.raises(errors.NotFoundException):
                client.describe_budget(**of)

        await asyncio.to_thread(calls)
        operations = {name.removeprefix("budgets:") for name in world.aws.extensions if name.startswith("budgets:")}
        assert operations <= set(client.meta.service_model.operation_names)
        assert fake.of("") == {}
