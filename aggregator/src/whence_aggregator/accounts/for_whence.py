"""What Whence needs of an account: whether its configuration states it, and the aggregator's settings for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import arn_of, partition_of
from whence_aggregator.accounts.configuration.cloudtrail import CloudTrail
from whence_aggregator.accounts.configuration.identity import AuditorRole
from whence_common.errors import InputError

_MISSING_MAX = 20


def check_for_whence(accounts: Sequence[ConfiguredAccount]) -> None:
    """Check that the configuration states all that Whence needs in each account. Raises InputError, naming all."""
    missing = [f"accounts.{one.name}.{what}" for one in accounts for what in _missing(one)]
    auditors = {(one.name, one.external_id) for one in map(_auditor_of, accounts) if one is not None}
    if len(auditors) > 1:
        missing.append("auditor_role: name and external_id must be the same in all accounts, as the aggregator has one")
    if not missing:
        return
    more = f"\nand {len(missing) - _MISSING_MAX} more" if len(missing) > _MISSING_MAX else ""
    message = "the configuration does not state all that Whence needs:\n" + "\n".join(missing[:_MISSING_MAX]) + more
    raise InputError("bootstrap-incomplete", message, fix="add what each line names; nothing was written")


def remarks_for_whence(accounts: Sequence[ConfiguredAccount]) -> Iterator[str]:
    """Yield what stays switched off, and what depends on others, in words."""
    for account in accounts:
        settings, auditor = account.settings, _auditor_of(account)
        if auditor is not None and not auditor.registry_pull:
            yield f"{account.name}: Whence does not read images of the account's ECR: auditor_role.registry_pull is off"
        if auditor is not None and not auditor.drift:
            yield f"{account.name}: drift is not read: auditor_role.drift is off"
        roles = settings.application_roles
        if roles is None or not roles.applications:
            yield f"{account.name}: no role for instances is configured: state application_roles, or deploy each one"
        if not settings.enable_cloudtrail:
            yield f"{account.name}: enable_cloudtrail is off: the trail of another account must record this one"


def aggregator_settings(accounts: Sequence[ConfiguredAccount], *, file: str) -> Mapping[str, Any]:
    """Return the aggregator's settings for accounts that `check_for_whence` accepted. `file` is the configuration."""
    auditor = _auditor_of(accounts[0])
    assert auditor is not None
    external_id = {"external_id": auditor.external_id} if auditor.external_id is not None else {}
    regions = dict.fromkeys(region for one in accounts for region in one.regions)
    found: dict[str, Any] = {
        "accounts": [one.account_id for one in accounts],
        "inventory": {"role_name": auditor.name, **external_id, "regions": list(regions)},
    }
    trail = _trails(accounts, auditor, external_id)
    if trail is not None:
        found["cloud_trail"] = trail
    if all(one is not None and one.drift for one in map(_auditor_of, accounts)):
        found["account_configuration"] = {"file": file, "role": auditor.name, **external_id}
    return found


def _auditor_of(account: ConfiguredAccount) -> AuditorRole | None:
    return account.settings.auditor_role


def _missing(account: ConfiguredAccount) -> Iterator[str]:
    settings, auditor, trail = account.settings, _auditor_of(account), account.settings.cloudtrail
    if settings.alias is None:
        yield 'alias: write alias: "{account_name}", or another name'
    if settings.mint_bucket is None:
        yield "mint_bucket: write mint_bucket: {writer_role: {trusted: [ARN of the role that mint runs as]}}"
    if auditor is None:
        yield "auditor_role: write auditor_role: {trusted: [ARN of the aggregator's role], trail: {}, drift: true}"
    if not settings.enable_cloudtrail:
        return
    if trail is None:
        section = "cloudtrail: {s3_bucket_name: NAME, log_bucket: {}, events: {}}"
        yield f"cloudtrail: write {section}; or enable_cloudtrail: false"
        return
    yield from _missing_of_trail(account, auditor, trail)


def _missing_of_trail(account: ConfiguredAccount, auditor: AuditorRole | None, trail: CloudTrail) -> Iterator[str]:
    if trail.events is None:
        yield "cloudtrail.events: write events: {}, which makes topic and queue"
    if not trail.logging:
        yield "cloudtrail.logging: write logging: true"
    if auditor is None:
        return
    if trail.auditor_role not in (auditor.name, _role_arn(account, auditor)):
        yield f"cloudtrail.auditor_role: write auditor_role: {auditor.name}, so that the role reads queue and log files"
    if auditor.trail is None:
        yield "auditor_role.trail: write trail: {}, which allows to list CloudTrail's keys"
    elif trail.log_bucket is None and trail.s3_bucket_name not in auditor.trail.buckets:
        yield f"auditor_role.trail.buckets: add {trail.s3_bucket_name}, which is in another account"


def _trails(
    accounts: Sequence[ConfiguredAccount], auditor: AuditorRole, external_id: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return `cloud_trail`; None where no account has a trail of its own."""
    queues: list[Mapping[str, Any]] = []
    buckets: dict[str, dict[str, Any]] = {}
    for account in accounts:
        trail = account.settings.cloudtrail
        if trail is None or trail.events is None or not account.settings.enable_cloudtrail:
            continue
        role = {"role_arn": _role_arn(account, auditor), **external_id}
        topic = arn_of("sns", trail.home_region, account.account_id, trail.events.topic_name)
        url = _queue_url(trail.home_region, account.account_id, trail.events.queue_name)
        queues.append({"url": url, "region": trail.home_region, **role, "topics": [topic]})
        bucket = buckets.setdefault(trail.s3_bucket_name, {"region": trail.home_region, **role, "accounts": []})
        bucket["accounts"].append(account.account_id)
    if not queues:
        return None
    first = {name: queues[0][name] for name in ("role_arn", "external_id") if name in queues[0]}
    return {**first, "queues": queues, "buckets": buckets}


def _queue_url(region: str, account_id: str, name: str) -> str:
    suffix = "amazonaws.com.cn" if partition_of(region) == "aws-cn" else "amazonaws.com"
    return f"https://sqs.{region}.{suffix}/{account_id}/{name}"


def _role_arn(account: ConfiguredAccount, auditor: AuditorRole) -> str:
    return f"arn:{partition_of(account.regions[0])}:iam::{account.account_id}:role/{auditor.name}"
