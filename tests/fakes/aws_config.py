"""Recorders and delivery channels of AWS Config, in its own protocol: moto's recorders have no ARN and no tags.

Answers are held to botocore's service model by tests/contract/test_account_config_recorder.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.aws_refusals import refused
from fakes.counted_aws import AwsCall, CountedAws


@dataclass
class ConfigOfRegion:
    """What stands in one region of an account."""

    recorder: dict[str, Any] | None = None
    channel: dict[str, Any] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    is_recording: bool = False
    of_services: list[dict[str, Any]] = field(default_factory=list)
    """Recorders that other services of AWS made."""


@dataclass
class ConfigOfAccounts:
    """AWS Config by account and region, to look and to change by hand."""

    regions: dict[tuple[str, str], ConfigOfRegion] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        """Answer AWS Config's calls in moto's place."""
        answers: dict[str, Callable[[AwsCall, ConfigOfRegion, dict[str, Any]], web.Response]] = {
            "DescribeConfigurationRecorders": self._recorders, "DescribeConfigurationRecorderStatus": self._status,
            "DescribeDeliveryChannels": self._channels, "PutConfigurationRecorder": self._put_recorder,
            "PutDeliveryChannel": self._put_channel, "StartConfigurationRecorder": self._start,
            "StopConfigurationRecorder": self._stop, "DeleteConfigurationRecorder": self._delete_recorder,
            "DeleteDeliveryChannel": self._delete_channel, "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
        }  # fmt: skip
        for action, answer in answers.items():
            aws.extensions[f"config:{action}"] = lambda call, answer=answer: answer(  # type: ignore[misc]  # bound here
                call, self.of(call.account_id, call.region), json.loads(call.body)
            )

    def of(self, account_id: str, region: str) -> ConfigOfRegion:
        return self.regions.setdefault((account_id, region), ConfigOfRegion())

    def _recorders(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        own = [kept.recorder] if kept.recorder is not None else []
        return _json({"ConfigurationRecorders": [*kept.of_services, *own]})

    def _status(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None or asked["ConfigurationRecorderNames"] != [kept.recorder["name"]]:
            return _no_recorder(call)
        status = {"name": kept.recorder["name"], "recording": kept.is_recording, "lastStatus": "Pending"}
        return _json({"ConfigurationRecordersStatus": [status]})

    def _channels(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        return _json({"DeliveryChannels": [kept.channel] if kept.channel is not None else []})

    def _put_recorder(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        stated = asked["ConfigurationRecorder"]
        if kept.recorder is not None and kept.recorder["name"] != stated["name"]:
            return refused(call, "MaxNumberOfConfigurationRecordersExceededException", "there is a recorder")
        if kept.recorder is None:
            kept.tags = {one["Key"]: one["Value"] for one in asked.get("Tags", [])}
        arn = f"arn:aws:config:{call.region}:{call.account_id}:configuration-recorder/{stated['name']}/abcd1234"
        kept.recorder = {**stated, "arn": arn, "recordingScope": "PAID"}
        return _json({})

    def _put_channel(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        stated = asked["DeliveryChannel"]
        if kept.recorder is None:
            return refused(call, "NoAvailableConfigurationRecorderException", "there is no recorder")
        if kept.channel is not None and kept.channel["name"] != stated["name"]:
            return refused(call, "MaxNumberOfDeliveryChannelsExceededException", "there is a channel")
        kept.channel = stated
        return _json({})

    def _start(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None or kept.recorder["name"] != asked["ConfigurationRecorderName"]:
            return _no_recorder(call)
        if kept.channel is None:
            return refused(call, "NoAvailableDeliveryChannelException", "there is no delivery channel")
        kept.is_recording = True
        return _json({})

    def _stop(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None:
            return _no_recorder(call)
        kept.is_recording = False
        return _json({})

    def _delete_recorder(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None:
            return _no_recorder(call)
        kept.recorder, kept.tags, kept.is_recording = None, {}, False
        return _json({})

    def _delete_channel(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.channel is None:
            return refused(call, "NoSuchDeliveryChannelException", "there is no delivery channel")
        if kept.is_recording:
            return refused(call, "LastDeliveryChannelDeleteFailedException", "the recorder is running")
        kept.channel = None
        return _json({})

    def _list_tags(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None or asked["ResourceArn"] != kept.recorder["arn"]:
            return refused(call, "ResourceNotFoundException", "there is no such resource")
        return _json({"Tags": [{"Key": key, "Value": value} for key, value in sorted(kept.tags.items())]})

    def _tag(self, call: AwsCall, kept: ConfigOfRegion, asked: dict[str, Any]) -> web.Response:
        if kept.recorder is None or asked["ResourceArn"] != kept.recorder["arn"]:
            return refused(call, "ResourceNotFoundException", "there is no such resource")
        kept.tags |= {one["Key"]: one["Value"] for one in asked["Tags"]}
        return _json({})


def _json(answer: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(answer), content_type="application/x-amz-json-1.1")


def _no_recorder(call: AwsCall) -> web.Response:
    return refused(call, "NoSuchConfigurationRecorderException", "there is no such recorder")
