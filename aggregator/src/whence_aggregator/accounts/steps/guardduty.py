"""GuardDuty: one detector in each region. A detector of others, or of an administrator account, is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, own_tags
from whence_aggregator.accounts.step import AccountStep

NAME = "detector"
"""The name of every detector: AWS has at most one in a region."""
DETECTOR = ResourceKind(
    name="guardduty-detector", step="guardduty", is_regional=True, keeps_data=True,
    reads=("guardduty:GetAdministratorAccount", "guardduty:GetDetector", "guardduty:ListDetectors"),
    writes=(
        "guardduty:CreateDetector", "guardduty:DeleteDetector", "guardduty:TagResource", "guardduty:UpdateDetector",
        "iam:CreateServiceLinkedRole",
    ),
)  # fmt: skip
"""A detector that is deleted loses its findings."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    section = account.settings.guardduty
    if section is None:
        return ()
    state: dict[str, Json] = {
        "enabled": True, "finding_publishing_frequency": section.finding_publishing_frequency, "tags": own_tags()
    }  # fmt: skip
    regions = dict.fromkeys(section.regions or account.regions)
    return [WantedResource(kind=DETECTOR, name=NAME, region=one, state=state) for one in regions]


def stated(standing: Sequence[StandingResource]) -> Mapping[str, Json]:
    """Return the regions whose enabled detectors publish as the first one does."""
    enabled = [one for one in standing if one.state["enabled"] and not one.foreign]
    if not enabled:
        return {}
    frequency = enabled[0].state["finding_publishing_frequency"]
    regions = [one.region for one in enabled if one.state["finding_publishing_frequency"] == frequency]
    return {"guardduty": {"finding_publishing_frequency": frequency, "regions": regions}}


STEP = AccountStep(
    name="guardduty", summary="GuardDuty's detectors", kinds=(DETECTOR,), wanted=wanted, stated=stated,
    not_stated="detectors of an administrator account, and further frequencies",
)  # fmt: skip
