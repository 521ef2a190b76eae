"""An account in which everything stands that its configuration wants, in the form in which providers find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount
from whence_aggregator.accounts.planning import wanted_of
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, resolved
from whence_aggregator.accounts.steps.table import KINDS, STEPS

_BY_ID = frozenset({"subnet", "route-table", "nat-gateway", "vpc-endpoint", "flow-log", "certificate"})
"""Kinds that are found by their ids, and not by the names of a configuration."""
_NOT_FOUND = frozenset({"other-trails", "delegation", "service-linked-role"})
"""Kinds that are read only where they are asked for."""
_ROUTE = "route "


def found_as(account: ConfiguredAccount, *, own: bool = True) -> FoundAccount:
    """Return the account as import finds it; without `own` somebody else made everything, and our tags lack."""
    wanted = [one for one in wanted_of(account, STEPS) if not one.is_dropped]
    outputs = {one.address: _outputs(one, account.account_id) for one in wanted}
    standing = [_standing(one, outputs, own=own) for one in wanted if one.kind.name not in _NOT_FOUND]
    tables = [_main_table(one) for one in standing if one.kind.name == "vpc"]
    return FoundAccount(target=account.target, standing=(*standing, *tables))


def without(found: FoundAccount, *names: str) -> FoundAccount:
    """Return the account without the resources that have a tag Name, or a name, of these."""
    return replace(found, standing=tuple(one for one in found.standing if not {one.name, _named(one)} & set(names)))


def changed(found: FoundAccount, name: str, **state: Json) -> FoundAccount:
    """Return the account with other aspects of the resources that have this name, or this tag Name."""
    return replace(
        found,
        standing=tuple(
            replace(one, state={**one.state, **state}) if name in (one.name, _named(one)) else one
            for one in found.standing
        ),
    )


def added(found: FoundAccount, kind: str, name: str, region: str | None, **about: Any) -> FoundAccount:
    """Return the account with a resource that somebody else made."""
    outputs = about.pop("outputs", {"id": name})
    one = StandingResource(
        kind=KINDS[kind], name=name, region=region, is_own=False, outputs=outputs, state={"tags": {}, **about}
    )
    return replace(found, standing=(*found.standing, one))


def effective(account: ConfiguredAccount) -> dict[str, tuple[Json, bool]]:
    """Return what a configuration wants, by address, with its references resolved."""
    wanted = [one for one in wanted_of(account, STEPS) if not one.is_dropped]
    outputs = {one.address: _outputs(one, account.account_id) for one in wanted}
    return {one.address: (resolved(dict(one.state), outputs), one.is_verified) for one in wanted}


def _named(one: StandingResource) -> str:
    tags: Any = one.state.get("tags") or {}
    return str(tags.get("Name", ""))


def _outputs(one: WantedResource, account_id: str) -> dict[str, Json]:
    identity = f"{one.kind.name}-{sha256(one.address.encode()).hexdigest()[:12]}"
    arns: Mapping[str, str] = {
        "role": f"arn:aws:iam::{account_id}:role/{one.name}",
        "log-group": f"arn:aws:logs:{one.region}:{account_id}:log-group:{one.name}",
        "bucket": f"arn:aws:s3:::{one.name}", "topic": f"arn:aws:sns:{one.region}:{account_id}:{one.name}",
        "queue": f"arn:aws:sqs:{one.region}:{account_id}:{one.name}",
        "key": f"arn:aws:kms:{one.region}:{account_id}:key/{identity}",
    }  # fmt: skip
    found: dict[str, Json] = {"id": identity, "arn": arns.get(one.kind.name, identity)}
    if one.kind.name == "bucket":
        found["name"] = one.name
    if one.kind.name == "log-group":
        found["streams"] = f"{arns['log-group']}:*"
    if one.kind.name == "vpc":
        found["main_route_table"] = f"main-{identity}"
    if one.kind.name == "nat-gateway":
        found["nat_gateway"] = identity
    return found


def _standing(one: WantedResource, outputs: Mapping[str, Mapping[str, Json]], *, own: bool) -> StandingResource:
    state: dict[str, Any] = {aspect: resolved(value, outputs) for aspect, value in one.state.items()}
    tags = state.get("tags")
    if isinstance(tags, dict) and not own:
        state["tags"] = {name: value for name, value in tags.items() if not name.startswith("whence:")}
    mine, name = outputs[one.address], one.name
    if one.kind.name == "launch_permission":  # an image is found by its id, and not by the pattern that it fits
        name = f"{name.partition('/')[0]}/ami-{sha256(one.address.encode()).hexdigest()[:12]}"
    return StandingResource(
        kind=one.kind, name=str(mine["id"]) if one.kind.name in _BY_ID else name, region=one.region,
        is_own=one.kind.is_setting or (own and not one.is_verified), outputs=mine,
        state=_FORMS.get(one.kind.name, _as_wanted)(one, state),
    )  # fmt: skip


def _as_wanted(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return state


def _vpc(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"tags": {}, **state, "is_default": one.is_verified, "further_networks": []}


def _route_table(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    routes = {name.removeprefix(_ROUTE): value for name, value in state.items() if name.startswith(_ROUTE)}
    return {
        "tags": state["tags"], "vpc": state["vpc"], "is_main": False, "subnets": [state["subnet"]],
        "routes": {"10.0.0.0/8": "local", **routes},
    }  # fmt: skip


def _endpoint(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"route_tables": [], "subnets": [], "groups": [], "private_dns": None, **state}


def _certificate(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "status": "ISSUED", "is_dead": False, "by_dns": True, "by_acm": True}


def _bucket(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"encryption": None, "versioning": False, "lifecycle": {}, "logging": None, **state}


def _trail(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"log_group": None, "event_selectors": {"advanced": []}, **state}


def _queue(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"dead_letters": None, "policy": None, **state}


def _key(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"policy": None, "description": "", **state}


def _role(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"details": {"description": "", "max_session_duration": 3600}, "path": "/", "boundary": None, **state}


def _volumes(one: WantedResource, state: dict[str, Any]) -> dict[str, Any]:
    return {"is_encrypted": state["is_encrypted"]}


_FORMS: Mapping[str, Callable[[WantedResource, dict[str, Any]], dict[str, Any]]] = {
    "vpc": _vpc, "route-table": _route_table, "vpc-endpoint": _endpoint, "certificate": _certificate,
    "role": _role, "ebs-encryption": _volumes, "bucket": _bucket, "trail": _trail, "queue": _queue, "key": _key,
}  # fmt: skip


def _main_table(vpc: StandingResource) -> StandingResource:
    identity = str(vpc.outputs["main_route_table"])
    return StandingResource(
        kind=KINDS["route-table"], name=identity, region=vpc.region, is_own=False, outputs={"id": identity},
        state={"tags": {}, "vpc": vpc.outputs["id"], "is_main": True, "subnets": [], "routes": {}},
    )  # fmt: skip


def in_words(notes: Sequence[Any]) -> list[str]:
    """Return notes as `KEY: TEXT`."""
    return [f"{one.key}: {one.text}" for one in notes]
