"""The log group of a trail that was found, and the role that writes it, where a configuration creates both. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.accounts.arns import partition_of, role_arn
from whence_aggregator.accounts.configuration.identity import Role
from whence_aggregator.accounts.found import FoundAccount
from whence_aggregator.accounts.policies import identity_policy, trust_policy
from whence_aggregator.accounts.resources import Json, StandingResource
from whence_aggregator.accounts.steps.standard_roles import standard_roles

_KEY = "cloud_watch_logs"
_PARTS = ("policy:", "attached:")
_ROLE = ":role/"


def log_group_of(trail: StandingResource) -> Mapping[str, Json]:
    """Return `cloud_watch_logs` with the group and the role of a trail, which both exist; nothing for no group."""
    about: Any = trail.state["log_group"]
    if about is None:
        return {}
    group = about["group"].split(":log-group:")[1].removesuffix(":*")
    return {_KEY: {"group": group, "role": about["role"]}}


def with_created(section: Mapping[str, Json], trail: StandingResource, found: FoundAccount) -> Mapping[str, Json]:
    """Return the section of a trail with `create`, if its group is our own, and its role has our form."""
    about: Any = section.get(_KEY)
    name = about["role"].partition(_ROLE)[2] if about is not None else ""
    groups = found.of("log-group", region=trail.region) if about is not None else []
    group = next((one for one in groups if one.is_own and one.name == about["group"]), None)
    if group is None or about["role"] != role_arn(found.target.account_id, name, str(trail.region)):
        return section
    created = {**section, _KEY: {
        "group": about["group"], "role": name, "create": {"retention_in_days": group.state["retention_in_days"]},
    }}  # fmt: skip
    if found.refusal({"cloudtrail": created}, lambda _: ()) is not None:
        return section
    account = found.account({"cloudtrail": created})
    meant = next((role for one, _, role in standard_roles(account, ()) if one == name), None)
    return created if meant is not None and _stands(name, meant, found) else section


def created_role(section: Mapping[str, Any] | None) -> str | None:
    """Return the name of the role that the section of a trail creates."""
    about = (section or {}).get(_KEY) or {}
    return str(about["role"]) if "create" in about else None


def _stands(name: str, meant: Role, found: FoundAccount) -> bool:
    """Return whether a role has the policies that are meant, and no others."""
    state = next((one.state for one in found.of("role") if one.name == name), None)
    assert meant.assume_role_policy is not None, "a standard role has both policies"
    assert meant.policy is not None, "a standard role has both policies"
    if state is None or (state["path"], state["boundary"]) != ("/", None):
        return False
    trust = trust_policy(meant.assume_role_policy, name, partition=partition_of(found.regions[0]))
    parts = {aspect: value for aspect, value in state.items() if aspect.startswith(_PARTS)}
    return state["trust"] == trust and parts == {f"policy:{name}": identity_policy(meant.policy, name)}
