"""Values in one form, so that they can be compared: IAM policies, and lists whose order means nothing. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from whence_aggregator.accounts.resources import Json

_ACCOUNT = re.compile(r"[0-9]{12}")
_ACTIONS = frozenset({"Action", "NotAction"})
_SETS = _ACTIONS | {"Resource", "NotResource", "AWS", "Service", "Federated", "CanonicalUser"}


def canonical_json(value: Json) -> str:
    """Return a value as JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(value: Json) -> str:
    return f"sha256:{sha256(canonical_json(value).encode()).hexdigest()}"


def policy(document: str | Mapping[str, Any] | None) -> Json:
    """Return an IAM policy in one form: statements as a list, what may be a text or a list as a sorted list.

    AWS returns policies of roles URL-encoded, and with single values in place of lists of one. Raises ValueError for a
    text that is no JSON object.
    """
    if document is None:
        return None
    if isinstance(document, str):
        text = document if document.lstrip().startswith("{") else unquote(document)
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("a policy must be a JSON object")
    statements = document.get("Statement", [])
    listed = [statements] if isinstance(statements, Mapping) else statements
    return {
        "Version": document.get("Version", "2008-10-17"),
        **({"Id": document["Id"]} if document.get("Id") else {}),
        "Statement": [statement(one) for one in listed],
    }


def statement(document: Mapping[str, Any]) -> Json:
    """Return one statement of a policy in one form."""
    return {name: _element(name, value) for name, value in sorted(document.items())}


def with_roots(document: Mapping[str, Any], partition: str) -> Mapping[str, Any]:
    """Return a statement with ids of accounts as the ARNs of their roots, which is how AWS returns them."""
    changed = dict(document)
    for name in ("Principal", "NotPrincipal"):
        named = changed.get(name)
        many = as_set(named.get("AWS", ())) if isinstance(named, Mapping) else ()
        if isinstance(named, Mapping) and isinstance(many, list) and many:
            arns = [f"arn:{partition}:iam::{one}:root" if _ACCOUNT.fullmatch(str(one)) else one for one in many]
            changed[name] = {**named, "AWS": arns}
    return changed


def _element(name: str, value: Any) -> Json:
    if name in ("Principal", "NotPrincipal") and value == "*":
        return {"AWS": ["*"]}
    if name in ("Principal", "NotPrincipal") and isinstance(value, Mapping):
        return {one: as_set(inner) for one, inner in sorted(value.items())}
    if name == "Condition" and isinstance(value, Mapping):
        return {
            operator: {key: as_set(inner) for key, inner in sorted(keys.items())}
            for operator, keys in sorted(value.items())
        }
    if name in _ACTIONS:
        named = as_set(value)
        return as_set([_action(one) for one in named]) if isinstance(named, list) else named
    return as_set(value) if name in _SETS else value


def _action(value: Any) -> str:
    """Return an action with its service in small letters: IAM ignores case, and SNS's own policies have `SNS:`."""
    service, colon, action = str(value).partition(":")
    return f"{service.lower()}{colon}{action}"


def as_set(value: Any) -> Json:
    """Return one value or a list of values as a sorted list without repetitions, booleans and numbers as text."""
    if isinstance(value, Mapping):  # a reference to an output of another resource
        return [value]
    many: Iterable[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    texts = [one if isinstance(one, Mapping) else _text(one) for one in many]
    unique = {canonical_json(one): one for one in texts}
    return [unique[key] for key in sorted(unique)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
