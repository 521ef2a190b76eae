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
