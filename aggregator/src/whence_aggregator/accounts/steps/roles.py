"""IAM roles: trust policy, inline policies, attached policies. What others added to a role is left alone.

A role's tag `whence:parts` states which inline and attached policies are ours, so that they are removed with their key.
The inline policy with the name of the role is ours too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import msgspec

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.configuration.identity import ATTACHED_MAX, INLINE_MAX, Role
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.policies import (
    check_permission,
    check_statement,
    identity_policy,
    trust_policy,
)
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, own_tags, unowned
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.cloudtrail import stated_trail
from whence_aggregator.accounts.steps.standard_roles import application_role_name, standard_roles
from whence_aggregator.accounts.steps.stated_applications import stated_applications
from whence_aggregator.accounts.steps.stated_log_group import created_role
from whence_common.errors import InputError

PARTS_TAG = "whence:parts"
POLICY, ATTACHED = "policy:", "attached:"
"""Beginnings of the aspects that are one inline policy, by name, and one attached policy, by ARN."""
SESSION_SECONDS = 3_600
PROFILE_PATH = "/whence/"
"""Path of the instance profiles that are ours. IAM lists profiles without tags, and never changes a path."""

ROLE = ResourceKind(
    name="role", step="roles", reads=("iam:GetAccountAuthorizationDetails", "iam:ListRoles"), fixed=("path",),
    after=("saml-provider",),
    writes=(
        "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
        "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:TagRole", "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
    ),
)  # fmt: skip
INSTANCE_PROFILE = ResourceKind(
    name="instance-profile", step="roles", reads=("iam:ListInstanceProfiles",), after=("role",),
    writes=(
        "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile", "iam:PassRole",
        "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount, reads: Sequence[str]) -> Sequence[WantedResource]:
    """Return the roles and instance profiles; `reads` are the actions that planning needs. Raises InputError."""
    roles = _merged(account, _stated(account, reads))
    found = [_role(account, name, key, role) for name, (key, role) in roles.items()]
    applications = account.settings.application_roles
    if applications is not None and applications.instance_profiles:
        names = [application_role_name(one) for one in dict.fromkeys(applications.applications)]
        found += [
            WantedResource(kind=INSTANCE_PROFILE, name=one, state={"role": one}) for one in names
        ]  # fmt: skip
    return found


def stated(found: FoundAccount) -> StatedSection:
    """Return roles as a configuration states them: those of applications with their instance profiles, then the others.

    The role that writes the log group of the trail is stated with the trail.

    Inline policies beyond those that a role may state are left out.
    """
    applications = stated_applications(found, lambda account: wanted(account, ()))
    names = set(map(application_role_name, applications["applications"])) if applications is not None else set()
    elsewhere = {*names, created_role(stated_trail(found).section)}
    standing = [one for one in found.of(ROLE.name) if one.name not in elsewhere]
    text = "the role {} has more than {} inline policies: the rest is left out"
    notes = [
        text.format(one.name, INLINE_MAX) for one in standing
        if sum(aspect.startswith(POLICY) for aspect in one.state if aspect != f"{POLICY}{one.name}") > INLINE_MAX
    ]  # fmt: skip
    notes += [
        f"instance profile {one.name} of the role {one.state['role']}: application_roles states those of roles app-ID "
        "that have its form"
        for one in found.of(INSTANCE_PROFILE.name) if one.name not in names
    ]  # fmt: skip
    section: dict[str, Json] = {
        "roles": dict(sorted((one.name, _section(one)) for one in standing)), "application_roles": applications
    }  # fmt: skip
    return StatedSection(section=section, notes=tuple(ImportNote(key="roles", text=one) for one in notes))


def _section(role: StandingResource) -> Json:
    details, tags = role.state["details"], role.state["tags"]
    assert isinstance(details, Mapping)
    assert isinstance(tags, Mapping)
    inline = {
        aspect.removeprefix(POLICY): value for aspect, value in sorted(role.state.items()) if aspect.startswith(POLICY)
    }
    own = inline.pop(role.name, None)
    section: dict[str, Json] = {
        "path": role.state["path"] if role.state["path"] != "/" else None,
        "description": details["description"],
        "max_session_duration": details["max_session_duration"],
        "permissions_boundary": role.state["boundary"],
        "assume_role_policy": role.state["trust"],
        "policy": own,
        "inline_policies": dict(list(inline.items())[:INLINE_MAX]),
        "attached_policies": sorted(one.removeprefix(ATTACHED) for one in role.state if one.startswith(ATTACHED)),
        "tags": {name: value for name, value in unowned(tags).items() if name != PARTS_TAG},
    }
    if details == {"description": "", "max_session_duration": SESSION_SECONDS}:
        del section["description"], section["max_session_duration"]
    return {name: value for name, value in section.items() if value not in (None, {}, [], "")}


def mark(aspect: str) -> str:
    """Return how an aspect is named in the tag of our parts: seven hexadecimal digits of its SHA-256.

    A tag's value has at most 256 characters, fewer than the names of policies.
    """
    return sha256(aspect.encode()).hexdigest()[:7]


def _stated(account: ConfiguredAccount, reads: Sequence[str]) -> dict[str, tuple[str, Role]]:
    """Return the roles of all sections by name, each with its key. Raises InputError for a name of two sections."""
    found: dict[str, tuple[str, Role]] = {}
    own = [(name, f"roles.{name}", role) for name, role in account.settings.roles.items() if role is not None]
    for name, key, role in (*standard_roles(account, reads), *own):
        if name in found:
            message = f"{_place(account, key)}: the role {name} is also that of {found[name][0]}"
            raise InputError(
                "accounts-twice", message, fix="remove one of the two, or add to it by additional_policies"
            )
        found[name] = key, role
    return found


def _merged(account: ConfiguredAccount, roles: dict[str, tuple[str, Role]]) -> dict[str, tuple[str, Role]]:
    """Add `additional_policies` and `additional_attached_policies`. Raises InputError for an unknown role."""
    for number, more in enumerate(account.settings.additional_policies):
        place = _place(account, f"additional_policies[{number}]")
        key, role = _known(roles, more.role, place)
        check_statement(more.statement, f"{place}.statement")
        check_permission(more.statement, f"{place}.statement")
        policy = role.policy or {"Version": "2012-10-17", "Statement": []}
        statements = policy.get("Statement", [])
        listed = [statements] if isinstance(statements, Mapping) else statements
        if not isinstance(listed, list):
            continue  # NOTE: reported as the fault of the role's own policy
        added = {**policy, "Statement": [*listed, more.statement]}
        roles[more.role] = key, msgspec.structs.replace(role, policy=added)
    for number, attached in enumerate(account.settings.additional_attached_policies):
        place = _place(account, f"additional_attached_policies[{number}]")
        key, role = _known(roles, attached.role, place)
        together = tuple(dict.fromkeys((*role.attached_policies, *attached.policies)))
        if len(together) > ATTACHED_MAX:
            message = f"{place} makes {len(together)} attached policies; IAM takes {ATTACHED_MAX}"
            raise InputError("accounts-role", message, fix="remove some of them")
        roles[attached.role] = key, msgspec.structs.replace(role, attached_policies=together)
    return roles


def _known(roles: Mapping[str, tuple[str, Role]], name: str, place: str) -> tuple[str, Role]:
    if name not in roles or roles[name][1].drop:
        known = ", ".join(sorted(one for one, (_, role) in roles.items() if not role.drop)[:20]) or "none"
        message = f"{place}.role: {name} is not a configured role"
        raise InputError("accounts-unknown-role", message, fix=f"name one of: {known}")
    return roles[name]


def _role(account: ConfiguredAccount, name: str, key: str, role: Role) -> WantedResource:
    if role.drop:
        return WantedResource(kind=ROLE, name=name, state={}, is_dropped=True)
    place = _place(account, key)
    if role.assume_role_policy is None:
        fix = "state who may assume the role, or drop: true"
        raise InputError("accounts-role", f"{place}.assume_role_policy is missing", fix=fix)
    if name in role.inline_policies:
        message = f"{place}.inline_policies.{name} has the name of the role, as its policy has"
        raise InputError("accounts-twice", message, fix=f"write it as {key}.policy")
    parts = _parts(place, name, role)
    trust = trust_policy(
        role.assume_role_policy, f"{place}.assume_role_policy", partition=partition_of(account.regions[0])
    )
    tags = own_tags(tags={**role.tags, PARTS_TAG: " ".join(sorted(map(mark, parts)))})
    return WantedResource(
        kind=ROLE, name=name, state={"path": role.path, "trust": trust, **_details(role), **parts, "tags": tags}
    )


def _details(role: Role) -> dict[str, Json]:
    """Return description and session, which one call writes, and the boundary, if they are stated."""
    found: dict[str, Json] = {}
    if role.description is not None or role.max_session_duration is not None:
        seconds = role.max_session_duration or SESSION_SECONDS
        found["details"] = {"description": role.description or "", "max_session_duration": seconds}
    if role.permissions_boundary is not None:
        found["boundary"] = role.permissions_boundary
    return found


def _parts(place: str, name: str, role: Role) -> dict[str, Json]:
    """Return the role's policies, one aspect each."""
    documents = {f"{place}.inline_policies.{one}": (one, document) for one, document in role.inline_policies.items()}
    if role.policy is not None:
        documents[f"{place}.policy"] = name, role.policy
    inline = {f"{POLICY}{one}": identity_policy(document, key) for key, (one, document) in documents.items()}
    attached: dict[str, Json] = {f"{ATTACHED}{one}": True for one in role.attached_policies}
    return dict(sorted((inline | attached).items()))


def _place(account: ConfiguredAccount, *keys: str) -> str:
    return ".".join(("accounts", account.name, *keys))


def step(reads: Callable[[], Sequence[str]]) -> AccountStep:
    """Return the step. `reads` returns the actions that planning all steps needs, which only the table knows."""
    return AccountStep(
        name="roles", summary="IAM roles and instance profiles", kinds=(ROLE, INSTANCE_PROFILE),
        wanted=lambda account: wanted(account, reads()), stated=stated,
        is_for_whence=True,
    )  # fmt: skip
