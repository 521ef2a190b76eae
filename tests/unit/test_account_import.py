"""What import states, and what it names instead, of an account that no configuration made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fakes.found_accounts import added, changed, found_as, in_words, without
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.write import to_document, with_comments
from whence_aggregator.accounts.found import FoundAccount
from whence_aggregator.accounts.importing import stated_by
from whence_aggregator.accounts.ingress import grouped, rule
from whence_aggregator.accounts.steps.table import STEPS

R, OTHER = "eu-west-1", "us-east-1"
_ID = "123456789012"
_SUBNETS: dict[str, Any] = {
    f"{R}a": [{"cidr": "10.1.0.0/24", "type": "dmz"}, {"cidr": "10.1.1.0/24", "type": "internal"}],
}  # fmt: skip
_NET: dict[str, Any] = {"vpc_net": {R: {"cidr": "10.1.0.0/16", "subnets": _SUBNETS}}}
_HTTPS: dict[str, Any] = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "ip_ranges": ["203.0.113.0/24"]}
_GROUP: dict[str, Any] = {"Office": {"ip_permissions": [_HTTPS]}}


def made_by_hand(*, own: bool = False, regions: tuple[str, ...] = (R,), **settings: Any) -> FoundAccount:
    section = {"id": _ID, "regions": list(regions), "alias": None, "nat": "none", **settings}
    account = ConfiguredAccount(name="hello", account_id=_ID, settings=msgspec.convert(section, AccountSettings))
    return found_as(account, own=own)


def imported(found: FoundAccount) -> tuple[dict[str, Any], list[str]]:
    stated, _ = stated_by(STEPS, found)
    refused = found.refusal(stated.section, lambda one: [each for step in STEPS for each in step.wanted(one)])
    assert refused is None, "what is imported is always a configuration"
    return dict(msgspec.to_builtins(stated.section)), in_words(stated.notes)


def vpc_id(found: FoundAccount, cidr: str = "10.1.0.0/16") -> str:
    return str(next(one.outputs["id"] for one in found.of("vpc") if one.name == cidr))


def id_of(found: FoundAccount, kind: str) -> str:
    return str(found.of(kind)[0].outputs["id"])


def another_vpc(found: FoundAccount, cidr: str = "10.9.0.0/16", **about: Any) -> FoundAccount:
    more = {"is_default": False, "further_networks": [], **about}
    return added(found, "vpc", cidr, R, outputs={"id": "vpc-9", "main_route_table": "rtb-9"}, **more)


def test_of_several_vpcs_without_our_tag_none_is_stated_and_all_are_named() -> None:
    found = another_vpc(made_by_hand(**_NET))
    section, notes = imported(found)
    assert not {"vpc", "vpc_net", "nat"} & set(section)
    assert notes == [
        f"vpc_net: {R}: several VPCs, of which a configuration states one: VPC {vpc_id(found)} (10.1.0.0/16), "
        "VPC vpc-9 (10.9.0.0/16)"
    ]


def test_of_several_vpcs_our_own_is_stated_and_the_others_are_named() -> None:
    found = another_vpc(made_by_hand(own=True, **_NET))
    section, notes = imported(found)
    assert section["vpc_net"][R]["cidr"] == "10.1.0.0/16"
    assert notes == [
        f"vpc_net: {R}: VPC vpc-9 (10.9.0.0/16): a configuration states one VPC of a region, here "
        f"VPC {vpc_id(found)} (10.1.0.0/16)"
    ]


def test_a_vpc_whose_network_another_one_has_too_is_not_stated() -> None:
    found = another_vpc(made_by_hand(**_NET), cidr="10.1.0.0/16", is_default=True)
    section, notes = imported(found)
    assert "vpc_net" not in section
    assert notes[0].endswith("another VPC has the same network")


def test_the_default_vpc_alone_is_no_network_and_groups_in_it_are_stated() -> None:
    section, notes = imported(made_by_hand(security_groups=_GROUP))
    assert (section["security_groups"]["Office"]["ip_permissions"], notes) == ([_HTTPS], [])
    assert not {"vpc", "vpc_net", "nat"} & set(section)


def test_a_vpc_that_does_not_lead_out_is_not_stated_for_a_configuration_would_open_it() -> None:
    found = made_by_hand(**_NET)
    for changed_one, why in (
        (without(found, "main"), "it has no internet gateway, as a configuration always means"),
        (
            changed(found, "main", main_table_route=None),
            "its main route table has no default route to internet-gateway-",
        ),
    ):
        section, notes = imported(changed_one)
        assert "vpc_net" not in section
        assert why in notes[0]


def test_subnets_with_other_names_are_named_and_the_others_stated() -> None:
    found = changed(made_by_hand(**_NET), f"dmz-{R}a", tags={"Name": "public a"})
    section, notes = imported(found)
    assert section["vpc_net"][R]["subnets"] == {f"{R}a": [{"cidr": "10.1.1.0/24", "type": "internal"}]}
    assert [one for one in notes if "its tag Name is not" in one] == [
        f"vpc_net: {R}: subnet {id_of(found, 'subnet')} (10.1.0.0/24): its tag Name is not TYPE-{R}a, but public a"
    ]


def test_a_vpc_without_tags_is_named_with_every_subnet() -> None:
    found = made_by_hand(**_NET)
    for name in (f"dmz-{R}a", f"internal-{R}a", f"hello-{R}"):
        found = changed(found, name, tags={})
    section, notes = imported(found)
    assert "vpc_net" not in section
    assert [one.rpartition(": ")[2] for one in notes] == [
        f"its tag Name is not TYPE-{R}a, but missing",
        f"its tag Name is not TYPE-{R}a, but missing",
        f"none of its subnets has a tag Name such as dmz-{R}a, and a configuration always has some",
    ]


def test_two_subnets_of_one_name_and_one_in_a_further_network_are_named() -> None:
    found = changed(made_by_hand(**_NET), "10.1.0.0/16", further_networks=["100.64.0.0/16"])
    about = {"vpc": vpc_id(found), "zone": f"{R}a"}
    found = added(found, "subnet", "s-1", R, **{**about, "tags": {"Name": f"dmz-{R}a"}, "cidr": "10.1.9.0/24"})
    found = added(found, "subnet", "s-2", R, **{**about, "tags": {"Name": f"web-{R}a"}, "cidr": "100.64.0.0/24"})
    section, notes = imported(found)
    assert [one["type"] for one in section["vpc_net"][R]["subnets"][f"{R}a"]] == ["internal"]
    assert f"vpc_net: {R}: subnet s-1 (10.1.9.0/24): another subnet has the tag Name dmz-{R}a, too" in notes
    assert f"vpc_net: {R}: subnet s-2 (100.64.0.0/24): it is not in the network 10.1.0.0/16" in notes
    assert f"vpc_net: {R}: VPC {vpc_id(found)} (10.1.0.0/16): its further network 100.64.0.0/16" in notes


def test_a_nat_instance_is_no_gateway_and_the_table_that_leads_to_it_is_named() -> None:
    found = added(
        made_by_hand(**_NET), "route-table", "rtb-1", R, vpc=vpc_id(made_by_hand(**_NET)), is_main=False, subnets=[],
        tags={"Name": "private"}, routes={"10.1.0.0/16": "local", "0.0.0.0/0": "i-nat", "pl-s3": "vpce-1"},
    )  # fmt: skip
    section, notes = imported(found)
    assert section["nat"] == "none"
    assert notes == [
        f"vpc_net: {R}: route table rtb-1 private, 0.0.0.0/0 to i-nat: its tag Name is not that of an internal subnet "
        "with NAT, or of a dmz subnet"
    ]


def test_a_gateway_without_a_table_of_each_internal_subnet_is_named_and_not_stated() -> None:
    found = made_by_hand(**_NET)
    dmz = next(one.outputs["id"] for one in found.of("subnet") if one.state["cidr"] == "10.1.0.0/24")
    found = added(found, "nat-gateway", "nat-1", R, outputs={"nat_gateway": "nat-1"}, vpc=vpc_id(found), subnet=dmz)
    section, notes = imported(found)
    assert section["nat"] == "none"
    assert notes[0].startswith(f"vpc_net: {R}: NAT gateway nat-1 in {dmz}: nat states one in the first dmz subnet")


def test_a_route_of_others_in_the_main_table_is_named() -> None:
    found = made_by_hand(**_NET)
    main = next(one.name for one in found.of("route-table"))
    found = changed(found, main, routes={"0.0.0.0/0": "igw-1", "10.8.0.0/16": "pcx-1"})
    assert imported(found)[1] == [f"vpc_net: {R}: route table {main}: its route 10.8.0.0/16 to pcx-1"]


def test_endpoints_of_other_kinds_are_named() -> None:
    found = made_by_hand(**_NET, vpc={"endpoints": ["s3"]})
    about = {"vpc": vpc_id(found), "route_tables": [], "groups": [], "private_dns": True}
    for number, (service, subnets) in enumerate([("s3", []), ("sqs", ["s"]), ("dynamodb", ["s"]), ("kms", ["s"])]):
        service = f"com.amazonaws.{R}.{service}"
        found = added(found, "vpc-endpoint", f"vpce-{number}", R, service=service, subnets=subnets, **about)
    section, notes = imported(found)
    assert section["vpc"]["endpoints"] == ["s3"]
    gateways = "a configuration states gateways of s3, dynamodb, and kms"
    assert sorted(notes) == sorted(
        [f"vpc_net: {R}: endpoint {one} of com.amazonaws.{R}.{what}" for one, what in (
            ("vpce-1", f"sqs: {gateways}"), ("vpce-2", f"dynamodb: {gateways}"),
            ("vpce-3", "kms: it has no security group KMS VPC Endpoint"),
            ("vpce-0", "s3: a configuration states one of each service"),
        )]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"traffic": "REJECT"}, "it has REJECT traffic, and a configuration means ALL"),
        ({"role": f"arn:aws:iam::{_ID}:role/a/b"}, "its role arn:aws:iam::123456789012:role/a/b is not one of this"),
        ({"role": None}, "its role None is not one of this account without a path"),
        ({"destination": "elsewhere"}, "a configuration states the log group vpc-flowgroup, S3 or Firehose"),
    ],
)
def test_a_flow_log_that_no_configuration_states_is_named(about: dict[str, Any], why: str) -> None:
    found = made_by_hand(**_NET)
    section, notes = imported(changed(found, found.of("flow-log")[0].name, **about))
    assert section["vpc"]["flow_log_destinations"] == []
    assert why in notes[0]


def test_a_vpc_unlike_the_defaults_is_left_out_where_another_region_has_none() -> None:
    found = made_by_hand(**_NET, vpc={"endpoints": []})
    found = replace(found, target=replace(found.target, regions=(R, OTHER)))
    section, notes = imported(found)
    assert not {"vpc", "vpc_net", "nat"} & set(section)
    assert notes == [
        f"vpc_net: {R}: VPC {vpc_id(found)}: its endpoints and flow logs are not those of the defaults, and vpc is about "
        f"the VPCs of all regions: {OTHER} have none, or others; import these regions alone"
    ]


def test_a_vpc_like_the_defaults_is_stated_though_another_region_has_none() -> None:
    found = made_by_hand(**_NET)
    found = replace(found, target=replace(found.target, regions=(R, OTHER)))
    section, notes = imported(found)
    assert (list(section["vpc_net"]), "vpc" in section, notes) == ([R], False, [])


def test_nothing_of_the_network_is_stated_while_a_part_of_it_could_not_be_read() -> None:
    found = replace(made_by_hand(**_NET, security_groups=_GROUP), unread=frozenset({"vpc-endpoint"}))
    section, notes = imported(found)
    assert (set(section) & {"vpc", "vpc_net", "nat", "security_groups"}, notes) == (set(), [])


def _office(found: FoundAccount, *rules: Any) -> FoundAccount:
    return changed(found, "Office", ingress=grouped([rule("tcp", 443, 443, "203.0.113.0/24"), *rules]))


def test_rules_that_no_configuration_states_are_named_and_the_others_stated() -> None:
    odd = (
        rule("tcp", 22, 22, "sg-1"), rule("tcp", 80, 80, "pl-1"), rule("udp", -1, -1, "203.0.113.0/24"),
        rule("tcp", None, None, "203.0.113.0/24"),
    )  # fmt: skip
    found = _office(made_by_hand(**_NET, security_groups=_GROUP), *odd)
    section, notes = imported(found)
    group = id_of(found, "security-group")
    assert section["security_groups"]["Office"]["ip_permissions"] == [_HTTPS]
    assert sorted(notes) == [
        f"security_groups: security group Office: rule {one} of {group} in {R}"
        for one in ("tcp 22 from sg-1", "tcp 80 from pl-1", "tcp from 203.0.113.0/24", "udp -1 from 203.0.113.0/24")
    ]


def test_a_group_whose_rules_are_all_odd_is_left_out() -> None:
    found = made_by_hand(**_NET, security_groups=_GROUP)
    section, notes = imported(changed(found, "Office", ingress=grouped([rule("tcp", 22, 22, "sg-1")])))
    assert "security_groups" not in section
    assert notes[-1].endswith("it has no rule for networks or trusted networks, and a configuration states some")


def test_a_group_in_another_vpc_or_one_region_only_or_differing_is_left_out() -> None:
    elsewhere = changed(made_by_hand(**_NET, security_groups=_GROUP), "Office", vpc="vpc-9")
    assert imported(elsewhere)[1] == [
        f"security_groups: security group Office ({id_of(elsewhere, 'security-group')}) of vpc-9 in {R}: groups are "
        "stated in the VPC 10.1.0.0/16 of the region"
    ]
    both = made_by_hand(regions=(R, OTHER), security_groups=_GROUP)
    one = replace(both, standing=tuple(each for each in both.standing if each.region == R))
    assert imported(one)[1][0].endswith(f"has it in the VPC of every region, and {OTHER} has none")
    differing = replace(both, standing=tuple(
        replace(each, state={**each.state, "description": "another"})
        if each.kind.name == "security-group" and each.region == OTHER else each for each in both.standing
    ))  # fmt: skip
    assert imported(differing)[1] == [
        "security_groups: security group Office: it differs among the regions, and a configuration has it alike in all "
        "of them"
    ]


def test_trusted_networks_that_differ_among_the_regions_are_not_stated() -> None:
    group = {"Office": {"ip_permissions": [_HTTPS], "allow_from_trusted": True}}
    trusted = {"office": "198.51.100.0/24"}
    both = made_by_hand(regions=(R, OTHER), security_groups=group, trusted_networks=trusted)
    found = replace(both, standing=tuple(
        replace(one, state={**one.state, "entries": {"192.0.2.0/24": "x"}})
        if one.kind.name == "prefix-list" and one.region == OTHER else one for one in both.standing
    ))  # fmt: skip
    section, notes = imported(found)
    assert "trusted_networks" not in section
    assert "allow_from_trusted" not in section["security_groups"]["Office"]
    assert "trusted_networks: the prefix lists differ among the regions" in notes[0]
    assert sum("rule tcp 443 from prefix-list-" in one for one in notes) == 2


def test_a_list_that_only_some_rules_allow_is_not_the_trusted_networks_of_a_group() -> None:
    group = {"Office": {"ip_permissions": [_HTTPS], "allow_from_trusted": True}}
    found = made_by_hand(**_NET, security_groups=group, trusted_networks={"office": "198.51.100.0/24"})
    stands = found.of("security-group")[0].state["ingress"]
    more = grouped([rule("tcp", 22, 22, "203.0.113.0/24")])
    section, notes = imported(changed(found, "Office", ingress=[*stands, *more]))  # type: ignore[misc]  # lists
    assert "allow_from_trusted" not in section["security_groups"]["Office"]
    assert len(notes) == 2, "the rule, and the list that no stated group allows"


def _certificate(found: FoundAccount, arn: str, region: str = R, **about: Any) -> FoundAccount:
    state = {"status": "ISSUED", "is_dead": False, "by_dns": True, "by_acm": True, **about}
    names = about.pop("names", {"domain_name": "www.example.org", "subject_alternative_names": []})
    return added(found, "certificate", arn, region, **{**state, "names": names})


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"by_dns": False}, "it is validated by e-mail, and a configuration only states validation by DNS"),
        ({"by_acm": False}, "it is not one that ACM issued"),
        ({"is_dead": True, "status": "EXPIRED"}, "it is EXPIRED"),
        ({"names": {"domain_name": "localhost", "subject_alternative_names": []}}, "'localhost' is not the name of a"),
    ],
)
def test_a_certificate_that_no_configuration_states_is_named(about: dict[str, Any], why: str) -> None:
    section, notes = imported(_certificate(made_by_hand(), "arn:c", **about))
    assert "acm" not in section
    assert notes[0].startswith("acm: arn:c of ")
    assert why in notes[0]


def test_a_certificate_of_one_region_is_named_and_one_of_all_regions_is_stated() -> None:
    found = made_by_hand(regions=(R, OTHER), acm={"domain_name": "example.org"})
    section, notes = imported(_certificate(found, "arn:c", OTHER))
    assert section["acm"] == [{"domain_name": "example.org"}]
    assert notes == [f"acm: arn:c of www.example.org: a configuration has it in every region, and it stands in {OTHER}"]


def test_images_of_one_account_are_stated_and_of_several_named() -> None:
    one = added(made_by_hand(), "launch_permission", f"{'1' * 12}/ami-11111111", R)
    assert imported(one)[0]["ami_sharing"] == {"owner_id": "1" * 12, "image_ids": {R: ["ami-11111111"]}}
    section, notes = imported(added(one, "launch_permission", f"{'2' * 12}/ami-22222222", R))
    assert "ami_sharing" not in section
    assert notes == [
        f"ami_sharing: ami-{one * 8} of account {one * 12} in {R}: a configuration states images of one account"
        for one in "12"
    ]


_MINT: dict[str, Any] = {"writer": f"arn:aws:iam::{_ID}:role/mint", "name": "mint-{region}"}


def test_a_mint_bucket_with_a_further_statement_is_stated_and_the_statement_named() -> None:
    found = made_by_hand(mint_bucket=_MINT)
    policy: Any = found.of("bucket")[0].state["policy"]
    section, notes = imported(changed(found, f"mint-{R}", policy={**policy, "Debug": {"Sid": "Debug"}}))
    assert (section["mint_bucket"]["writer"], "s3_buckets" in section) == (_MINT["writer"], False)
    assert notes == [f"mint_bucket: bucket mint-{R}: its statement Debug is not stated, and stays"]


@pytest.mark.parametrize("about", [{"versioning": False}, {"ownership": "ObjectWriter"}, {"lifecycle": {}}])
def test_a_mint_bucket_of_another_form_stays_among_the_buckets(about: dict[str, Any]) -> None:
    section, notes = imported(changed(made_by_hand(mint_bucket=_MINT), f"mint-{R}", **about))
    assert ("mint_bucket" in section, list(section["s3_buckets"])) == (False, [f"mint-{R}"])
    assert notes[0].startswith(f"s3_buckets: buckets with the statement WhenceMintWrite, in s3_buckets: mint-{R}: no ")


def test_mint_buckets_of_two_writers_stay_among_the_buckets() -> None:
    found = made_by_hand(regions=(R, OTHER), mint_bucket=_MINT)
    policy: Any = found.of("bucket")[0].state["policy"]
    other = {**policy["WhenceMintWrite"], "Principal": {"AWS": [f"arn:aws:iam::{_ID}:role/other"]}}
    section, notes = imported(changed(found, f"mint-{R}", policy={**policy, "WhenceMintWrite": other}))
    assert (set(section["s3_buckets"]), "mint_bucket" in section) == ({f"mint-{R}", f"mint-{OTHER}"}, False)
    assert notes[0].endswith("no single mint_bucket states them")


def test_a_bucket_that_a_configuration_refuses_leaves_the_others() -> None:
    everybody: Any = {"Sid": "AllowMintWrite", "Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam::{_ID}:root"]}}
    found = made_by_hand(s3_buckets={"a": {"name": "first"}, "b": {"name": "second"}})
    section, notes = imported(changed(found, "first", policy={"AllowMintWrite": everybody}))
    assert list(section["s3_buckets"]) == ["second"]
    assert notes[0].startswith("s3_buckets: first: no configuration states it: ")


_TRAIL: dict[str, Any] = {"s3_bucket_name": "trails", "home_region": R, "log_bucket": {}, "events": {}}


def test_a_trail_with_a_topic_of_others_is_stated_without_events_and_the_topic_named() -> None:
    found = without(made_by_hand(cloudtrail=_TRAIL), "whence-trail/whence-trail")
    section, notes = imported(found)
    assert ("events" in section["cloudtrail"], "log_bucket" in section["cloudtrail"]) == (False, True)
    assert notes == [
        f"cloudtrail: events: the topic arn:aws:sns:{R}:{_ID}:whence-trail of the trail Default and its queues are not in "
        "our form"
    ]


def test_a_log_bucket_of_another_form_stays_among_the_buckets() -> None:
    found = changed(made_by_hand(cloudtrail={**_TRAIL, "events": None}), "trails", versioning=False)
    section, notes = imported(found)
    assert ("log_bucket" in section["cloudtrail"], list(section["s3_buckets"])) == (False, ["trails"])
    assert notes == ["cloudtrail: log_bucket: trails is in s3_buckets, for it has more than log_bucket states"]


def test_what_a_log_bucket_has_besides_is_named() -> None:
    found = made_by_hand(cloudtrail=_TRAIL)
    policy: Any = found.of("bucket")[0].state["policy"]
    logging = {"target": "elsewhere", "prefix": "logs/"}
    more = {"policy": {**policy, "Debug": {"Sid": "Debug"}}, "lifecycle": {"old": {"ID": "old"}}, "logging": logging}
    section, notes = imported(changed(found, "trails", tags={"team": "a", "aws:x": "b"}, **more))
    assert (section["cloudtrail"]["log_bucket"], "s3_buckets" in section) == ({}, False)
    assert notes == [
        f"cloudtrail: bucket trails: its {one} is not stated, and stays"
        for one in ("statement Debug", "lifecycle rule old", "tag team", "delivery of access logs")
    ]


def test_trails_of_one_region_and_further_trails_are_named() -> None:
    found = made_by_hand(cloudtrail=_TRAIL)
    state = found.of("trail")[0].state
    one_region = {"multi_region": False, "global_service_events": True, "organization": False}
    found = added(found, "trail", "audit", R, **{**state, "topic": None})
    found = added(found, "trail", "local", R, **{**state, "coverage": one_region})
    section, notes = imported(found)
    assert section["cloudtrail"]["name"] == "Default"
    assert notes == [
        f"cloudtrail: the trail audit of {R}: a configuration states one, here Default",
        f"cloudtrail: the trail local of {R}: a configuration states trails of all regions only, with global events",
    ]


def test_a_key_of_one_region_or_differing_is_named() -> None:
    found = made_by_hand(regions=(R, OTHER), kms={"app": {"description": "x"}})
    one = replace(found, standing=tuple(each for each in found.standing if each.region != OTHER))
    section, notes = imported(one)
    assert "kms" not in section
    assert notes == [f"kms: alias/app: a configuration has a key in every region, alike; it stands in {R}"]


def test_subnet_groups_of_other_names_or_subnets_are_named() -> None:
    found = made_by_hand(**_NET, database_subnet_groups=True)
    assert imported(found)[0]["database_subnet_groups"] is True
    found = added(found, "db-subnet-group", "orders", R, subnets=[], vpc=vpc_id(found))
    section, notes = imported(found)
    assert section["database_subnet_groups"] is True
    assert notes[0].startswith(f"database_subnet_groups: {R}/db-subnet-group/orders: a configuration states groups ")
    section, notes = imported(changed(found, "internal", subnets=["s"]))
    assert ("database_subnet_groups" in section, len(notes)) == (False, 3)


def test_comments_stand_before_their_keys_on_one_line_and_else_at_the_end() -> None:
    text = to_document({}, {"hello": {"id": _ID, "roles": {"a": {"description": "b\n    roles: c"}}}})
    before, key, after = text.partition("    roles:\n")
    commented = with_comments(text, [("roles", "one\ntwo"), ("acm", "three"), ("", "four")])
    assert commented == f"{before}    # one two\n{key}{after}    # three\n    # four\n"
