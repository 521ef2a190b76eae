"""What the configuration of budgets states, and what it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.resources import WantedResource
from whence_aggregator.accounts.steps.budgets import number_text, wanted
from whence_common.errors import InputError

_EMAIL = ["owner@example.org"]


def of(**stated: Any) -> list[WantedResource]:
    section = {"id": "123456789012", "regions": ["eu-west-1"], "alias": None, "budgets": stated}
    settings = msgspec.convert(section, AccountSettings)
    return list(wanted(ConfiguredAccount(name="hello", account_id="123456789012", settings=settings)))


def test_nothing_is_wanted_unless_it_is_configured() -> None:
    assert of() == []


def test_a_budget_is_of_the_costs_of_a_month() -> None:
    (found,) = of(monthly={"amount": 100, "unit": "EUR"})
    assert (found.address, found.state) == (
        "budget/monthly",
        {
            "cost": {"amount": "100", "unit": "EUR", "time_unit": "MONTHLY", "type": "COST"}, "alerts": [],
            "tags": {"whence:managed-by": "whence-accounts"},
        },
    )  # fmt: skip


def test_alerts_and_subscribers_have_one_order_whatever_the_order_of_the_file() -> None:
    one = {"percent": 100, "emails": ["b@example.org", "a@example.org", "b@example.org"]}
    other = {"percent": 80.5, "topic": "arn:aws:sns:eu-west-1:123456789012:costs"}
    (found,), (again,) = of(m={"amount": 1, "alerts": [one, other]}), of(m={"amount": 1, "alerts": [other, one]})
    alerts: Any = found.state["alerts"]
    assert [(each["threshold"], each["subscribers"]) for each in alerts] == [
        ("80.5", ["SNS arn:aws:sns:eu-west-1:123456789012:costs"]),
        ("100", ["EMAIL a@example.org", "EMAIL b@example.org"]),
    ]
    assert again.state == found.state


@pytest.mark.parametrize(
    ("written", "text"),
    [(100, "100"), ("100.0", "100"), (0.1, "0.1"), ("1E+3", "1000"), (1e12, "1000000000000"), ("7.50", "7.5")],
)
def test_numbers_have_one_form(written: Any, text: str) -> None:
    assert number_text(written) == text


def test_an_alert_that_nobody_is_told_of_is_refused() -> None:
    with pytest.raises(InputError, match=r"accounts.hello.budgets.m.alerts\[1\]: nobody is told of it") as refused:
        of(m={"amount": 1, "alerts": [{"percent": 1, "emails": _EMAIL}, {"percent": 2}]})
    assert refused.value.fix == "state emails, or a topic"


def test_an_alert_that_is_stated_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"alerts\[1\]: 80 percent \(actual\) is stated twice"):
        of(m={"amount": 1, "alerts": [{"percent": 80, "emails": _EMAIL}, {"percent": 80.0, "emails": ["b@c"]}]})


@pytest.mark.parametrize(
    "section",
    [
        {}, {"amount": 0}, {"amount": -1}, {"amount": "many"}, {"amount": 1, "unit": "dollars"},
        {"amount": 1, "alerts": [{"percent": 0, "emails": _EMAIL}]}, {"amount": 1, "alerts": [{"emails": _EMAIL}]},
        {"amount": 1, "alerts": [{"percent": 1, "emails": ["owner"]}]},
        {"amount": 1, "alerts": [{"percent": 1, "emails": ["a@b"] * 11}]},
        {"amount": 1, "alerts": [{"percent": 1, "topic": "costs"}]},
        {"amount": 1, "alerts": [{"percent": 1, "of": "expected", "emails": _EMAIL}]},
        {"amount": 1, "alerts": [{"percent": one, "emails": _EMAIL} for one in range(1, 12)]},
    ],
    ids=range(12),
)  # fmt: skip
def test_values_that_aws_does_not_have_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        of(m=section)


@pytest.mark.parametrize("name", ["", "a:b", "a\\b", "x" * 101, "a/action/b"])
def test_a_name_that_aws_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        of(**{name: {"amount": 1}})
