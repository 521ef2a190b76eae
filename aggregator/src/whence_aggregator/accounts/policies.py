"""IAM policies as people write them: checked, and in one form. Pure.

The grammar is that of IAM's policy language (IAM User Guide, "Grammar of the IAM JSON policy language").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts import canonical
from whence_aggregator.accounts.resources import Json
from whence_common.errors import InputError

_STATEMENTS_MAX = 200
_DEPTH_MAX = 6
_ELEMENTS = frozenset({
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
})  # fmt: skip
_UNIQUE_ID = re.compile(r"A(?:ROA|IDA|GPA)[A-Z0-9]{12,}\Z")
TRUST_CHARACTERS_MAX = 4_096
"""IAM's quota, once raised; 2048 by default. IAM does not count spaces."""
INLINE_CHARACTERS_MAX = 10_240
"""IAM's quota for all inline policies of a role. IAM does not count spaces."""


def trust_policy(document: Mapping[str, Any], key: str, *, partition: str) -> Json:
    """Return a trust policy in one form, with ids of accounts as ARNs of this partition.

    Raises InputError whose message begins with the key.
    """
    statements = _statements(document, key)
    for number, one in enumerate(statements):
        place = f"{key}.Statement[{number}]"
        if ("Principal" in one) == ("NotPrincipal" in one):
            raise _invalid(place, "has no Principal", "state who may assume the role")
        if "Resource" in one or "NotResource" in one:
            raise _invalid(place, "has a Resource", "remove it: the resource of a trust policy is its role")
        _check_ids(one, place)
    named = [canonical.with_roots(one, partition) for one in statements]
    return _bounded(canonical.policy({**document, "Statement": named}), key, TRUST_CHARACTERS_MAX)


def identity_policy(document: Mapping[str, Any], key: str) -> Json:
    """Return a permissions policy in one form. Raises InputError whose message begins with the key."""
    statements = _statements(document, key)
    for number, one in enumerate(statements):
        check_permission(one, f"{key}.Statement[{number}]")
    return _bounded(canonical.policy({**document, "Statement": statements}), key, INLINE_CHARACTERS_MAX)


def check_permission(statement: Mapping[str, Any], place: str) -> None:
    """Raise InputError unless a statement of a permissions policy has a resource and no principal."""
    if "Principal" in statement or "NotPrincipal" in statement:
        raise _invalid(place, "has a Principal", "remove it: the principal of a role's policy is the role")
    if ("Resource" in statement) == ("NotResource" in statement):
        raise _invalid(place, "has not exactly one of Resource and NotResource", "state the resources it is about")


def own_principals(policy: Json, account_id: str) -> bool:
    """Return whether a trust policy names a role or user of this account, which IAM requires to exist."""
    own = re.compile(rf"arn:aws[a-z-]*:(iam|sts)::{account_id}:(role|user|assumed-role)/")
    statements = policy.get("Statement", []) if isinstance(policy, Mapping) else []
    return any(own.match(one) for each in statements for one in _aws_principals(each))  # type: ignore[union-attr]  # a canonical policy has a list


def _aws_principals(statement: Any) -> list[str]:
    found = [statement.get(name) for name in ("Principal", "NotPrincipal")]
    return [one for each in found if isinstance(each, Mapping) for one in each.get("AWS", ()) if isinstance(one, str)]


def _statements(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    if unknown := set(document) - {"Version", "Id", "Statement"}:
        raise _invalid(key, f"has the unknown key {sorted(map(str, unknown))[0]}", "remove it, or correct its name")
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise _invalid(key, "has an unknown Version", 'write Version: "2012-10-17", in quotes')
    found = document.get("Statement")
    listed = [found] if isinstance(found, Mapping) else found
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed or len(listed) > _STATEMENTS_MAX:
        raise _invalid(key, f"has not 1 to {_STATEMENTS_MAX} statements", "write a list of statements in Statement")
    for number, one in enumerate(listed):
        check_statement(one, f"{key}.Statement[{number}]")
    return list(listed)


def check_statement(statement: Any, place: str) -> None:
    """Raise InputError unless a statement has the elements that every policy needs, each of a possible shape."""
    if not isinstance(statement, Mapping):
        raise _invalid(place, "is not a mapping", "write Effect, Action and what else the statement needs")
    if unknown := set(statement) - _ELEMENTS:
        raise _invalid(place, f"has the unknown key {sorted(map(str, unknown))[0]}", "IAM's names begin with capitals")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _invalid(place, "has no Effect", "write Effect: Allow, or Effect: Deny")
    if ("Action" in statement) == ("NotAction" in statement):
        raise _invalid(place, "has not exactly one of Action and NotAction", "state the actions it is about")
    for name, value in statement.items():
        if name in ("Principal", "NotPrincipal", "Condition"):
            if not (_is_mapping(value) or (value == "*" and name != "Condition")):
                raise _invalid(f"{place}.{name}", "is not a mapping of texts and lists", "see IAM's policy grammar")
        elif not _is_texts(value):
            raise _invalid(f"{place}.{name}", "is not a text or a list of texts", "see IAM's policy grammar")


def _is_texts(value: Any, *, others: tuple[type, ...] = ()) -> bool:
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return all(isinstance(one, (str, *others)) for one in many)


def _is_mapping(value: Any, depth: int = 0) -> bool:
    if depth >= _DEPTH_MAX or not isinstance(value, Mapping):
        return False
    return all(
        isinstance(name, str)
        and (_is_mapping(one, depth + 1) if isinstance(one, Mapping) else _is_texts(one, others=(bool, int, float)))
        for name, one in value.items()
    )


def _check_ids(statement: Mapping[str, Any], place: str) -> None:
    for name in ("Principal", "NotPrincipal"):
        named = statement.get(name)
        many = canonical.as_set(named.get("AWS", [])) if isinstance(named, Mapping) else []
        for one in many if isinstance(many, Sequence) else ():
            if _UNIQUE_ID.match(str(one)):
                raise _invalid(
                    f"{place}.{name}", f"has the id {one}, which IAM shows for a role or user that was deleted",
                    "write the ARN of the role or user that is meant now",
                )  # fmt: skip


def _bounded(policy: Json, key: str, characters_max: int) -> Json:
    size = len(canonical.canonical_json(policy))
    if size > characters_max:
        raise _invalid(
            key, f"has {size} characters; IAM takes {characters_max}", "shorten it, or attach a managed policy"
        )
    return policy


def _invalid(place: str, what: str, fix: str) -> InputError:
    return InputError("accounts-policy", f"{place} {what}", fix=fix)
