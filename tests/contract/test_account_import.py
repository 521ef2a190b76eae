"""What import prints of an account on moto that was made by hand: valid, planned without changes, by reads alone."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_acm import Certificates, described
from fakes.aws_refusals import denied
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.importing import Imported, import_account
from whence_aggregator.accounts.steps import (
    certificates,
    flow_logs,
    images,
    nat,
    security_groups,
    subnet_groups,
    vpc,
    vpc_endpoints,
)

_STEPS = (
    certificates.STEP, vpc.STEP, nat.STEP, vpc_endpoints.STEP, flow_logs.STEP, security_groups.STEP, subnet_groups.STEP,
    images.STEP,
)  # fmt: skip
_NETWORK = {"vpc", "vpc_net", "nat"}


async def _imported(world: AccountWorld) -> Imported:
    """Import the account, and check that nothing was written, and that a plan of what is stated has no changes.

    The calls are those that the printed policy for plans allows.
    """
    world.aws.forget()
    found = await import_account(world.account.target, world.steps, world.providers)
    allowed = {one for step in world.steps for kind in step.kinds for one in kind.reads}
    assert {one.name for one in world.aws.calls} - {"sts:AssumeRole"} <= allowed
    world.settings = dict(found.section)
    plan = await world.plan()
    assert (plan.changes, world.aws.writes) == ((), [])
    return found


def _texts(found: Imported) -> list[str]:
    return [one.text for one in found.notes]


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]}


def _made_vpc(ec2: Any, cidr: str) -> tuple[str, str, str]:
    """Make a VPC with an internet gateway that its main table leads to; return its id, the gateway and the table."""
    vpc_id = ec2.create_vpc(CidrBlock=cidr, **_named("vpc", "by hand"))["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    table = ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    return vpc_id, gateway, table


async def test_a_list_that_several_kinds_need_is_read_once_to_find_and_once_to_check(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        _made_vpc(world.client("ec2"), "10.1.0.0/16")
        world.aws.forget()
        await import_account(world.account.target, world.steps, world.providers)
        names = [one.name for one in world.aws.calls]
        lists = ("ec2:DescribeVpcs", "ec2:DescribeRouteTables", "ec2:DescribeInternetGateways")
        assert {one: names.count(one) for one in lists} == dict.fromkeys(lists, 2)


async def test_what_could_not_be_read_is_not_taken_for_absent(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        ec2 = world.client("ec2")
        vpc_id, _, _ = _made_vpc(ec2, "10.1.0.0/16")
        zone = f"{REGION}a"
        ec2.create_subnet(
            VpcId=vpc_id, CidrBlock="10.1.0.0/24", AvailabilityZone=zone, **_named("subnet", f"dmz-{zone}")
        )
        world.aws.before = denied("ec2:DescribeVpcEndpoints")
        found = await import_account(world.account.target, world.steps, world.providers)
        assert "AWS denies it" in found.unread[0]
        assert (set(found.section) & _NETWORK, _texts(found)) == (set(), [])


async def test_an_account_with_the_default_vpc_only_has_nothing_to_state(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        found = await _imported(world)
        assert (found.section, found.unread, _texts(found)) == ({}, (), [])


async def test_several_vpcs_of_others_are_named_and_none_is_stated(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        ids = [_made_vpc(world.client("ec2"), cidr)[0] for cidr in ("10.1.0.0/16", "10.2.0.0/16")]
        found = await _imported(world)
        assert not set(found.section) & _NETWORK
        assert all(f"VPC {one} " in _texts(found)[0] for one in ids)


async def test_a_vpc_of_others_is_stated_as_it_stands_and_what_is_odd_is_named(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        ec2 = world.client("ec2")
        vpc_id, _, _ = _made_vpc(ec2, "10.1.0.0/16")
        zone = f"{REGION}a"
        about = {"VpcId": vpc_id, "AvailabilityZone": zone}
        ec2.create_subnet(CidrBlock="10.1.0.0/24", **about, **_named("subnet", f"dmz-{zone}"))
        internal = ec2.create_subnet(CidrBlock="10.1.1.0/24", **about, **_named("subnet", f"internal-{zone}"))["Subnet"]
        odd = ec2.create_subnet(CidrBlock="10.1.2.0/24", **about)["Subnet"]["SubnetId"]
        instance = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, SubnetId=odd)["Instances"][0]
        table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=internal["SubnetId"])
        ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", InstanceId=instance["InstanceId"]
        )  # fmt: skip
        group = ec2.create_security_group(GroupName="web", Description="by hand", VpcId=vpc_id)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "203.0.113.0/24"}]},
                {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]},
            ],
        )
        found = await _imported(world)
        subnets = [{"cidr": "10.1.0.0/24", "type": "dmz"}, {"cidr": "10.1.1.0/24", "type": "internal"}]
        https = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "ip_ranges": ["203.0.113.0/24"]}
        assert found.section == {
            "vpc": {"endpoints": [], "flow_log_destinations": []},
            "vpc_net": {REGION: {"cidr": "10.1.0.0/16", "subnets": {zone: subnets}}}, "nat": "none",
            "security_groups": {"web": {"ip_permissions": [https], "description": "by hand"}},
        }  # fmt: skip
        assert _texts(found) == [
            f"{REGION}: subnet {odd} (10.1.2.0/24): its tag Name is not TYPE-{zone}, but missing",
            f"{REGION}: route table {table}, 0.0.0.0/0 to {instance['InstanceId']}: its tag Name is not that of an internal "
            "subnet with NAT, or of a dmz subnet",
            f"security group web: rule all protocols from {group} of {group} in {REGION}",
            f"{REGION}/vpc/10.1.0.0/16: this configuration means another value of dns_hostnames",
        ]


async def test_certificates_are_stated_by_dns_and_named_by_e_mail(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        arns = [
            f"arn:aws:acm:{REGION}:{world.account_id}:certificate/{one}" for one in ("dns", "mail", "expired", "own")
        ]
        listed = [
            described(arns[0], "dns.example.org"),
            described(arns[1], "mail.example.org", method="EMAIL"),
            described(arns[2], "old.example.org", status="EXPIRED"),
            {**described(arns[3], "own.example.org"), "Type": "IMPORTED"},
        ]
        Certificates(dict(zip(arns, listed, strict=True))).extend(world.aws)
        found = await _imported(world)
        assert found.section == {"acm": [{"domain_name": "dns.example.org"}]}
        assert sorted(_texts(found)) == [
            f"{arns[2]} of old.example.org: it is EXPIRED",
            f"{arns[1]} of mail.example.org: it is validated by e-mail, and a configuration only states validation by DNS",
            f"{arns[3]} of own.example.org: it is not one that ACM issued",
        ]


async def test_images_that_others_share_are_asked_for_as_those_that_the_account_may_start(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:

        def shared(call: AwsCall) -> web.Response | None:
            if call.name != "ec2:DescribeImages" or "ExecutableBy.1" not in call.form:
                return None
            item = "<item><imageId>ami-{0}</imageId><imageOwnerId>{1}</imageOwnerId><isPublic>{2}</isPublic></item>"
            items = item.format("1" * 8, "1" * 12, "false") + item.format("2" * 8, "2" * 12, "true")
            items += item.format("3" * 8, world.account_id, "false")
            text = f"<DescribeImagesResponse><imagesSet>{items}</imagesSet></DescribeImagesResponse>"
            return web.Response(text=text, content_type="text/xml")

        world.aws.before = shared
        found = await import_account(world.account.target, world.steps, world.providers)
        assert found.section == {"ami_sharing": {"owner_id": "1" * 12, "image_ids": {REGION: ["ami-11111111"]}}}
