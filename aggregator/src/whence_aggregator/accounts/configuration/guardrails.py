"""Sections of guardrails, each optional: GuardDuty, AWS Config and budgets."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Regions = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")], ...],
    Meta(max_length=40, description="Regions of it; none: those of the account."),
]


class GuardDuty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    finding_publishing_frequency: Annotated[
        Literal["FIFTEEN_MINUTES", "ONE_HOUR", "SIX_HOURS"],
        Meta(description="How often later occurrences of a finding are published; a new finding is within 5 minutes."),
    ] = "SIX_HOURS"
    regions: _Regions = ()


class ConfigRecorder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    s3_bucket_name: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None,
        Meta(description="Bucket of history and snapshots; null: that of `cloudtrail`, whose policy then allows it."),
    ] = None
    s3_key_prefix: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="What the keys of its files begin with, before `AWSLogs`."),
    ] = None
    regions: _Regions = ()
    global_resources_region: Annotated[
        str | None, Meta(description="Region that records users, groups, roles and policies too; null: the first one.")
    ] = None
    recording_frequency: Annotated[
        Literal["CONTINUOUS", "DAILY"], Meta(description="Whether each change is recorded, or the state once a day.")
    ] = "CONTINUOUS"
    delivery_frequency: Annotated[
        Literal["One_Hour", "Three_Hours", "Six_Hours", "Twelve_Hours", "TwentyFour_Hours"],
        Meta(description="How often snapshots are delivered."),
    ] = "TwentyFour_Hours"


BudgetName = Annotated[str, Meta(pattern=r"^(?!.*/action/)[^:\\]{1,100}$")]
_Email = Annotated[str, Meta(pattern=r"^[^@\s]{1,48}@[^@\s]+$", max_length=50)]
_Topic = Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$")]


class BudgetAlert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    percent: Annotated[
        Annotated[float, Meta(gt=0, le=100_000)], Meta(description="Part of the amount, in percent, that is exceeded.")
    ]
    of: Annotated[
        Literal["actual", "forecasted"], Meta(description="Whether what was spent counts, or what the month will cost.")
    ] = "actual"
    emails: Annotated[tuple[_Email, ...], Meta(max_length=10, description="E-mail addresses that are told.")] = ()
    topic: Annotated[
        _Topic | None, Meta(description="ARN of a topic to which budgets.amazonaws.com may publish; null: none.")
    ] = None


class MonthlyBudget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Annotated[Annotated[float, Meta(gt=0, le=1e12)], Meta(description="What the account may cost in a month.")]
    unit: Annotated[Annotated[str, Meta(pattern=r"^[A-Z]{3}$")], Meta(description="Currency of the amount.")] = "USD"
    alerts: Annotated[
        tuple[BudgetAlert, ...], Meta(max_length=10, description="Who is told when which part is exceeded.")
    ] = ()
