"""AWS Config: one recorder in each region, with its delivery channel, and the service-linked role that both use.

AWS has one recorder and one channel in a region: those of others are reported and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.configuration.guardrails import ConfigRecorder
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, of, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.buckets import BUCKET
from whence_aggregator.accounts.steps.config_bucket import CONFIG_SERVICE, config_bucket_name, is_in_log_bucket
from whence_common.errors import InputError

_STEP = "aws-config"
NAME = "recorder"
"""The name of every recorder in its address."""
ALL = "all"
ROLE_NAME = "AWSServiceRoleForConfig"
SERVICE_ROLE = ResourceKind(
    name="service-linked-role", step=_STEP, is_setting=True, reads=("iam:ListRoles",),
    writes=("iam:CreateServiceLinkedRole",),
)  # fmt: skip
"""AWS makes it, for one service; it is never deleted here, as what another person made may use it."""
RECORDER = ResourceKind(
    name="config-recorder", step=_STEP, is_regional=True, keeps_data=True, after=(SERVICE_ROLE.name, BUCKET.name),
    reads=(
        "config:DescribeConfigurationRecorderStatus", "config:DescribeConfigurationRecorders",
        "config:DescribeDeliveryChannels", "config:ListTagsForResource",
    ),
    writes=(
        "config:DeleteConfigurationRecorder", "config:DeleteDeliveryChannel", "config:PutConfigurationRecorder",
        "config:PutDeliveryChannel", "config:StartConfigurationRecorder", "config:StopConfigurationRecorder",
        "config:TagResource", "iam:PassRole",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the role and the recorders. Raises InputError without a bucket, and for a region without a recorder."""
    section = account.settings.aws_config
    if section is None:
        return ()
    regions = list(dict.fromkeys(section.regions or account.regions))
    with_global = section.global_resources_region or regions[0]
    path = f"accounts.{account.name}.aws_config"
    if with_global not in regions:
        message = f"{path}.global_resources_region: {with_global} has no recorder"
        raise InputError("accounts-contradiction", message, fix=f"name one of {', '.join(regions)}")
    bucket = config_bucket_name(account)
    if bucket is None:
        message = f"{path}.s3_bucket_name: the bucket of the files is not known"
        raise InputError("accounts-contradiction", message, fix="state it, or a trail with a bucket (cloudtrail)")
    name: Json = of(f"{BUCKET.name}/{bucket}", "name") if is_in_log_bucket(account) else bucket
    role = WantedResource(kind=SERVICE_ROLE, name=CONFIG_SERVICE, state={"exists": True})
    return [role, *(_recorder(account, section, one, name, is_global=one == with_global) for one in regions)]


def _recorder(
    account: ConfiguredAccount, section: ConfigRecorder, region: str, bucket: Json, *, is_global: bool
) -> WantedResource:
    return WantedResource(
        kind=RECORDER, name=NAME, region=region,
        state={
            "records": {
                "role": service_role_arn(region, account.account_id), "resources": ALL, "global_resources": is_global,
                "frequency": section.recording_frequency,
            },
            "delivery": {
                "bucket": bucket, "prefix": section.s3_key_prefix, "frequency": section.delivery_frequency
            },
            "tags": own_tags(),
            "recording": True,
        },
    )  # fmt: skip


def service_role_arn(region: str, account_id: str) -> str:
    return f"arn:{partition_of(region)}:iam::{account_id}:role/aws-service-role/{CONFIG_SERVICE}/{ROLE_NAME}"


def stated(found: FoundAccount) -> StatedSection:
    """Return the regions whose recorders record and deliver as the first one does, and name the others."""
    recorders = found.of(RECORDER.name)
    first = next((one for one in recorders if _left_out(one, None) is None), None)
    reasons = [(one, _left_out(one, first)) for one in recorders]
    notes = [_note(f"the recorder of {one.region}: {why}") for one, why in reasons if why is not None]
    if first is None:
        return StatedSection(notes=tuple(notes))
    kept = [one for one, why in reasons if why is None]
    with_global = [str(one.region) for one in kept if _part(one, "records")["global_resources"]]
    if len(with_global) != 1:
        regions = ", ".join(str(one.region) for one in kept)
        text = f"the recorders of {regions}: a configuration has global resources recorded in one of its regions, "
        notes.append(_note(f"{text}and they are in {', '.join(with_global) or 'none'}"))
        return StatedSection(notes=tuple(notes))
    delivery = _part(first, "delivery")
    section: dict[str, Json] = {
        "s3_bucket_name": delivery["bucket"], "s3_key_prefix": delivery["prefix"],
        "regions": [one.region for one in kept], "global_resources_region": with_global[0],
        "recording_frequency": _part(first, "records")["frequency"], "delivery_frequency": delivery["frequency"],
    }  # fmt: skip
    stated = {name: value for name, value in section.items() if value is not None}
    return StatedSection(section={"aws_config": stated}, notes=tuple(notes))


def _note(text: str) -> ImportNote:
    return ImportNote(key="aws_config", text=text)


def _left_out(one: StandingResource, first: StandingResource | None) -> str | None:
    """Return why no configuration states a recorder beside the first one; None for one that it states."""
    records, delivery = _part(one, "records"), _part(one, "delivery")
    if not records or not delivery:
        return f"it has no {'delivery channel' if records else 'recorder, only a delivery channel'}"
    if not one.state["recording"]:
        return "it is stopped, and a configuration means one that records"
    if not str(records["role"]).endswith(f"/{CONFIG_SERVICE}/{ROLE_NAME}"):
        return f"its role {records['role']} is not the service-linked one"
    if records["resources"] != ALL or "overrides" in records:
        return "it records some types of resources, or some otherwise, and a configuration means all alike"
    if first is not None and _common(one) != _common(first):
        return f"a configuration has one frequency and one delivery, here those of {first.region}"
    return None


def _common(one: StandingResource) -> tuple[Any, Mapping[str, Any]]:
    """Return what all recorders of a configuration have in common."""
    return _part(one, "records")["frequency"], _part(one, "delivery")


def _part(one: StandingResource, aspect: str) -> Mapping[str, Any]:
    found: Any = one.state[aspect]
    return dict(found or {})


STEP = AccountStep(
    name=_STEP, summary="AWS Config's recorders and delivery channels", kinds=(SERVICE_ROLE, RECORDER), wanted=wanted,
    stated=stated,
)  # fmt: skip
