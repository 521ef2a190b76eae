"""Trails, by CloudTrail, and the access to the organisation that a trail of it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.cloudtrail import OTHER_TRAILS, TRAIL, TRUSTED_ACCESS
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of
from whence_aggregator.adapters.accounts.calls import gathered
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.shared_reads import once
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_GONE = ("TrailNotFoundException",)
_TAGGED_A_CALL = 20
_Trail = Mapping[str, Any]
_Tags = Mapping[str, str]
_ALL_MANAGEMENT_EVENTS = {
    "ReadWriteType": "All", "IncludeManagementEvents": True, "ExcludeManagementEventSources": [], "DataResources": [],
}  # fmt: skip
"""What a trail without selectors records."""


class TrailProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        by_name = {one.name: one for one in wanted}
        trail = await self._place.client("cloudtrail")
        found = await _listed(trail, self._place)
        each = await gathered(
            self._trail(trail, one, tags, by_name.get(one["Name"]))
            for one, tags in found
            if one["Name"] in by_name or is_own(tags)
        )
        return [one for one in each if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        trail = await self._place.client("cloudtrail")
        found = await _listed(trail, self._place)
        each = await gathered(self._trail(trail, one, tags, None) for one, tags in found)
        return [one for one in each if one is not None]

    async def create(self, wanted: WantedResource) -> StandingResource:
        trail = await self._place.client("cloudtrail")
        about: dict[str, Any] = {}
        for aspect, form in _UPDATES.items():
            about |= form(wanted.state.get(aspect))
        about = {name: value for name, value in about.items() if value != ""}
        tags = _tags(wanted.state["tags"])
        answer = await trail.create_trail(Name=wanted.name, TagsList=tags, **about)
        return self._standing(answer, tags_of(tags), wanted, selectors={}, is_logging=False)

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        trail, arn = await self._place.client("cloudtrail"), str(standing.outputs["arn"])
        if aspect == "tags":
            await trail.add_tags(ResourceId=arn, TagsList=_tags(value))
        elif aspect == "event_selectors":
            assert isinstance(value, Mapping)
            await trail.put_event_selectors(TrailName=arn, EventSelectors=value["basic"])
        elif aspect == "logging":
            await (trail.start_logging(Name=arn) if value else trail.stop_logging(Name=arn))
        else:
            await trail.update_trail(Name=arn, **_UPDATES[aspect](value))

    async def delete(self, standing: StandingResource) -> None:
        trail = await self._place.client("cloudtrail")
        await answered(trail.delete_trail(Name=standing.name), *_GONE)

    async def _trail(
        self, trail: Any, one: _Trail, tags: _Tags, wanted: WantedResource | None
    ) -> StandingResource | None:
        arn = one["TrailARN"]
        answers = await asyncio.gather(
            answered(trail.get_event_selectors(TrailName=arn), *_GONE),
            answered(trail.get_trail_status(Name=arn), *_GONE),
        )
        if answers[0] is None or answers[1] is None:
            return None
        return self._standing(one, tags, wanted, selectors=answers[0], is_logging=bool(answers[1]["IsLogging"]))

    def _standing(
        self, one: _Trail, tags: _Tags, wanted: WantedResource | None, *, selectors: Mapping[str, Any], is_logging: bool
    ) -> StandingResource:
        return StandingResource(
            kind=TRAIL, name=one["Name"], region=self._place.region, is_own=is_own(tags),
            state={
                "delivery": {"bucket": one["S3BucketName"], "prefix": one.get("S3KeyPrefix") or None},
                "topic": one.get("SnsTopicARN") or None,
                "coverage": {
                    "multi_region": bool(one.get("IsMultiRegionTrail")),
                    "global_service_events": bool(one.get("IncludeGlobalServiceEvents")),
                    "organization": bool(one.get("IsOrganizationTrail")),
                },
                "log_file_validation": bool(one.get("LogFileValidationEnabled")),
                "kms_key": one.get("KmsKeyId") or None,
                "log_group": _log_group_of(one),
                "tags": seen_tags(tags, wanted),
                "event_selectors": _selectors(selectors),
                "logging": is_logging,
            },
            outputs={"arn": one["TrailARN"]},
        )  # fmt: skip


class OtherTrailsProvider:
    """Names the trails of a region that are neither wanted nor our own. It never writes."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        names = {one.name for one in wanted}
        found = await _listed(await self._place.client("cloudtrail"), self._place)
        others = sorted(f"trail {one['Name']}" for one, tags in found if one["Name"] not in names and not is_own(tags))
        return [
            StandingResource(
                kind=OTHER_TRAILS, name=one.name, region=self._place.region, state={}, is_own=True,
                foreign=tuple(others),
            )
            for one in wanted
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        raise AssertionError("other trails have no aspects")

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")


class TrustedAccessProvider:
    """Lets services of AWS into the organisation; a service that has access keeps it."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        organizations = await self._place.client("organizations")
        operation = "list_aws_service_access_for_organization"
        listed = await whole_list(organizations, operation, "EnabledServicePrincipals")
        enabled = {one["ServicePrincipal"] for one in listed}
        return [
            StandingResource(kind=TRUSTED_ACCESS, name=one.name, state={"enabled": one.name in enabled}, is_own=True)
            for one in wanted
        ]

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        organizations = await self._place.client("organizations")
        await organizations.enable_aws_service_access(ServicePrincipal=standing.name)

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")


async def _listed(trail: Any, place: AwsPlace) -> Sequence[tuple[_Trail, _Tags]]:
    """Return the trails of an account whose home is the region, with their tags."""
    listed = (await once(trail, "describe_trails", includeShadowTrails=False))["trailList"]
    home = [one for one in listed if one["TrailARN"].split(":")[3:5] == [place.region, place.account_id]]
    tags: dict[str, _Tags] = {}
    for start in range(0, len(home), _TAGGED_A_CALL):
        arns = [one["TrailARN"] for one in home[start : start + _TAGGED_A_CALL]]
        for one in await whole_list(trail, "list_tags", "ResourceTagList", ResourceIdList=arns):
            tags[one["ResourceId"]] = {**tags.get(one["ResourceId"], {}), **tags_of(one["TagsList"])}
    return [(one, tags.get(one["TrailARN"], {})) for one in home]


def _selectors(answer: Mapping[str, Any]) -> Json:
    """Return what a trail records. Advanced selectors, which the configuration does not state, are as AWS has them."""
    if not answer.get("EventSelectors") and answer.get("AdvancedEventSelectors"):
        return {"advanced": answer["AdvancedEventSelectors"]}
    return {"basic": [_selector(one) for one in answer.get("EventSelectors") or [_ALL_MANAGEMENT_EVENTS]]}


def _selector(one: Mapping[str, Any]) -> Json:
    resources = sorted(one.get("DataResources") or [], key=lambda each: str(each["Type"]))
    return {
        "ReadWriteType": one.get("ReadWriteType", "All"),
        "IncludeManagementEvents": bool(one.get("IncludeManagementEvents", True)),
        "ExcludeManagementEventSources": sorted(one.get("ExcludeManagementEventSources") or []),
        "DataResources": [{"Type": each["Type"], "Values": sorted(each["Values"])} for each in resources],
    }


def _log_group_of(one: _Trail) -> Json:
    group = one.get("CloudWatchLogsLogGroupArn") or None
    return {"group": group, "role": one.get("CloudWatchLogsRoleArn") or None} if group is not None else None


def _log_group(value: Json) -> dict[str, Any]:
    assert value is None or isinstance(value, Mapping)
    about = value or {"group": "", "role": ""}
    return {"CloudWatchLogsLogGroupArn": about["group"], "CloudWatchLogsRoleArn": about["role"]}


def _delivery(value: Json) -> dict[str, Any]:
    assert isinstance(value, Mapping)
    return {"S3BucketName": value["bucket"], "S3KeyPrefix": value["prefix"] or ""}


def _coverage(value: Json) -> dict[str, Any]:
    assert isinstance(value, Mapping)
    return {
        "IsMultiRegionTrail": value["multi_region"], "IncludeGlobalServiceEvents": value["global_service_events"],
        "IsOrganizationTrail": value["organization"],
    }  # fmt: skip


_UPDATES: Mapping[str, Callable[[Json], dict[str, Any]]] = {
    "delivery": _delivery,
    "topic": lambda value: {"SnsTopicName": str(value).rpartition(":")[2] if value else ""},
    "coverage": _coverage,
    "log_file_validation": lambda value: {"EnableLogFileValidation": value},
    "kms_key": lambda value: {"KmsKeyId": value or ""},
    "log_group": _log_group,
}
"""The aspects that CreateTrail and UpdateTrail set, as their parameters; an empty text removes what was set."""


def _tags(value: Json) -> list[dict[str, str]]:
    assert isinstance(value, Mapping)
    return tag_list(value)
