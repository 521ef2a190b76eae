"""What credentials may rely on in a mint bucket: S3 as moto speaks it, and the fake of other tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes.clocks import a_day
from fakes.metadata_service import MetadataService
from fakes.object_store import FakeObjectStore
from fakes.signing_authority import SigningAuthority
from landscape.aws import REGION, Aws
from whence_agent.adapters.aws_http import S3Objects, SignedHttp
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.role import RoleKeys
from whence_agent.ports import ObjectStore, ObjectUnavailable
from whence_common.clock import utc_now

MINTED = {"whence-generation": "0af1", "whence-files": "client.json"}


def put_minted(moto: Aws) -> None:
    """Write an object as mint does, to a bucket that keeps versions."""
    s3 = moto.client("s3")
    s3.put_bucket_versioning(Bucket="contract-bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="contract-bucket", Key="app/minted.json", Body=b"{}", Metadata=MINTED)


@pytest.fixture(params=["fake", "s3"])
async def store(request: pytest.FixtureRequest, moto: Aws, authority: SigningAuthority) -> AsyncIterator[ObjectStore]:
    if request.param == "fake":
        fake = FakeObjectStore()
        fake.buckets["contract-bucket"] = {"app/user.json": b'{"a": "b"}', "app/minted.json": b"{}"}
        fake.metadata["app/minted.json"] = MINTED
        fake.versions["app/minted.json"] = "v-1"
        yield fake
        return
    await moto.put_credentials("contract-bucket", "app", {"user.json": {"a": "b"}})
    await asyncio.to_thread(put_minted, moto)
    async with (
        aiohttp.ClientSession() as session, MetadataService("i-0123456789abcdef0", b"", authority).serve() as service,
    ):  # fmt: skip
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        yield S3Objects(SignedHttp(
            session=session, keys=keys, region=lambda: REGION, endpoint_url=moto.url, now=utc_now, up_seconds=a_day
        ))  # fmt: skip


async def test_an_object_is_given_once_and_then_only_when_it_changed(store: ObjectStore) -> None:
    found = await store.get("contract-bucket", "app/user.json", etag=None)
    assert found is not None
    assert found.content == b'{"a": "b"}'
    assert await store.get("contract-bucket", "app/user.json", etag=found.etag) is None


@pytest.mark.parametrize(
    "bucket, key, state",
    [("contract-bucket", "app/client.json", "not-synced"), ("no-such-bucket", "app/user.json", "bucket-missing")],
)
async def test_an_absent_object_and_an_absent_bucket_differ(
    store: ObjectStore, bucket: str, key: str, state: str
) -> None:
    with pytest.raises(ObjectUnavailable) as caught:
        await store.get(bucket, key, etag=None)
    assert caught.value.state == state


async def test_an_object_has_its_version_and_its_metadata(store: ObjectStore) -> None:
    found = await store.get("contract-bucket", "app/minted.json", etag=None)
    assert found is not None
    assert found.metadata == MINTED
    assert found.version_id


async def test_an_object_that_states_nothing_has_no_metadata(store: ObjectStore) -> None:
    found = await store.get("contract-bucket", "app/user.json", etag=None)
    assert found is not None
    assert found.metadata == {}
