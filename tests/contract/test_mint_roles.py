"""Who may do what with minted credentials, as IAM judges it: one role writes, and each application reads its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from botocore.exceptions import ClientError

from fakes.account_world import REGION, AccountWorld, account_world, new_account_id
from fakes.aws_bucket_policies import BucketPolicies
from fakes.mint_bucket_world import Seconds
from landscape.aws import Aws, moto_server
from whence_aggregator.accounts.steps import mint, roles
from whence_aggregator.adapters.aws_clients import ServiceClients
from whence_aggregator.adapters.mint.bucket_calls import BucketCalls
from whence_aggregator.adapters.mint.credential_buckets import S3CredentialBuckets
from whence_aggregator.mint.bucket_places import BucketPlaces, BucketRow

_STEPS = (roles.step(lambda: ()), mint.STEP)
_TRUSTED = "arn:aws:iam::999999999999:role/whence"
KEY = "greeter/user.json"
CONTENT = b'{"application_password": "x"}'


def name_of(account_id: str) -> str:
    return f"hello-stups-mint-{account_id}-{REGION}"


def settings(account_id: str, **writer_role: Any) -> dict[str, Any]:
    return {
        "mint_bucket": {"writer_role": {"trusted": [_TRUSTED], "external_id": "only-mint", **writer_role}},
        "application_roles": {
            "applications": ["greeter", "greeter-two"], "mint_bucket": name_of(account_id), "instance_profiles": False,
        },
    }  # fmt: skip


@asynccontextmanager
async def made(backend: str) -> AsyncIterator[AccountWorld]:
    """An account where whence-accounts has made the bucket, its writer and two readers."""
    account_id = new_account_id()
    async with account_world(backend, steps=_STEPS, account_id=account_id, settings=settings(account_id)) as world:
        BucketPolicies().install(world.aws)
        await world.converge()
        yield world


@asynccontextmanager
async def buckets_of(world: AccountWorld) -> AsyncIterator[S3CredentialBuckets]:
    """The adapter as mint's settings state it for such accounts."""
    clock = Seconds()
    clients = ServiceClients(endpoint_url=world.aws.url, session_name="whence-mint", clock=clock, attempts_max=1)
    row = BucketRow(
        pattern="{prefix}-stups-mint-{account_id}-{region}", role="arn:aws:iam::{account_id}:role/whence-mint",
        external_id="only-mint",
    )  # fmt: skip
    calls = BucketCalls(clients=clients, pause=asyncio.sleep, random=lambda: 0.0)
    places = BucketPlaces([row], accounts=frozenset([world.account_id]))
    try:
        yield S3CredentialBuckets(calls=calls, places=places, clock=clock)
    finally:
        await clients.close()


async def test_the_bucket_that_whence_accounts_makes_is_as_credentials_require_it(moto: Aws) -> None:
    async with made(moto.url) as world, buckets_of(world) as buckets:
        version = await buckets.put(name_of(world.account_id), KEY, CONTENT, {})
        assert (await buckets.versions(name_of(world.account_id), KEY))[0].version_id == version


async def test_the_writer_is_assumed_by_mint_only_and_the_bucket_names_it(moto: Aws) -> None:
    async with made(moto.url) as world:
        role = world.client("iam").get_role(RoleName="whence-mint")["Role"]
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"AWS": [_TRUSTED]}
        assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": ["only-mint"]}}
        section = mint.wanted(world.account)[0].state["policy"]
        assert section["WhenceMintWrite"]["Principal"] == {"AWS": [role["Arn"]]}  # type: ignore[index, call-overload]  # a mapping


async def allows(call: Any, **arguments: Any) -> bool:
    """Return whether IAM lets a call through."""
    try:
        await asyncio.to_thread(call, **arguments)
    except ClientError as exc:
        if exc.response["Error"]["Code"] in ("AccessDenied", "403"):
            return False
        raise
    return True


async def enforce(moto: Aws) -> None:
    """Have moto judge every call by the policies of its caller."""
    async with aiohttp.ClientSession() as session, session.post(f"{moto.url}/moto-api/reset-auth", data="0") as done:
        assert done.status == 200


async def test_the_writer_writes_and_verifies_and_reads_nothing_and_each_reader_reads_its_own(tmp_path: Path) -> None:
    async with moto_server(tmp_path) as moto, made(moto.url) as world, buckets_of(world) as buckets:
        name = name_of(world.account_id)
        reader, writer = (world.client("s3", role_name=one) for one in ("app-greeter", "whence-mint"))
        await buckets.put(name, "greeter-two/user.json", CONTENT, {})
        await enforce(moto)
        version = await buckets.put(name, KEY, CONTENT, {})
        assert [one.version_id for one in await buckets.versions(name, KEY)] == [version]
        key = {"Bucket": name, "Key": KEY}
        assert {
            "own": await allows(reader.get_object, **key),
            "of another": await allows(reader.get_object, Bucket=name, Key="greeter-two/user.json"),
            "write": await allows(reader.put_object, Body=b"", **key),
            "delete": await allows(reader.delete_object, **key),
        } == {"own": True, "of another": False, "write": False, "delete": False}
        assert {
            "read": await allows(writer.get_object, **key),
            "read a version": await allows(writer.get_object, VersionId=version, **key),
            "head": await allows(writer.head_object, **key),
            "list": await allows(writer.list_objects_v2, Bucket=name),
            "suspend": await allows(
                writer.put_bucket_versioning, Bucket=name, VersioningConfiguration={"Status": "Suspended"}
            ),
            "delete the policy": await allows(writer.delete_bucket_policy, Bucket=name),
        } == dict.fromkeys(("read", "read a version", "head", "list", "suspend", "delete the policy"), False)
        await buckets.remove(name, KEY)
        assert (await buckets.versions(name, KEY))[0].is_deletion
