"""Recorders and delivery channels of AWS Config, and the service-linked role that they use.

AWS has one recorder that customers make in a region, and one delivery channel. Recorders of other services of AWS are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import OWN_VALUE, Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.config_recorder import ALL, NAME, RECORDER, SERVICE_ROLE
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of
from whence_aggregator.adapters.accounts.iam_calls import PAGE
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_CHANNEL = OWN_VALUE
"""The name of a channel that we create: channels have no tags."""
_GONE = ("NoSuchConfigurationRecorderException", "NoSuchDeliveryChannelException")
_KEPT = ("s3KmsKeyArn", "snsTopicARN")
"""What the configuration does not state of a channel, and PutDeliveryChannel would remove."""


class ServiceRoleProvider:
    """The role of a service that AWS makes. It is a setting: it is there or not, and is not deleted here."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        if not wanted:
            return []
        iam = await self._place.client("iam")
        return [
            StandingResource(
                kind=SERVICE_ROLE, name=one.name, is_own=True, state={"exists": await _has_role(iam, one.name)}
            )
            for one in wanted
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Have AWS make the role. IAM answers InvalidInput if somebody did so meanwhile."""
        iam = await self._place.client("iam")
        await answered(iam.create_service_linked_role(AWSServiceName=standing.name), "InvalidInput")

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")


class RecorderProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        found = await self._read(wanted[0] if wanted else None)
        return [one for one in found if wanted or one.is_own]

    async def find(self) -> Sequence[StandingResource]:
        return await self._read(None)

    async def _read(self, wanted: WantedResource | None) -> list[StandingResource]:
        """Return the recorder with its channel. A channel of others without a recorder stands in its place."""
        config = await self._place.client("config")
        recorder = await _recorder(config)
        if recorder is None and wanted is None:
            return []
        channel = await _channel(config)
        if recorder is None and (channel is None or channel["name"] == _CHANNEL):
            return []
        tags: Mapping[str, str] = {}
        if recorder is not None:
            listed = await whole_list(config, "list_tags_for_resource", "Tags", ResourceArn=recorder["arn"])
            tags = tags_of(listed)
        names = {"name": recorder["name"], "arn": recorder["arn"]} if recorder is not None else {}
        return [
            StandingResource(
                kind=RECORDER, name=NAME, region=self._place.region, is_own=is_own(tags),
                state={
                    "records": _records(recorder) if recorder is not None else None,
                    "delivery": _delivery(channel) if channel is not None else None,
                    "tags": seen_tags(tags, wanted),
                    "recording": True if recorder is not None and await _is_recording(config, recorder) else None,
                },
                outputs={**names, **({"channel": channel["name"]} if channel is not None else {})},
            )
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        """Create a recorder, which does not record yet; its channel is put afterwards."""
        config = await self._place.client("config")
        await config.put_configuration_recorder(
            ConfigurationRecorder=_configuration(wanted.state["records"], OWN_VALUE),
            Tags=tag_list(wanted.state["tags"]),
        )

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        config = await self._place.client("config")
        name = str(standing.outputs.get("name", OWN_VALUE))
        if aspect == "records":
            await config.put_configuration_recorder(ConfigurationRecorder=_configuration(value, name))
        elif aspect == "delivery":
            await self._put_channel(config, value)
        elif aspect == "tags":
            recorder = await _recorder(config)
            assert recorder is not None, "it stands, or was written a moment ago"
            await config.tag_resource(ResourceArn=recorder["arn"], Tags=tag_list(value))
        else:
            assert aspect == "recording", aspect
            await config.start_configuration_recorder(ConfigurationRecorderName=name)

    async def _put_channel(self, config: Any, value: Json) -> None:
        assert isinstance(value, Mapping)
        stands = await _channel(config) or {"name": _CHANNEL}
        asked = {
            "name": stands["name"], **{name: stands[name] for name in _KEPT if name in stands},
            "s3BucketName": value["bucket"],
            "configSnapshotDeliveryProperties": {"deliveryFrequency": value["frequency"]},
        }  # fmt: skip
        if value["prefix"] is not None:
            asked["s3KeyPrefix"] = value["prefix"]
        await config.put_delivery_channel(DeliveryChannel=asked)

    async def delete(self, standing: StandingResource) -> None:
        """Stop the recorder, and delete it with its channel; the files stay. What is gone already is no error."""
        config = await self._place.client("config")
        name, channel = standing.outputs.get("name"), standing.outputs.get("channel")
        if name is not None:
            await answered(config.stop_configuration_recorder(ConfigurationRecorderName=name), *_GONE)
        if channel is not None:
            await answered(config.delete_delivery_channel(DeliveryChannelName=channel), *_GONE)
        if name is not None:
            await answered(config.delete_configuration_recorder(ConfigurationRecorderName=name), *_GONE)


async def _has_role(iam: Any, service: str) -> bool:
    path = f"/aws-service-role/{service}/"
    return bool(await whole_list(iam, "list_roles", "Roles", PathPrefix=path, PaginationConfig=PAGE))


async def _recorder(config: Any) -> Mapping[str, Any] | None:
    """Return the recorder that a customer made."""
    listed = (await config.describe_configuration_recorders())["ConfigurationRecorders"]
    own = [one for one in listed if not one.get("servicePrincipal") and not one.get("connectorArn")]
    return own[0] if own else None


async def _channel(config: Any) -> Mapping[str, Any] | None:
    listed = (await config.describe_delivery_channels())["DeliveryChannels"]
    return listed[0] if listed else None


async def _is_recording(config: Any, recorder: Mapping[str, Any]) -> bool:
    call = config.describe_configuration_recorder_status(ConfigurationRecorderNames=[recorder["name"]])
    answer = await answered(call, *_GONE)
    return answer is not None and any(one.get("recording") for one in answer["ConfigurationRecordersStatus"])


def _records(recorder: Mapping[str, Any]) -> Json:
    mode = recorder.get("recordingMode") or {}
    group = recorder.get("recordingGroup") or {}
    found: dict[str, Json] = {
        "role": recorder.get("roleARN"), "resources": _resources(group),
        "global_resources": bool(group.get("includeGlobalResourceTypes")),
        "frequency": mode.get("recordingFrequency", "CONTINUOUS"),
    }  # fmt: skip
    if mode.get("recordingModeOverrides"):
        found["overrides"] = mode["recordingModeOverrides"]
    return found


def _resources(group: Mapping[str, Any]) -> Json:
    """Return `all`, or the types that are recorded, or those that are not."""
    if group.get("allSupported"):
        return ALL
    excluded = (group.get("exclusionByResourceTypes") or {}).get("resourceTypes")
    return {"all_but": sorted(excluded)} if excluded else {"only": sorted(group.get("resourceTypes") or [])}


def _configuration(value: Json, name: str) -> dict[str, Any]:
    assert isinstance(value, Mapping)
    return {
        "name": name, "roleARN": value["role"],
        "recordingGroup": {"allSupported": True, "includeGlobalResourceTypes": value["global_resources"]},
        "recordingMode": {"recordingFrequency": value["frequency"]},
    }  # fmt: skip


def _delivery(channel: Mapping[str, Any]) -> Json:
    snapshots = channel.get("configSnapshotDeliveryProperties") or {}
    return {
        "bucket": channel.get("s3BucketName"), "prefix": channel.get("s3KeyPrefix") or None,
        "frequency": snapshots.get("deliveryFrequency"),
    }  # fmt: skip
