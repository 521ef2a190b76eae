"""What the configuration of the network wants: pure, without AWS."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.resources import Json, WantedResource, of
from whence_aggregator.accounts.steps import (
    configured_buckets,
    flow_logs,
    nat,
    security_groups,
    subnet_groups,
    vpc,
    vpc_endpoints,
)
from whence_aggregator.accounts.steps.vpc_layout import has_nat, layouts
from whence_common.errors import InputError

R = "eu-west-1"
ID = "123456789012"


def account(**settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": [R], **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )


def _by_address(wanted: list[WantedResource]) -> dict[str, WantedResource]:
    return {one.address: one for one in wanted}


def test_computed_subnets_are_those_of_seven_seconds() -> None:
    (layout,) = layouts(account(vpc={}))
    assert layout.cidr == "172.31.0.0/16"
    assert [(one.name, one.cidr) for one in layout.subnets] == [
        ("dmz-eu-west-1a", "172.31.0.0/21"),
        ("dmz-eu-west-1b", "172.31.8.0/21"),
        ("dmz-eu-west-1c", "172.31.16.0/21"),
        ("internal-eu-west-1a", "172.31.128.0/20"),
        ("internal-eu-west-1b", "172.31.144.0/20"),
        ("internal-eu-west-1c", "172.31.160.0/20"),
    ]


def test_zones_are_used_in_the_order_of_their_names() -> None:
    (layout,) = layouts(account(vpc_net={R: {"cidr": "10.0.0.0/18", "zones": [f"{R}d", f"{R}b"]}}))
    assert [(one.name, one.cidr) for one in layout.subnets] == [
        ("dmz-eu-west-1b", "10.0.0.0/23"),
        ("dmz-eu-west-1d", "10.0.2.0/23"),
        ("internal-eu-west-1b", "10.0.32.0/22"),
        ("internal-eu-west-1d", "10.0.36.0/22"),
    ]


def test_stated_subnets_are_named_by_type_custom_tag_and_zone() -> None:
    entries = [
        {"cidr": "10.0.0.0/24", "type": "dmz"},
        {"cidr": "10.0.1.0/24", "type": "internal", "tags": {"zalando.org/custom-subnet": "db", "a": "b"}},
    ]
    (layout,) = layouts(account(vpc_net={R: {"cidr": "10.0.0.0/16", "subnets": {f"{R}a": entries}}}))
    assert [(one.name, one.cidr, dict(one.tags)) for one in layout.subnets] == [
        ("dmz-eu-west-1a", "10.0.0.0/24", {}),
        ("internal-db-eu-west-1a", "10.0.1.0/24", {"zalando.org/custom-subnet": "db", "a": "b"}),
    ]


def _subnets(*cidrs: str, zones: Json = ()) -> dict[str, Json]:
    entries = [{"cidr": one, "type": f"t{number}"} for number, one in enumerate(cidrs)]
    return {"cidr": "10.0.0.0/16", "zones": zones, "subnets": {f"{R}a": entries}}


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ({"cidr": "10.0.0.1/16"}, r"accounts.hello.vpc_net.eu-west-1.cidr: 10.0.0.1/16 has host bits set"),
        ({"cidr": "10.0.0.256/16"}, r"accounts.hello.vpc_net.eu-west-1.cidr: "),
        ({"cidr": "10.0.0.0/8"}, "AWS accepts no network of the size of 10.0.0.0/8"),
        ({"cidr": "10.0.0.0/24"}, "10.0.0.0/24 is too small for computed subnets"),
        (_subnets("10.1.0.0/24"), "t0-eu-west-1a 10.1.0.0/24 is not in the network of the VPC, 10.0.0.0/16"),
        (_subnets("10.0.0.0/23", "10.0.1.0/24"), "t0-eu-west-1a 10.0.0.0/23 overlaps t1-eu-west-1a 10.0.1.0/24"),
        (_subnets("10.0.0.0/24", zones=[f"{R}a"]), "has both zones and subnets"),
    ],
)
def test_networks_that_do_not_fit_are_refused_by_key(net: dict[str, Json], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        layouts(account(vpc_net={R: net}))
    assert refused.value.fix


def test_two_subnets_with_one_name_are_refused() -> None:
    entries = [{"cidr": "10.0.0.0/24", "type": "dmz"}, {"cidr": "10.0.1.0/24", "type": "dmz"}]
    with pytest.raises(InputError, match="two subnets are named dmz-eu-west-1a"):
        layouts(account(vpc_net={R: {"cidr": "10.0.0.0/16", "subnets": {f"{R}a": entries}}}))


def test_a_network_in_a_region_that_is_not_configured_is_refused() -> None:
    with pytest.raises(InputError, match=r"vpc_net.us-east-1: the region is not configured"):
        layouts(account(vpc_net={"us-east-1": {}}))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, True), ({"enable_nat": True}, True), ({"enable_nat": False}, False), ({"nat": "none"}, False),
     ({"nat": "gateway", "enable_nat": True}, True)],
)  # fmt: skip
def test_nat_follows_its_key_and_that_of_version_10(settings: dict[str, Json], expected: bool) -> None:
    assert has_nat(account(**settings)) is expected


def test_keys_for_nat_that_contradict_are_refused() -> None:
    with pytest.raises(InputError, match=r"accounts.hello.nat is none, but enable_nat is true"):
        has_nat(account(nat="none", enable_nat=True))


def test_without_a_section_nothing_is_wanted() -> None:
    assert vpc.wanted(account()) == []


def test_a_placeholder_for_an_ami_is_refused() -> None:
    with pytest.raises(InputError, match=r"vpc.tags.Config has a placeholder in double braces"):
        vpc.wanted(account(vpc={"tags": {"Config": "{ami: {{ami_id}}}"}}))


def test_internal_subnets_lead_out_through_the_gateway_of_their_zone() -> None:
    wanted = _by_address(list(vpc.wanted(account(vpc={}))))
    table = wanted[f"{R}/route-table/internal-eu-west-1a"]
    assert table.state["route 0.0.0.0/0"] == of(f"{R}/nat-gateway/eu-west-1a", "id")
    assert table.within == (f"{R}/vpc/172.31.0.0/16", f"{R}/subnet/internal-eu-west-1a")
    assert f"{R}/route-table/dmz-eu-west-1a" not in wanted


@pytest.mark.parametrize("destination", ["s3", "arn:aws:s3", "arn:aws:sqs:eu-west-1:1:q", "arn:aws:s3:::"])
def test_a_destination_of_no_kind_is_refused(destination: str) -> None:
    with pytest.raises(InputError, match="is no destination of flow logs") as refused:
        flow_logs.wanted(account(vpc={"flow_log_destinations": [destination]}))
    assert refused.value.fix == "write log-group, or the ARN of an S3 bucket or Firehose stream"


def test_flow_logs_in_china_name_a_role_of_its_partition() -> None:
    section = {"regions": ["cn-north-1"], "vpc": {}}
    (log,) = [one for one in flow_logs.wanted(account(**section)) if one.kind.name == "flow-log"]
    assert log.state["role"] == "arn:aws-cn:iam::123456789012:role/vpc-flowlogs"


def _group(*permissions: dict[str, Json], trusted: bool = False) -> dict[str, Json]:
    return {"Office": {"ip_permissions": list(permissions), "allow_from_trusted": trusted}}


def _https(**more: Json) -> dict[str, Json]:
    return {"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "ip_ranges": ["192.0.2.0/24"], **more}


def test_rules_are_sets_in_one_form() -> None:
    permissions = [_https(ip_ranges=["192.0.2.9/24", "10.0.0.0/8"]), _https(ip_protocol="6"), _https(ip_protocol="-1")]
    (group,) = security_groups.wanted(account(security_groups=_group(*permissions)))
    assert group.state["ingress"] == [
        {"protocol": "-1", "from_port": None, "to_port": None, "networks": ["192.0.2.0/24"], "prefix_lists": []},
        {"protocol": "tcp", "from_port": 443, "to_port": 443, "networks": ["10.0.0.0/8", "192.0.2.0/24"],
         "prefix_lists": []},
    ]  # fmt: skip


def test_trusted_networks_of_both_versions_are_two_lists() -> None:
    trusted = {"a": "192.0.2.0/24", "b": "192.0.2.0/24", "c": "2001:db8::/32"}
    settings = {"security_groups": _group(_https(ip_ranges=[]), trusted=True), "trusted_networks": trusted}
    first, second, group = security_groups.wanted(account(**settings))
    assert (first.name, first.state["entries"]) == ("trusted-networks", {"192.0.2.0/24": "a, b"})
    assert (second.name, second.state["family"]) == ("trusted-networks-ipv6", "IPv6")
    assert group.state["ingress"] == [
        {"protocol": "tcp", "from_port": 443, "to_port": 443, "networks": [],
         "prefix_lists": [of(first.address, "id"), of(second.address, "id")]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (_group(), "security_groups.Office has no ip_permissions"),
        (_group(trusted=True), "trusted_networks is empty, but a security group has allow_from_trusted"),
        (_group(_https(ip_ranges=[])), r"ip_permissions\[0\] has no ip_ranges"),
        (_group(_https(to_port=None)), r"ip_permissions\[0\]: tcp needs from_port and to_port"),
        (_group(_https(to_port=80)), "ports 443 to 80 are no range"),
        (_group(_https(from_port=-1)), "ports -1 to 443 are no range"),
        (_group(_https(ip_ranges=["everywhere"])), r"ip_ranges: 'everywhere' does not appear to be an IPv4 or IPv6"),
    ],
)
def test_rules_that_aws_would_not_accept_are_refused_by_key(group: dict[str, Json], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        security_groups.wanted(account(security_groups=group))
    assert refused.value.fix


def test_addresses_of_other_accounts_are_not_looked_up() -> None:
    with pytest.raises(InputError, match="addresses of other accounts are not looked up"):
        security_groups.wanted(account(trusted_networks_config={"disable_account_autogeneration": False}))


_PUBLIC = {R: {"cidr": "10.0.0.0/16", "subnets": {f"{R}a": [{"cidr": "10.0.0.0/24", "type": "dmz"}]}}}
_PRIVATE = {R: {"cidr": "10.0.0.0/16", "subnets": {f"{R}a": [{"cidr": "10.0.0.0/24", "type": "internal"}]}}}


def test_a_gateway_without_a_dmz_subnet_in_its_zone_is_refused() -> None:
    with pytest.raises(InputError, match=r"subnets.eu-west-1a: no dmz subnet for a NAT gateway"):
        nat.wanted(account(vpc_net=_PRIVATE))
    assert nat.wanted(account(vpc_net=_PRIVATE, nat="none")) == ()


def test_an_interface_endpoint_without_internal_subnets_is_refused() -> None:
    with pytest.raises(InputError, match="kms needs an internal subnet in eu-west-1"):
        vpc_endpoints.wanted(account(vpc_net=_PUBLIC, vpc={"endpoints": ["kms"]}))


def test_subnet_groups_without_internal_subnets_are_refused() -> None:
    with pytest.raises(InputError, match="eu-west-1 has no internal subnets"):
        subnet_groups.wanted(account(vpc_net=_PUBLIC, database_subnet_groups=True))


def test_an_interface_endpoint_is_in_one_subnet_a_zone() -> None:
    entries = [{"cidr": "10.0.0.0/24", "type": "internal"},
               {"cidr": "10.0.1.0/24", "type": "internal", "tags": {"zalando.org/custom-subnet": "db"}}]  # fmt: skip
    net = {R: {"cidr": "10.0.0.0/16", "subnets": {f"{R}a": entries}}}
    (endpoint,) = vpc_endpoints.wanted(account(vpc_net=net, vpc={"endpoints": ["kms"]}))
    assert endpoint.state["subnets"] == [of(f"{R}/subnet/internal-eu-west-1a", "id")]


def test_a_gateway_endpoint_is_in_the_main_table_and_in_ours() -> None:
    (endpoint,) = vpc_endpoints.wanted(account(vpc_net={R: {"zones": [f"{R}a"]}}, vpc={"endpoints": ["s3"]}))
    assert endpoint.state["route_tables"] == [
        of(f"{R}/vpc/172.31.0.0/16", "main_route_table"), of(f"{R}/route-table/internal-eu-west-1a", "id")
    ]  # fmt: skip


_FLOWS = {"flows": {"name": "flows-{region}", "regions": ["eu-west-1"]}}


def _policy(section: dict[str, Any], bucket: str = "flows-eu-west-1") -> dict[str, Any]:
    (found,) = [one for one in configured_buckets.wanted(account(**section)) if one.name == bucket]
    policy: Any = found.state["policy"]
    return dict(policy)


def test_a_bucket_that_receives_flow_logs_lets_aws_write_them_as_aws_documents_it() -> None:
    section = {
        "regions": ["eu-west-1", "us-east-1"], "s3_buckets": _FLOWS,
        "vpc": {"flow_log_destinations": ["arn:aws:s3:::flows-eu-west-1/all/", "log-group"]},
    }  # fmt: skip
    source = {"aws:SourceArn": [f"arn:aws:logs:eu-west-1:{ID}:*", f"arn:aws:logs:us-east-1:{ID}:*"]}
    policy = _policy(section)
    assert policy["AWSLogDeliveryWrite"] == {
        "Sid": "AWSLogDeliveryWrite", "Effect": "Allow", "Principal": {"Service": ["delivery.logs.amazonaws.com"]},
        "Action": ["s3:PutObject"], "Resource": [f"arn:aws:s3:::flows-eu-west-1/all/AWSLogs/{ID}/*"],
        "Condition": {
            "ArnLike": source,
            "StringEquals": {"aws:SourceAccount": [ID], "s3:x-amz-acl": ["bucket-owner-full-control"]},
        },
    }  # fmt: skip
    assert policy["AWSLogDeliveryAclCheck"] == {
        "Sid": "AWSLogDeliveryAclCheck", "Effect": "Allow", "Principal": {"Service": ["delivery.logs.amazonaws.com"]},
        "Action": ["s3:GetBucketAcl"], "Resource": ["arn:aws:s3:::flows-eu-west-1"],
        "Condition": {"ArnLike": source, "StringEquals": {"aws:SourceAccount": [ID]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "vpc",
    [
        None,
        {"flow_log_destinations": ["log-group"]},
        {"flow_log_destinations": ["arn:aws:s3:::flows-eu-west-1-other"]},
        {"flow_log_destinations": ["arn:aws:firehose:eu-west-1:123456789012:deliverystream/flows-eu-west-1"]},
    ],
)
def test_other_buckets_let_aws_write_nothing(vpc: dict[str, Any] | None) -> None:
    section = {"regions": ["eu-west-1"], "s3_buckets": _FLOWS, **({"vpc": vpc} if vpc is not None else {})}
    assert list(_policy(section)) == ["WhenceTlsOnly"]


def test_each_region_may_have_a_bucket_of_its_own() -> None:
    section = {
        "regions": ["eu-west-1", "us-east-1"], "s3_buckets": {"flows": {"name": "flows-{region}"}},
        "vpc": {"flow_log_destinations": ["arn:aws:s3:::flows-{region}"]},
    }  # fmt: skip
    sources = {
        region: _policy(section, f"flows-{region}")["AWSLogDeliveryWrite"]["Condition"]["ArnLike"]["aws:SourceArn"]
        for region in ("eu-west-1", "us-east-1")
    }
    assert sources == {region: [f"arn:aws:logs:{region}:{ID}:*"] for region in sources}


def test_a_delivery_statement_that_is_stated_stays_as_it_is() -> None:
    stated = {"Sid": "AWSLogDeliveryWrite", "Effect": "Allow", "Principal": {"Service": "delivery.logs.amazonaws.com"},
              "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{bucket_name}/*"}  # fmt: skip
    section = {
        "regions": ["eu-west-1"], "vpc": {"flow_log_destinations": ["arn:aws:s3:::flows-eu-west-1"]},
        "s3_buckets": {"flows": {"name": "flows-{region}", "policy": {"Statement": [stated]}}},
    }  # fmt: skip
    policy = _policy(section)
    assert policy["AWSLogDeliveryWrite"]["Resource"] == ["arn:aws:s3:::flows-eu-west-1/*"]
    assert sorted(policy) == ["AWSLogDeliveryAclCheck", "AWSLogDeliveryWrite", "WhenceTlsOnly"]
