"""Budgets, by AWS Budgets. They belong to the account, in no region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.budgets import BUDGET, number_text, sorted_alerts
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of
from whence_aggregator.adapters.accounts.calls import gathered
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_GONE = "NotFoundException"
_EXISTS = "DuplicateRecordException"
_KEPT = ("BillingViewArn", "TimePeriod")
"""What the configuration does not state of a budget, and UpdateBudget would reset."""
_FILTERS = (("FilterExpression", "Metrics"), ("CostFilters", "CostTypes"))
"""The newer and the older way to state what a budget counts: a call may have one of them."""
_About = Mapping[str, Any]
_Alert = Mapping[str, Any]


class BudgetProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        asked = {one.name: one for one in wanted}
        return [one for one in await self._all(asked) if one.name in asked or one.is_own]

    async def find(self) -> Sequence[StandingResource]:
        return await self._all({})

    async def _all(self, asked: Mapping[str, WantedResource]) -> Sequence[StandingResource]:
        client = await self._place.client("budgets")
        asking: Mapping[str, Any] = {**self._account, **_shown(client, "DescribeBudgets")}
        listed = await whole_list(client, "describe_budgets", "Budgets", **asking)
        found = await gathered(self._budget(client, one, asked.get(one["BudgetName"])) for one in listed)
        return [one for one in found if one is not None]

    async def _budget(self, client: Any, about: _About, wanted: WantedResource | None) -> StandingResource | None:
        name = str(about["BudgetName"])
        listed = await answered(client.list_tags_for_resource(ResourceARN=self._arn(name)), _GONE)
        if listed is None:
            return None
        tags = tags_of(listed.get("ResourceTags"))
        has_filters = bool(about.get("CostFilters") or about.get("FilterExpression"))
        return StandingResource(
            kind=BUDGET, name=name, is_own=is_own(tags),
            state={
                "cost": _cost(about), "alerts": await self._alerts(client, name), "tags": seen_tags(tags, wanted)
            },
            foreign=("its filter of costs",) if has_filters else (),
        )  # fmt: skip

    async def _alerts(self, client: Any, name: str) -> Json:
        of: Mapping[str, Any] = {**self._account, "BudgetName": name}
        found = []
        for one in await whole_list(client, "describe_notifications_for_budget", "Notifications", **of):
            notification = {key: value for key, value in one.items() if key != "NotificationState"}
            told = await whole_list(
                client, "describe_subscribers_for_notification", "Subscribers", **of, Notification=notification
            )
            found.append(_alert(one, told))
        return sorted_alerts(found)

    async def create(self, wanted: WantedResource) -> None:
        client, state = await self._place.client("budgets"), wanted.state
        alerts: Any = state["alerts"]
        told = [{"Notification": _notification(one), "Subscribers": _subscribers(one)} for one in alerts]
        await client.create_budget(
            **self._account, Budget=_written(wanted.name, state["cost"]), NotificationsWithSubscribers=told,
            ResourceTags=tag_list(state["tags"]),
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        client = await self._place.client("budgets")
        if aspect == "tags":
            await client.tag_resource(ResourceARN=self._arn(standing.name), ResourceTags=tag_list(value))
        elif aspect == "cost":
            asked = {**self._account, "BudgetName": standing.name, **_shown(client, "DescribeBudget")}
            answer = await client.describe_budget(**asked)
            budget = {**_kept(answer["Budget"]), **_written(standing.name, value)}
            await client.update_budget(**self._account, NewBudget=budget)
        else:
            assert aspect == "alerts", aspect
            await self._put_alerts(client, standing, value)

    async def _put_alerts(self, client: Any, standing: StandingResource, value: Any) -> None:
        """Add what is missing, then remove what is too much, so that no alert is missing meanwhile."""
        of: dict[str, Any] = {**self._account, "BudgetName": standing.name}
        listed: Any = standing.state["alerts"]
        before, after = {_key(one): one for one in listed}, {_key(one): one for one in value}
        for key, one in after.items():
            about = {**of, "Notification": _notification(one)}
            if key not in before:
                await client.create_notification(**about, Subscribers=_subscribers(one))
                continue
            for each in _subscribers(one, but=before[key]):
                await answered(client.create_subscriber(**about, Subscriber=each), _EXISTS)
            for each in _subscribers(before[key], but=one):
                await answered(client.delete_subscriber(**about, Subscriber=each), _GONE)
        for key, one in before.items():
            if key not in after:
                await answered(client.delete_notification(**of, Notification=_notification(one)), _GONE)

    async def delete(self, standing: StandingResource) -> None:
        client = await self._place.client("budgets")
        await answered(client.delete_budget(**self._account, BudgetName=standing.name), _GONE)

    @property
    def _account(self) -> dict[str, str]:
        return {"AccountId": self._place.account_id}

    def _arn(self, name: str) -> str:
        return f"arn:{partition_of(self._place.region)}:budgets::{self._place.account_id}:budget/{name}"


def _shown(client: Any, operation: str) -> dict[str, bool]:
    """Return what asks for filters of the newer form. SDKs before them have budgets with older ones only."""
    name = "ShowFilterExpression"
    known = client.meta.service_model.operation_model(operation).input_shape.members
    return {name: True} if name in known else {}


def _cost(about: _About) -> Json:
    """Return what a budget limits. `adjusts` is there only if AWS changes the amount by itself, or by month."""
    limit = about.get("BudgetLimit") or {}
    found: dict[str, Json] = {
        "amount": number_text(limit["Amount"]) if limit else None, "unit": limit.get("Unit"),
        "time_unit": about["TimeUnit"], "type": about["BudgetType"],
    }  # fmt: skip
    if about.get("AutoAdjustData") or about.get("PlannedBudgetLimits"):
        found["adjusts"] = True
    return found


def _written(name: str, cost: Json) -> dict[str, Any]:
    assert isinstance(cost, Mapping)
    return {
        "BudgetName": name, "BudgetLimit": {"Amount": cost["amount"], "Unit": cost["unit"]},
        "TimeUnit": cost["time_unit"], "BudgetType": cost["type"],
    }  # fmt: skip


def _kept(about: _About) -> dict[str, Any]:
    """Return what an update must repeat."""
    way = next((names for names in _FILTERS if any(about.get(one) for one in names)), ())
    return {name: about[name] for name in (*_KEPT, *way) if about.get(name)}


def _alert(notification: _About, told: Sequence[_About]) -> dict[str, Json]:
    return {
        "type": notification["NotificationType"], "operator": notification["ComparisonOperator"],
        "threshold": number_text(notification["Threshold"]),
        "threshold_type": notification.get("ThresholdType", "PERCENTAGE"),
        "subscribers": sorted(f"{one['SubscriptionType']} {one['Address']}" for one in told),
    }  # fmt: skip


def _notification(alert: _Alert) -> dict[str, Any]:
    return {
        "NotificationType": alert["type"], "ComparisonOperator": alert["operator"],
        "Threshold": float(alert["threshold"]), "ThresholdType": alert["threshold_type"],
    }  # fmt: skip


def _subscribers(alert: _Alert, *, but: _Alert | None = None) -> list[dict[str, str]]:
    """Return those who are told, without those that another alert tells."""
    others = but["subscribers"] if but is not None else ()
    pairs = [one.split(" ", 1) for one in alert["subscribers"] if one not in others]
    return [{"SubscriptionType": kind, "Address": address} for kind, address in pairs]


def _key(alert: _Alert) -> tuple[str, ...]:
    return tuple(str(alert[name]) for name in ("type", "operator", "threshold", "threshold_type"))
