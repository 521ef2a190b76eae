"""Whether an account may start another account's image, by EC2 in the owner's account."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps.images import LAUNCH_PERMISSION
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8,17}\Z")
_AT_ONCE = 8


class LaunchPermissionProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> StandingResource:
            async with limit:
                return await self._standing(name)

        return await asyncio.gather(*(one(each.name) for each in wanted))

    async def find(self) -> Sequence[StandingResource]:
        """Return the images of others that are shared with this account by its id; public ones are not among them."""
        ec2 = await self._place.client("ec2")
        filters = [{"Name": "state", "Values": ["available"]}]
        images = await whole_list(ec2, "describe_images", "Images", ExecutableUsers=["self"], Filters=filters)
        return [
            StandingResource(
                kind=LAUNCH_PERMISSION, name=f"{one['OwnerId']}/{one['ImageId']}", region=self._place.region,
                is_own=True, state={"shared": True}, outputs={"image_id": one["ImageId"]},
            )
            for one in images if one["OwnerId"] != self._place.account_id and not one.get("Public")
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Add the permission; those of others stay. Raises RoadError where there is no image."""
        if "image_id" not in standing.outputs:
            raise RoadError("image-missing", self._missing(standing.name), retryable=False)
        ec2 = await self._place.client_in(standing.name.partition("/")[0], "ec2")
        added = {"Add": [{"UserId": self._place.account_id}]}
        await ec2.modify_image_attribute(ImageId=standing.outputs["image_id"], LaunchPermission=added)

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")

    async def _standing(self, name: str) -> StandingResource:
        owner, _, image = name.partition("/")
        ec2 = await self._place.client_in(owner, "ec2")
        about = "image-id" if _IMAGE_ID.match(image) else "name"
        filters = [{"Name": about, "Values": [image]}, {"Name": "state", "Values": ["available"]}]
        found = await whole_list(ec2, "describe_images", "Images", Owners=["self"], Filters=filters)
        newest = max(found, key=lambda one: (str(one.get("CreationDate", "")), str(one["ImageId"])), default=None)
        shared = newest is not None and await self._may_start(ec2, newest)
        return StandingResource(
            kind=LAUNCH_PERMISSION, name=name, region=self._place.region, is_own=True, state={"shared": shared},
            outputs={"image_id": newest["ImageId"]} if newest is not None else {},
            warnings=(self._missing(name),) if newest is None else (),
        )  # fmt: skip

    async def _may_start(self, ec2: Any, image: Mapping[str, Any]) -> bool:
        if image.get("Public"):
            return True
        answer = await ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")
        return any(one.get("UserId") == self._place.account_id for one in answer.get("LaunchPermissions", []))

    def _missing(self, name: str) -> str:
        owner, _, image = name.partition("/")
        return f"account {owner} has no available image {image} in {self._place.region}"
