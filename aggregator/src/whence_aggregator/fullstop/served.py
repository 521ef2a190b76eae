"""The JSON of violations as fullstop. served it: snake case, times with milliseconds and Z, pages of Spring. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.compliance.fullstop_types import type_of_rule
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import SERVED_BY, ServedViolation
from whence_aggregator.violations.exemption import Exemption
from whence_aggregator.violations.group import AMI

ON_THE_LIST = ("open", "reopened")


def violation_wire(
    one: ServedViolation, types: ViolationTypes, instances: Sequence[str] | None = None
) -> dict[str, object]:
    """Return a violation. `instance_id` is that of its only instance; how many there are is in `meta_info`."""
    stored = one.stored
    comment, modified, modified_by = one.settled
    return {
        "id": one.number, "version": 0 if one.state in ON_THE_LIST else 1, "event_id": one.event_id,
        "account_id": one.account_id, "region": one.region, "instance_id": one.instance_id or None,
        "meta_info": one.report.meta_info if one.report is not None else _meta_info(one, instances),
        "comment": comment or None,
        "plugin_fully_qualified_class_name": f"{SERVED_BY}.{stored.rule}" if one.report is None else None,
        "violation_type": types.of_rule(stored.rule, stored.severity).to_wire(), "username": one.username or None,
        "rule_id": one.exemption.number if one.state == "exempted" and one.exemption is not None else None,
        "application_id": stored.application_id or None, "application_version_id": stored.version or None,
        "created": one.created, "created_by": one.created_by, "last_modified": modified,
        "last_modified_by": modified_by, "violation": stored.id, "state": one.state, "team": stored.team or None,
    }  # fmt: skip


def _meta_info(one: ServedViolation, instances: Sequence[str] | None) -> dict[str, object]:
    """Return why the rule fails, with the AMI, and the instances if there are several."""
    stored, members = one.stored, one.members
    unconfirmed = f"not confirmed since {stored.unconfirmed_since}: " if stored.unconfirmed_since else ""
    found: dict[str, object] = {"reason": f"{unconfirmed}{stored.reason}"}
    if stored.kind == AMI or (one.member_count == 1 and members.image_id):
        found["ami_id"] = stored.subject if stored.kind == AMI else members.image_id
    if one.member_count > 1:
        found |= {"instance_count": one.member_count, "accounts": sorted(one.account_ids)}
        found |= {"instances": list(instances)} if instances is not None else {}
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


def exemption_wire(one: Exemption) -> dict[str, object]:
    """Return an exemption as a whitelisting rule. What Whence does not match by is always null."""
    scope = one.scope
    return {
        "id": one.number, "account_id": scope.account_id or None, "region": None,
        "application_id": scope.application_id or None, "application_version": scope.version or None,
        "image_name": None, "image_owner": None, "reason": one.reason, "expiry_date": one.ended_at or one.until,
        "violation_type_entity_id": type_of_rule(one.rule), "meta_info_json_path": None, "created": one.granted_at,
        "created_by": one.granted_by, "last_modified": one.ended_at or one.granted_at,
        "last_modified_by": one.ended_by or one.granted_by, "version": int(bool(one.ended_at)),
    }  # fmt: skip
