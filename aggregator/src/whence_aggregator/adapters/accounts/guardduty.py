"""GuardDuty's detectors. AWS has at most one in each region of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.accounts.arns import arn_of
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.guardduty import DETECTOR, NAME
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError


class DetectorProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        asked = wanted[0] if wanted else None
        return [one for one in await self._detectors(asked) if asked is not None or one.is_own]

    async def find(self) -> Sequence[StandingResource]:
        return await self._detectors(None)

    async def _detectors(self, wanted: WantedResource | None) -> list[StandingResource]:
        client = await self._place.client("guardduty")
        ids = await whole_list(client, "list_detectors", "DetectorIds")
        return [await self._detector(client, str(one), wanted) for one in ids[:1]]

    async def _detector(self, client: Any, detector_id: str, wanted: WantedResource | None) -> StandingResource:
        """Return a detector. One of an administrator account is not our own, whatever its tags are."""
        found = await client.get_detector(DetectorId=detector_id)
        administrator = await _administrator(client, detector_id)
        tags = found.get("Tags") or {}
        outputs: dict[str, Json] = {"id": detector_id, "administrator": administrator}
        return StandingResource(
            kind=DETECTOR, name=NAME, region=self._place.region, is_own=is_own(tags) and administrator is None,
            state={
                "enabled": found["Status"] == "ENABLED",
                "finding_publishing_frequency": found.get("FindingPublishingFrequency"),
                "tags": seen_tags(tags, wanted),
            },
            outputs={name: value for name, value in outputs.items() if value is not None},
            foreign=(f"its administration by account {administrator}",) if administrator is not None else (),
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        client = await self._place.client("guardduty")
        await client.create_detector(
            Enable=wanted.state["enabled"], Tags=wanted.state["tags"],
            FindingPublishingFrequency=wanted.state["finding_publishing_frequency"],
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        self._check_administration(standing)
        client = await self._place.client("guardduty")
        detector_id = str(standing.outputs["id"])
        if aspect == "tags":
            arn = arn_of("guardduty", self._place.region, self._place.account_id, f"detector/{detector_id}")
            await client.tag_resource(ResourceArn=arn, Tags=value)
        elif aspect == "enabled":
            await client.update_detector(DetectorId=detector_id, Enable=value)
        else:
            assert aspect == "finding_publishing_frequency", aspect
            await client.update_detector(DetectorId=detector_id, FindingPublishingFrequency=value)

    async def delete(self, standing: StandingResource) -> None:
        self._check_administration(standing)
        client = await self._place.client("guardduty")
        await client.delete_detector(DetectorId=standing.outputs["id"])

    def _check_administration(self, standing: StandingResource) -> None:
        """Raise RoadError for a detector that an administrator account configures."""
        administrator = standing.outputs.get("administrator")
        if administrator is None:
            return
        message = f"the detector in {self._place.region} is administered by account {administrator}: not changed"
        fix = "configure GuardDuty in that account, and remove guardduty from this one"
        raise RoadError("guardduty-administered", message, fix=fix, retryable=False)


async def _administrator(client: Any, detector_id: str) -> str | None:
    """Return the id of the administrator account; None for a stand-alone account and for the administrator itself."""
    found = (await client.get_administrator_account(DetectorId=detector_id)).get("Administrator") or {}
    is_current = str(found.get("RelationshipStatus", "")).lower() == "enabled"
    return str(found["AccountId"]) if is_current else None
