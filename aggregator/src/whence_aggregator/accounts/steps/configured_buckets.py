"""The buckets of the configuration: `s3_buckets`, with the buckets that receive their access logs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import bucket_arn, partition_of
from whence_aggregator.accounts.canonical import with_roots
from whence_aggregator.accounts.configuration.buckets import BucketSection
from whence_aggregator.accounts.found import FoundAccount, StatedSection, stated_tags
from whence_aggregator.accounts.resources import Json, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.bucket_parts import (
    encryption,
    rules_by_id,
    statements_by_sid,
    without_derived_name,
)
from whence_aggregator.accounts.steps.buckets import (
    BUCKET,
    PUBLIC_ACCESS_BLOCKS,
    SSE_S3,
    TLS_ONLY_SID,
    bucket,
    checked_name,
)
from whence_aggregator.accounts.steps.cloudtrail import stated_trail
from whence_aggregator.accounts.steps.flow_delivery import with_delivery
from whence_aggregator.accounts.steps.mint import is_mint_of_an_account, stated_mint
from whence_common.errors import InputError

_AS_AWS = "write it as AWS's API has it"
_PARTS_MAX = 1_000
"""AWS's bound for lifecycle rules; a policy of 20 KB has fewer statements."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    found: dict[str, WantedResource] = {}
    for one in _configured(account):
        if found.setdefault(one.name, one).state != one.state:
            message = f"accounts.{account.name}.s3_buckets: the bucket {one.name} is configured twice, differently"
            raise InputError("accounts-twice", message, fix="put {region} into its name, or remove one of the two")
    return tuple(found.values())


def _configured(account: ConfiguredAccount) -> Iterator[WantedResource]:
    for key, section in account.settings.s3_buckets.items():
        path = f"accounts.{account.name}.s3_buckets.{key}"
        for region in account.regions if section.regions is None else section.regions:
            yield from _in_region(section, region, account, path)


def _in_region(section: BucketSection, region: str, account: ConfiguredAccount, path: str) -> Iterator[WantedResource]:
    name = checked_name(section.name.replace("{region}", region), f"{path}.name")
    texts = {"bucket_name": name, "region": region}
    target = section.logging_target
    if target is not None:
        target = checked_name(target.replace("{region}", region), f"{path}.logging_target")
    stated = _statements(section.policy, texts, path)
    yield bucket(
        name, region, statements=with_delivery(stated, account, name, region), versioning=section.versioning,
        lifecycle=_rules(section.lifecycle_configuration, f"{path}.lifecycle_configuration"),
        encryption=_encryption(section.encryption_config, f"{path}.encryption_config"), tags=section.tags,
        public_access_block=section.public_access_block, ownership=section.ownership, tls_only=section.tls_only,
        logging_target=target,
    )  # fmt: skip
    is_configured = any(
        target == each.name.replace("{region}", region) for each in account.settings.s3_buckets.values()
    )  # fmt: skip
    if target is not None and not is_configured:
        rules = _rules(section.logging_lifecycle_configuration, f"{path}.logging_lifecycle_configuration")
        delivery = log_delivery_statement(target, account.account_id, region)
        statements = with_delivery((delivery,), account, target, region)
        yield bucket(target, region, statements=statements, lifecycle=rules)


def log_delivery_statement(name: str, account_id: str, region: str) -> Mapping[str, Any]:
    """Return the statement that lets S3 deliver access logs of the account's buckets.

    AWS recommends it in place of the access control list log-delivery-write, which BucketOwnerEnforced disables.
    """
    return {
        "Sid": "WhenceLogDelivery", "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": f"{bucket_arn(name, region)}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
    }  # fmt: skip


def _statements(policy: Mapping[str, Any] | None, texts: Mapping[str, str], path: str) -> Sequence[Mapping[str, Any]]:
    if policy is None:
        return ()
    listed = policy.get("Statement", [])
    found = _parts(
        [listed] if isinstance(listed, Mapping) else listed, f"{path}.policy.Statement", "Sid", statements_by_sid
    )
    if any(map(is_mint_of_an_account, found)):
        message = f"{path}.policy: AllowMintWrite lets every identity of an account write credentials"
        fix = "write mint_bucket: {writer: ARN of the worker's role} in place of this entry, with its name"
        raise InputError("accounts-mint-writer", message, fix=fix)
    return [with_roots(_replaced(one, texts), partition_of(texts["region"])) for one in found]


def _rules(lifecycle: Mapping[str, Any] | None, path: str) -> Sequence[Mapping[str, Any]] | None:
    return None if lifecycle is None else _parts(lifecycle.get("Rules"), f"{path}.Rules", "ID", rules_by_id)


def _parts(
    listed: Any, path: str, key: str, by_name: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Json]]
) -> Sequence[Mapping[str, Any]]:
    """Return a list of mappings whose names differ. Raises InputError for anything else."""
    if not isinstance(listed, list | tuple) or not all(isinstance(one, Mapping) for one in listed):
        raise InputError("accounts-not-a-list", f"{path} is not a list of mappings", fix=_AS_AWS)
    if len(listed) > _PARTS_MAX:
        raise InputError("accounts-parts", f"{path} has more than {_PARTS_MAX} parts", fix="remove some")
    try:
        names = by_name(listed)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InputError("accounts-parts", f"{path} is not what S3's API takes", fix=_AS_AWS) from exc
    if len(names) != len(listed):
        raise InputError("accounts-parts", f"{path} has two with the same {key}", fix=f"give each a {key} of its own")
    return listed


def _encryption(document: Mapping[str, Any] | None, path: str) -> Mapping[str, Json] | None:
    if document is None:
        return None
    try:
        form = encryption(document)
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        fix = "write {Rules: [{ApplyServerSideEncryptionByDefault: {SSEAlgorithm: AES256}}]}"
        raise InputError("accounts-encryption", f"{path} is not an encryption of S3's API", fix=fix) from exc
    assert isinstance(form, Mapping)
    return form


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in texts.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, Mapping):
        return {name: _replaced(one, texts) for name, one in value.items()}
    return [_replaced(one, texts) for one in value] if isinstance(value, list | tuple) else value


def stated(found: FoundAccount) -> StatedSection:
    """Return `s3_buckets` with every bucket, by its name, that no other section states."""
    others = {*stated_mint(found).buckets, *stated_trail(found).buckets}
    standing = [one for one in found.of(BUCKET.name) if one.name not in others]
    return StatedSection(section={"s3_buckets": {one.name: _section(one.name, one.state) for one in standing}})


def _section(name: str, state: Mapping[str, Any]) -> Json:
    statements = [without_derived_name(one, "Sid") for sid, one in state["policy"].items() if sid != TLS_ONLY_SID]
    rules = [without_derived_name(one, "ID") for one in state["lifecycle"].values()]
    blocks = state["public_access_block"] or {}
    section: dict[str, Json] = {
        "name": name, "regions": [state["region"]], "tags": stated_tags(state["tags"]),
        "policy": {"Statement": statements} if statements else None,
        "lifecycle_configuration": {"Rules": rules} if rules else None,
        "encryption_config": _stated_encryption(state["encryption"]), "versioning": state["versioning"] or None,
        "logging_target": state["logging"]["target"] if state["logging"] else None,
    }  # fmt: skip
    return {key: value for key, value in section.items() if value not in (None, {})} | {
        "public_access_block": all(blocks.get(one) for one in PUBLIC_ACCESS_BLOCKS),
        "ownership": state["ownership"] or "ObjectWriter", "tls_only": TLS_ONLY_SID in state["policy"],
    }  # fmt: skip


def _stated_encryption(form: Mapping[str, Any] | None) -> Json:
    """Return the encryption in AWS's form; None for AWS's default."""
    if form is None or form == SSE_S3:
        return None
    key = {"KMSMasterKeyID": form["key"]} if form["key"] is not None else {}
    chosen = {"SSEAlgorithm": form["algorithm"], **key}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": chosen, "BucketKeyEnabled": form["bucket_key"]}]}


STEP = AccountStep(name="buckets", summary="buckets, and their policies", kinds=(BUCKET,), wanted=wanted, stated=stated)
