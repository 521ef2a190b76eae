"""Defaults of an account and of its regions, by S3 Control and EC2. They always exist."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, State, WantedResource
from whence_aggregator.accounts.steps.defaults import (
    EBS,
    IMAGE_SHARING,
    INSTANCE_METADATA,
    METADATA,
    PUBLIC_ACCESS,
    SETTING,
    SNAPSHOT_SHARING,
)
from whence_aggregator.adapters.accounts.answers import answered
from whence_aggregator.adapters.accounts.place import AwsPlace


class _Setting(ABC):
    """Reads nothing that is not wanted: nobody else's setting can be a leftover of ours."""

    kind: ResourceKind
    all_aspects: State
    """What `find` asks for."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def find(self) -> Sequence[StandingResource]:
        region = self._place.region if self.kind.is_regional else None
        return await self.read([WantedResource(kind=self.kind, name=SETTING, region=region, state=self.all_aspects)])

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        return [
            StandingResource(
                kind=one.kind, name=one.name, region=one.region, is_own=True, state=await self._state(one.state)
            )
            for one in wanted
        ]

    @abstractmethod
    async def _state(self, wanted: State) -> State:
        """Return the aspects that are wanted, as they stand."""

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")


class PublicAccessProvider(_Setting):
    """The public-access block of all buckets of the account."""

    kind = PUBLIC_ACCESS
    all_aspects: State = MappingProxyType({"public_access_block": None})

    async def _state(self, wanted: State) -> State:
        s3 = await self._place.client("s3control")
        call = s3.get_public_access_block(AccountId=self._place.account_id)
        answer = await answered(call, "NoSuchPublicAccessBlockConfiguration")
        found = answer["PublicAccessBlockConfiguration"] if answer is not None else None
        return {"public_access_block": found}

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        s3 = await self._place.client("s3control")
        await s3.put_public_access_block(
            AccountId=self._place.account_id, PublicAccessBlockConfiguration=value
        )  # fmt: skip


class EbsProvider(_Setting):
    """The encryption of new volumes."""

    kind = EBS
    all_aspects: State = MappingProxyType({"is_encrypted": None})

    async def _state(self, wanted: State) -> State:
        ec2 = await self._place.client("ec2")
        state: dict[str, Json] = {}
        if "is_encrypted" in wanted:
            state["is_encrypted"] = (await ec2.get_ebs_encryption_by_default())["EbsEncryptionByDefault"]
        if "key" in wanted:
            state["key"] = (await ec2.get_ebs_default_kms_key_id()).get("KmsKeyId")
        return state

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        if aspect == "key":
            await ec2.modify_ebs_default_kms_key_id(KmsKeyId=value)
        else:
            await ec2.enable_ebs_encryption_by_default()


class InstanceMetadataProvider(_Setting):
    """The metadata service of new instances."""

    kind = INSTANCE_METADATA
    all_aspects: State = MappingProxyType({"defaults": dict.fromkeys(METADATA.values())})

    async def _state(self, wanted: State) -> State:
        ec2 = await self._place.client("ec2")
        level: Mapping[str, Any] = (await ec2.get_instance_metadata_defaults()).get("AccountLevel", {})
        stated = wanted["defaults"]
        assert isinstance(stated, Mapping)
        return {"defaults": {name: level.get(name) for name in stated}}

    async def put(self, standing: StandingResource, aspect: str, value: Any) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.modify_instance_metadata_defaults(**value)


class ImageSharingProvider(_Setting):
    """Public sharing of images. AWS needs up to ten minutes to show a change."""

    kind = IMAGE_SHARING
    all_aspects: State = MappingProxyType({"public": None})

    async def _state(self, wanted: State) -> State:
        ec2 = await self._place.client("ec2")
        return {"public": (await ec2.get_image_block_public_access_state())["ImageBlockPublicAccessState"]}

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.enable_image_block_public_access(ImageBlockPublicAccessState=value)


class SnapshotSharingProvider(_Setting):
    """Public sharing of snapshots."""

    kind = SNAPSHOT_SHARING
    all_aspects: State = MappingProxyType({"public": None})

    async def _state(self, wanted: State) -> State:
        ec2 = await self._place.client("ec2")
        return {"public": (await ec2.get_snapshot_block_public_access_state())["State"]}

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.enable_snapshot_block_public_access(State=value)
