"""AWS Budgets, in its own protocol: moto neither updates a budget nor knows its subscribers and tags.

Answers are held to botocore's service model by tests/contract/test_account_budgets.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.aws_refusals import refused
from fakes.counted_aws import AwsCall, CountedAws

_OF_NOTIFICATION = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")
_Key = tuple[Any, ...]


@dataclass
class FakeBudget:
    about: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    alerts: dict[_Key, list[dict[str, str]]] = field(default_factory=dict)
    """Subscribers by notification."""

    @property
    def shown(self) -> dict[str, Any]:
        """The budget as AWS shows it: numbers have a fraction, and what was spent is stated."""
        spend = {"ActualSpend": {"Amount": "0.0", "Unit": "USD"}}
        found = {"TimePeriod": {"Start": 1793491200, "End": 3706473600}, **self.about, "CalculatedSpend": spend}
        if (limit := self.about.get("BudgetLimit")) is not None:
            found["BudgetLimit"] = {**limit, "Amount": str(float(limit["Amount"]))}
        return found

    @property
    def told(self) -> dict[tuple[str, float], list[str]]:
        """Addresses by type and threshold, to look."""
        return {(key[0], key[2]): sorted(one["Address"] for one in told) for key, told in self.alerts.items()}


@dataclass
class BudgetsOfAccounts:
    """The budgets of each account by name, to look and to change by hand."""

    accounts: dict[str, dict[str, FakeBudget]] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        """Answer the calls of AWS Budgets in moto's place."""
        of_budget: dict[str, Callable[[AwsCall, FakeBudget, dict[str, Any]], web.Response]] = {
            "DescribeBudget": lambda call, one, asked: _json({"Budget": one.shown}), "UpdateBudget": self._update,
            "DeleteBudget": self._delete, "DescribeNotificationsForBudget": self._notifications,
            "DescribeSubscribersForNotification": self._subscribers, "CreateNotification": self._create_notification,
            "DeleteNotification": self._delete_notification, "CreateSubscriber": self._create_subscriber,
            "DeleteSubscriber": self._delete_subscriber, "TagResource": self._tag, "ListTagsForResource": self._tags,
        }  # fmt: skip
        aws.extensions["budgets:DescribeBudgets"] = self._list
        aws.extensions["budgets:CreateBudget"] = self._create
        for action, answer in of_budget.items():
            aws.extensions[f"budgets:{action}"] = self._about(answer)

    def of(self, account_id: str) -> dict[str, FakeBudget]:
        return self.accounts.setdefault(account_id, {})

    def _about(
        self, answer: Callable[[AwsCall, FakeBudget, dict[str, Any]], web.Response]
    ) -> Callable[[AwsCall], web.Response]:
        def answered(call: AwsCall) -> web.Response:
            asked = json.loads(call.body)
            name = asked.get("BudgetName") or asked.get("NewBudget", {}).get("BudgetName")
            name = name or asked["ResourceARN"].partition(":budget/")[2]
            found = self.of(call.account_id).get(name)
            return answer(call, found, asked) if found is not None else _missing(call)

        return answered

    def _list(self, call: AwsCall) -> web.Response:
        return _json({"Budgets": [one.shown for one in self.of(call.account_id).values()]})

    def _create(self, call: AwsCall) -> web.Response:
        asked = json.loads(call.body)
        name = asked["Budget"]["BudgetName"]
        if name in self.of(call.account_id):
            return refused(call, "DuplicateRecordException", f"{name} exists")
        told = asked.get("NotificationsWithSubscribers", [])
        self.of(call.account_id)[name] = FakeBudget(
            about=asked["Budget"], tags={one["Key"]: one["Value"] for one in asked.get("ResourceTags", [])},
            alerts={_key(one["Notification"]): one["Subscribers"] for one in told},
        )  # fmt: skip
        return _json({})

    def _update(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        one.about = {name: value for name, value in asked["NewBudget"].items() if name != "CalculatedSpend"}
        return _json({})

    def _delete(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        del self.of(call.account_id)[asked["BudgetName"]]
        return _json({})

    def _notifications(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        found = [dict(zip(_OF_NOTIFICATION, key, strict=True)) for key in one.alerts]
        return _json({"Notifications": [{**each, "NotificationState": "OK"} for each in found]})

    def _subscribers(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        found = one.alerts.get(_key(asked["Notification"]))
        return _json({"Subscribers": found}) if found is not None else _missing(call)

    def _create_notification(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        key = _key(asked["Notification"])
        if key in one.alerts:
            return refused(call, "DuplicateRecordException", "the notification exists")
        one.alerts[key] = asked["Subscribers"]
        return _json({})

    def _delete_notification(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        return _json({}) if one.alerts.pop(_key(asked["Notification"]), None) is not None else _missing(call)

    def _create_subscriber(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        told = one.alerts.get(_key(asked["Notification"]))
        if told is None:
            return _missing(call)
        if asked["Subscriber"] in told:
            return refused(call, "DuplicateRecordException", "the subscriber exists")
        told.append(asked["Subscriber"])
        return _json({})

    def _delete_subscriber(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        told = one.alerts.get(_key(asked["Notification"]), [])
        if asked["Subscriber"] not in told:
            return _missing(call)
        told.remove(asked["Subscriber"])
        return _json({})

    def _tag(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        one.tags |= {each["Key"]: each["Value"] for each in asked["ResourceTags"]}
        return _json({})

    def _tags(self, call: AwsCall, one: FakeBudget, asked: dict[str, Any]) -> web.Response:
        return _json({"ResourceTags": [{"Key": key, "Value": value} for key, value in sorted(one.tags.items())]})


def _key(notification: dict[str, Any]) -> _Key:
    stated = {"ThresholdType": "PERCENTAGE", **notification}
    return tuple(float(stated[name]) if name == "Threshold" else stated[name] for name in _OF_NOTIFICATION)


def _json(answer: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(answer), content_type="application/x-amz-json-1.1")


def _missing(call: AwsCall) -> web.Response:
    return refused(call, "NotFoundException", "Unable to get it: it does not exist")
