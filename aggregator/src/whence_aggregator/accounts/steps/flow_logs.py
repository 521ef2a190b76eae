"""Flow logs of the VPCs: all traffic, to the log group `vpc-flowgroup`, to S3 buckets, or to Firehose streams.

The role that writes into the log group is that of the step for roles, or one of your own. AWS changes nothing of a flow
log once it exists.

AWS writes into the policy of a destination's bucket what it needs, if the role of the account tool may write it. For a
bucket of the configuration `flow_delivery` states it first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import role_arn
from whence_aggregator.accounts.configuration.network import Vpc
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.found_ways import GROUP
from whence_aggregator.accounts.steps.stated_network import stated_with_vpc
from whence_aggregator.accounts.steps.vpc_layout import Layout, layouts
from whence_common.errors import InputError

_TO_GROUP = "log-group"
_SERVICES = ("s3", "firehose")

FLOW_LOG_GROUP = ResourceKind(
    name="flow-log-group", step="flow-logs", is_regional=True, keeps_data=True,
    reads=("logs:DescribeLogGroups", "logs:ListTagsForResource"),
    writes=("logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"),
)  # fmt: skip
FLOW_LOG = ResourceKind(
    name="flow-log", step="flow-logs", is_regional=True, after=("vpc", "flow-log-group", "role", "bucket"),
    fixed=("vpc", "destination", "role", "traffic"), reads=("ec2:DescribeFlowLogs", "ec2:DescribeVpcs"),
    writes=(
        "ec2:CreateFlowLogs", "ec2:CreateTags", "ec2:DeleteFlowLogs", "iam:PassRole", "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the flow logs of all VPCs that are configured. Raises InputError for a destination of no kind."""
    return [one for layout in layouts(account) if layout.is_profile for one in _of_layout(account, layout)]


def _of_layout(account: ConfiguredAccount, layout: Layout) -> Iterator[WantedResource]:
    section = account.settings.vpc or Vpc()
    destinations = list(dict.fromkeys(section.flow_log_destinations))
    if _TO_GROUP in destinations:
        state: dict[str, Json] = {
            "tags": layout.tags(GROUP, {}),
            "retention_in_days": section.flow_logs_retention_in_days,
        }
        yield _wanted(layout, FLOW_LOG_GROUP, GROUP, state)
    for destination in destinations:
        target, role = _target(account, layout, section, destination)
        state = {
            "tags": layout.tags(destination, {"Name": f"{account.name}-{layout.region}"}), "vpc": layout.vpc_id,
            "destination": target, "role": role, "traffic": "ALL",
        }  # fmt: skip
        yield _wanted(layout, FLOW_LOG, destination, state)


def _wanted(layout: Layout, kind: ResourceKind, name: str, state: dict[str, Json]) -> WantedResource:
    return WantedResource(
        kind=kind, name=name, region=layout.region, state=state, within=(layout.address,),
        is_verified=layout.is_verified,
    )  # fmt: skip


def _target(account: ConfiguredAccount, layout: Layout, section: Vpc, destination: str) -> tuple[str, str | None]:
    """Return the log group or ARN of a destination, and the ARN of the role that writes there, if one does."""
    if destination == _TO_GROUP:
        return GROUP, role_arn(account.account_id, section.flow_logs_role, layout.region)
    arn = destination.replace("{region}", layout.region)
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[0] == "arn" and parts[2] in _SERVICES and parts[5]:
        return arn, None
    message = f"accounts.{account.name}.vpc.flow_log_destinations: {destination} is no destination of flow logs"
    raise InputError(
        "accounts-flow-log", message, fix=f"write {_TO_GROUP}, or the ARN of an S3 bucket or Firehose stream"
    )


STEP = AccountStep(
    name="flow-logs", summary="flow logs of the VPCs, and their log group", kinds=(FLOW_LOG_GROUP, FLOW_LOG),
    wanted=wanted, stated=stated_with_vpc,
)  # fmt: skip
