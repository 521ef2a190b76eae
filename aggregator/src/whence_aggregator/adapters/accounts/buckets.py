"""Buckets, by S3. Those of ours that are not wanted are found by the tagging API, one call per region."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from whence_aggregator.accounts.arns import bucket_arn
from whence_aggregator.accounts.resources import (
    Json,
    StandingResource,
    WantedResource,
    is_own,
    seen_tags,
)
from whence_aggregator.accounts.steps.buckets import BUCKET
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of
from whence_aggregator.adapters.accounts.bucket_aspects import READERS, WRITERS, all_parts
from whence_aggregator.adapters.accounts.calls import own_arns
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

_AT_ONCE = 8
_PAGE_MAX = 10_000
"""S3's own bound. A list with a page size states the region of each bucket."""
_LISTED_MAX = 200_000
"""An account has up to 10,000 buckets, and more where AWS raises its quota. Only those that are wanted are read."""
_FOUND_MAX = 2_000
"""Buckets that are imported: each takes ten calls."""


class BucketProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        regions = await self._regions()
        others = set(regions) - {one.name for one in wanted}
        own = await self._own({regions[name] for name in others}) & others if others else set()
        standing = (self._standing(one, regions[one.name]) for one in wanted if one.name in regions)
        left = (self._left(name, regions[name]) for name in sorted(own))
        return await asyncio.gather(*standing, *left)

    async def find(self) -> Sequence[StandingResource]:
        """Return all buckets of the account, with everything that a configuration can state of them."""
        regions = await self._regions()
        if len(regions) > _FOUND_MAX:
            message = f"the account has {len(regions)} buckets, and up to {_FOUND_MAX} are imported"
            raise RoadError("account-list-too-long", message, fix="state those that you configure", retryable=False)
        simple = dict.fromkeys(name for name in READERS if name not in ("policy", "lifecycle"))
        found = (
            self._found(WantedResource(kind=BUCKET, name=name, state=simple), region)
            for name, region in regions.items()
        )
        return await asyncio.gather(*found)

    async def create(self, wanted: WantedResource) -> None:
        region, tags = str(wanted.state["region"]), wanted.state["tags"]
        s3 = await self._place.client("s3", region)
        place = {"LocationConstraint": region} if region != "us-east-1" else {}
        await s3.create_bucket(Bucket=wanted.name, CreateBucketConfiguration={**place, "Tags": tag_list(tags)})

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        s3 = await self._place.client("s3", str(standing.state["region"]))
        await WRITERS[aspect](s3, standing.name, value)

    async def delete(self, standing: StandingResource) -> None:
        """Delete an empty bucket; S3 refuses to delete one with objects."""
        s3 = await self._place.client("s3", str(standing.state["region"]))
        await answered(s3.delete_bucket(Bucket=standing.name), "NoSuchBucket")

    async def _regions(self) -> Mapping[str, str | None]:
        """Return the account's buckets, with the region where the list states it."""
        s3 = await self._place.client("s3")
        listed = await whole_list(
            s3, "list_buckets", "Buckets", items_max=_LISTED_MAX, PaginationConfig={"PageSize": _PAGE_MAX}
        )  # fmt: skip
        return {one["Name"]: one.get("BucketRegion") for one in listed}

    async def _found(self, wanted: WantedResource, region: str | None) -> StandingResource:
        standing = await self._standing(wanted, region)
        async with self._at_once:
            s3 = await self._place.client("s3", str(standing.state["region"]))
            return replace(standing, state={**standing.state, **await all_parts(s3, standing.name)})

    async def _own(self, regions: set[str | None]) -> set[str]:
        """Return the names of our own buckets in these regions; None stands for the account's regions."""
        asked = {one for one in regions if one is not None} | set(self._place.target.regions if None in regions else ())
        return set().union(*await asyncio.gather(*(self._own_in(region) for region in sorted(asked))))

    async def _own_in(self, region: str) -> set[str]:
        return {one.rpartition(":")[2] for one in await own_arns(self._place, "s3", region=region)}

    async def _standing(self, wanted: WantedResource, region: str | None) -> StandingResource:
        name, asked = wanted.name, [aspect for aspect in wanted.state if aspect in READERS]
        async with self._at_once:
            region = region or await self._region(name)
            s3 = await self._place.client("s3", region)
            tagging, *seen = await asyncio.gather(
                answered(s3.get_bucket_tagging(Bucket=name), "NoSuchTagSet"),
                *(READERS[aspect](s3, name, wanted.state[aspect]) for aspect in asked),
            )
        tags = tags_of((tagging or {}).get("TagSet"))
        values = {aspect: value for aspect, (value, _) in zip(asked, seen, strict=True)}
        return StandingResource(
            kind=BUCKET, name=name, is_own=is_own(tags), outputs=_outputs(name, region),
            state={"region": region, "tags": seen_tags(tags, wanted), **values},
            foreign=tuple(part for _, parts in seen for part in parts),
        )  # fmt: skip

    async def _left(self, name: str, region: str | None) -> StandingResource:
        async with self._at_once:
            state = {"region": region or await self._region(name)}
        outputs = _outputs(name, state["region"])
        return StandingResource(kind=BUCKET, name=name, is_own=True, state=state, outputs=outputs)

    async def _region(self, name: str) -> str:
        """Return the region of a bucket that the list did not state: AWS does, other servers may not."""
        s3 = await self._place.client("s3")
        found = (await s3.get_bucket_location(Bucket=name)).get("LocationConstraint")
        return {None: "us-east-1", "EU": "eu-west-1"}.get(found, str(found))


def _outputs(name: str, region: str) -> dict[str, Json]:
    return {"name": name, "arn": bucket_arn(name, region)}
