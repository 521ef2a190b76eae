"""IAM roles: read whole in one call a page, and written one aspect at a time.

GetAccountAuthorizationDetails returns trust, inline and attached policies and tags of every role, and neither
description nor longest session: these are read by ListRoles, only where the configuration states them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.accounts import canonical
from whence_aggregator.accounts.policies import own_principals
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.roles import ATTACHED, PARTS_TAG, POLICY, ROLE, SESSION_SECONDS, mark
from whence_aggregator.adapters.accounts.iam_calls import PAGE, tag_list, tags_of, without_missing
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_AWS_PATHS = ("/aws-service-role/", "/aws-reserved/")
_DENY_ALL = {
    "Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}  # fmt: skip


class RoleProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        iam = await self._place.client("iam")
        asked = {one.name: one for one in wanted}
        roles = await whole_list(
            iam, "get_account_authorization_details", "RoleDetailList", Filter=["Role"], PaginationConfig=PAGE
        )
        details: dict[str, dict[str, Any]] = {}
        if any("details" in one.state for one in wanted):
            details = {
                one["RoleName"]: one for one in await whole_list(iam, "list_roles", "Roles", PaginationConfig=PAGE)
            }
        return [
            self._standing(one, asked.get(one["RoleName"]), details)
            for one in roles
            if one["RoleName"] in asked or is_own(tags_of(one))
        ]

    def _standing(
        self, role: Mapping[str, Any], wanted: WantedResource | None, details: Mapping[str, Mapping[str, Any]]
    ) -> StandingResource:
        name, tags = role["RoleName"], tags_of(role)
        parts = _parts(role)
        stated = wanted.state if wanted is not None else {}
        marks = {mark(f"{POLICY}{name}"), *(tags.get(PARTS_TAG, "").split() if is_own(tags) else ())}
        surplus = tuple(one for one in parts if one not in stated and mark(one) in marks) if wanted is not None else ()
        unmarked = [one for one in parts if one not in stated and mark(one) not in marks]
        state: dict[str, Json] = {
            "path": role["Path"],
            "trust": _seen(role.get("AssumeRolePolicyDocument")),
        }
        if "details" in stated:
            state["details"] = _about(details.get(name, {}))
        boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        if "boundary" in stated or wanted is None:
            state["boundary"] = boundary
        elif boundary:
            unmarked.append(f"permissions boundary {boundary}")
        compared = [*(one for one in stated if one.startswith((POLICY, ATTACHED))), *surplus]
        state |= parts if wanted is None else {one: parts.get(one) for one in compared}
        return StandingResource(
            kind=ROLE, name=name, state={**state, "tags": seen_tags(tags, wanted)}, is_own=is_own(tags),
            outputs={"arn": role["Arn"], "id": role["RoleId"]}, foreign=tuple(map(_words, unmarked)), surplus=surplus,
        )  # fmt: skip

    async def find(self) -> Sequence[StandingResource]:
        """Return all roles that a person made: AWS's services and IAM Identity Center have paths of their own."""
        iam = await self._place.client("iam")
        roles = await whole_list(
            iam, "get_account_authorization_details", "RoleDetailList", Filter=["Role"], PaginationConfig=PAGE
        )
        details = {one["RoleName"]: one for one in await whole_list(iam, "list_roles", "Roles", PaginationConfig=PAGE)}
        found = [one for one in roles if not one["Path"].startswith(_AWS_PATHS)]
        return [
            replace(one, state={**one.state, "details": _about(details.get(one.name, {}))})
            for one in (self._standing(each, None, details) for each in found)
        ]

    async def create(self, wanted: WantedResource) -> StandingResource:
        """Create a role; its policies are put afterwards.

        A trust policy that names a role or user of this account, such as the role itself, is put afterwards too,
        because IAM refuses principals that do not exist. Until then nobody may assume the role.
        """
        iam = await self._place.client("iam")
        state = wanted.state
        more: dict[str, Json] = {}
        if isinstance(details := state.get("details"), Mapping):
            more |= {"Description": details["description"], "MaxSessionDuration": details["max_session_duration"]}
        if state.get("boundary"):
            more["PermissionsBoundary"] = state["boundary"]
        trust = _DENY_ALL if own_principals(state["trust"], self._place.account_id) else state["trust"]
        answer = await iam.create_role(
            RoleName=wanted.name, Path=state["path"], AssumeRolePolicyDocument=json.dumps(trust),
            Tags=tag_list(state["tags"]), **more,
        )  # fmt: skip
        return self._standing(answer["Role"], wanted, {wanted.name: answer["Role"]})

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        iam = await self._place.client("iam")
        name = standing.name
        if aspect.startswith(POLICY):
            await _put_policy(iam, name, aspect.removeprefix(POLICY), value)
        elif aspect.startswith(ATTACHED):
            arn = aspect.removeprefix(ATTACHED)
            if value is None:
                await without_missing(iam.detach_role_policy(RoleName=name, PolicyArn=arn))
            else:
                await iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        elif aspect == "trust":
            await iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(value))
        elif aspect == "details":
            assert isinstance(value, Mapping)
            await iam.update_role(
                RoleName=name, Description=value["description"], MaxSessionDuration=value["max_session_duration"]
            )
        elif aspect == "boundary":
            await iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=value)
        else:
            assert aspect == "tags", aspect
            await iam.tag_role(RoleName=name, Tags=tag_list(value))

    async def delete(self, standing: StandingResource) -> None:
        """Delete a role with the policies that the plan names. IAM refuses if the role has others meanwhile."""
        iam = await self._place.client("iam")
        for aspect, value in standing.state.items():
            if aspect.startswith((POLICY, ATTACHED)) and value is not None:
                await self.put(standing, aspect, None)
        await without_missing(iam.delete_role(RoleName=standing.name))


async def _put_policy(iam: Any, role: str, name: str, value: Json) -> None:
    if value is None:
        await without_missing(iam.delete_role_policy(RoleName=role, PolicyName=name))
    else:
        await iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(value))


def _about(listed: Mapping[str, Any]) -> dict[str, Json]:
    seconds = int(listed.get("MaxSessionDuration") or SESSION_SECONDS)
    return {"description": listed.get("Description") or "", "max_session_duration": seconds}


def _parts(role: Mapping[str, Any]) -> dict[str, Json]:
    inline = {f"{POLICY}{one['PolicyName']}": _seen(one["PolicyDocument"]) for one in role.get("RolePolicyList", ())}
    attached = {f"{ATTACHED}{one['PolicyArn']}": True for one in role.get("AttachedManagedPolicies", ())}
    return dict(sorted((inline | attached).items()))


def _seen(document: Any) -> Json:
    """Return a policy that IAM returned in one form, or as it is if it is of another shape."""
    try:
        return canonical.policy(document)
    except (ValueError, AttributeError, TypeError):
        return str(document)


def _words(part: str) -> str:
    if part.startswith(POLICY):
        return f"inline policy {part.removeprefix(POLICY)}"
    return f"managed policy {part.removeprefix(ATTACHED)}" if part.startswith(ATTACHED) else part
