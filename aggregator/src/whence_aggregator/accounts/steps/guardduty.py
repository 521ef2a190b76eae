"""GuardDuty: one detector in each region. A detector of others, or of an administrator account, is left alone."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, own_tags
from whence_aggregator.accounts.step import AccountStep

NAME = "detector"
"""The name of every detector: AWS has at most one in a region."""
_FREQUENCY = "finding_publishing_frequency"
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
        "enabled": True, _FREQUENCY: section.finding_publishing_frequency, "tags": own_tags()
    }  # fmt: skip
    regions = dict.fromkeys(section.regions or account.regions)
    return [WantedResource(kind=DETECTOR, name=NAME, region=one, state=state) for one in regions]


def stated(found: FoundAccount) -> StatedSection:
    """Return the regions whose detectors publish as the first one does, and name the others."""
    detectors = found.of(DETECTOR.name)
    first = next((one for one in detectors if _left_out(one, None) is None), None)
    reasons = [(one, _left_out(one, first)) for one in detectors]
    notes = tuple(
        ImportNote(key="guardduty", text=f"the detector of {one.region}: {why}")
        for one, why in reasons if why is not None
    )  # fmt: skip
    if first is None:
        return StatedSection(notes=notes)
    section: dict[str, Json] = {
        _FREQUENCY: first.state[_FREQUENCY], "regions": [one.region for one, why in reasons if why is None]
    }  # fmt: skip
    return StatedSection(section={"guardduty": section}, notes=notes)


def _left_out(one: StandingResource, first: StandingResource | None) -> str | None:
    """Return why no configuration states a detector beside the first one; None for one that it states."""
    if one.foreign:
        return f"{', '.join(one.foreign)} is not stated, and stays"
    if not one.state["enabled"]:
        return "it is disabled, and a configuration means one that is enabled"
    if first is not None and one.state[_FREQUENCY] != first.state[_FREQUENCY]:
        return (
            f"it publishes {one.state[_FREQUENCY]}, and a configuration has one frequency, here that of {first.region}"
        )
    return None


STEP = AccountStep(
    name="guardduty", summary="GuardDuty's detectors", kinds=(DETECTOR,), wanted=wanted, stated=stated,
)  # fmt: skip
