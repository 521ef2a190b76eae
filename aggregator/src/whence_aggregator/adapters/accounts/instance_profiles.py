"""Instance profiles of roles. They are our own by their path, because IAM lists them without tags."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, own_tags
from whence_aggregator.accounts.steps.roles import INSTANCE_PROFILE, PROFILE_PATH
from whence_aggregator.adapters.accounts.iam_calls import PAGE, tag_list, without_missing
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list


class InstanceProfileProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        names = {one.name for one in wanted}
        return [one for one in await self.find() if one.is_own or one.name in names]

    async def find(self) -> Sequence[StandingResource]:
        iam = await self._place.client("iam")
        return [
            StandingResource(
                kind=INSTANCE_PROFILE, name=one["InstanceProfileName"], is_own=one["Path"] == PROFILE_PATH,
                state={"role": next((role["RoleName"] for role in one.get("Roles", ())), None)},
                outputs={"arn": one["Arn"], "id": one["InstanceProfileId"]},
            )
            for one in await whole_list(iam, "list_instance_profiles", "InstanceProfiles", PaginationConfig=PAGE)
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        iam = await self._place.client("iam")
        await iam.create_instance_profile(
            InstanceProfileName=wanted.name, Path=PROFILE_PATH, Tags=tag_list(own_tags(wanted.name))
        )

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        """Put the role into the profile, which holds one at most."""
        iam = await self._place.client("iam")
        if standing.state["role"] is not None:
            await self._empty(standing)
        await iam.add_role_to_instance_profile(InstanceProfileName=standing.name, RoleName=value)

    async def delete(self, standing: StandingResource) -> None:
        iam = await self._place.client("iam")
        if standing.state["role"] is not None:
            await self._empty(standing)
        await without_missing(iam.delete_instance_profile(InstanceProfileName=standing.name))

    async def _empty(self, standing: StandingResource) -> None:
        iam = await self._place.client("iam")
        role = standing.state["role"]
        await without_missing(
            iam.remove_role_from_instance_profile(InstanceProfileName=standing.name, RoleName=role)
        )  # fmt: skip
