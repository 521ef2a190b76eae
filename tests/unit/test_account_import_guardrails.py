"""What import states of guardrails and of a trail's log group, and what it names instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.found_accounts import added, changed
from unit.test_account_import import OTHER, R, imported, made_by_hand
from whence_aggregator.accounts.found import FoundAccount

_BOTH = (R, OTHER)
_LOGS: dict[str, Any] = {"group": "trail", "role": "trail-logs", "create": {"retention_in_days": 30}}
_TRAIL: dict[str, Any] = {"s3_bucket_name": "elsewhere", "cloud_watch_logs": _LOGS}
_COST = {"amount": "100", "unit": "USD", "time_unit": "MONTHLY", "type": "COST"}
_ALERT: dict[str, Any] = {
    "type": "ACTUAL", "operator": "GREATER_THAN", "threshold": "80", "threshold_type": "PERCENTAGE",
    "subscribers": ["EMAIL owner@example.org"],
}  # fmt: skip


def in_other(found: FoundAccount, kind: str, **state: Any) -> FoundAccount:
    """Return the account with other aspects of the resource of a kind in the second region."""
    standing = (
        replace(one, state={**one.state, **state}) if (one.kind.name, one.region) == (kind, OTHER) else one
        for one in found.standing
    )
    return replace(found, standing=tuple(standing))


def records(found: FoundAccount, **more: Any) -> dict[str, Any]:
    value: Any = next(one for one in found.of("config-recorder") if one.region == OTHER).state["records"]
    return {**value, **more}


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"enabled": False}, "it is disabled, and a configuration means one that is enabled"),
        (
            {"finding_publishing_frequency": "ONE_HOUR"},
            f"it publishes ONE_HOUR, and a configuration has one frequency, here that of {R}",
        ),
    ],
)
def test_a_detector_that_differs_from_the_first_is_named(state: dict[str, Any], why: str) -> None:
    found = in_other(made_by_hand(regions=_BOTH, guardduty={}), "guardduty-detector", **state)
    section, notes = imported(found)
    assert section["guardduty"] == {"finding_publishing_frequency": "SIX_HOURS", "regions": [R]}
    assert notes == [f"guardduty: the detector of {OTHER}: {why}"]


def test_detectors_of_an_administrator_account_alone_are_named_and_not_stated() -> None:
    found = made_by_hand(guardduty={})
    foreign = ("its administration by account 111111111111",)
    found = replace(found, standing=tuple(replace(one, foreign=foreign) for one in found.standing))
    section, notes = imported(found)
    assert "guardduty" not in section
    assert notes == [
        f"guardduty: the detector of {R}: its administration by account 111111111111 is not stated, and stays"
    ]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"recording": None}, "it is stopped, and a configuration means one that records"),
        ({"delivery": None}, "it has no delivery channel"),
        ({"records": None}, "it has no recorder, only a delivery channel"),
        ({"records": {"role": "arn:aws:iam::1:role/own"}}, "its role arn:aws:iam::1:role/own is not the service-linked one"),
        (
            {"records": {"resources": {"only": ["AWS::EC2::Instance"]}}},
            "it records some types of resources, or some otherwise, and a configuration means all alike",
        ),
        (
            {"records": {"frequency": "DAILY"}},
            f"a configuration has one frequency and one delivery, here those of {R}",
        ),
    ],
)  # fmt: skip
def test_a_recorder_that_no_configuration_states_beside_the_first_is_named(state: dict[str, Any], why: str) -> None:
    found = made_by_hand(regions=_BOTH, aws_config={"s3_bucket_name": "files"})
    if isinstance(state.get("records"), dict):
        state = {"records": records(found, **state["records"])}
    section, notes = imported(in_other(found, "config-recorder", **state))
    assert section["aws_config"] == {
        "s3_bucket_name": "files", "regions": [R], "global_resources_region": R, "recording_frequency": "CONTINUOUS",
        "delivery_frequency": "TwentyFour_Hours",
    }  # fmt: skip
    assert notes == [f"aws_config: the recorder of {OTHER}: {why}"]


def test_recorders_that_record_global_resources_in_several_regions_are_named_and_not_stated() -> None:
    found = made_by_hand(regions=_BOTH, aws_config={"s3_bucket_name": "files"})
    found = in_other(found, "config-recorder", records=records(found, global_resources=True))
    section, notes = imported(found)
    assert "aws_config" not in section
    assert notes == [
        f"aws_config: the recorders of {R}, {OTHER}: a configuration has global resources recorded in one of its "
        f"regions, and they are in {R}, {OTHER}"
    ]


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"cost": {**_COST, "time_unit": "ANNUALLY"}}, "a configuration states monthly budgets of costs, with an amount that stays"),
        ({"cost": {**_COST, "adjusts": True}}, "a configuration states monthly budgets of costs, with an amount that stays"),
        ({"alerts": [{**_ALERT, "threshold_type": "ABSOLUTE_VALUE"}]}, "a configuration states alerts above a percentage only"),
        ({"alerts": [{**_ALERT, "operator": "LESS_THAN"}]}, "a configuration states alerts above a percentage only"),
    ],
)  # fmt: skip
def test_a_budget_that_no_configuration_states_is_named_and_others_are_stated(about: dict[str, Any], why: str) -> None:
    found = made_by_hand(budgets={"monthly": {"amount": 100}})
    section, notes = imported(added(found, "budget", "other", None, **{"cost": _COST, "alerts": [_ALERT], **about}))
    assert section["budgets"] == {"monthly": {"amount": 100.0, "unit": "USD", "alerts": []}}
    assert notes == [f"budgets: the budget other: {why}"]


def test_a_budget_with_a_filter_is_named() -> None:
    found = made_by_hand(budgets={"monthly": {"amount": 100}})
    standing = tuple(replace(one, foreign=("its filter of costs",)) for one in found.standing)
    section, notes = imported(replace(found, standing=standing))
    assert "budgets" not in section
    assert notes == ["budgets: the budget monthly: its filter of costs is not stated, and stays"]


def test_a_budget_whose_alert_nobody_is_told_of_leaves_the_others() -> None:
    found = made_by_hand(budgets={"monthly": {"amount": 100}})
    silent = {**_ALERT, "subscribers": []}
    section, notes = imported(added(found, "budget", "silent", None, cost=_COST, alerts=[silent]))
    assert list(section["budgets"]) == ["monthly"]
    assert len(notes) == 1
    assert notes[0].startswith("budgets: silent: no configuration states it: ")


def test_a_log_group_of_our_own_is_stated_as_created_with_its_role() -> None:
    section, notes = imported(made_by_hand(own=True, cloudtrail=_TRAIL))
    assert section["cloudtrail"]["cloud_watch_logs"] == _LOGS
    assert "roles" not in section
    assert notes == []


def test_a_log_group_of_others_is_stated_as_one_that_exists_with_its_role_among_the_roles() -> None:
    section, notes = imported(made_by_hand(cloudtrail=_TRAIL))
    role = "arn:aws:iam::123456789012:role/trail-logs"
    assert section["cloudtrail"]["cloud_watch_logs"] == {"group": "trail", "role": role}
    assert list(section["roles"]) == ["trail-logs"]
    assert notes == []


def test_a_log_group_whose_role_has_more_policies_is_stated_as_one_that_exists() -> None:
    found = changed(
        made_by_hand(own=True, cloudtrail=_TRAIL), "trail-logs", **{"attached:arn:aws:iam::aws:policy/x": True}
    )
    section, notes = imported(found)
    assert "create" not in section["cloudtrail"]["cloud_watch_logs"]
    assert (list(section["roles"]), notes) == (["trail-logs"], [])


def test_a_log_group_that_keeps_events_for_ever_is_stated_as_one_that_exists() -> None:
    section, _ = imported(changed(made_by_hand(own=True, cloudtrail=_TRAIL), "trail", retention_in_days=None))
    assert "create" not in section["cloudtrail"]["cloud_watch_logs"]


def test_files_of_aws_config_in_the_log_bucket_are_stated_with_it() -> None:
    log_bucket = {"accounts": ["1" * 12], "aws_config": True}
    cloudtrail = {"s3_bucket_name": "trails", "log_bucket": log_bucket}
    section, notes = imported(made_by_hand(cloudtrail=cloudtrail, aws_config={"s3_key_prefix": "config"}))
    assert section["cloudtrail"]["log_bucket"] == log_bucket
    assert section["aws_config"]["s3_bucket_name"] == "trails"
    assert ("s3_buckets" in section, notes) == (False, [])
