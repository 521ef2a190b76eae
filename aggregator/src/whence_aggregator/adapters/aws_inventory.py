"""EC2's DescribeInstances and user data in many accounts, each by a role that is assumed for it."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.ports import DescribedImage, ListedInstance, SourceUnavailable
from whence_common.clock import to_instant

_REQUEST_SECONDS_MAX = 20.0
_PAGE_INSTANCES = 500
_INSTANCES_MAX = 100_000
_ROLE_SECONDS = 3600
_SPARE_SECONDS = 300
_ATTEMPTS_MAX = 3
_REGION_DISABLED = frozenset({"AuthFailure", "OptInRequired", "RegionDisabledException"})
"""How EC2 and STS refuse where a region is not enabled. EC2 refuses keys that STS has just issued with AuthFailure."""


class AwsInventory:
    """Lists instances. The SDK finds our own credentials as usual: the instance's role, or the environment."""

    def __init__(
        self,
        *,
        role_name: str,
        session_name: str,
        endpoint_url: str | None,
        external_id: str | None = None,
        instances_max: int = _INSTANCES_MAX,
        attempts_max: int = _ATTEMPTS_MAX,
    ) -> None:
        self._role_name = role_name
        self._session_name = session_name
        self._external_id = external_id
        self._endpoint_url = endpoint_url
        self._instances_max = instances_max
        self._session = aws_session()
        self._config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": attempts_max, "mode": "standard"},
        )
        self._keys: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
        self._kept: dict[tuple[str, str], tuple[AsyncExitStack, list[Any]]] = {}
        """The open client of each account and region that a block of requests uses, and what closes it."""

    async def instances(self, account_id: str, region: str) -> list[ListedInstance]:
        """Return all instances of an account in a region. Raises SourceUnavailable, also for an incomplete list."""
        found: list[ListedInstance] = []
        async with AsyncExitStack() as stack:
            try:
                ec2 = await stack.enter_async_context(await self._ec2(account_id, region))
                pages = ec2.get_paginator("describe_instances").paginate(
                    PaginationConfig={"PageSize": _PAGE_INSTANCES, "MaxItems": self._instances_max}
                )
                async for page in pages:
                    for reservation in page["Reservations"]:
                        found += [_listed(one) for one in reservation["Instances"]]
                if pages.resume_token is not None:
                    raise SourceUnavailable(
                        "ec2-too-many", f"account {account_id} lists over {self._instances_max} instances in {region}"
                    )
            except KeyError as exc:
                message = f"EC2's answer for account {account_id} in {region} lacks {exc}: it is not a listing"
                raise SourceUnavailable("ec2-malformed", message) from exc
            except FAILURES as exc:
                raise self._failed(account_id, region, exc) from exc
        return found

    @asynccontextmanager
    async def asking(self, account_id: str, region: str) -> AsyncIterator[None]:
        """Reuse one client for all requests of the block: creating one takes ten times as long as a request."""
        place = account_id, region
        async with AsyncExitStack() as stack:
            self._kept[place] = stack, []
            try:
                yield
            finally:
                self._kept.pop(place, None)

    async def image(self, account_id: str, region: str, image_id: str) -> DescribedImage | None:
        """Return an AMI as the account sees it; None when AWS shows it none. Raises SourceUnavailable."""
        async with AsyncExitStack() as stack:
            try:
                ec2 = await stack.enter_async_context(await self._ec2(account_id, region))
                asked = [{"Name": "image-id", "Values": [image_id]}]  # by a filter: an unknown id is no error then
                answer = await ec2.describe_images(Filters=asked, IncludeDeprecated=True, IncludeDisabled=True)
            except FAILURES as exc:
                raise self._failed(account_id, region, exc) from exc
        found = [one for one in answer.get("Images", ()) if one.get("ImageId") == image_id]
        return _described(found[0]) if found else None

    async def user_data(self, account_id: str, region: str, instance_id: str) -> bytes | None:
        """Return an instance's raw user data, None when it has none. Raises SourceUnavailable."""
        async with AsyncExitStack() as stack:
            try:
                ec2 = await stack.enter_async_context(await self._ec2(account_id, region))
                answer = await ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
            except FAILURES as exc:
                raise self._failed(account_id, region, exc) from exc
        encoded = answer.get("UserData", {}).get("Value")
        try:
            # NOTE: not strict: the user data is the caller's input of RunInstances, and proves nothing
            return base64.b64decode(encoded) if encoded else None
        except (binascii.Error, ValueError) as exc:
            raise SourceUnavailable("ec2-user-data", "the user data in EC2's answer is not base64") from exc

    def _failed(self, account_id: str, region: str, exc: Exception) -> SourceUnavailable:
        """Return the error for a failed call; drop credentials that AWS does not accept."""
        error = refusal(exc)
        if error is not None and error.kind == "keys":
            self._keys.pop((account_id, region), None)
        return _unavailable(account_id, region, exc)

    async def _ec2(self, account_id: str, region: str) -> AbstractAsyncContextManager[Any]:
        stack, made = self._kept.get((account_id, region), (None, []))
        if made:
            return nullcontext(made[0])
        keys = await self._assumed(account_id, region)
        client: AbstractAsyncContextManager[Any] = self._session.create_client(
            "ec2", region_name=region, endpoint_url=self._endpoint_url, config=self._config, **keys
        )
        if stack is None:
            return client
        made.append(await stack.enter_async_context(client))
        return nullcontext(made[0])

    async def _assumed(self, account_id: str, region: str) -> dict[str, str]:
        held = self._keys.get((account_id, region))
        if held is not None and held[0] > time.monotonic():
            return held[1]
        external = {"ExternalId": self._external_id} if self._external_id is not None else {}
        client = self._session.create_client(
            "sts", region_name=region, endpoint_url=self._endpoint_url, config=self._config
        )
        async with client as sts:
            answer = await sts.assume_role(
                RoleArn=role_arn(account_id, region, self._role_name),
                RoleSessionName=self._session_name,
                DurationSeconds=_ROLE_SECONDS,
                **external,
            )
        given = answer["Credentials"]
        keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        self._keys[account_id, region] = time.monotonic() + _ROLE_SECONDS - _SPARE_SECONDS, keys
        return keys


def role_arn(account_id: str, region: str, role_name: str) -> str:
    """Return the name of a role in the partition of a region."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:iam::{account_id}:role/{role_name}"


def _listed(one: dict[str, Any]) -> ListedInstance:
    """Return one instance. A field that the endpoint omits does not prevent other instances from being listed."""
    launched_at = one.get("LaunchTime")
    return ListedInstance(
        instance_id=str(one["InstanceId"]),
        state=str(one.get("State", {}).get("Name", "unknown")),
        launched_at=to_instant(launched_at) if launched_at is not None else "",
        details=_details(one),
    )


def _details(one: dict[str, Any]) -> dict[str, str]:
    """Return what else EC2 states. It leaves out the name of the key pair where there is none, and no other member."""
    found = {"key_name": str(one.get("KeyName", "")), "image_id": str(one.get("ImageId", ""))}
    tokens = one.get("MetadataOptions", {}).get("HttpTokens")
    return {**found, "imds_tokens": str(tokens)} if tokens is not None else found


def _described(one: dict[str, Any]) -> DescribedImage:
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in one.get("Tags", ()) if "Key" in tag}
    return DescribedImage(
        name=one.get("Name"),
        owner=one.get("OwnerId"),
        owner_alias=one.get("ImageOwnerAlias"),
        state=one.get("State"),
        created_at=one.get("CreationDate"),
        deprecated_at=str(one.get("DeprecationTime") or ""),
        expires_at=tags.get("ExpirationTime", ""),
        tags=tags,
        copied_from=_copied_from(one),
    )


def _copied_from(one: dict[str, Any]) -> dict[str, str] | None:
    """Return the source of a copy. That of an AMI made by CreateImage is what its instance was launched from, which may
    have another content by then.
    """
    source, region = one.get("SourceImageId"), one.get("SourceImageRegion")
    if not source or not region or one.get("SourceInstanceId"):
        return None
    return {"image_id": str(source), "region": str(region)}


def _unavailable(account_id: str, region: str, exc: Exception) -> SourceUnavailable:
    """Return the error for a denial, which lasts until a policy changes, for throttling, or for any other failure."""
    error, place = refusal(exc), f"EC2 of account {account_id} in {region}"
    kind = error.kind if error is not None else None
    if isinstance(exc, ClientError) and exc.operation_name == "AssumeRole":
        place = f"the role of account {account_id} in {region}"
    if error is not None and error.code in _REGION_DISABLED and kind != "clock":
        fix = f"enable {region} in account {account_id}, or remove it from inventory.regions"
        return SourceUnavailable("ec2-denied", f"{place} denies the request: {error}", fix=fix)
    if error is not None and kind == "denied":
        return SourceUnavailable("ec2-denied", f"{place} denies the request: {error}", fix=_fix(exc))
    if error is not None and kind == "throttled":
        return SourceUnavailable(
            "ec2-throttled", f"{place} throttles requests: {error}", retry_after_seconds=error.retry_after_seconds
        )
    fix = "check that the inventory's role exists in that account and may be assumed"
    if error is not None and kind == "clock":
        fix = error.fix
    elif kind == "keys":
        fix = f"check the aggregator's credentials, and that {region} is enabled for its own account"
    return SourceUnavailable("ec2-unavailable", f"{place} cannot be asked: {why(exc)}", fix=fix)


def _fix(exc: Exception) -> str:
    """Return what to do about a denial, which is of the role itself or of what it may do."""
    if isinstance(exc, ClientError) and exc.operation_name == "AssumeRole":
        return (
            "allow the aggregator's own role sts:AssumeRole, and let the trust policy of the inventory's role name it,"
            " with the external id of inventory.external_id"
        )
    return "let the inventory's role allow ec2:DescribeInstances, ec2:DescribeInstanceAttribute and ec2:DescribeImages"
