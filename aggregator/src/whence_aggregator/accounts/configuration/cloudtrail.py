"""The section `cloudtrail`: the audit trail, the bucket of its log files, and its way to the aggregator."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from whence_aggregator.accounts.configuration.network import LogRetentionDays

_AccountId = Annotated[str, Meta(pattern=r"^[0-9]{12}$")]
_Region = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")]
_RoleArn = Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}$")]
_Role = Annotated[
    str, Meta(pattern=r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}|[\w+=,.@-]{1,64})$")
]  # fmt: skip
_Key = Annotated[str, Meta(max_length=2_048)]
_QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,75}$")]


class DataResource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Annotated[
        Literal["AWS::S3::Object", "AWS::Lambda::Function", "AWS::DynamoDB::Table"],
        Meta(description="Type of the resources."),
    ]
    values: Annotated[
        tuple[Annotated[str, Meta(max_length=1_024)], ...],
        Meta(min_length=1, max_length=250, description="ARNs, or beginnings of them."),
    ]


class EventSelector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    read_write: Annotated[
        Literal["All", "ReadOnly", "WriteOnly"], Meta(description="Which calls are recorded.")
    ] = "All"  # fmt: skip
    management_events: Annotated[bool, Meta(description="Record management events.")] = True
    exclude_sources: Annotated[
        tuple[Literal["kms.amazonaws.com", "rdsdata.amazonaws.com"], ...],
        Meta(max_length=2, description="Sources whose management events are left out."),
    ] = ()
    data_resources: Annotated[
        tuple[DataResource, ...], Meta(max_length=250, description="Resources whose data events are recorded.")
    ] = ()


class LogBucket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    accounts: Annotated[
        tuple[_AccountId, ...],
        Meta(
            max_length=1_000,
            description="Ids of other accounts whose trails, of the same name and home region, write into the bucket.",
        ),
    ] = ()
    organization: Annotated[
        bool, Meta(description="The trails of `accounts` are organisation trails; true for an own one in any case.")
    ] = False
    aws_config: Annotated[
        bool,
        Meta(description="AWS Config of `accounts` writes into the bucket too, with the prefix of `aws_config` here."),
    ] = False
    readers: Annotated[
        tuple[_RoleArn, ...],
        Meta(max_length=50, description="ARNs of roles that may read the log files, besides the auditor role."),
    ] = ()


class TrailEvents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    topic_name: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,256}$")],
        Meta(description="Topic in the home region to which CloudTrail announces log files."),
    ] = "whence-trail"
    queue_name: Annotated[
        _QueueName, Meta(description="Queue of that topic; `-dead` is added for the dead letters.")
    ] = "whence-trail"
    receives_max: Annotated[
        int,
        Meta(ge=1, le=1_000, description="Receives of a message that is never deleted, until it is a dead letter."),
    ] = 100  # an hour's outage of the aggregator's database is 30 receives, since each hides it for two minutes
    kms_key: Annotated[
        _Key | None,
        Meta(
            description="Key of topic and queues, which CloudTrail and SNS may use: an alias of `kms`, or an ARN; "
            "null: SQS's own."
        ),
    ] = None


class CreatedLogGroup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    retention_in_days: Annotated[LogRetentionDays, Meta(description="How long the log group keeps events.")] = 365


class CloudWatchLogs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    group: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_/.#-]{1,512}$")],
        Meta(description="Log group in the home region; it must exist, except with `create`."),
    ]
    role: Annotated[
        _Role, Meta(description="Role by which CloudTrail writes to it: a name in this account, or an ARN.")
    ]
    create: Annotated[
        CreatedLogGroup | None,
        Meta(description="Create the log group, and the role of this account; null: both must exist."),
    ] = None


class CloudTrail(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    s3_bucket_name: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")],
        Meta(description="Bucket of the log files; it is created here only with `log_bucket`."),
    ]
    s3_key_prefix: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="What the keys of the log files begin with, before `AWSLogs`."),
    ] = None
    home_region: Annotated[_Region, Meta(description="Region in which trail, topic and queue are.")] = "eu-west-1"
    regions: Annotated[
        tuple[_Region, ...],
        Meta(max_length=40, description="Regions whose other trails are reported; none: those of the account."),
    ] = ()
    name: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([._-]?[A-Za-z0-9])+$", min_length=3, max_length=128)],
        Meta(description="Name of the trail."),
    ] = "Default"
    organization: Annotated[
        bool, Meta(description="Record every account of the organisation; in the management account only.")
    ] = False
    organization_id: Annotated[
        Annotated[str, Meta(pattern=r"^o-[a-z0-9]{10,32}$")] | None,
        Meta(description="Id of the organisation; null: that of the account list."),
    ] = None
    log_file_validation: Annotated[bool, Meta(description="Have CloudTrail sign digests of the log files.")] = True
    kms_key: Annotated[
        _Key | None,
        Meta(description="Key of the log files, which CloudTrail may use: an alias of `kms`, or an ARN; null: S3's."),
    ] = None
    event_selectors: Annotated[
        Annotated[tuple[EventSelector, ...], Meta(min_length=1, max_length=5)] | None,
        Meta(description="What is recorded; null leaves it as it is, such as advanced selectors."),
    ] = (EventSelector(),)
    logging: Annotated[bool, Meta(description="The trail records; false stops it.")] = True
    cloud_watch_logs: Annotated[
        CloudWatchLogs | None, Meta(description="Send events to a log group too; null leaves it as it is.")
    ] = None
    log_bucket: Annotated[
        LogBucket | None, Meta(description="Create the bucket of the log files in this account.")
    ] = None  # fmt: skip
    events: Annotated[
        TrailEvents | None, Meta(description="Create topic and queue by which the aggregator reads the trail.")
    ] = None
    auditor_role: Annotated[
        _Role | None,
        Meta(description="The aggregator's role, which reads queue and log files: a name in this account, or an ARN."),
    ] = "fullstop"
