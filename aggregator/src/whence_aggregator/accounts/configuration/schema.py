"""The JSON Schema of configurations of version 11 (draft 2020-12), for editors and other tools."""

from __future__ import annotations

from typing import Any

import msgspec

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.organizations import Organizations
from whence_aggregator.accounts.configuration.root import ACCOUNTS_MAX

SCHEMA_ID = "urn:whence:accounts:configuration:11"
_REF = "#/$defs/"
_PART = "Part"
_TEMPLATE = r"\{[a-z_]+\}"


def json_schema(structure: type[AccountSettings] = AccountSettings) -> dict[str, Any]:
    """Return the schema of a whole file.

    A section states a part of its keys, since it is merged: nothing is required there, and null removes. What stands
    in lists is whole. The schema does not state what only the reader judges: required keys after the merge, ids that
    are equal, and placeholders.
    """
    (section, source), components = msgspec.json.schema_components(
        (structure, Organizations), ref_template=_REF + "{name}"
    )  # fmt: skip
    whole = {name: _whole(one) for name, one in components.items()}
    parts = {f"{name}{_PART}": _part(one) for name, one in components.items()}
    name = section["$ref"].removeprefix(_REF)
    parts["GlobalPart"] = _without_id(parts[f"{name}{_PART}"])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Accounts that whence-accounts configures, version 11",
        "type": "object",
        "properties": {
            "version": {"const": 11, "type": "integer", "description": "Version of the file's form."},
            "global": _nullable({"$ref": f"{_REF}GlobalPart"}, "Settings of all accounts."),
            "accounts": _nullable(
                {
                    "type": "object", "maxProperties": ACCOUNTS_MAX,
                    "propertyNames": {"pattern": "^[A-Za-z0-9]", "maxLength": 100},
                    "additionalProperties": _nullable({"$ref": f"{_REF}{name}{_PART}"}),
                },
                "Settings of one account over the global ones, by its name.",
            ),
            "organizations": _nullable(
                {"$ref": source["$ref"] + _PART}, "AWS Organizations, as the source of accounts."
            ),
        },
        "required": ["version"],
        "anyOf": [{"required": ["accounts"]}, {"required": ["organizations"]}],
        "additionalProperties": False,
        "$defs": _used({**whole, **parts}, ["GlobalPart", f"{name}{_PART}", source["$ref"].removeprefix(_REF) + _PART]),
    }  # fmt: skip
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema))  # defaults as JSON has them
    return found


def _whole(schema: Any) -> Any:
    """Return a schema whose texts may have placeholders in place of what their pattern requires."""
    if isinstance(schema, list):
        return [_whole(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _whole(one) for key, one in schema.items()}
    if schema.get("type") == "string" and isinstance(schema.get("pattern"), str):
        found["pattern"] = f"(?:{schema['pattern']})|{_TEMPLATE}"
    return found


def _part(schema: Any) -> Any:
    """Return a schema of which a part may be stated: in mappings nothing is required, and null removes."""
    if isinstance(schema, list):
        return [_part(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = _whole(schema)
    found.pop("required", None)
    if "$ref" in schema:
        return {**found, "$ref": schema["$ref"] + _PART}
    if "anyOf" in schema:
        found["anyOf"] = [_part(one) for one in schema["anyOf"]]
    if isinstance(schema.get("properties"), dict):
        found["properties"] = {name: _nullable(_part(one)) for name, one in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _nullable(_part(schema["additionalProperties"]))
    found.pop("minProperties", None)
    return found


def _nullable(schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    said = schema.get("description", "") or description
    inner = {key: one for key, one in schema.items() if key != "description"}
    alternatives = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    if inner and {"type": "null"} not in alternatives:
        alternatives = [*alternatives, {"type": "null"}]
    return {**({"anyOf": alternatives} if inner else {}), **({"description": said} if said else {})}


def _without_id(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {name: one for name, one in schema["properties"].items() if name != "id"}}


def _used(definitions: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    """Return the definitions of these names, and those that they refer to."""
    used: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = definitions[name]
            waiting += _references(definitions[name])
    return {name: used[name] for name in sorted(used)}


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _references(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(_REF)] if isinstance(schema.get("$ref"), str) else []
    return own + [name for one in schema.values() for name in _references(one)]
