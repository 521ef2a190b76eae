"""What collecting may rely on in an inventory: the EC2 API as moto speaks it, and the fake of other tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web

from fakes.in_process import FakeEc2
from fakes.loopback import loopback
from landscape.aws import ACCOUNT, REGION, Aws
from landscape.processes import free_port
from whence_aggregator.adapters.aws_inventory import AwsInventory
from whence_aggregator.ports import Ec2Inventory, SourceUnavailable

DATA = b"#taupage-ami-config\napplication_id: greeter\n"


@dataclass
class Account:
    """An account with instances. `start` starts one with this user data and returns its id; `away` is out of reach."""

    inventory: Ec2Inventory
    start: Callable[[bytes], Awaitable[str]]
    away: Ec2Inventory


def inventory(url: str) -> AwsInventory:
    return AwsInventory(
        role_name="whence-inventory", session_name="whence-aggregator", endpoint_url=url, attempts_max=1
    )


@pytest.fixture(params=["ec2", "fake"])
async def account(request: pytest.FixtureRequest, moto: Aws) -> AsyncIterator[Account]:
    if request.param == "ec2":
        yield Account(inventory(moto.url), moto.run_instance, inventory(f"http://127.0.0.1:{free_port()}"))
        return
    fake = FakeEc2()

    async def start(user_data: bytes) -> str:
        name = f"i-{len(fake.listed) + 1:017x}"
        fake.listed[name] = ("running", "2026-11-22T12:00:00.000Z")
        if user_data:
            fake.data[name] = user_data
        return name

    yield Account(fake, start, FakeEc2(away=True))


async def test_an_instance_that_runs_is_listed_with_its_state_and_launch(account: Account) -> None:
    name = await account.start(DATA)
    listed = {one.instance_id: one for one in await account.inventory.instances(ACCOUNT, REGION)}
    assert listed[name].state == "running"
    assert listed[name].launched_at.endswith("Z")


async def test_user_data_is_returned_unchanged_and_none_without_user_data(account: Account) -> None:
    given, without = await account.start(DATA), await account.start(b"")
    async with account.inventory.asking(ACCOUNT, REGION):
        assert await account.inventory.user_data(ACCOUNT, REGION, given) == DATA
        assert await account.inventory.user_data(ACCOUNT, REGION, without) is None


async def test_an_instance_that_is_not_known_has_no_answer_instead_of_no_user_data(account: Account) -> None:
    with pytest.raises(SourceUnavailable):
        await account.inventory.user_data(ACCOUNT, REGION, "i-0ffffffffffffffff")


async def test_an_unreachable_account_raises_source_unavailable(account: Account) -> None:
    with pytest.raises(SourceUnavailable):
        await account.away.instances(ACCOUNT, REGION)


async def test_a_listed_instance_states_its_key_pair_and_ami(moto: Aws) -> None:
    name = await moto.run_instance(DATA)
    listed = {one.instance_id: one.details for one in await inventory(moto.url).instances(ACCOUNT, REGION)}
    assert listed[name]["image_id"].startswith("ami-")
    assert "key_name" in listed[name]


async def test_an_ami_is_described_with_its_owner_and_one_that_aws_does_not_show_is_none(moto: Aws) -> None:
    ec2 = inventory(moto.url)
    name = await moto.run_instance(DATA)
    (image_id,) = [one.details["image_id"] for one in await ec2.instances(ACCOUNT, REGION) if one.instance_id == name]
    found = await ec2.image(ACCOUNT, REGION, image_id)
    assert found is not None
    assert found.name
    assert found.owner
    assert found.state == "available"
    assert await ec2.image(ACCOUNT, REGION, "ami-0ffffffffffffffff") is None


async def test_the_ami_of_an_unreachable_account_is_not_taken_for_one_that_is_not_there(account: Account) -> None:
    if isinstance(account.away, FakeEc2):
        account.away.amis["ami-1"] = SourceUnavailable("ec2-unavailable", "EC2 is away")
    with pytest.raises(SourceUnavailable):
        await account.away.image(ACCOUNT, REGION, "ami-1")


DESCRIBED = """<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><imagesSet><item>
<imageId>ami-1</imageId><name>whence</name>{more}</item></imagesSet></DescribeImagesResponse>"""
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
SOURCE = "<sourceImageId>ami-2</sourceImageId><sourceImageRegion>us-east-1</sourceImageRegion>"


@pytest.mark.parametrize(
    ("more", "copied_from"),
    [
        (SOURCE, {"image_id": "ami-2", "region": "us-east-1"}),
        (SOURCE + "<sourceInstanceId>i-1</sourceInstanceId>", None),
        ("<sourceImageId>ami-2</sourceImageId>", None),
        ("", None),
    ],
    ids=["a copy", "made of an instance", "without a region", "neither"],
)
async def test_an_ami_states_its_source_if_it_is_a_copy_and_not_if_it_was_made_of_an_instance(
    moto: Aws, more: str, copied_from: dict[str, str] | None
) -> None:
    """Moto states no source, which EC2 does."""

    async def answer(request: web.Request) -> web.Response:
        action = (await request.post())["Action"]
        assert action in ("AssumeRole", "DescribeImages")
        text = ASSUMED if action == "AssumeRole" else DESCRIBED.format(more=more)
        return web.Response(text=text, content_type="text/xml")

    application = web.Application()
    application.router.add_post("/", answer)
    async with loopback(application) as host:
        found = await inventory(f"http://{host}").image(ACCOUNT, REGION, "ami-1")
    assert found is not None
    assert (found.name, found.copied_from) == ("whence", copied_from)
