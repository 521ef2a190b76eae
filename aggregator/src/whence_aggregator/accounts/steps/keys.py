"""KMS keys, by alias, in every region of the account. Pure.

A key is found by its alias, or by our tags: a key whose alias AWS refused is found again, and no second one is created.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.canonical import policy, with_roots
from whence_aggregator.accounts.configuration.keys import KeySection
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import (
    Json,
    ResourceKind,
    WantedResource,
    of,
    own_tags,
    unowned,
)
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError

KEY = ResourceKind(
    name="key",
    step="keys",
    reads=(
        "kms:ListKeys", "kms:ListAliases", "kms:ListResourceTags", "kms:DescribeKey", "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
    ),
    writes=(
        "kms:CreateKey", "kms:TagResource", "kms:CreateAlias", "kms:PutKeyPolicy", "kms:UpdateKeyDescription",
        "kms:EnableKeyRotation", "kms:DisableKeyRotation", "kms:EnableKey", "kms:CancelKeyDeletion",
        "kms:ScheduleKeyDeletion",
    ),
    is_regional=True,
    fixed=("use",),
    keeps_data=True,
)  # fmt: skip
_PREFIX = "alias/"
_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9/_-]{1,250}")


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    return [one for written, section in account.settings.kms.items() for one in _keys(written, section, account)]


def key_name(alias: str) -> str:
    """Return the name of a key in its address: the alias without `alias/`."""
    return alias.removeprefix(_PREFIX)


def alias_of(name: str) -> str:
    """Return the alias of a key by the name in its address."""
    return _PREFIX + name


def key_reference(written: str, account: ConfiguredAccount, region: str, path: str) -> Json:
    """Return the ARN of a key: that of a key of the section `kms` as a reference, another one as it is written.

    Raises InputError, with the key's `path` in the configuration, for what is neither.
    """
    keys = {key_name(alias) for alias, section in account.settings.kms.items() if not section.drop}
    if key_name(written) in keys:
        return of(f"{region}/{KEY.name}/{key_name(written)}", "arn")
    arn = written.replace("{region}", region)
    if _ARN.fullmatch(arn) is None:
        message = f"{path}: {written[:200]!r} is neither an alias of kms nor the ARN of a key"
        raise InputError("accounts-key", message, fix="write an alias that kms has too, or the ARN of a key")
    return arn


def _keys(written: str, section: KeySection, account: ConfiguredAccount) -> Iterator[WantedResource]:
    name, path = key_name(written), f"accounts.{account.name}.kms.{written}"
    if _NAME.fullmatch(name) is None or name.startswith("aws/"):
        message = f"{path[:200]} is not an alias of a key"
        raise InputError("accounts-key-alias", message, fix="use alias/NAME with letters, digits, / _ and -, not aws/")
    if section.rotation and (section.key_usage, section.key_spec) != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        message = f"{path}.rotation: AWS rotates symmetric keys that encrypt only"
        raise InputError("accounts-key-rotation", message, fix="remove rotation, or key_usage and key_spec")
    for region in account.regions:
        yield WantedResource(
            kind=KEY, name=name, region=region, state={} if section.drop else _state(name, section, path, region),
            is_dropped=section.drop,
        )  # fmt: skip


def _state(name: str, section: KeySection, path: str, region: str) -> Mapping[str, Json]:
    try:
        document = _in_partition(policy(section.key_policy), partition_of(region))
    except (AttributeError, TypeError, ValueError) as exc:
        message = f"{path}.key_policy is not a policy"
        raise InputError("accounts-key-policy", message, fix="write it as AWS's API has it") from exc
    tags = own_tags(name, {one.TagKey: one.TagValue for one in section.tags})
    state: dict[str, Json] = {
        "use": {"usage": section.key_usage, "spec": section.key_spec}, "enabled": True, "tags": tags,
        "alias": alias_of(name),
    }  # fmt: skip
    stated: Mapping[str, Json] = {
        "policy": document, "description": section.description, "rotation": section.rotation
    }  # fmt: skip
    return state | {aspect: value for aspect, value in stated.items() if value is not None}


def _in_partition(document: Json, partition: str) -> Json:
    if not isinstance(document, Mapping):
        return document
    statements: Any = document["Statement"]
    return policy({**document, "Statement": [with_roots(one, partition) for one in statements]})


def stated(found: FoundAccount) -> StatedSection:
    """Return `kms` with the keys that stand in every region alike, by alias, and name the others."""
    by_alias: dict[str, dict[str | None, Json]] = {}
    for one in found.of(KEY.name):
        by_alias.setdefault(alias_of(one.name), {})[one.region] = _section(one.state)
    sections: dict[str, Json] = {}
    notes = []
    for alias, regions in by_alias.items():
        first = next(iter(regions.values()))
        if len(regions) == len(found.regions) and all(one == first for one in regions.values()):
            sections[alias] = first
        elif found.is_read(KEY.name):
            where = ", ".join(sorted(map(str, regions)))
            text = f"{alias}: a configuration has a key in every region, alike; it stands in {where}"
            notes.append(
                ImportNote(key="kms", text=text + (", differently" if len(regions) == len(found.regions) else ""))
            )
    return StatedSection(section={"kms": sections}, notes=tuple(notes))


def _section(state: Mapping[str, Any]) -> Json:
    section: dict[str, Json] = {
        "description": state["description"], "key_usage": state["use"]["usage"], "key_spec": state["use"]["spec"],
        "key_policy": state["policy"], "rotation": state.get("rotation"),
        "tags": [{"TagKey": name, "TagValue": value} for name, value in unowned(state["tags"]).items()],
    }  # fmt: skip
    return {name: value for name, value in section.items() if value not in (None, [], "")}


STEP = AccountStep(name="keys", summary="keys of KMS and their aliases", kinds=(KEY,), wanted=wanted, stated=stated)
