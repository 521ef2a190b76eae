"""Parts of a bucket in one form: policy statements by Sid, lifecycle rules by ID, encryption. Pure.

A part without a name gets one from its content, which begins with OWN_PREFIX. Parts with such a name are always our
own; others are our own while the configuration states their name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from whence_aggregator.accounts.canonical import as_set, canonical_json, digest_of, statement
from whence_aggregator.accounts.resources import Json

OWN_PREFIX = "Whence"
_Part = Mapping[str, Any]


def statements_by_sid(listed: Iterable[_Part]) -> dict[str, Json]:
    """Return policy statements in one form, by Sid."""
    return dict(sorted((_name(one, "Sid"), _named(statement(one), "Sid")) for one in listed))


def rules_by_id(listed: Iterable[_Part]) -> dict[str, Json]:
    """Return lifecycle rules in one form, by ID."""
    forms = [rule(one) for one in listed]
    return dict(sorted((_name(one, "ID"), _named(one, "ID")) for one in forms))


def told_apart(
    found: Iterable[_Part], wanted: Mapping[str, Json], key: str
) -> tuple[dict[str, Json], list[Mapping[str, Any]]]:
    """Return our own of the parts in one form, by name, and those of others. `key` is `Sid` or `ID`.

    A part with an unknown name and the content of a wanted part without a name counts as that part: AWS names rules
    that have no ID.
    """
    own: dict[str, Json] = {}
    others: list[Mapping[str, Any]] = []
    for one in found:
        stated, derived = str(one.get(key) or ""), _derived(one, key)
        if stated in wanted or stated.startswith(OWN_PREFIX):
            own[stated] = one
        elif derived in wanted:
            own[derived] = {**one, key: derived}
        else:
            others.append(one)
    return dict(sorted(own.items())), others


def without_derived_name(part: Any, key: str) -> Any:
    """Return a part without its name, if it got that from its content."""
    return {name: value for name, value in part.items() if name != key} if part[key] == _derived(part, key) else part


def rule(document: _Part) -> dict[str, Any]:
    """Return one lifecycle rule in one form: a filter in place of a prefix, dates as `2026-11-27`, sorted lists."""
    given = {name: value for name, value in document.items() if value is not None}
    prefix = given.pop("Prefix", None)
    condition = given.pop("Filter", None) or {"Prefix": prefix or ""}
    if "And" in condition:
        both = condition["And"]
        condition = {"And": {**both, **({"Tags": _sorted(both["Tags"])} if "Tags" in both else {})}}
    lists = {name: _sorted([_dated(one) for one in value]) for name, value in given.items() if isinstance(value, list)}
    rest = {name: _dated(value) for name, value in given.items() if isinstance(value, Mapping)}
    return dict(sorted({**given, **lists, **rest, "Filter": condition}.items()))


def encryption(document: _Part) -> Json:
    """Return a bucket's encryption in one form; `document` is AWS's ServerSideEncryptionConfiguration, with one rule.

    `blocked` (types of encryption that uploads must not use) is absent where the document does not state it. Raises
    KeyError, IndexError or TypeError for another shape.
    """
    first = document["Rules"][0]
    chosen = first.get("ApplyServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"})
    blocked = first.get("BlockedEncryptionTypes")
    return {
        "algorithm": chosen["SSEAlgorithm"],
        "key": chosen.get("KMSMasterKeyID"),
        "bucket_key": bool(first.get("BucketKeyEnabled", False)),
        **({"blocked": as_set(blocked.get("EncryptionType") or [])} if blocked else {}),
    }


def _name(part: _Part, key: str) -> str:
    return str(part.get(key) or _derived(part, key))


def _named(part: Any, key: str) -> Json:
    return {**part, key: _name(part, key)}


def _derived(part: _Part, key: str) -> str:
    form = rule(part) if key == "ID" else statement(part)
    assert isinstance(form, Mapping)
    content = {name: value for name, value in form.items() if name != key}
    return OWN_PREFIX + digest_of(content).removeprefix("sha256:")[:16]


def _sorted(listed: Iterable[Any]) -> list[Any]:
    return sorted(listed, key=canonical_json)


def _dated(value: Any) -> Any:
    if not isinstance(value, Mapping) or "Date" not in value:
        return value
    when = value["Date"]
    return {**value, "Date": when.strftime("%Y-%m-%d") if isinstance(when, date) else str(when)[:10]}
