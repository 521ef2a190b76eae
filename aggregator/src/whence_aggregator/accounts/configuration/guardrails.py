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
