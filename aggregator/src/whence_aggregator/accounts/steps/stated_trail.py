"""The trail that stands, as the section `cloudtrail` that states it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource


def stated_trail(trails: Sequence[StandingResource]) -> Json:
    """Return the section of one trail: our own, else `Default`, else the first by name; None without any.

    Trails of one region are left out, since the configuration states trails of all regions only. Bucket, topic and
    queue are not part of it.
    """
    whole = [one for one in trails if _coverage(one)["multi_region"] and _coverage(one)["global_service_events"]]
    if not whole:
        return None
    found = min(whole, key=lambda one: (not one.is_own, one.name != "Default", one.name, one.region))
    state: Mapping[str, Any] = found.state
    optional = {"s3_key_prefix": state["delivery"]["prefix"], "kms_key": state["kms_key"], **_log_group(state)}
    return {
        "s3_bucket_name": state["delivery"]["bucket"],
        **{name: value for name, value in optional.items() if value is not None},
        "home_region": found.region,
        "name": found.name,
        "organization": state["coverage"]["organization"],
        "log_file_validation": state["log_file_validation"],
        "event_selectors": _selectors(state["event_selectors"]),
        "logging": state["logging"],
    }


def _coverage(one: StandingResource) -> Mapping[str, Any]:
    found: Any = one.state["coverage"]
    return dict(found)


def _log_group(state: Mapping[str, Any]) -> Mapping[str, Json]:
    about = state["log_group"]
    if about is None:
        return {}
    group = about["group"].split(":log-group:")[1].removesuffix(":*")
    return {"cloud_watch_logs": {"group": group, "role": about["role"]}}


def _selectors(found: Mapping[str, Any]) -> Json:
    """Return selectors as the configuration has them; None for advanced ones, which it leaves as they are."""
    if "basic" not in found:
        return None
    return [
        {
            "read_write": one["ReadWriteType"], "management_events": one["IncludeManagementEvents"],
            "exclude_sources": one["ExcludeManagementEventSources"],
            "data_resources": [{"type": each["Type"], "values": each["Values"]} for each in one["DataResources"]],
        }
        for one in found["basic"]
    ]  # fmt: skip
