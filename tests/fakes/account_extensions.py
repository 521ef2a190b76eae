"""All that moto lacks of the calls of the account tool, answered by the fakes of each topic."""

from __future__ import annotations

from typing import Any

import boto3

from fakes.aws_budgets import BudgetsOfAccounts
from fakes.aws_config import ConfigOfAccounts
from fakes.aws_defaults import Ec2Defaults
from fakes.aws_guardduty import GuardDutyOfAccounts
from fakes.aws_identity import IdentityOfAccounts
from fakes.aws_sqs import policies_kept
from fakes.aws_subnet_groups import answer_for_all
from fakes.counted_aws import AwsCall, CountedAws


def speak_what_moto_lacks(aws: CountedAws) -> None:
    """Answer in moto's place what it does not know, or does otherwise than AWS."""
    Ec2Defaults().install(aws)
    GuardDutyOfAccounts().install(aws)
    ConfigOfAccounts().install(aws)
    BudgetsOfAccounts().install(aws)
    aws.extensions.update(IdentityOfAccounts().extensions)
    aws.extensions["sqs:SetQueueAttributes"] = lambda call: policies_kept(_client(aws, "sqs", call))(call)
    for service in ("rds", "elasticache"):
        answer_for_all(aws, service, lambda call, subnet: _vpc_of(aws, call, subnet))


def _client(aws: CountedAws, service: str, call: AwsCall) -> Any:
    """Return a client of moto in the account and region of a call."""
    sts = boto3.client("sts", **_made(aws, "test", "test", call.region))
    role = f"arn:aws:iam::{call.account_id}:role/fakes"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="fakes")["Credentials"]
    made = _made(aws, keys["AccessKeyId"], keys["SecretAccessKey"], call.region)
    return boto3.client(service, aws_session_token=keys["SessionToken"], **made)


def _made(aws: CountedAws, key: str, secret: str, region: str) -> dict[str, Any]:
    return {
        "endpoint_url": aws.backend, "region_name": region, "aws_access_key_id": key, "aws_secret_access_key": secret
    }  # fmt: skip


def _vpc_of(aws: CountedAws, call: AwsCall, subnet: str) -> str:
    (found,) = _client(aws, "ec2", call).describe_subnets(SubnetIds=[subnet])["Subnets"]
    return str(found["VpcId"])
