"""Monthly budgets of costs, and who is told when they are exceeded. Budgets of others are left alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.guardrails import BudgetAlert, MonthlyBudget
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError

COST, MONTHLY = "COST", "MONTHLY"
EMAIL, TOPIC = "EMAIL", "SNS"
ABOVE, PERCENT = "GREATER_THAN", "PERCENTAGE"
_OF = {"actual": "ACTUAL", "forecasted": "FORECASTED"}
"""What counts, and AWS's types of notifications."""
BUDGET = ResourceKind(
    name="budget", step="budgets", reads=("budgets:ListTagsForResource", "budgets:ViewBudget"),
    writes=("budgets:ModifyBudget", "budgets:TagResource"),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the budgets. Raises InputError for an alert that nobody is told of, and for one that occurs twice."""
    return [_budget(name, one, account) for name, one in account.settings.budgets.items()]


def _budget(name: str, section: MonthlyBudget, account: ConfiguredAccount) -> WantedResource:
    alerts = [_alert(one) for one in section.alerts]
    path = f"accounts.{account.name}.budgets.{name}.alerts"
    for number, one in enumerate(section.alerts):
        if not one.emails and one.topic is None:
            message = f"{path}[{number}]: nobody is told of it"
            raise InputError("accounts-budget", message, fix="state emails, or a topic")
        if any((one.percent, one.of) == (each.percent, each.of) for each in section.alerts[:number]):
            message = f"{path}[{number}]: {number_text(one.percent)} percent ({one.of}) is stated twice"
            raise InputError("accounts-budget", message, fix="write all its subscribers in one alert")
    state: dict[str, Json] = {
        "cost": {
            "amount": number_text(section.amount), "unit": section.unit, "time_unit": MONTHLY, "type": COST
        },
        "alerts": sorted_alerts(alerts),
        "tags": own_tags(),
    }  # fmt: skip
    return WantedResource(kind=BUDGET, name=name, state=state)


def _alert(one: BudgetAlert) -> dict[str, Json]:
    topic = [f"{TOPIC} {one.topic}"] if one.topic is not None else []
    return {
        "type": _OF[one.of], "operator": ABOVE, "threshold": number_text(one.percent), "threshold_type": PERCENT,
        "subscribers": sorted({*(f"{EMAIL} {each}" for each in one.emails), *topic}),
    }  # fmt: skip


def sorted_alerts(alerts: Iterable[Mapping[str, Json]]) -> Json:
    """Return alerts in one order: by what they are about."""
    return sorted(
        (dict(one) for one in alerts),
        key=lambda one: (
            str(one["type"]), Decimal(str(one["threshold"])), str(one["operator"]), str(one["threshold_type"])
        ),
    )  # fmt: skip


def number_text(value: float | str) -> str:
    """Return a number in one form: AWS has `100.0` for what was written as `100`."""
    return f"{Decimal(str(value)).normalize():f}"


def stated(found: FoundAccount) -> StatedSection:
    """Return the budgets that a configuration can state, and name the others."""
    reasons = [(one, _left_out(one)) for one in sorted(found.of(BUDGET.name), key=lambda each: each.name)]
    notes = [
        ImportNote(key="budgets", text=f"the budget {one.name}: {why}") for one, why in reasons if why is not None
    ]  # fmt: skip
    sections = {one.name: _section(one.state) for one, why in reasons if why is None}
    return StatedSection(section={"budgets": sections}, notes=tuple(notes))


def _left_out(one: StandingResource) -> str | None:
    """Return why no configuration states a budget; None for one that it states."""
    cost: Any = one.state["cost"]
    alerts: Any = one.state["alerts"]
    if one.foreign:
        return f"{', '.join(one.foreign)} is not stated, and stays"
    if cost != {"amount": cost["amount"], "unit": cost["unit"], "time_unit": MONTHLY, "type": COST}:
        return "a configuration states monthly budgets of costs, with an amount that stays"
    if any((each["operator"], each["threshold_type"]) != (ABOVE, PERCENT) for each in alerts):
        return "a configuration states alerts above a percentage only"
    return None


def _section(state: Mapping[str, Any]) -> Json:
    cost, alerts = state["cost"], state["alerts"]
    return {"amount": float(cost["amount"]), "unit": cost["unit"], "alerts": [_stated_alert(one) for one in alerts]}


def _stated_alert(one: Mapping[str, Any]) -> Json:
    told = [each.split(" ", 1) for each in one["subscribers"]]
    topic = next((address for kind, address in told if kind == TOPIC), None)
    return {
        "percent": float(one["threshold"]), "of": next(of for of, theirs in _OF.items() if theirs == one["type"]),
        "emails": [address for kind, address in told if kind == EMAIL],
        **({"topic": topic} if topic is not None else {}),
    }  # fmt: skip


STEP = AccountStep(
    name="budgets", summary="monthly budgets of costs, and their alerts", kinds=(BUDGET,), wanted=wanted, stated=stated,
)  # fmt: skip
