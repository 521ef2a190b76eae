"""Roles that Whence knows: the auditor's, the writers of trail, flow logs and credentials, and applications'. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import arn_of, partition_of
from whence_aggregator.accounts.configuration.buckets import MintBucket, MintWriterRole
from whence_aggregator.accounts.configuration.cloudtrail import CloudTrail
from whence_aggregator.accounts.configuration.identity import (
    ApplicationRoles,
    AuditorRole,
    Role,
    TrailAccess,
    VpcFlowlogsRole,
)
from whence_aggregator.accounts.steps.keys import key_name
from whence_aggregator.accounts.steps.mint import VERIFIES, WRITES, bucket_name

_VERSION = "2012-10-17"
LOOKUP_EVENTS = "cloudtrail:LookupEvents"
"""By which the aggregator finds who changed what differs."""


def standard_roles(account: ConfiguredAccount, reads: Sequence[str]) -> Sequence[tuple[str, str, Role]]:
    """Return names and roles, each with the key of the configuration that states it between them.

    `reads` are the actions that planning an account needs.
    """
    settings = account.settings
    found: list[tuple[str, str, Role]] = []
    if settings.auditor_role is not None:
        found.append((settings.auditor_role.name, "auditor_role", auditor(account, settings.auditor_role, reads)))
    if settings.vpc_flowlogs_role is not None:
        role = flow_logs(account, settings.vpc_flowlogs_role)
        found.append((settings.vpc_flowlogs_role.name, "vpc_flowlogs_role", role))
    if settings.cloudtrail is not None and settings.enable_cloudtrail:
        found += _trail_logs(account, settings.cloudtrail)
    if settings.mint_bucket is not None and (stated := settings.mint_bucket.writer_role) is not None:
        found.append((stated.name, "mint_bucket.writer_role", mint_writer(account, settings.mint_bucket, stated)))
    if settings.application_roles is not None:
        found += [
            (application_role_name(one), "application_roles", application(account, settings.application_roles, one))
            for one in dict.fromkeys(settings.application_roles.applications)
        ]
    return found


def application_role_name(application_id: str) -> str:
    return f"app-{application_id}"


def auditor(account: ConfiguredAccount, stated: AuditorRole, reads: Sequence[str]) -> Role:
    """Return the role by which the aggregator reads. It allows the calls that the aggregator makes, and no other."""
    inventory = ["ec2:DescribeImages", "ec2:DescribeInstanceAttribute", "ec2:DescribeInstances"]
    statements = [_allow("Inventory", inventory)]
    if stated.trail is not None:
        statements += _trail(partition_of(account.regions[0]), stated.trail)
    if stated.organization:
        actions = ["ListAccounts", "ListAccountsForParent", "ListOrganizationalUnitsForParent", "ListRoots",
                   "ListTagsForResource"]  # fmt: skip
        statements.append(_allow("Organization", [f"organizations:{one}" for one in actions]))
    if stated.registry_pull:
        statements += registry_pull(account)
    if stated.drift:
        statements.append(_allow("Drift", sorted({*reads, LOOKUP_EVENTS})))
    trust = _assumed_by(stated.trusted, stated.external_id)
    return Role(assume_role_policy=_policy(trust), policy=_policy(*statements))


def mint_writer(account: ConfiguredAccount, bucket: MintBucket, stated: MintWriterRole) -> Role:
    """Return the role by which mint writes credentials, which it cannot read, and verifies them."""
    partition = partition_of(account.regions[0])
    arn = f"arn:{partition}:s3:::{bucket_name(bucket, account, '*')}"
    statements = [
        _allow("Write", list(WRITES), f"{arn}/*"), _allow("Verify", list(VERIFIES), arn),
        _allow("VerifyAccount", ["s3:GetAccountPublicAccessBlock"]),
    ]  # fmt: skip
    if bucket.key is not None:
        statements.append(_encrypt(account, bucket.key))
    trust = _assumed_by(stated.trusted, stated.external_id)
    return Role(assume_role_policy=_policy(trust), policy=_policy(*statements))


def flow_logs(account: ConfiguredAccount, stated: VpcFlowlogsRole) -> Role:
    """Return the role that VPC's service writes flow logs with, for this account's flow logs only.

    The conditions are those of the VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs".
    """
    partition, account_id = partition_of(account.regions[0]), account.account_id
    trust = {
        "Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account_id},
            "ArnLike": {"aws:SourceArn": f"arn:{partition}:ec2:*:{account_id}:vpc-flow-log/*"},
        },
    }  # fmt: skip
    group = f"arn:{partition}:logs:*:{account_id}:log-group:{stated.log_group}"
    writes = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return Role(
        assume_role_policy=_policy(trust),
        policy=_policy(_allow("Write", writes, group, f"{group}:*"), _allow("Find", ["logs:DescribeLogGroups"])),
    )


def _trail_logs(account: ConfiguredAccount, trail: CloudTrail) -> Iterator[tuple[str, str, Role]]:
    """Yield the role that CloudTrail writes events into the log group with, if it is created.

    Statements and names of streams are those of CloudTrail's user guide, "Role policy document for CloudTrail to use
    CloudWatch Logs for monitoring". The guide states no condition of the trust policy.
    """
    about = trail.cloud_watch_logs
    if about is None or about.create is None:
        return
    organization_id = trail.organization_id or account.organization_id
    group = arn_of("logs", trail.home_region, account.account_id, f"log-group:{about.group}")
    streams = [f"{group}:log-stream:{account.account_id}_CloudTrail_{trail.home_region}*"]
    if trail.organization and organization_id is not None:
        streams.append(f"{group}:log-stream:{organization_id}_*")
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = _policy(_allow("WriteTrail", ["logs:CreateLogStream", "logs:PutLogEvents"], *streams))
    yield about.role, "cloudtrail.cloud_watch_logs.role", Role(assume_role_policy=_policy(trust), policy=policy)


def application(account: ConfiguredAccount, stated: ApplicationRoles, application_id: str) -> Role:
    """Return the role of an application's instances: its own credentials, the instance's tags, and images."""
    partition, bucket = partition_of(account.regions[0]), stated.mint_bucket
    statements = [_allow("DescribeTags", ["ec2:DescribeTags"])]
    if bucket is not None:
        arn = f"arn:{partition}:s3:::{bucket}"
        statements.append(_allow("AllowMintRead", ["s3:GetObject"], f"{arn}/{application_id}/*"))
        if stated.list_bucket:
            own = {"Condition": {"StringLike": {"s3:prefix": f"{application_id}/*"}}}
            statements.append({**_allow("AllowMintList", ["s3:ListBucket"], arn), **own})
    if stated.registry_pull:
        statements += registry_pull(account)
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return Role(
        assume_role_policy=_policy(trust), policy=_policy(*statements), attached_policies=stated.attached_policies
    )


def registry_pull(account: ConfiguredAccount) -> list[dict[str, Any]]:
    """Return the statements that allow pulls from the account's own ECR registries."""
    repositories = f"arn:{partition_of(account.regions[0])}:ecr:*:{account.account_id}:repository/*"
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeRepositories",
            "ecr:GetDownloadUrlForLayer"]  # fmt: skip
    return [_allow("RegistrySignIn", ["ecr:GetAuthorizationToken"]), _allow("RegistryPull", pull, repositories)]


def _trail(partition: str, stated: TrailAccess) -> list[dict[str, Any]]:
    queue = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    buckets = [f"arn:{partition}:s3:::{one}" for one in stated.buckets]
    found = [_allow("TrailKeys", ["cloudtrail:ListPublicKeys"])]
    if stated.queues:
        found.append(_allow("TrailQueues", queue, *stated.queues))
    if buckets:
        found += [_allow("TrailBuckets", ["s3:ListBucket"], *buckets),
                  _allow("TrailFiles", ["s3:GetObject"], *(f"{one}/*" for one in buckets))]  # fmt: skip
    if stated.keys:
        found.append(_allow("TrailDecrypt", ["kms:Decrypt"], *stated.keys))
    return found


def _encrypt(account: ConfiguredAccount, key: str) -> dict[str, Any]:
    """Return the statement for a key: an ARN, or an alias of the account's. To write needs no decryption."""
    actions = ["kms:GenerateDataKey"]
    if key.startswith("arn:"):
        return _allow("Encrypt", actions, key.replace("{region}", "*"))
    keys = f"arn:{partition_of(account.regions[0])}:kms:*:{account.account_id}:key/*"
    own = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{key_name(key)}"}}
    return {**_allow("Encrypt", actions, keys), "Condition": own}


def _assumed_by(trusted: Sequence[str], external_id: str | None) -> dict[str, Any]:
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    return {"Effect": "Allow", "Principal": {"AWS": list(trusted)}, "Action": "sts:AssumeRole", **condition}


def _allow(sid: str, actions: list[str], *resources: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": list(resources) or ["*"]}


def _policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": list(statements)}
