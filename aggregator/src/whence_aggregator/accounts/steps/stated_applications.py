"""The roles of applications that were found, with their instance profiles, as `application_roles`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount
from whence_aggregator.accounts.resources import WantedResource
from whence_aggregator.accounts.steps.standard_roles import application_role_name

_PREFIX = application_role_name("")


def stated_applications(
    found: FoundAccount, wanted: Callable[[ConfiguredAccount], Sequence[WantedResource]]
) -> Mapping[str, Any] | None:
    """Return the section of all applications whose role and profile one section states; None if there are none.

    `wanted` returns what the step wants of an account. The section is that of the first role, and those that differ
    from it are not among its applications.
    """
    roles = {one.name: one for one in found.of("role")}
    profiles = sorted(one.name for one in found.of("instance-profile") if one.is_own and one.name == one.state["role"])
    names = [one for one in profiles if one.startswith(_PREFIX) and one in roles]
    if not names:
        return None
    about = _about(names[0], roles[names[0]].state)
    kept = [one.removeprefix(_PREFIX) for one in names if _fits(one.removeprefix(_PREFIX), about, found, wanted)]
    return {"applications": kept, **about} if kept else None


def _about(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the section states besides the applications, by the role of one."""
    statements = {one.get("Sid"): one for one in (state.get(f"policy:{name}") or {}).get("Statement", [])}
    reads = statements.get("AllowMintRead", {}).get("Resource", [])
    bucket = str(reads[0]).rpartition(":::")[2].partition("/")[0] if reads else None
    attached = sorted(one.removeprefix("attached:") for one in state if one.startswith("attached:"))
    return {
        **({"mint_bucket": bucket, "list_bucket": "AllowMintList" in statements} if bucket is not None else {}),
        "registry_pull": "RegistryPull" in statements, **({"attached_policies": attached} if attached else {}),
    }  # fmt: skip


def _fits(
    application: str, about: Mapping[str, Any], found: FoundAccount,
    wanted: Callable[[ConfiguredAccount], Sequence[WantedResource]],
) -> bool:  # fmt: skip
    section = {"application_roles": {"applications": [application], **about}}
    return found.refusal(section, wanted) is None and not found.differing(wanted(found.account(section)))
