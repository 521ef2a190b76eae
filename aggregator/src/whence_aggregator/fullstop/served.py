"""The JSON of violations as fullstop. served it: snake case, times with milliseconds and Z, pages of Spring. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import ServedExemption, ServedViolation

_PLUGIN = "whence"


def violation_wire(one: ServedViolation, types: ViolationTypes) -> dict[str, object]:
    """Return a violation. `instance_id` is that of its only instance; several are in `meta_info`."""
    settled = one.state != "open"
    return {
        "id": one.number, "version": 1 if settled else 0, "event_id": one.event_id, "account_id": one.account_id,
        "region": one.region, "instance_id": one.members[0].instance_id if len(one.members) == 1 else None,
        "meta_info": _meta_info(one), "comment": one.comment or None,
        "plugin_fully_qualified_class_name": f"{_PLUGIN}.{one.rule}" if one.rule else None,
        "violation_type": types.get(one.type_id).to_wire(), "username": one.username or None,
        "rule_id": one.exemption, "application_id": one.application_id or None,
        "application_version_id": one.application_version or None, "created": one.created,
        "created_by": one.reported_by or _PLUGIN, "last_modified": one.changed,
        "last_modified_by": one.changed_by or one.reported_by or _PLUGIN,
    }  # fmt: skip


def _meta_info(one: ServedViolation) -> object:
    """Return what was reported; for a verdict its reason, with the AMI or the instances that it is about."""
    if not one.rule:
        return one.meta_info
    found: dict[str, object] = {"reason": one.reason}
    if isinstance(one.meta_info, dict):
        found |= one.meta_info
    amis = sorted({member.image_id for member in one.members} - {""})
    if len(amis) == 1:
        found["ami_id"] = amis[0]
    if len(one.members) > 1:
        found["instances"] = [member.instance_id for member in one.members]
        found["accounts"] = sorted(one.account_ids)
    return found


def page_wire(
    content: Sequence[object], *, total: int, number: int, size: int, sort: Sequence[tuple[str, bool]]
) -> dict[str, object]:
    """Return one page of a list. `sort` has each property and whether it ascends."""
    pages = -(-total // size)
    return {
        "content": list(content), "total_elements": total, "total_pages": pages, "first": number == 0,
        "last": number + 1 >= pages, "size": size, "number": number, "number_of_elements": len(content),
        "sort": [
            {
                "direction": "ASC" if ascending else "DESC", "property": name, "ignore_case": False,
                "null_handling": "NATIVE", "ascending": ascending,
            }
            for name, ascending in sort
        ],
    }  # fmt: skip


def exemption_wire(one: ServedExemption) -> dict[str, object]:
    """Return a whitelisting rule. What Whence does not match by is always null."""
    wanted = one.wanted
    return {
        "id": one.number, "account_id": wanted.account_id or None, "region": None,
        "application_id": wanted.application_id or None, "application_version": wanted.application_version or None,
        "image_name": None, "image_owner": None, "reason": wanted.reason, "expiry_date": wanted.ends_at,
        "violation_type_entity_id": wanted.type_id or None, "meta_info_json_path": None, "created": one.created,
        "created_by": one.created_by, "last_modified": one.changed, "last_modified_by": one.changed_by, "version": 0,
    }  # fmt: skip
