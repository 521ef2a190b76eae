"""EC2, CloudFormation, Auto Scaling, load balancers, ECR, CloudWatch. A client exists for one call only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_waiting import nobody_waits
from whence_agent.adapters.role import NoKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports_cloud import CloudRefused, NobodyWaits, Volume
from whence_common import strict_base64
from whence_common.aws_errors import AwsError
from whence_common.errors import one_line
from whence_common.image_reference import ImageReference

_CALL_SECONDS_MAX = 30.0
_ERASE_TAG = "Taupage:erase-on-boot"


class AwsCloud:
    """The AWS services. All errors are CloudRefused, with the refused action and the missing permission."""

    def __init__(self, clients: AwsClients, *, now: Callable[[], datetime], up_seconds: Callable[[], float]) -> None:
        self._clients = clients
        self._now = now
        self._up_seconds = up_seconds

    async def by_name(self, name: str, *, zone: str, instance_id: str) -> list[Volume]:
        filters = [
            {"Name": "tag:Name", "Values": [name]},
            {"Name": "availability-zone", "Values": [zone]},
            {"Name": "status", "Values": ["available", "in-use"]},
        ]
        answer = await self._call("ec2", "describe_volumes", Filters=filters)
        found = []
        for volume in answer["Volumes"]:
            attachments = volume.get("Attachments") or []
            device = next((one["Device"] for one in attachments if one.get("InstanceId") == instance_id), None)
            if volume["State"] != "available" and device is None:
                continue
            tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags") or []}
            found.append(
                Volume(
                    volume_id=str(volume["VolumeId"]),
                    device=device,
                    erase_tag=tags.get(_ERASE_TAG) == "True",
                )
            )
        return sorted(found, key=lambda volume: (volume.device is None, volume.volume_id))

    async def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        await self._call("ec2", "attach_volume", VolumeId=volume_id, InstanceId=instance_id, Device=device)

    async def forget_erase_tag(self, volume_id: str) -> None:
        await self._call("ec2", "delete_tags", Resources=[volume_id], Tags=[{"Key": _ERASE_TAG}])

    async def stack(self, stack: str, resource: str, *, unique_id: str, success: bool) -> None:
        await self._call(
            "cloudformation", "signal_resource", StackName=stack, LogicalResourceId=resource, UniqueId=unique_id,
            Status="SUCCESS" if success else "FAILURE",
        )  # fmt: skip

    async def lifecycle(self, group: str, hook: str, *, instance_id: str, proceed: bool) -> None:
        await self._call(
            "autoscaling", "complete_lifecycle_action", AutoScalingGroupName=group, LifecycleHookName=hook,
            InstanceId=instance_id, LifecycleActionResult="CONTINUE" if proceed else "ABANDON",
        )  # fmt: skip

    async def unhealthy(self, instance_id: str) -> None:
        await self._call("autoscaling", "set_instance_health", InstanceId=instance_id, HealthStatus="Unhealthy")

    async def terminate(self, instance_id: str) -> None:
        await self._call("ec2", "terminate_instances", InstanceIds=[instance_id])

    async def in_service(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> str:
        if kind == "classic":
            answer = await self._call(
                "elb", "describe_instance_health", LoadBalancerName=name, Instances=[{"InstanceId": instance_id}]
            )
            states = [(one["State"], one.get("Description", "")) for one in answer["InstanceStates"]]
            good = "InService"
        else:
            answer = await self._call(
                "elbv2", "describe_target_health", TargetGroupArn=name, Targets=[{"Id": instance_id}]
            )
            health = [one["TargetHealth"] for one in answer["TargetHealthDescriptions"]]
            states = [(one["State"], one.get("Reason", "")) for one in health]
            good = "healthy"
        if states and all(state == good for state, _ in states):
            return ""
        return one_line("; ".join(f"{state} {why}".strip() for state, why in states) or "not registered", 200)

    async def deregister(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> None:
        if kind == "classic":
            instances = [{"InstanceId": instance_id}]
            await self._call(
                "elb", "deregister_instances_from_load_balancer", LoadBalancerName=name, Instances=instances
            )
        else:
            await self._call("elbv2", "deregister_targets", TargetGroupArn=name, Targets=[{"Id": instance_id}])

    async def tags_move(self, reference: ImageReference) -> str:
        owner = _owner(reference.registry)
        answer = await self._call("ecr", "describe_repositories", repositoryNames=[reference.path], **owner)
        stated = str(answer["repositories"][0].get("imageTagMutability", "")) if answer.get("repositories") else ""
        return "" if stated == "IMMUTABLE" else stated or "nothing"

    async def sign_in(self, registry: str) -> tuple[str, str]:
        answer = await self._call("ecr", "get_authorization_token")
        try:
            token = answer["authorizationData"][0]["authorizationToken"]
            username, colon, password = strict_base64.decode(token).decode("ascii").partition(":")
        except (KeyError, IndexError, ValueError) as exc:
            raise CloudRefused("ecr-token-malformed", f"{registry}: ECR's token is malformed") from exc
        if not colon:
            raise CloudRefused("ecr-token-malformed", f"{registry}: ECR's token is malformed")
        return username, password

    async def put(self, namespace: str, values: Mapping[str, float], *, dimensions: Mapping[str, str]) -> None:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        metrics = [
            {"MetricName": name, "Value": value, "Unit": "Percent", "Dimensions": named}
            for name, value in values.items()
        ]
        await self._call("cloudwatch", "put_metric_data", Namespace=namespace, MetricData=metrics)

    async def _call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Call once; if the keys are refused, call again with new keys. Raises CloudRefused."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        action = f"{service}:{''.join(part.capitalize() for part in operation.split('_'))}"
        keys = self._clients.keys
        try:
            async with asyncio.timeout(_CALL_SECONDS_MAX):
                offered = await keys()
                try:
                    return await self._once(service, operation, offered, parameters)
                except ClientError as exc:
                    if AwsError.of_sdk(exc.response, now=self._now()).kind != "keys":
                        raise
                    keys.refused(offered)
                    if (others := await keys()) == offered:
                        raise
                return await self._once(service, operation, others, parameters)
        except ClientError as exc:
            error = AwsError.of_sdk(exc.response, now=self._now())
            if nobody_waits(operation, error):
                raise NobodyWaits(str(error)) from exc
            raise self._refused(action, error) from exc
        except NoKeys as exc:
            raise CloudRefused("cloud-no-keys", f"{action}: {exc}", retryable=exc.retryable) from exc
        except ResponseParserError as exc:
            message = f"{action}: the response is not AWS's, but of a proxy or firewall before it, or it is malformed"
            raise CloudRefused("cloud-unreachable", message) from exc
        except (BotoCoreError, OSError, TimeoutError) as exc:
            raise CloudRefused("cloud-unreachable", f"{action}: AWS is unreachable ({type(exc).__name__})") from exc

    async def _once(self, service: str, operation: str, keys: AwsKeys, parameters: Mapping[str, Any]) -> Any:
        async with self._clients.once(service, keys) as client:
            return await getattr(client, operation)(**parameters)

    def _refused(self, action: str, error: AwsError) -> CloudRefused:
        doubt = f"; {self._clients.keys.doubt}" if error.kind == "keys" and self._clients.keys.doubt else ""
        return CloudRefused(
            "clock-wrong" if error.kind == "clock" else "cloud-refused", f"{action}: {error}{doubt}",
            retryable=error.may_pass(up_seconds=self._up_seconds()),
            retry_after_seconds=error.retry_after_seconds,
            fix=f"allow the instance's role {action}" if error.kind == "denied" else error.fix,
        )  # fmt: skip


def _owner(registry: str) -> dict[str, str]:
    account = registry.partition(".")[0]
    return {"registryId": account} if account.isdigit() and len(account) == 12 else {}
