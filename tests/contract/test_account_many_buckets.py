"""An account of others' buckets by the thousand: the list is read whole, and no bucket that is not named."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_buckets import tag_created_buckets
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import configured_buckets


def _listed(world: AccountWorld, count: int) -> None:
    """Answer lists of buckets with many of others, after those of moto."""
    asked = world.client("s3")

    def answer(call: AwsCall) -> web.Response:
        query = dict(parse_qsl(call.path.partition("?")[2]))
        page, size = int(query.get("continuation-token", 0)), int(query["max-buckets"])
        names = [one["Name"] for one in asked.list_buckets()["Buckets"]] if page == 0 else []
        names += [f"other-{number}" for number in range(page * size, min((page + 1) * size, count))]
        buckets = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>2026-01-01T00:00:00Z</CreationDate>"
            f"<BucketRegion>{REGION}</BucketRegion></Bucket>"
            for name in names
        )
        token = f"<ContinuationToken>{page + 1}</ContinuationToken>" if (page + 1) * size < count else ""
        text = f"<ListAllMyBucketsResult><Buckets>{buckets}</Buckets>{token}</ListAllMyBucketsResult>"
        return web.Response(text=text, content_type="application/xml")

    world.aws.extensions["s3:ListBuckets"] = answer


async def test_of_50_000_buckets_only_those_of_the_configuration_are_read(moto: Aws) -> None:
    async with account_world(moto.url, steps=(configured_buckets.STEP,)) as world:
        world.settings = {"s3_buckets": {"mine": {"name": f"mine-{world.account_id}", "tls_only": False}}}
        tag_created_buckets(world.aws)
        await world.converge()
        _listed(world, 50_000)
        world.aws.forget()
        assert (await world.plan()).changes == ()
        named = {one.path.partition("?")[0].strip("/") for one in world.aws.calls if one.name.startswith("s3:")}
        assert named == {"", f"mine-{world.account_id}"}
        lists = [one.name for one in world.aws.calls if one.name in ("s3:ListBuckets", "tagging:GetResources")]
        assert (lists.count("s3:ListBuckets"), lists.count("tagging:GetResources")) == (5, 1)
        assert len(world.aws.calls) < 30


async def test_an_import_of_more_buckets_than_the_bound_says_so_and_reads_none(moto: Aws) -> None:
    async with account_world(moto.url, steps=(configured_buckets.STEP,)) as world:
        _listed(world, 50_000)
        imported = await import_account(world.account.target, world.steps, world.providers)
        assert imported.unread == (
            "the account has 50000 buckets, and up to 2000 are imported (state those that you configure)",
        )
        assert {one.name for one in world.aws.calls} <= {"sts:AssumeRole", "s3:ListBuckets"}
