"""The audit trail of an account or organisation, the bucket of its log files, and its events for the aggregator.

Trails of others are reported and left alone. What carries the audit is deleted only where `--delete` names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import arn_of, bucket_arn, role_arn
from whence_aggregator.accounts.configuration.cloudtrail import (
    CloudTrail,
    CloudWatchLogs,
    CreatedLogGroup,
    EventSelector,
)
from whence_aggregator.accounts.found import FoundAccount, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, address_of, of, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.buckets import BUCKET, bucket
from whence_aggregator.accounts.steps.config_bucket import config_statements
from whence_aggregator.accounts.steps.keys import KEY, key_reference
from whence_aggregator.accounts.steps.stated_trail import StatedTrail, state_trail
from whence_aggregator.accounts.steps.trail_events import (
    CLOUDTRAIL_SERVICE,
    QUEUE,
    SUBSCRIPTION,
    TOPIC,
    topic_address,
    wanted_events,
)
from whence_common.errors import InputError

_STEP = "cloudtrail"
TRUSTED_ACCESS = ResourceKind(
    name="trusted-access",
    step=_STEP,
    reads=("organizations:ListAWSServiceAccessForOrganization",),
    writes=(
        "organizations:EnableAWSServiceAccess",
        # what CloudTrail asks of the caller who creates an organisation's trail, by its user guide
        "organizations:DescribeOrganization", "organizations:ListAccounts", "iam:CreateServiceLinkedRole",
        "iam:GetRole",
    ),
    is_setting=True,
)  # fmt: skip
TRAIL = ResourceKind(
    name="trail",
    step=_STEP,
    reads=(
        "cloudtrail:DescribeTrails", "cloudtrail:ListTags", "cloudtrail:GetTrailStatus", "cloudtrail:GetEventSelectors",
    ),
    writes=(
        "cloudtrail:CreateTrail", "cloudtrail:UpdateTrail", "cloudtrail:AddTags", "cloudtrail:PutEventSelectors",
        "cloudtrail:StartLogging", "cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "iam:PassRole",
    ),
    after=(TRUSTED_ACCESS.name, BUCKET.name, TOPIC.name, KEY.name, "role", "log-group"),
    is_regional=True,
    keeps_data=True,
)  # fmt: skip
LOG_GROUP = ResourceKind(
    name="log-group", step=_STEP, is_regional=True, keeps_data=True,
    reads=("logs:DescribeLogGroups", "logs:ListTagsForResource", "tag:GetResources"),
    writes=("logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"),
)  # fmt: skip
OTHER_TRAILS = ResourceKind(
    name="other-trails", step=_STEP, reads=("cloudtrail:DescribeTrails", "cloudtrail:ListTags"), writes=(),
    is_regional=True, is_setting=True,
)  # fmt: skip
"""The trails of a region that are not ours, for reports: it has no aspects. Its name is that of our own trail."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    section = account.settings.cloudtrail
    if section is None:
        return ()
    _check(account, section)
    found: list[WantedResource] = []
    if section.log_bucket is not None:
        found.append(_log_bucket(account, section))
    if not account.settings.enable_cloudtrail:
        return found
    if section.organization:
        found.append(WantedResource(kind=TRUSTED_ACCESS, name=CLOUDTRAIL_SERVICE, state={"enabled": True}))
    if section.events is not None:
        found += wanted_events(
            section.events, region=section.home_region, account_id=account.account_id,
            trail_arn=trail_arn(section, account.account_id), reader=_auditor(account, section),
            kms_key=_key(account, section, "events.kms_key", section.events.kms_key),
        )  # fmt: skip
    if section.cloud_watch_logs is not None and section.cloud_watch_logs.create is not None:
        found.append(_created_log_group(section, section.cloud_watch_logs, section.cloud_watch_logs.create))
    found.append(_trail(account, section))
    regions = dict.fromkeys((section.home_region, *(section.regions or account.regions)))
    found += [WantedResource(kind=OTHER_TRAILS, name=section.name, region=one, state={}) for one in regions]
    return found


def stated(found: FoundAccount) -> StatedSection:
    trail = stated_trail(found)
    return StatedSection(section={"cloudtrail": trail.section}, notes=trail.notes)


def stated_trail(found: FoundAccount) -> StatedTrail:
    return state_trail(found, wanted)


def trail_arn(section: CloudTrail, account_id: str) -> str:
    return arn_of("cloudtrail", section.home_region, account_id, f"trail/{section.name}")


def event_selector(one: EventSelector) -> Json:
    """Return one selector as AWS's API has it."""
    return {
        "ReadWriteType": one.read_write,
        "IncludeManagementEvents": one.management_events,
        "ExcludeManagementEventSources": sorted(one.exclude_sources),
        "DataResources": [
            {"Type": each.type, "Values": sorted(each.values)}
            for each in sorted(one.data_resources, key=lambda each: each.type)
        ],
    }


def _trail(account: ConfiguredAccount, section: CloudTrail) -> WantedResource:
    address = f"{BUCKET.name}/{section.s3_bucket_name}"
    name: Json = of(address, "name") if section.log_bucket is not None else section.s3_bucket_name
    topic = of(topic_address(section.events, section.home_region), "arn") if section.events is not None else None
    return WantedResource(
        kind=TRAIL, name=section.name, region=section.home_region,
        state={
            "delivery": {"bucket": name, "prefix": section.s3_key_prefix or None},
            "topic": topic,
            "coverage": {
                "multi_region": True, "global_service_events": True, "organization": section.organization
            },
            "log_file_validation": section.log_file_validation,
            "kms_key": _key(account, section, "kms_key", section.kms_key),
            **_log_group(account, section),
            "tags": own_tags(),
            **_selectors(section),
            "logging": section.logging,
        },
    )  # fmt: skip


def _selectors(section: CloudTrail) -> Mapping[str, Json]:
    if section.event_selectors is None:
        return {}
    return {"event_selectors": {"basic": [event_selector(one) for one in section.event_selectors]}}


def _log_group(account: ConfiguredAccount, section: CloudTrail) -> Mapping[str, Json]:
    about = section.cloud_watch_logs
    if about is None:
        return {}
    if about.create is not None:
        group, role = address_of(LOG_GROUP.name, about.group, section.home_region), f"role/{about.role}"
        return {"log_group": {"group": of(group, "streams"), "role": of(role, "arn")}}
    arn = arn_of("logs", section.home_region, account.account_id, f"log-group:{about.group}:*")
    return {"log_group": {"group": arn, "role": _role_arn(account, section, about.role)}}


def _created_log_group(section: CloudTrail, about: CloudWatchLogs, created: CreatedLogGroup) -> WantedResource:
    return WantedResource(
        kind=LOG_GROUP, name=about.group, region=section.home_region,
        state={"tags": own_tags(), "retention_in_days": created.retention_in_days},
    )  # fmt: skip


def _log_bucket(account: ConfiguredAccount, section: CloudTrail) -> WantedResource:
    name, about = section.s3_bucket_name, section.log_bucket
    assert about is not None
    writers = sorted({*about.accounts, *((account.account_id,) if account.settings.enable_cloudtrail else ())})
    folders = [*writers]
    organization_id = section.organization_id or account.organization_id
    if organization_id is not None and (section.organization or about.organization):
        folders.append(organization_id)
    auditor = _auditor(account, section)
    readers = sorted({*about.readers, *((auditor,) if auditor is not None else ())})
    trails = [trail_arn(section, one) for one in writers]
    statements = [
        *_writes(section, trails, folders),
        *(_reads(section, readers) if readers else ()),
        *config_statements(account, name, section.home_region),
    ]
    return bucket(name, section.home_region, statements=statements, versioning=True)


def _logs(section: CloudTrail, folder: str) -> str:
    """Return the ARN of the log files below a folder. Source: CloudTrail's user guide, policy of the S3 bucket."""
    prefix = f"{section.s3_key_prefix}/" if section.s3_key_prefix else ""
    return f"{bucket_arn(section.s3_bucket_name, section.home_region)}/{prefix}AWSLogs/{folder}"


def _writes(section: CloudTrail, trails: Sequence[str], folders: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    principal = {"Service": CLOUDTRAIL_SERVICE}
    return (
        {
            "Sid": "WhenceTrailChecks", "Effect": "Allow", "Principal": principal, "Action": "s3:GetBucketAcl",
            "Resource": bucket_arn(section.s3_bucket_name, section.home_region),
            "Condition": {"StringEquals": {"aws:SourceArn": list(trails)}},
        },
        {
            "Sid": "WhenceTrailWrites", "Effect": "Allow", "Principal": principal, "Action": "s3:PutObject",
            "Resource": [_logs(section, f"{one}/*") for one in folders],
            "Condition": {
                "StringEquals": {"aws:SourceArn": list(trails), "s3:x-amz-acl": "bucket-owner-full-control"}
            },
        },
    )  # fmt: skip


def _reads(section: CloudTrail, readers: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    principal = {"AWS": list(readers)}
    return (
        {
            "Sid": "WhenceReadersList", "Effect": "Allow", "Principal": principal, "Action": "s3:ListBucket",
            "Resource": bucket_arn(section.s3_bucket_name, section.home_region),
        },
        {
            "Sid": "WhenceReadersRead", "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject",
            "Resource": _logs(section, "*"),
        },
    )  # fmt: skip


def _key(account: ConfiguredAccount, section: CloudTrail, name: str, written: str | None) -> Json:
    """Return the ARN of a key, or a reference to it. Raises InputError for a key that is not where it is used.

    Log files may be in a bucket of another region, which is not configured here: then their key is there, too.
    """
    if written is None:
        return None
    path = f"accounts.{account.name}.cloudtrail.{name}"
    found = key_reference(written, account, section.home_region, path)
    regions = (found.split(":")[3],) if isinstance(found, str) else account.regions
    is_elsewhere = name == "kms_key" and section.log_bucket is None and isinstance(found, str)
    if section.home_region not in regions and not is_elsewhere:
        message = f"{path}: the key is in {', '.join(regions)}, and what it encrypts in {section.home_region}"
        raise _contradiction(message, f"use a key in {section.home_region}")
    return found


def _auditor(account: ConfiguredAccount, section: CloudTrail) -> str | None:
    return _role_arn(account, section, section.auditor_role) if section.auditor_role is not None else None


def _role_arn(account: ConfiguredAccount, section: CloudTrail, role: str) -> str:
    if role.startswith("arn:"):
        return role
    return role_arn(account.account_id, role, section.home_region)


def _check(account: ConfiguredAccount, section: CloudTrail) -> None:
    """Raise InputError for values that contradict each other."""
    key = f"accounts.{account.name}.cloudtrail"
    about = section.log_bucket
    is_enabled = account.settings.enable_cloudtrail
    is_of_organization = section.organization or (about is not None and about.organization)
    if is_of_organization and section.organization_id is None and account.organization_id is None:
        message = f"{key}.organization: the organisation's id is not known"
        raise _contradiction(message, "state organization_id, or list the accounts of AWS Organizations")
    if about is not None and not is_enabled and not about.accounts:
        message = f"{key}.log_bucket: no trail writes into it, as enable_cloudtrail is false and accounts is empty"
        raise _contradiction(message, "state the accounts whose trails write into it, or remove log_bucket")
    if about is not None and about.organization and not section.organization and not about.accounts:
        message = f"{key}.log_bucket.organization: accounts does not state the account with the organisation's trail"
        raise _contradiction(message, "add the id of the management account to log_bucket.accounts")
    logs = section.cloud_watch_logs
    if logs is not None and logs.create is not None and logs.role.startswith("arn:"):
        message = f"{key}.cloud_watch_logs.role: the role that is created has a name, not an ARN"
        raise _contradiction(message, "write the name of the role, or remove create")
    for number, selector in enumerate(section.event_selectors or ()):
        if not selector.management_events and not selector.data_resources:
            message = f"{key}.event_selectors[{number}]: it selects no events"
            raise _contradiction(message, "set management_events to true, or state data_resources")


def _contradiction(message: str, fix: str) -> InputError:
    return InputError("accounts-contradiction", message, fix=fix)


STEP = AccountStep(
    name=_STEP,
    summary="the audit trail, its log bucket, and its events for the aggregator",
    kinds=(TRUSTED_ACCESS, TOPIC, QUEUE, SUBSCRIPTION, LOG_GROUP, TRAIL, OTHER_TRAILS),
    wanted=wanted,
    stated=stated,
    is_for_whence=True,
)
