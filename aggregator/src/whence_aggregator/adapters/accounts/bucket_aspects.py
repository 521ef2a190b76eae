"""Aspects of a bucket: how each is read, and how it is written without changing parts of others."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from whence_aggregator.accounts.canonical import statement
from whence_aggregator.accounts.resources import Json
from whence_aggregator.accounts.steps.bucket_parts import encryption, rule, rules_by_id, statements_by_sid, told_apart
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of

SeenBucket: TypeAlias = tuple[Json, Sequence[str]]
"""A value as it is compared, and the parts of others, in words."""
_SIZE = "TransitionDefaultMinimumObjectSize"


async def _public_access_block(s3: Any, name: str, wanted: Json) -> SeenBucket:
    answer = await answered(s3.get_public_access_block(Bucket=name), "NoSuchPublicAccessBlockConfiguration")
    return (dict(sorted(answer["PublicAccessBlockConfiguration"].items())) if answer is not None else None), ()


async def _put_public_access_block(s3: Any, name: str, value: Any) -> None:
    await s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=value)


async def _ownership(s3: Any, name: str, wanted: Json) -> SeenBucket:
    answer = await answered(s3.get_bucket_ownership_controls(Bucket=name), "OwnershipControlsNotFoundError")
    return (answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"] if answer is not None else None), ()


async def _put_ownership(s3: Any, name: str, value: Any) -> None:
    await s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": value}]})


async def _encryption(s3: Any, name: str, wanted: Json) -> SeenBucket:
    document = await _encryption_document(s3, name)
    if document is None:
        return None, ()
    form = encryption(document)
    assert isinstance(form, Mapping)
    is_stated = isinstance(wanted, Mapping) and "blocked" in wanted
    return {one: value for one, value in form.items() if one != "blocked" or is_stated}, ()


async def _put_encryption(s3: Any, name: str, value: Any) -> None:
    document = await _encryption_document(s3, name)
    blocked = {"EncryptionType": value["blocked"]} if "blocked" in value else None
    if blocked is None and document is not None:
        blocked = document["Rules"][0].get("BlockedEncryptionTypes")
    key = {"KMSMasterKeyID": value["key"]} if value["key"] is not None else {}
    first = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value["algorithm"], **key},
        "BucketKeyEnabled": value["bucket_key"],
        **({"BlockedEncryptionTypes": blocked} if blocked else {}),
    }
    await s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [first]})


async def _encryption_document(s3: Any, name: str) -> Mapping[str, Any] | None:
    answer = await answered(s3.get_bucket_encryption(Bucket=name), "ServerSideEncryptionConfigurationNotFoundError")
    return answer["ServerSideEncryptionConfiguration"] if answer is not None else None


async def _versioning(s3: Any, name: str, wanted: Json) -> SeenBucket:
    return (await s3.get_bucket_versioning(Bucket=name)).get("Status") == "Enabled", ()


async def _put_versioning(s3: Any, name: str, value: Any) -> None:
    status = "Enabled" if value else "Suspended"
    await s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


async def _lifecycle(s3: Any, name: str, wanted: Json) -> SeenBucket:
    answer = await _lifecycle_answer(s3, name)
    own, others = told_apart(map(rule, answer.get("Rules", [])), _parts(wanted), "ID")
    return own, [f"lifecycle rule {one.get('ID', '')}" for one in others]


async def _put_lifecycle(s3: Any, name: str, value: Any) -> None:
    answer = await _lifecycle_answer(s3, name)
    _, others = told_apart(map(rule, answer.get("Rules", [])), _parts(value), "ID")
    rules = [*others, *_parts(value).values()]
    if not rules:
        await s3.delete_bucket_lifecycle(Bucket=name)
        return
    kept = {_SIZE: answer[_SIZE]} if _SIZE in answer else {}
    await s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules}, **kept)


async def _lifecycle_answer(s3: Any, name: str) -> Mapping[str, Any]:
    call = s3.get_bucket_lifecycle_configuration(Bucket=name)
    return await answered(call, "NoSuchLifecycleConfiguration") or {}


async def _policy(s3: Any, name: str, wanted: Json) -> SeenBucket:
    document = await _policy_document(s3, name)
    own, others = told_apart(_statements(document), _parts(wanted), "Sid")
    forms = {sid: statement(one) for sid, one in own.items() if isinstance(one, Mapping)}
    return forms, [f"policy statement {one.get('Sid') or 'without Sid'}" for one in others]


async def _put_policy(s3: Any, name: str, value: Any) -> None:
    """Replace our own statements; those of others stay, with the version that they were written for."""
    document = await _policy_document(s3, name)
    _, others = told_apart(_statements(document), _parts(value), "Sid")
    listed = [*others, *map(_short, _parts(value).values())]
    if not listed:
        await s3.delete_bucket_policy(Bucket=name)
        return
    version = document.get("Version", "2008-10-17") if others else "2012-10-17"
    policy = {**document, "Version": version, "Statement": listed}
    await s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


async def _policy_document(s3: Any, name: str) -> Mapping[str, Any]:
    answer = await answered(s3.get_bucket_policy(Bucket=name), "NoSuchBucketPolicy")
    return json.loads(answer["Policy"]) if answer is not None else {}


def _statements(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    listed = document.get("Statement", [])
    return [listed] if isinstance(listed, Mapping) else listed


def _parts(wanted: Json) -> Mapping[str, Any]:
    return wanted if isinstance(wanted, Mapping) else {}


def _short(value: Any) -> Any:
    """Return a statement with single values in place of lists of one, as people write them."""
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1 else value


async def _logging(s3: Any, name: str, wanted: Json) -> SeenBucket:
    enabled = (await s3.get_bucket_logging(Bucket=name)).get("LoggingEnabled")
    return ({"target": enabled["TargetBucket"], "prefix": enabled["TargetPrefix"]} if enabled else None), ()


async def _put_logging(s3: Any, name: str, value: Any) -> None:
    enabled = {"TargetBucket": value["target"], "TargetPrefix": value["prefix"]}
    await s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": enabled})


async def all_parts(s3: Any, name: str) -> Mapping[str, Json]:
    """Return all statements of the policy and all lifecycle rules, whoever wrote them."""
    return {
        "policy": statements_by_sid(_statements(await _policy_document(s3, name))),
        "lifecycle": rules_by_id((await _lifecycle_answer(s3, name)).get("Rules", [])),
    }


async def _put_tags(s3: Any, name: str, value: Any) -> None:
    """Set our tags; S3 replaces all tags at once, so the others are written again."""
    answer = await answered(s3.get_bucket_tagging(Bucket=name), "NoSuchTagSet")
    merged = {**tags_of((answer or {}).get("TagSet")), **value}
    await s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(merged)})


READERS: Mapping[str, Callable[[Any, str, Json], Awaitable[SeenBucket]]] = {
    "public_access_block": _public_access_block, "ownership": _ownership, "encryption": _encryption,
    "versioning": _versioning, "lifecycle": _lifecycle, "policy": _policy, "logging": _logging,
}  # fmt: skip
WRITERS: Mapping[str, Callable[[Any, str, Any], Awaitable[None]]] = {
    "tags": _put_tags, "public_access_block": _put_public_access_block, "ownership": _put_ownership,
    "encryption": _put_encryption, "versioning": _put_versioning, "lifecycle": _put_lifecycle, "policy": _put_policy,
    "logging": _put_logging,
}  # fmt: skip
