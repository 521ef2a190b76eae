"""An account's DNS zone and its delegation, on moto: created once, and foreign ones left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from fakes.account_world import AccountWorld, account_world, new_account_id
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import dns

_DOMAIN = "hello.example.org"
_ZONE = f"zone/{_DOMAIN}"
_SERVERS = ["ns-2048.awsdns-64.com", "ns-2049.awsdns-65.net", "ns-2050.awsdns-66.org", "ns-2051.awsdns-67.co.uk"]


@asynccontextmanager
async def _world(moto: Aws, *, parent: str | None = "example.org") -> AsyncIterator[AccountWorld]:
    async with account_world(
        moto.url, steps=(dns.STEP,), settings={"domain": _DOMAIN}, admin_account_id=new_account_id()
    ) as world:
        if parent is not None:
            _create_zone(_parent(world), parent)
        yield world


def _parent(world: AccountWorld) -> Any:
    return world.client("route53", account_id=world.admin_account_id)


def _delegation(world: AccountWorld) -> str:
    return f"delegation/{world.admin_account_id}/{_DOMAIN}"


def _create_zone(route53: Any, name: str, *, private: bool = False) -> str:
    vpc = {"VPC": {"VPCRegion": "eu-west-1", "VPCId": "vpc-1"}} if private else {}
    made = route53.create_hosted_zone(
        Name=name, CallerReference=new_account_id(), HostedZoneConfig={"PrivateZone": private}, **vpc
    )
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def _zones(route53: Any) -> dict[str, str]:
    return {one["Id"].rpartition("/")[2]: one["Name"] for one in route53.list_hosted_zones()["HostedZones"]}


def _records(route53: Any, zone_id: str) -> dict[tuple[str, str], tuple[int, list[str]]]:
    listed = route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    return {
        (one["Name"], one["Type"]): (one["TTL"], [each["Value"] for each in one["ResourceRecords"]]) for one in listed
    }


def _upsert(route53: Any, zone_id: str, name: str, kind: str, ttl: int, values: list[str]) -> None:
    record = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": one} for one in values]}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


def _zone_id(route53: Any, name: str = f"{_DOMAIN}.") -> str:
    (found,) = [zone_id for zone_id, one in _zones(route53).items() if one == name]
    return found


async def test_a_fresh_account_gets_its_zone_and_delegation_in_one_apply(moto: Aws) -> None:
    async with _world(moto) as world:
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [
            (_ZONE, "create"), (_delegation(world), "create"),
        ]  # fmt: skip
        assert world.aws.writes == []
        await world.converge()
        own, parent = world.client("route53"), _parent(world)
        zone = _records(own, _zone_id(own))
        assert zone[(f"{_DOMAIN}.", "SOA")][0] == 60
        delegated = _records(parent, _zone_id(parent, "example.org."))[(f"{_DOMAIN}.", "NS")]
        assert delegated == (7200, [f"{one}." for one in _SERVERS])


async def test_the_calls_of_a_converged_account_are_few_and_none_writes(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        world.aws.forget()
        await world.plan()
        calls = [one.name for one in world.aws.calls if one.name.startswith("route53:")]
        assert sorted(calls) == [
            "route53:GetHostedZone", "route53:ListHostedZones", "route53:ListHostedZones",
            "route53:ListResourceRecordSets", "route53:ListResourceRecordSets", "route53:ListTagsForResources",
        ]  # fmt: skip


async def test_the_provider_calls_no_more_than_its_kinds_state(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        world.settings["domain"] = None
        await world.converge(delete=("zone/*", "delegation/*"))
        stated = {one for kind in dns.STEP.kinds for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith("route53:")} <= stated


async def test_a_ttl_changed_by_hand_is_shown_as_its_aspect_and_put_right(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        own, parent = world.client("route53"), _parent(world)
        soa = _records(own, _zone_id(own))[(f"{_DOMAIN}.", "SOA")][1]
        _upsert(own, _zone_id(own), f"{_DOMAIN}.", "SOA", 900, soa)
        _upsert(parent, _zone_id(parent, "example.org."), f"{_DOMAIN}.", "NS", 60, [f"{one}." for one in _SERVERS])
        plan = await world.plan()
        assert [(one.address, one.before, one.after) for one in plan.changes] == [
            (_ZONE, {"soa_ttl": 900}, {"soa_ttl": 60}),
            (
                _delegation(world),
                {"record": {"name_servers": _SERVERS, "ttl": 60}},
                {"record": {"name_servers": _SERVERS, "ttl": 7200}},
            ),
        ]
        await world.converge()
        assert _records(own, _zone_id(own))[(f"{_DOMAIN}.", "SOA")] == (60, soa)


async def test_records_of_the_zone_stay_as_they_are(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        own = world.client("route53")
        _upsert(own, _zone_id(own), f"www.{_DOMAIN}.", "A", 60, ["192.0.2.1"])
        await world.converge()
        assert _records(own, _zone_id(own))[(f"www.{_DOMAIN}.", "A")] == (60, ["192.0.2.1"])


async def test_a_foreign_zone_of_the_name_is_changed_only_when_named(moto: Aws) -> None:
    async with _world(moto) as world:
        own = world.client("route53")
        zone_id = _create_zone(own, _DOMAIN)
        plan = await world.plan()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_ZONE, "foreign")]
        assert "soa_ttl" in plan.remarks[0].fix
        assert [one.address for one in plan.changes] == [_delegation(world)]
        await world.converge()
        assert _records(own, zone_id)[(f"{_DOMAIN}.", "SOA")][0] == 900
        await world.converge(adopt=(_ZONE,))
        assert _zones(own) == {zone_id: f"{_DOMAIN}."}
        assert _records(own, zone_id)[(f"{_DOMAIN}.", "SOA")][0] == 60


async def test_a_delegation_to_other_name_servers_is_changed_only_when_named(moto: Aws) -> None:
    async with _world(moto) as world:
        parent = _parent(world)
        zone_id = _zone_id(parent, "example.org.")
        _upsert(parent, zone_id, f"{_DOMAIN}.", "NS", 300, ["ns1.example.net."])
        plan = await world.plan()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_delegation(world), "foreign")]
        await world.converge()
        assert _records(parent, zone_id)[(f"{_DOMAIN}.", "NS")] == (300, ["ns1.example.net."])
        await world.converge(adopt=("delegation/*",))
        assert _records(parent, zone_id)[(f"{_DOMAIN}.", "NS")] == (7200, [f"{one}." for one in _SERVERS])


async def test_a_private_zone_of_the_same_name_is_another_zone(moto: Aws) -> None:
    async with _world(moto) as world:
        own = world.client("route53")
        private = _create_zone(own, _DOMAIN, private=True)
        await world.converge()
        assert list(_zones(own).values()) == [f"{_DOMAIN}.", f"{_DOMAIN}."]
        assert _records(own, private)[(f"{_DOMAIN}.", "SOA")][0] == 900


async def test_two_public_zones_of_the_name_are_an_error_that_names_both(moto: Aws) -> None:
    async with _world(moto) as world:
        own = world.client("route53")
        ids = sorted((_create_zone(own, _DOMAIN), _create_zone(own, _DOMAIN)))
        plan = await world.plan()
        (remark,) = [one for one in plan.remarks if one.address == "zone/*"]
        assert (remark.kind, f"zones named {_DOMAIN}: {ids[0]}, {ids[1]}" in remark.message) == ("unread", True)
        assert not plan.is_whole
        assert _ZONE not in [one.address for one in plan.changes]


async def test_two_parent_zones_are_an_error_that_names_both(moto: Aws) -> None:
    async with _world(moto) as world:
        _create_zone(_parent(world), "example.org")
        (remark,) = (await world.plan()).remarks
        ids = sorted(_zones(_parent(world)))
        assert (remark.address, remark.kind) == ("delegation/*", "unread")
        assert f"zones named example.org: {ids[0]}, {ids[1]}" in remark.message


async def test_the_nearest_parent_zone_has_the_delegation(moto: Aws) -> None:
    async with _world(moto, parent="org") as world:
        world.settings["domain"] = "hello.aws.example.org"
        parent = _parent(world)
        nearest = _create_zone(parent, "aws.example.org")
        await world.converge()
        assert ("hello.aws.example.org.", "NS") in _records(parent, nearest)
        assert ("hello.aws.example.org.", "NS") not in _records(parent, _zone_id(parent, "org."))


async def test_an_admin_account_without_the_parent_zone_is_reported_and_the_zone_is_still_planned(moto: Aws) -> None:
    async with _world(moto, parent="example.net") as world:
        plan = await world.plan()
        (remark,) = plan.remarks
        assert (remark.kind, remark.address) == ("unread", "delegation/*")
        assert f"has no public hosted zone above {_DOMAIN}" in remark.message
        assert "admin_account: null" in remark.fix
        assert [one.address for one in plan.changes] == [_ZONE]


async def test_a_zone_that_is_configured_no_more_is_kept_with_its_delegation(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        world.settings["domain"] = None
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_delegation(world), "kept"), (_ZONE, "kept")]
        await world.converge(delete=("zone/*", "delegation/*"))
        assert _zones(world.client("route53")) == {}
        parent = _parent(world)
        assert (f"{_DOMAIN}.", "NS") not in _records(parent, _zone_id(parent, "example.org."))


async def test_a_zone_to_which_a_delegation_leads_is_not_deleted(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        world.settings["domain"] = None
        report = await world.apply(await world.plan(delete=("zone/*",)))
        (change,) = report.changes
        assert (change.outcome, change.fix) == ("failed", f"delete the delegation too: --delete '{_delegation(world)}'")
        assert len(_zones(world.client("route53"))) == 1


async def test_a_zone_with_records_is_not_deleted(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        own = world.client("route53")
        _upsert(own, _zone_id(own), f"www.{_DOMAIN}.", "A", 60, ["192.0.2.1"])
        world.settings["domain"] = None
        report = await world.apply(await world.plan(delete=("zone/*", "delegation/*")))
        assert [(one.address, one.outcome) for one in report.changes] == [
            (_delegation(world), "done"), (_ZONE, "failed"),
        ]  # fmt: skip
        assert "HostedZoneNotEmpty" in report.changes[1].message


async def test_a_zone_whose_list_is_denied_is_unread_and_not_changed(moto: Aws) -> None:
    async with _world(moto) as world:
        world.aws.before = lambda call: _denied(call, "ListHostedZones")
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [("delegation/*", "unread"), ("zone/*", "unread")]
        assert "route53:ListHostedZones" in plan.remarks[1].fix


async def test_an_admin_account_that_denies_the_list_leaves_the_zone_to_be_planned(moto: Aws) -> None:
    async with _world(moto) as world:
        admin = world.admin_account_id
        world.aws.before = lambda call: _denied(call, "ListHostedZones") if call.account_id == admin else None
        plan = await world.plan()
        assert [one.address for one in plan.changes] == [_ZONE]
        assert [(one.address, one.kind) for one in plan.remarks] == [("delegation/*", "unread")]


async def test_a_delegation_is_kept_when_no_admin_account_is_configured_any_more(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        address, world.admin_account_id = _delegation(world), None
        plan = await world.plan()
        assert (plan.changes, [(one.address, one.kind) for one in plan.remarks]) == ((), [(address, "kept")])
        await world.converge(delete=(address,))
        assert (await world.plan()).remarks == ()


async def test_an_apply_that_was_refused_half_way_goes_on(moto: Aws) -> None:
    async with _world(moto) as world:
        plan = await world.plan()
        world.aws.before = lambda call: _denied(call, "ChangeTagsForResource")
        report = await world.apply(plan)
        assert [(one.address, one.outcome) for one in report.changes] == [
            (_ZONE, "failed"), (_delegation(world), "skipped"),
        ]  # fmt: skip
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        await world.converge()
        assert len(_zones(world.client("route53"))) == 1


async def test_a_zone_that_was_created_without_its_tags_is_known_by_its_comment(moto: Aws) -> None:
    async with _world(moto) as world:
        world.aws.before = lambda call: _denied(call, "ChangeTagsForResource")
        await world.apply(await world.plan())
        world.aws.before = lambda _: None
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [
            (_ZONE, "update"), (_delegation(world), "create"),
        ]  # fmt: skip
        await world.converge()


async def test_a_delegation_that_appears_after_the_plan_is_refused(moto: Aws) -> None:
    async with _world(moto) as world:
        plan = await world.plan()
        parent = _parent(world)
        _upsert(parent, _zone_id(parent, "example.org."), f"{_DOMAIN}.", "NS", 300, ["ns1.example.net."])
        report = await world.apply(plan)
        assert "the account has moved" in report.error
        assert [one for one in world.aws.writes if one.startswith("route53:")] == []


def _denied(call: AwsCall, action: str) -> web.Response | None:
    """Answer as Route 53 does to a caller without the permission."""
    if call.name != f"route53:{action}":
        return None
    text = (
        '<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error>'
        "<Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )
    return web.Response(status=403, text=text, content_type="text/xml")


async def test_a_zone_that_was_made_by_hand_is_imported_and_left_as_it_is(moto: Aws) -> None:
    async with _world(moto, parent=None) as world:
        _create_zone(world.client("route53"), _DOMAIN)
        found = await import_account(world.account.target, world.steps, world.providers)
        assert (found.unread, found.section["domain"]) == ((), _DOMAIN)
        assert [one.text.partition(":")[0] for one in found.notes] == ["admin_account"]
        world.settings, world.admin_account_id = dict(found.section), None
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_ZONE, "foreign")]
        assert world.aws.writes == []


async def test_of_several_zones_none_is_imported_unless_one_is_our_own(moto: Aws) -> None:
    async with _world(moto) as world:
        _create_zone(world.client("route53"), "other.example.org")
        _create_zone(world.client("route53"), "another.example.org")
        assert (await import_account(world.account.target, world.steps, world.providers)).section == {}
        await world.converge()
        found = await import_account(world.account.target, world.steps, world.providers)
        assert found.section == {"domain": _DOMAIN, "domain_soa_ttl": 60}


async def test_zones_that_cannot_be_listed_are_not_imported_silently(moto: Aws) -> None:
    async with _world(moto) as world:
        world.aws.before = lambda call: (
            web.Response(status=403, content_type="text/xml", text="<ErrorResponse><Error><Type>Sender</Type>"
                         "<Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>")
            if call.name == "route53:ListHostedZones" else None
        )  # fmt: skip
        found = await import_account(world.account.target, world.steps, world.providers)
        assert found.section == {}
        assert "route53:ListHostedZones" in found.unread[0]
