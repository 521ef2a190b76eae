"""Every ARN that a configuration leads to is of the partition of the account's regions."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount, Target
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.planning import wanted_of
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients

_ID, _OTHER = "123456789012", "210987654321"
REGIONS = [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]


def _section(region: str) -> dict[str, Any]:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": _OTHER}, "Action": "sts:AssumeRole"}]}
    shared = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": _OTHER}, "Action": "s3:GetObject",
                             "Resource": f"arn:{partition_of(region)}:s3:::{{bucket_name}}/*"}]}  # fmt: skip
    key = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": [_OTHER]}, "Action": "kms:*", "Resource": "*"}]}
    writer = f"arn:{partition_of(region)}:iam::{_OTHER}:role/mint"
    return {
        "id": _ID, "regions": [region], "alias": None,
        "roles": {"app": {"assume_role_policy": trust}},
        "auditor_role": {"trusted": [_OTHER]}, "vpc_flowlogs_role": {}, "vpc": {"flow_log_destinations": ["log-group"]},
        "s3_buckets": {"one": {"name": "one-{region}", "policy": shared, "logging_target": "logs-{region}"}},
        "kms": {"app": {"key_policy": key}}, "mint_bucket": {"writer": writer},
        "cloudtrail": {
            "home_region": region, "s3_bucket_name": "trail", "log_bucket": {}, "events": {}, "auditor_role": "reader",
        },
    }  # fmt: skip


def _account(region: str) -> ConfiguredAccount:
    return ConfiguredAccount(
        name="hello", account_id=_ID, settings=msgspec.convert(_section(region), AccountSettings)
    )  # fmt: skip


@pytest.mark.parametrize("region, partition", REGIONS)
def test_no_wanted_resource_has_an_arn_of_another_partition(region: str, partition: str) -> None:
    texts = json.dumps([dict(one.state) for one in wanted_of(_account(region), STEPS)])
    found = {one.partition(":")[0] for one in texts.split('"arn:')[1:]}
    assert found == {partition}


@pytest.mark.parametrize("region, partition", REGIONS)
def test_an_account_in_a_policy_is_the_root_of_it_in_that_partition(region: str, partition: str) -> None:
    states = {one.address: json.dumps(dict(one.state)) for one in wanted_of(_account(region), STEPS)}
    root = f"arn:{partition}:iam::{_OTHER}:root"
    for address in ("role/app", f"bucket/one-{region}", f"{region}/key/app"):
        assert root in states[address], address


@pytest.mark.parametrize("region, partition", REGIONS)
async def test_the_role_that_is_assumed_is_of_that_partition(region: str, partition: str) -> None:
    asked: list[AssumedRole | None] = []

    class Clients(ServiceClients):
        async def get(self, service: str, region: str, role: AssumedRole | None) -> Any:
            asked.append(role)

    target = Target(name="hello", account_id=_ID, access=AccountAccess(role="in"), regions=(region,), alias=None)
    clients = Clients(endpoint_url=None, session_name="x", clock=lambda: 0.0)
    place = AwsPlace(target=target, region=region, clients=clients)
    await place.client("iam")
    await place.client_in(_OTHER, "route53")
    assert [one.arn for one in asked if one is not None] == [
        f"arn:{partition}:iam::{_ID}:role/in",
        f"arn:{partition}:iam::{_OTHER}:role/in",
    ]
