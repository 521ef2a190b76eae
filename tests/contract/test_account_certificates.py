"""Certificates of an account, on moto: requested once, validated by records in the account's own zone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import botocore.loaders
import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_acm import Certificates, described, refused
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import certificates, dns
from whence_aggregator.adapters.accounts.certificate import CertificateProvider
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.aws_clients import ServiceClients

_DOMAIN = "hello.example.org"
_ACM = {"domain_name": f"*.{_DOMAIN}", "subject_alternative_names": {_DOMAIN: "example.org"}}
_NAME = f"*.{_DOMAIN},{_DOMAIN}"
_ADDRESS = f"{REGION}/certificate/{_NAME}"
_ARN = f"arn:aws:acm:{REGION}:123456789012:certificate/one"
_OWN = {"whence:managed-by": "whence-accounts"}


@asynccontextmanager
async def _world(moto: Aws, **about: Any) -> AsyncIterator[AccountWorld]:
    settings = {"domain": _DOMAIN, "acm": _ACM, **about.pop("settings", {})}
    async with account_world(moto.url, steps=(dns.STEP, certificates.STEP), settings=settings, **about) as world:
        yield world


def _arns(world: AccountWorld, region: str = REGION) -> list[str]:
    listed = world.client("acm", region).list_certificates()["CertificateSummaryList"]
    return [one["CertificateArn"] for one in listed]


def _cnames(world: AccountWorld) -> list[dict[str, Any]]:
    route53 = world.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    listed = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return [{**one, "ZoneId": zone["Id"]} for one in listed if one["Type"] == "CNAME"]


async def test_a_fresh_account_gets_zone_certificate_and_record_in_one_apply(moto: Aws) -> None:
    async with _world(moto) as world:
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [
            (f"zone/{_DOMAIN}", "create"), (_ADDRESS, "create"),
        ]  # fmt: skip
        assert world.aws.writes == []
        await world.converge()
        (arn,) = _arns(world)
        found = world.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
        assert (found["DomainName"], sorted(found["SubjectAlternativeNames"])) == (f"*.{_DOMAIN}", [*_NAME.split(",")])
        (record,) = _cnames(world)
        assert record["Name"].endswith(f".{_DOMAIN}.")
        assert record["ResourceRecords"][0]["Value"].endswith(".acm-validations.aws.")


async def test_a_pending_certificate_is_no_problem_and_is_not_requested_again(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())
        await world.converge()
        assert len(_arns(world)) == 1


async def test_certificates_of_two_regions_share_their_record(moto: Aws) -> None:
    async with _world(moto, regions=("eu-west-1", "us-east-1")) as world:
        report = await world.converge()
        assert [one.outcome for one in report.changes] == ["done", "done", "done"]
        assert (len(_arns(world, "us-east-1")), len(_cnames(world))) == (1, 1)


async def test_two_certificates_of_a_region_share_their_record(moto: Aws) -> None:
    async with _world(moto, settings={"acm": [{"domain_name": _DOMAIN}, _ACM]}) as world:
        await world.converge()
        assert (len(_arns(world)), len(_cnames(world))) == (2, 1)


async def test_the_provider_calls_no_more_than_its_kinds_state(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        world.settings["acm"] = None
        await world.converge(delete=(_ADDRESS,))
        kinds = (*dns.STEP.kinds, *certificates.STEP.kinds)
        stated = {one for kind in kinds for one in (*kind.reads, *kind.writes)}
        called = {one.name for one in world.aws.calls if not one.name.startswith("sts:")}
        assert called <= stated


async def test_a_record_deleted_by_hand_is_written_again(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        record = _cnames(world)[0]
        zone_id = record.pop("ZoneId")
        world.client("route53").change_resource_record_sets(
            HostedZoneId=zone_id, ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]}
        )
        (change,) = (await world.plan()).changes
        assert (change.address, change.before) == (_ADDRESS, {"validation": {"zone": _DOMAIN, "names": []}})
        await world.converge()
        assert len(_cnames(world)) == 1


async def test_a_record_of_the_name_with_another_value_is_not_overwritten(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        record = _cnames(world)[0]
        zone_id = record.pop("ZoneId")
        record["ResourceRecords"] = [{"Value": "elsewhere.example.net."}]
        world.client("route53").change_resource_record_sets(
            HostedZoneId=zone_id, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        )
        report = await world.apply(await world.plan())
        (change,) = report.changes
        assert (change.outcome, "for elsewhere.example.net" in change.message) == ("failed", True)
        assert _cnames(world)[0]["ResourceRecords"] == [{"Value": "elsewhere.example.net."}]


async def test_records_for_other_zones_are_reported_until_they_are_written(moto: Aws) -> None:
    async with _world(moto, settings={"acm": {"domain_name": "example.net"}}) as world:
        await world.converge()
        (remark,) = (await world.plan()).remarks
        assert (remark.kind, remark.address) == ("warning", f"{REGION}/certificate/example.net")
        assert "write _d930b28be6c5927595552b219965053e.example.net. CNAME _c9edd76ee4a0e2a743" in remark.message
        assert _cnames(world) == []


async def test_other_names_are_another_certificate_and_the_old_one_is_kept(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        (old,) = _arns(world)
        world.settings["acm"] = {"domain_name": f"*.{_DOMAIN}"}
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [(f"{REGION}/certificate/*.{_DOMAIN}", "create")]
        assert [(one.address, one.kind) for one in plan.remarks] == [(_ADDRESS, "kept")]
        await world.converge()
        assert old in _arns(world)
        await world.converge(delete=(_ADDRESS,))
        assert old not in _arns(world)
        assert len(_arns(world)) == 1


async def test_a_foreign_certificate_of_the_names_is_changed_only_when_named(moto: Aws) -> None:
    async with _world(moto) as world:
        acm = world.client("acm")
        made = acm.request_certificate(
            DomainName=f"*.{_DOMAIN}", SubjectAlternativeNames=[_DOMAIN], ValidationMethod="DNS"
        )
        plan = await world.plan()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_ADDRESS, "foreign")]
        await world.converge()
        assert acm.list_tags_for_certificate(CertificateArn=made["CertificateArn"])["Tags"] == []
        await world.converge(adopt=(_ADDRESS,))
        assert _arns(world) == [made["CertificateArn"]]
        assert len(_cnames(world)) == 1


async def test_a_foreign_certificate_of_other_names_is_not_mentioned(moto: Aws) -> None:
    async with _world(moto) as world:
        world.client("acm").request_certificate(DomainName=f"*.{_DOMAIN}", ValidationMethod="DNS")
        await world.converge()
        assert (await world.plan()).remarks == ()
        assert len(_arns(world)) == 2


async def test_a_certificate_validated_by_mail_does_not_stand_for_one_validated_by_dns(moto: Aws) -> None:
    async with _world(moto) as world:
        Certificates({_ARN: described(_ARN, *_NAME.split(","), method="EMAIL")}).extend(world.aws)
        assert [(one.address, one.action) for one in (await world.plan()).changes] == [
            (f"zone/{_DOMAIN}", "create"), (_ADDRESS, "create"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("FAILED", {"FailureReason": "CAA_ERROR"}, "is FAILED (CAA_ERROR)"),
        ("EXPIRED", {}, "is EXPIRED, and no other is requested"),
        ("VALIDATION_TIMED_OUT", {}, "is VALIDATION_TIMED_OUT"),
        ("REVOKED", {}, "is REVOKED"),
        ("ISSUED", {"RenewalSummary": {"RenewalStatus": "FAILED"}}, "the renewal of"),
    ],
)
async def test_a_certificate_that_is_of_no_use_is_reported_and_not_requested_again(
    moto: Aws, status: str, reason: Mapping[str, Any], told: str
) -> None:
    async with _world(moto, settings={"domain": None}) as world:
        one = described(_ARN, *_NAME.split(","), status=status, **reason)
        Certificates({_ARN: one}, tags={_ARN: _OWN}).extend(world.aws)
        plan = await world.plan()
        (remark,) = plan.remarks
        assert (plan.changes, remark.kind, remark.address) == ((), "warning", _ADDRESS)
        assert told in remark.message
        assert _ARN in remark.message


async def test_a_foreign_certificate_that_failed_does_not_stand_for_a_new_one(moto: Aws) -> None:
    async with _world(moto, settings={"domain": None}) as world:
        Certificates({_ARN: described(_ARN, *_NAME.split(","), status="FAILED")}).extend(world.aws)
        assert [(one.address, one.action) for one in (await world.plan()).changes] == [(_ADDRESS, "create")]


async def test_an_own_certificate_counts_before_a_foreign_one_of_the_same_names(moto: Aws) -> None:
    async with _world(moto, settings={"domain": None}) as world:
        other = _ARN.replace("/one", "/another")
        both = {arn: described(arn, *_NAME.split(",")) for arn in (other, _ARN)}
        Certificates(both, tags={_ARN: _OWN}).extend(world.aws)
        plan = await world.plan()
        (remark,) = plan.remarks
        assert (plan.changes, remark.kind) == ((), "foreign")
        assert remark.message == f"another certificate of these names, {other}, is left as it is"


async def test_no_record_is_written_into_a_foreign_zone(moto: Aws) -> None:
    async with _world(moto) as world:
        world.client("route53").create_hosted_zone(Name=_DOMAIN, CallerReference="1")
        report = await world.apply(await world.plan())
        (change,) = report.changes
        assert (change.address, change.outcome) == (_ADDRESS, "failed")
        assert f"zone {_DOMAIN} is not our own" in change.message
        assert f"--adopt 'zone/{_DOMAIN}', or write _d930b28be6c5927595552b219965053e.{_DOMAIN}. CNAME" in change.fix
        assert _cnames(world) == []
        await world.converge(adopt=(f"zone/{_DOMAIN}",))
        assert (len(_arns(world)), len(_cnames(world))) == (1, 1)


async def test_a_list_that_is_denied_is_unread_and_requests_nothing(moto: Aws) -> None:
    async with _world(moto) as world:
        world.aws.before = lambda call: _denied(call, "ListCertificates")
        plan = await world.plan()
        assert [one.address for one in plan.changes] == [f"zone/{_DOMAIN}"]
        (remark,) = plan.remarks
        assert (remark.kind, remark.address) == ("unread", f"{REGION}/certificate/*")


async def test_an_apply_that_was_refused_half_way_goes_on(moto: Aws) -> None:
    async with _world(moto) as world:
        plan = await world.plan()
        world.aws.before = lambda call: _denied(call, "RequestCertificate")
        report = await world.apply(plan)
        assert [(one.address, one.outcome) for one in report.changes] == [
            (f"zone/{_DOMAIN}", "done"), (_ADDRESS, "failed"),
        ]  # fmt: skip
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        await world.converge()
        assert len(_arns(world)) == 1


async def test_the_records_of_a_new_certificate_are_awaited_for_a_moment(moto: Aws) -> None:
    async with _world(moto) as world:
        names = _NAME.split(",")
        new = Certificates({_ARN: described(_ARN, *names, status="PENDING_VALIDATION", has_records=False)})
        new.extend(world.aws)
        waited: list[float] = []

        async def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                new.listed[_ARN] = described(_ARN, *names, status="PENDING_VALIDATION")

        clients = ServiceClients(endpoint_url=world.aws.url, session_name="test", clock=lambda: 0.0)
        place = AwsPlace(target=world.account.target, region=REGION, clients=clients)
        try:
            (found,) = await CertificateProvider(place, wait=wait).read(certificates.wanted(world.account))
        finally:
            await clients.close()
        assert (waited, found.outputs) == ([1.0, 1.0], {"arn": _ARN})


async def test_records_that_acm_does_not_state_are_written_by_a_later_apply(moto: Aws) -> None:
    async with _world(moto) as world:
        await world.converge()
        (arn,) = _arns(world)
        names = _NAME.split(",")
        Certificates({arn: described(arn, *names, has_records=False)}, tags={arn: _OWN}).extend(world.aws)
        report = await world.apply(await world.plan())
        (change,) = report.changes
        assert (change.outcome, change.fix) == ("failed", "plan and apply again in a minute")


def test_the_fake_describes_certificates_in_the_words_of_the_service_model() -> None:
    model = botocore.loaders.Loader().load_service_model("acm", "service-2")["shapes"]
    for method in ("DNS", "EMAIL"):
        one = described(_ARN, "example.org", method=method, status="FAILED", FailureReason="CAA_ERROR")
        _check(model, "CertificateDetail", json.loads(json.dumps(one)))
    _check(model, "CertificateDetail", described(_ARN, "a.org", RenewalSummary={"RenewalStatus": "FAILED"}))


def _check(model: Mapping[str, Any], shape: str, value: Any) -> None:
    """Check that each member and each enumerated value is in the model."""
    about = model[shape]
    if about["type"] == "structure":
        for name, one in value.items():
            _check(model, about["members"][name]["shape"], one)
    elif about["type"] == "list":
        for one in value:
            _check(model, about["member"]["shape"], one)
    elif "enum" in about:
        assert value in about["enum"]


def _denied(call: AwsCall, action: str) -> web.Response | None:
    return refused("AccessDeniedException", "not authorized") if call.name == f"acm:{action}" else None
