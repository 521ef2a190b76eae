"""fullstop.'s interface over violations: filters, pages, reports, resolutions, whitelisting rules, and their numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from fakes.auditor import checked, dumped
from fakes.cloud_trail import INSTANCE as LISTED
from fakes.cloud_trail import key, log_file, record, s3_event
from fakes.findings import AFTER_THE_SCANS
from fakes.fullstop import ACCOUNT, Asked, asking, broken_instance, report
from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import FAILED
from fakes.trail_world import TrailWorld
from whence_aggregator.callers.limits import Rate
from whence_aggregator.fullstop.instance_logs import InstanceLog, InstanceLogs
from whence_aggregator.violations.exemption import EXEMPTION_DAYS_MAX, Scope, new_exemption
from whence_common.clock import to_instant

INSTANCE = "i-00000000000000001"


@pytest.fixture
async def asked(house: InProcess) -> AsyncIterator[Asked]:
    await house.register("greeter")
    async with asking(house) as found:
        yield found


async def reported(asked: Asked, token: str = "yourturn", **changes: object) -> None:
    answer = await asked.ask("POST", "/api/violations", token=token, body=report(**changes))
    assert (answer.status, answer.body) == (202, None)


async def test_a_verdict_that_fails_is_served_with_every_member_of_a_violation(asked: Asked) -> None:
    await broken_instance(asked)
    (one,) = await asked.rows(("type", "BOOT_FAILED"))
    kind = one.pop("violation_type")
    assert one == {
        "id": one["id"], "version": 0, "event_id": one["violation"], "account_id": ACCOUNT, "region": "eu-central-1",
        "instance_id": INSTANCE, "meta_info": one["meta_info"], "comment": None,
        "plugin_fully_qualified_class_name": "whence.boot-failed", "username": None, "rule_id": None,
        "application_id": "greeter", "application_version_id": "1.0", "created": one["created"],
        "created_by": "whence", "last_modified": one["created"], "last_modified_by": "whence",
        "violation": one["violation"], "state": "open", "team": "hello",
    }  # fmt: skip
    assert set(kind) == {
        "id", "help_text", "violation_severity", "audit_relevant", "title", "priority", "version", "created",
        "created_by", "last_modified", "last_modified_by",
    }  # fmt: skip
    assert one["created"][-5:-4] + one["created"][-1] == ".Z"
    again = await asked.ask("GET", f"/api/violations/{one['id']}", params=[("size", "20"), ("accounts", "stray")])
    assert (again.status, again.body["id"]) == (200, one["id"])


async def test_a_number_stays_when_the_fault_is_fixed_and_comes_back(asked: Asked) -> None:
    machine = await broken_instance(asked)
    (first,) = await asked.rows(("types", "BOOT_FAILED"))
    await asked.house.say(machine)
    await asked.follow()
    assert await asked.rows(("types", "BOOT_FAILED")) == []
    (fixed,) = await asked.rows(("types", "BOOT_FAILED"), ("checked", "true"))
    assert (fixed["id"], fixed["comment"][:6]) == (first["id"], "fixed:")
    await asked.house.say(machine, **FAILED)
    await asked.follow()
    assert [one["id"] for one in await asked.rows(("types", "BOOT_FAILED"))] == [first["id"]]


async def test_a_rebuild_repeats_the_numbers(asked: Asked, tmp_path: Path) -> None:
    await broken_instance(asked)
    await reported(asked)
    await reported(asked, event_id="e-2", instance_id=None)
    made = await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=rule(asked.house))
    assert made.status == 201, made.body
    number = made.body["id"]
    assert (await asked.ask("DELETE", f"/api/whitelisting-rules/{number}", token="operator")).status == 204
    (one,) = await asked.rows(("type", "BOOT_FAILED"))
    resolved = await asked.ask("POST", f"/api/violations/{one['id']}/resolution", token="hello", data=b"known")
    assert resolved.status == 200, resolved.body
    outcome = await checked(asked.house, tmp_path)
    assert outcome.findings == [], outcome
    stored = await dumped(asked.house.database)
    assert len(stored["fullstop_report"]) == 2
    assert {one["number"] for one in stored["violation"]} == set(range(1, len(stored["violation"]) + 1))
    assert [one["number"] for one in stored["exemption"]] == [1]


async def test_a_report_is_recorded_once_in_any_state_and_stays_after_it_was_answered(asked: Asked) -> None:
    await reported(asked)
    await reported(asked, username="arn:aws:iam::123456789012:user/ada")
    (one,) = await asked.rows()
    assert (one["violation_type"]["id"], one["meta_info"], one["instance_id"], one["created_by"]) == (
        "PASSWORD_USED", {"user_name": "ada"}, None, "yourturn",
    )  # fmt: skip
    resolved = await asked.ask(
        "POST", f"/api/violations/{one['id']}/resolution", token="hello", data="erledigt ✓".encode()
    )
    assert (resolved.status, resolved.body["comment"], resolved.body["last_modified_by"]) == (
        200,
        "erledigt ✓",
        "hello",
    )
    await reported(asked)
    assert (await asked.rows(), len(await asked.rows(("checked", "true")))) == ([], 1)
    assert len(await asked.house.entries("fullstop-report")) == 1


async def test_meta_info_may_be_any_json_and_a_type_that_nobody_knows_is_made(asked: Asked) -> None:
    for number, meta in enumerate(({"a": [1]}, ["a", {"b": None}], "text")):
        await reported(asked, event_id=f"e-{number}", meta_info=meta, violation_type="HOUSE_RULE")
    assert [one["meta_info"] for one in await asked.rows()] == [{"a": [1]}, ["a", {"b": None}], "text"]
    types = (await asked.ask("GET", "/api/violation-types")).body
    (made,) = [one for one in types if one["id"] == "HOUSE_RULE"]
    assert (made["violation_severity"], made["priority"], made["audit_relevant"]) == (0, None, False)


async def test_only_the_scope_or_the_right_for_the_account_reports(asked: Asked) -> None:
    for token, status, code in (
        ("", 401, "token-missing"), ("reader", 403, "report-forbidden"), ("hello", 403, "report-forbidden"),
        ("yourturn", 202, None),
    ):  # fmt: skip
        answer = await asked.ask("POST", "/api/violations", token=token, body=report(event_id=token))
        assert answer.status == status, answer.body
        assert code is None or answer.body["code"] == code or token == ""
    foreign = await asked.ask("POST", "/api/violations", token="scanner", body=report(account_id=OTHER_ACCOUNT))
    assert (foreign.status, foreign.body["code"]) == (403, "report-forbidden")
    assert (await asked.ask("GET", "/api/violations", token="yourturn")).status == 403
    assert (await asked.ask("GET", "/api/violation-types", token="own")).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": None}, {"account_id": "12"}, {"account_id": 123456789012}, {"region": ""}, {"meta_info": None},
        {"violation_type": "not a type"}, {"violation_type": ["A"]}, {"instance_id": "x" * 400}, {"username": "a\nb"},
        {"meta_info": {"a": "x" * 40_000}},
    ],
)  # fmt: skip
async def test_a_malformed_report_is_refused_and_records_nothing(asked: Asked, changes: dict[str, object]) -> None:
    answer = await asked.ask("POST", "/api/violations", token="scanner", body=report(**changes))
    assert answer.status == 400, answer.body
    assert await asked.house.entries("fullstop-report") == []


async def test_hostile_bodies_are_refused(asked: Asked) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (b"", b"{", b"[]", b"\xff", deep, b'{"event_id": "\\u0000"}', b'{"meta_info":' + deep + b"}"):
        for path in ("/api/violations", "/api/whitelisting-rules"):
            answer = await asked.ask("POST", path, token="scanner", data=body)
            assert answer.status in (400, 413), (path, body[:20], answer.body)
    await reported(asked)
    (one,) = await asked.rows()
    for body in (b"", b"  \n", b"\xff\xfe", b"x" * 5_000, b"x" * 50_000, b"a\x00b"):
        answer = await asked.ask("POST", f"/api/violations/{one['id']}/resolution", token="hello", data=body)
        assert answer.status in (400, 413), (body[:10], answer.body)
    for number in ("0", "-1", "x", "1e3", "9" * 19, "9" * 40, "%00", "²"):
        answer = await asked.ask("GET", f"/api/violations/{number}")
        assert answer.status in (400, 404), number


async def test_lists_filter_by_all_that_fullstop_filtered_by(asked: Asked) -> None:
    await reported(asked, event_id="a", application_id="greeter", application_version="1.0")
    await reported(asked, event_id="b", application_id="other", application_version="2.0", violation_type="WRONG_AMI")
    other = report(event_id="c", account_id=OTHER_ACCOUNT, violation_type="UNSECURED_ROOT_USER", application_id=None)
    assert (await asked.ask("POST", "/api/violations", token="yourturn", body=other)).status == 202
    cases: dict[tuple[tuple[str, str], ...], list[str]] = {
        (): ["a", "b", "c"],
        (("accounts", ACCOUNT),): ["a", "b"],
        (("accounts", f"{ACCOUNT},{OTHER_ACCOUNT}"),): ["a", "b", "c"],
        (("accounts", ACCOUNT), ("accounts", OTHER_ACCOUNT)): ["a", "b", "c"],
        (("application-ids", "greeter,nobody"),): ["a"],
        (("application-version-ids", "2.0"),): ["b"],
        (("type", "WRONG_AMI"),): ["b"],
        (("types", "WRONG_AMI,PASSWORD_USED"),): ["a", "b"],
        (("severity", "4"),): ["c"],
        (("severity", "3"),): ["b"],
        (("severity", "1"),): ["a"],
        (("priority", "1"),): ["a", "b", "c"],
        (("audit-relevant", "true"),): ["b"],
        (("last-violation", "2"),): ["b", "c"],
        (("from", "2026-11-22T12:00:00.123456Z"),): [],
        (("from", "2026-11-22T11:00:00Z"), ("to", "2026-11-22T12:00:00.000Z")): [],
        (("from", ""), ("type", ""), ("applications", "stray"), ("application_versions", "stray")): ["a", "b", "c"],
        (("sort", "id,DESC"),): ["c", "b", "a"],
        (("sort", "created,desc"), ("sort", "id,Asc")): ["a", "b", "c"],
        (("sort", "application_id"),): ["c", "a", "b"],
        (("size", "2"), ("page", "1")): ["c"],
        (("size", "99999"),): ["a", "b", "c"],
        (("page", "7"),): [],
        (("checked", "TRUE"),): [],
        (("whitelisted", "true"),): [],
    }  # fmt: skip
    for params, expected in cases.items():
        found = [one["event_id"] for one in (await asked.page(*params))["content"]]
        assert found == expected, params
        if not any(name == "accounts" for name, _ in params):  # this filter is by members, which are read for it
            everywhere = await asked.page(("accounts", f"{ACCOUNT},{OTHER_ACCOUNT}"), *params)
            assert [one["event_id"] for one in everywhere["content"]] == expected, params
    for name, value in (
        ("severity", "x"), ("page", "-1"), ("size", "0"), ("size", "a"), ("from", "yesterday"), ("checked", "maybe"),
        ("sort", "password,asc"), ("last-violation", "9" * 30), ("accounts", "1" * 400), ("type", "," .join(map(str, range(600)))),
    ):  # fmt: skip
        refused = await asked.ask("GET", "/api/violations", params=[(name, value)])
        assert (refused.status, refused.body["code"]) == (400, "parameter-malformed"), (name, value)


async def test_a_page_has_springs_members(asked: Asked) -> None:
    for number in range(3):
        await reported(asked, event_id=f"e-{number}")
    page = await asked.page(("size", "2"), ("page", "1"), ("sort", "id,desc"))
    assert [one["event_id"] for one in page.pop("content")] == ["e-0"]
    assert page == {
        "total_elements": 3, "total_pages": 2, "first": False, "last": True, "size": 2, "number": 1,
        "number_of_elements": 1,
        "sort": [{"direction": "DESC", "property": "id", "ignore_case": False, "null_handling": "NATIVE", "ascending": False}],
    }  # fmt: skip
    empty = await asked.page(("types", "WRONG_REGION"))
    assert (empty["total_elements"], empty["total_pages"], empty["first"], empty["last"]) == (0, 0, True, True)


async def test_counts_are_by_account_and_by_application(asked: Asked) -> None:
    for number, application in enumerate(("greeter", "greeter", "other", None)):
        version = {"greeter": "1.0", "other": "2.0"}.get(application or "")
        await reported(asked, event_id=f"e-{number}", application_id=application, application_version=version)
    assert (await asked.ask("GET", "/api/violation-count")).body == [
        {"account": ACCOUNT, "type": "PASSWORD_USED", "quantity": 4}
    ]
    assert (await asked.ask("GET", f"/api/violation-count/{ACCOUNT}")).body == [
        {"application": "greeter", "version": "1.0", "type": "PASSWORD_USED", "quantity": 2},
        {"application": "other", "version": "2.0", "type": "PASSWORD_USED", "quantity": 1},
        {"application": None, "version": None, "type": "PASSWORD_USED", "quantity": 1},
    ]
    created = (await asked.rows())[0]["created"]
    assert (await asked.ask("GET", "/api/violation-count", params=[("to", created)])).body == []
    assert len((await asked.ask("GET", f"/api/violation-count/{ACCOUNT}", params=[("to", created)])).body) >= 1
    assert (await asked.ask("GET", "/api/violation-count", params=[("resolved", "true")])).body == []
    assert (await asked.ask("GET", "/api/violation-count/12")).status == 400


async def test_only_the_owning_team_resolves_as_it_acknowledges(asked: Asked) -> None:
    await reported(asked)
    await reported(asked, event_id="e-2", application_id=None)
    one, of_nobody = await asked.rows()
    path = f"/api/violations/{one['id']}/resolution"
    for token, status, code in (
        ("", 401, None), ("reader", 403, "violation-forbidden"), ("evil", 403, "violation-forbidden"),
        ("foreign", 403, "read-own-teams"),
    ):  # fmt: skip
        answer = await asked.ask("POST", path, token=token, data=b"no")
        assert answer.status == status, answer.body
        assert code is None or answer.body["code"] == code
    assert (await asked.ask("POST", path, token="own", data=b"first")).body["comment"] == "first"
    assert (await asked.ask("POST", path, token="hello", data=b"second")).body["comment"] == "second"
    assert (await asked.ask("POST", "/api/violations/999/resolution", token="hello", data=b"x")).status == 404
    path = f"/api/violations/{of_nobody['id']}/resolution"
    assert (await asked.ask("POST", path, token="hello", data=b"x")).body["code"] == "violation-forbidden"
    assert (await asked.ask("POST", path, token="operator", data=b"x")).status == 200


async def test_a_resolution_is_a_step_of_the_violations_life_and_what_is_fixed_takes_none(asked: Asked) -> None:
    machine = await broken_instance(asked)
    (one,) = await asked.rows(("type", "BOOT_FAILED"))
    path = f"/api/violations/{one['id']}/resolution"
    assert (await asked.ask("POST", path, token="hello", data=b"known")).status == 200
    stored = await asked.living.recorder.read(one["violation"])
    shown = await asked.shown(stored)
    assert next((step["step"], step["by"], step["comment"]) for step in shown["steps"]) == (
        "acknowledged", "hello", "known",
    )  # fmt: skip
    (seen,) = await asked.rows(("type", "BOOT_FAILED"), ("checked", "true"))
    assert (seen["state"], seen["version"], seen["last_modified_by"]) == ("acknowledged", 1, "hello")
    await asked.living.recorder.undo(stored, by="hello")
    assert [each["id"] for each in await asked.rows(("type", "BOOT_FAILED"))] == [one["id"]]
    await asked.house.say(machine)
    await asked.follow()
    late = await asked.ask("POST", path, token="hello", data=b"late")
    assert (late.status, late.body["code"]) == (409, "violation-state")


async def test_a_fault_of_many_instances_is_one_row_that_counts_them_and_names_them_when_it_is_read(
    asked: Asked,
) -> None:
    for number in range(3):
        await asked.house.say(await asked.house.machine(f"i-0000000000000000{number}"), **FAILED)
    await asked.follow()
    (row,) = await asked.rows(("type", "BOOT_FAILED"), ("accounts", ACCOUNT))
    assert (row["instance_id"], row["account_id"], row["region"]) == (None, ACCOUNT, "eu-central-1")
    assert (row["meta_info"]["instance_count"], row["meta_info"]["accounts"]) == (3, [ACCOUNT])
    read = (await asked.ask("GET", f"/api/violations/{row['id']}")).body
    assert read["meta_info"]["instances"] == [f"i-0000000000000000{number}" for number in range(3)]
    assert await asked.rows(("type", "BOOT_FAILED"), ("accounts", OTHER_ACCOUNT)) == []
    resolved = await asked.ask("POST", f"/api/violations/{row['id']}/resolution", token="hello", data=b"all of them")
    assert (resolved.status, await asked.rows(("type", "BOOT_FAILED"))) == (200, [])


async def test_a_fault_in_two_accounts_is_found_by_either(asked: Asked) -> None:
    await broken_instance(asked)
    await broken_instance(asked, "i-00000000000000002", account_id=OTHER_ACCOUNT)
    for account in (ACCOUNT, OTHER_ACCOUNT):
        (row,) = await asked.rows(("type", "BOOT_FAILED"), ("accounts", account))
        assert row["meta_info"]["accounts"] == [ACCOUNT, OTHER_ACCOUNT]
    counted = (await asked.ask("GET", f"/api/violation-count/{OTHER_ACCOUNT}")).body
    assert {"application": "greeter", "version": "1.0", "type": "BOOT_FAILED", "quantity": 1} in counted


async def test_findings_of_scanners_are_served_with_types_of_their_own(asked: Asked) -> None:
    asked.house.clock.moment = AFTER_THE_SCANS
    await asked.push("prowler.ocsf.json")
    await asked.follow()
    rows = [one for one in await asked.rows() if one["plugin_fully_qualified_class_name"].startswith("whence.prowler/")]
    assert rows
    for one in rows:
        assert one["violation_type"]["id"].startswith("PROWLER_")
        assert 1 <= one["violation_type"]["violation_severity"] <= 4
        again = await asked.rows(("type", one["violation_type"]["id"]), ("last-violation", str(one["id"])))
        assert again[0]["id"] == one["id"]
    types = [one["id"] for one in (await asked.ask("GET", "/api/violation-types")).body]
    assert {one["violation_type"]["id"] for one in rows} <= set(types)
    assert len(types) == len(set(types))
    asked.house.clock.advance(timedelta(days=3).total_seconds())
    await asked.follow()
    late = {one["id"]: one["meta_info"]["reason"] for one in await asked.rows()}
    assert {one["id"] for one in rows} <= set(late), "what its scanner does not confirm any more stays open"
    assert all(late[one["id"]].startswith("not confirmed since 2026-") for one in rows)


async def test_a_caller_of_one_team_sees_that_teams_violations_only(asked: Asked) -> None:
    await asked.house.register("other", team_id="evil")
    await reported(asked)
    await reported(asked, event_id="e-2", application_id="other")
    await reported(asked, event_id="e-3", application_id=None)
    mine, others, of_nobody = await asked.rows()
    for token, row in (("own", mine), ("foreign", others)):
        assert [one["id"] for one in await asked.rows(token=token)] == [row["id"]]
        count = await asked.ask("GET", "/api/violation-count", token=token)
        assert count.body == [{"account": ACCOUNT, "type": "PASSWORD_USED", "quantity": 1}]
        assert len((await asked.ask("GET", f"/api/violation-count/{ACCOUNT}", token=token)).body) == 1
        assert (await asked.ask("GET", f"/api/violations/{row['id']}", token=token)).status == 200
    for number in (others["id"], of_nobody["id"], 999):
        for method, path in (("GET", ""), ("POST", "/resolution")):
            answer = await asked.ask(method, f"/api/violations/{number}{path}", token="own", data=b"x")
            assert (answer.status, answer.body["code"]) == (403, "read-own-teams"), (number, method)
    assert (await asked.ask("GET", "/api/whitelisting-rules", token="own")).body["code"] == "read-own-teams"
    path = "/api/lifecycles/applications"
    assert (await asked.ask("GET", f"{path}/greeter/versions", token="own")).status == 200
    for name in ("other", "nobody"):
        assert (await asked.ask("GET", f"{path}/{name}/versions", token="own")).status == 403


def later(house: InProcess, **by: float) -> datetime:
    return house.clock() + timedelta(**by)


def rule(house: InProcess, **changes: object) -> dict[str, object]:
    """Return a whitelisting rule of ninety days."""
    return {
        "violation_type": "PASSWORD_USED", "account_id": ACCOUNT, "application_id": "greeter", "reason": "a robot of last year",
        "expiry_date": to_instant(later(house, days=90)), **changes,
    }  # fmt: skip


async def test_a_whitelisting_rule_exempts_what_is_there_already_and_reopens_it_at_its_end(asked: Asked) -> None:
    await reported(asked)
    made = await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=rule(asked.house))
    assert made.status == 201, made.body
    number = made.body["id"]
    assert made.body == {
        "id": number, "account_id": ACCOUNT, "region": None, "application_id": "greeter", "application_version": None,
        "image_name": None, "image_owner": None, "reason": "a robot of last year",
        "expiry_date": rule(asked.house)["expiry_date"], "violation_type_entity_id": "PASSWORD_USED",
        "meta_info_json_path": None, "created": made.body["created"], "created_by": "operator",
        "last_modified": made.body["created"], "last_modified_by": "operator", "version": 0,
    }  # fmt: skip
    assert (await asked.ask("GET", "/api/whitelisting-rules")).body == [made.body]
    (exempted,) = await asked.rows(("whitelisted", "true"), ("checked", "true"))
    assert (exempted["rule_id"], exempted["comment"][:14]) == (number, "exempted until")
    assert (await asked.rows(), await asked.rows(("checked", "true"))) == ([], [])
    asked.house.clock.advance(timedelta(days=91).total_seconds())
    assert [one["state"] for one in await asked.rows()] == ["reopened"], "before any step states it"
    await asked.living.recorder.follow_all()
    assert (len(await asked.rows()), (await asked.ask("GET", "/api/whitelisting-rules")).body) == (1, [])
    assert (await asked.ask("GET", f"/api/whitelisting-rules/{number}")).status == 200
    assert (await asked.ask("DELETE", f"/api/whitelisting-rules/{number}", token="operator")).status == 404


async def test_a_rule_is_replaced_by_one_of_a_new_number_and_ended(asked: Asked) -> None:
    await reported(asked)
    first = (await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=rule(asked.house))).body
    changed = rule(asked.house, reason="still there")
    second = await asked.ask("PUT", f"/api/whitelisting-rules/{first['id']}", token="operator", body=changed)
    assert (second.status, second.body["reason"], second.body["id"] != first["id"]) == (200, "still there", True)
    assert [one["rule_id"] for one in await asked.rows(("whitelisted", "true"))] == [second.body["id"]]
    path = f"/api/whitelisting-rules/{second.body['id']}"
    assert [one["id"] for one in (await asked.ask("GET", "/api/whitelisting-rules")).body] == [second.body["id"]]
    assert (await asked.ask("DELETE", path, token="evil")).body["code"] == "exemption-forbidden"
    assert (await asked.ask("DELETE", path, token="operator")).status == 204
    assert (len(await asked.rows()), (await asked.ask("GET", path)).body["version"]) == (1, 1)
    assert (await asked.ask("DELETE", path, token="operator")).status == 404
    assert (await asked.ask("PUT", path, token="operator", body=changed)).status == 404
    assert (await asked.ask("DELETE", "/api/whitelisting-rules/999", token="operator")).status == 404


async def test_a_rule_that_is_to_end_earlier_ends_then_and_covers_no_more_than_before(
    asked: Asked, tmp_path: Path
) -> None:
    await reported(asked, violation_type="CROSS_ACCOUNT_ROLE")
    await reported(asked, violation_type="UNSECURED_ROOT_USER")
    body = rule(asked.house, violation_type="CROSS_ACCOUNT_ROLE", account_id=None)
    made = (await asked.ask("POST", "/api/whitelisting-rules", token="hello", body=body)).body
    path = f"/api/whitelisting-rules/{made['id']}"
    late = to_instant(later(asked.house, days=300))
    refused = await asked.ask("DELETE", path, token="operator", params=[("expiryDate", late)])
    assert (refused.status, refused.body["code"]) == (400, "rule-expiry")
    soon = to_instant(later(asked.house, hours=1))
    assert (await asked.ask("DELETE", path, token="evil", params=[("expiryDate", soon)])).status == 403
    (granted,) = await asked.living.recorder.live_exemptions()
    assert (await asked.ask("DELETE", path, token="operator", params=[("expiryDate", soon)])).status == 204
    assert await asked.living.recorder.live_exemptions() == [replace(granted, until=soon)]
    assert await asked.types() == ["UNSECURED_ROOT_USER"]
    (row,) = await asked.rows(("whitelisted", "true"))
    assert row["comment"] == f"exempted until {soon}: a robot of last year"
    assert (await checked(asked.house, tmp_path)).findings == []
    asked.house.clock.advance(3601)
    assert await asked.types() == ["CROSS_ACCOUNT_ROLE", "UNSECURED_ROOT_USER"]
    assert (await asked.ask("DELETE", path, token="operator", params=[("expiryDate", soon)])).status == 404


async def test_types_of_violations_are_shown_to_their_teams_and_types_of_rules_to_all(asked: Asked) -> None:
    await broken_instance(asked)
    await reported(asked, violation_type="SECRET_PROJECT")
    for token, sees in (("reader", True), ("own", True), ("foreign", False)):
        types = {one["id"] for one in (await asked.ask("GET", "/api/violation-types", token=token)).body}
        assert ("SECRET_PROJECT" in types) == sees, token
        assert {"BOOT_FAILED", "WRONG_AMI"} <= types
    wanted = rule(asked.house, violation_type="SECRET_PROJECT")
    refused = await asked.ask("POST", "/api/whitelisting-rules", token="foreign", body=wanted)
    unknown = {**wanted, "violation_type": "NO_SUCH_TYPE"}
    also = await asked.ask("POST", "/api/whitelisting-rules", token="foreign", body=unknown)
    assert (refused.body["code"], also.body["code"]) == ("rule-type-unknown", "rule-type-unknown")


async def test_a_rule_of_a_type_covers_every_rule_that_has_it_and_nothing_of_others(asked: Asked) -> None:
    await broken_instance(asked)
    await reported(asked, violation_type="BOOT_FAILED", application_version="1.0")
    body = rule(asked.house, violation_type="BOOT_FAILED", account_id=None, application_version="1.0")
    other = {one["id"] for one in await asked.rows()} - {one["id"] for one in await asked.rows(("type", "BOOT_FAILED"))}
    assert len(await asked.rows(("type", "BOOT_FAILED"))) == 2
    assert (await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=body)).status == 201
    assert {one["id"] for one in await asked.rows()} == other
    await reported(asked, event_id="e-2", violation_type="BOOT_FAILED", application_version="1.0")
    await reported(asked, event_id="e-3", violation_type="BOOT_FAILED", application_version="2.0")
    assert [one["event_id"] for one in await asked.rows(("type", "BOOT_FAILED"))] == ["e-3"], "covered as it opens"
    (granted,) = await asked.living.recorder.live_exemptions()
    assert (granted.rule, granted.granted_by) == ("BOOT_FAILED", "operator")


async def test_a_rule_counts_each_violation_that_it_covers_as_a_step_of_its_writer(house: InProcess) -> None:
    async with asking(house, Rate(per_second=1.0, burst=3 * 1024.0)) as asked:
        for n in range(3):
            await reported(asked, event_id=f"e-{n}")
        wanted = rule(house)
        refused = await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=wanted)
        assert (refused.status, refused.body["code"]) == (429, "rate-limited"), refused.body
        assert (await asked.ask("GET", "/api/whitelisting-rules")).body == []


async def test_the_end_of_a_rule_counts_each_violation_that_it_covered_as_a_step(house: InProcess) -> None:
    async with asking(house, Rate(per_second=1.0, burst=7 * 1024.0)) as asked:
        for n in range(3):
            await reported(asked, event_id=f"e-{n}")
        made = (await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=rule(house))).body
        path = f"/api/whitelisting-rules/{made['id']}"
        earlier = [("expiryDate", to_instant(later(house, days=1)))]
        for method, params in (("DELETE", []), ("DELETE", earlier), ("PUT", [])):
            body = rule(house) if method == "PUT" else None
            refused = await asked.ask(method, path, token="operator", body=body, params=params)
            assert (refused.status, refused.body["code"]) == (429, "rate-limited"), (method, refused.body)
        assert [one["id"] for one in (await asked.ask("GET", "/api/whitelisting-rules")).body] == [made["id"]]


async def test_a_rule_covers_nothing_that_its_writers_own_token_reported(asked: Asked) -> None:
    await broken_instance(asked)
    await reported(asked, "scanner", violation_type="CROSS_ACCOUNT_ROLE")
    body = rule(asked.house, violation_type="CROSS_ACCOUNT_ROLE", account_id=None)
    assert (await asked.ask("POST", "/api/whitelisting-rules", token="scanner", body=body)).status == 201
    assert len(await asked.rows(("types", "CROSS_ACCOUNT_ROLE"))) == 1
    assert (await asked.ask("POST", "/api/whitelisting-rules", token="hello", body=body)).status == 201
    assert await asked.rows(("types", "CROSS_ACCOUNT_ROLE")) == []


async def test_an_exemption_of_a_rule_is_shown_as_a_whitelisting_rule_and_ended_as_one(asked: Asked) -> None:
    await broken_instance(asked)
    granted = new_exemption(
        "boot-failed", Scope(application_id="greeter"), reason="moved", until=to_instant(later(asked.house, days=9)),
        by="ada", now=asked.house.clock(), unique=b"1",
    )  # fmt: skip
    await asked.living.recorder.exempt(granted, None)
    (shown,) = (await asked.ask("GET", "/api/whitelisting-rules")).body
    assert (shown["violation_type_entity_id"], shown["created_by"]) == ("BOOT_FAILED", "ada")
    (row,) = await asked.rows(("whitelisted", "true"))
    assert (row["rule_id"], row["state"], row["last_modified_by"]) == (shown["id"], "exempted", "ada")
    late = await asked.ask("POST", f"/api/violations/{row['id']}/resolution", token="hello", data=b"late")
    assert (late.status, late.body["code"]) == (409, "violation-state"), "it is exempted"
    path = f"/api/whitelisting-rules/{shown['id']}"
    assert (await asked.ask("DELETE", path, token="hello")).body["code"] == "exemption-forbidden"
    assert (await asked.ask("DELETE", path, token="operator")).status == 204
    assert (await asked.rows(("whitelisted", "true")), await asked.living.recorder.live_exemptions()) == ([], [])
    assert [one["id"] for one in await asked.rows(("type", "BOOT_FAILED"))] == [row["id"]]


async def test_one_report_that_is_sent_ten_times_at_once_opens_one_violation(asked: Asked, tmp_path: Path) -> None:
    await asyncio.gather(*(reported(asked) for _ in range(10)), reported(asked, event_id="e-2"))
    assert sorted(one["id"] for one in await asked.rows()) == [1, 2]
    assert len(await asked.house.entries("fullstop-report")) == 2
    assert (await checked(asked.house, tmp_path)).findings == []


async def test_a_report_is_a_violation_of_its_own_with_the_instance_that_it_names(asked: Asked) -> None:
    await reported(asked, instance_id=INSTANCE)
    (row,) = await asked.rows()
    assert (row["instance_id"], row["region"]) == (INSTANCE, "eu-central-1")
    shown = await asked.shown(await asked.living.recorder.read(row["violation"]))
    assert (shown["rule"], shown["source"], shown["members"]) == ("reported/PASSWORD_USED", "report", 1)
    assert shown["subject"] == {"kind": "report", "id": f"{ACCOUNT}/eu-central-1/e-1/{INSTANCE}"}
    assert shown["instances"] == [{"instance_id": INSTANCE, "account_id": ACCOUNT, "region": "eu-central-1"}]
    assert [step["step"] for step in shown["steps"]] == ["opened"]


async def test_a_report_has_an_owner_that_changes_and_is_never_fixed_by_itself(asked: Asked) -> None:
    await reported(asked)
    await asked.follow()
    assert [(one["state"], one["team"]) for one in await asked.rows()] == [("open", "hello")]
    await asked.house.register("greeter", team_id="evil")
    await asked.follow()
    assert [(one["state"], one["team"]) for one in await asked.rows()] == [("open", "evil")]
    assert (await asked.ask("GET", "/api/violations", token="own")).body["content"] == []


@pytest.mark.parametrize(
    ("changes", "code", "fix"),
    [
        ({"violation_type_entity_id": "WRONG_AMI"}, "rule-key-unknown", "write violation_type"),
        ({"image_name": "Taupage.*"}, "rule-key-unknown", "name the application"),
        ({"meta_info_json_path": "$.a"}, "rule-key-unknown", "name the application"),
        ({"colour": "red"}, "rule-key-unknown", "a rule has violation_type"),
        ({"expiry_date": None}, "rule-for-ever", f"at most {EXEMPTION_DAYS_MAX} days"),
        ({"expiry_date": "9999-12-31T00:00:00Z"}, "exemption-until", "the latest time"),
        ({"expiry_date": "2020-01-01T00:00:00Z"}, "exemption-until", "the latest time"),
        ({"expiry_date": 17}, "rule-malformed", "set expiry_date"),
        ({"reason": " "}, "comment-malformed", "state in reason why"),
        ({"account_id": None, "application_id": None}, "rule-incomplete", "name an account_id"),
        ({"violation_type": None}, "rule-incomplete", "name the type"),
        ({"violation_type": "NO_SUCH_TYPE"}, "rule-type-unknown", "violation-types"),
        ({"account_id": "12"}, "rule-malformed", "12 digits"),
        ({"application_version": "1.0", "application_id": None}, "exemption-scope", "name the application too"),
    ],
)
async def test_a_rule_that_would_cover_more_than_it_says_is_refused_with_what_to_write(
    asked: Asked, changes: dict[str, object], code: str, fix: str
) -> None:
    answer = await asked.ask("POST", "/api/whitelisting-rules", token="operator", body=rule(asked.house, **changes))
    assert (answer.status, answer.body["code"], fix in answer.body["fix"]) == (400, code, True), answer.body
    assert await asked.living.recorder.live_exemptions() == []


async def test_a_team_exempts_the_lesser_faults_of_its_own_and_the_right_operate_the_others(asked: Asked) -> None:
    own = rule(asked.house, violation_type="SPEC_URL_IS_MISSING_IN_KIO", account_id=None, application_id="greeter")
    for token, body, status in (
        ("hello", own, 201), ("own", own, 201), ("evil", own, 403), ("reader", own, 403), ("robot", own, 403),
        ("hello", {**own, "application_id": None, "account_id": ACCOUNT}, 403),
        ("hello", rule(asked.house, violation_type="WRONG_AMI"), 403),
        ("operator", rule(asked.house, violation_type="WRONG_AMI"), 201),
        ("operator", {**own, "application_id": None, "account_id": ACCOUNT}, 201),
    ):  # fmt: skip
        answer = await asked.ask("POST", "/api/whitelisting-rules", token=token, body=body)
        assert answer.status == status, (token, body, answer.body)


async def test_lifecycles_are_a_page_of_events_of_an_application(asked: Asked) -> None:
    for path in ("/api/lifecycles/applications/greeter/versions", "/api/lifecycles/applications/greeter/versions/1.0"):
        answer = await asked.ask("GET", path)
        assert (answer.status, answer.body["content"], answer.body["total_elements"]) == (200, [], 0)
        assert answer.body["sort"][0]["property"] == "created"
    assert (await asked.ask("GET", "/api/lifecycles/applications/NO%20NAME/versions")).status == 400


async def test_lifecycles_are_the_starts_and_stops_of_an_applications_instances(asked: Asked) -> None:
    await asked.house.say(await asked.house.machine(LISTED))
    world = TrailWorld(asked.house)
    names = ("RunInstances", "StopInstances", "StartInstances", "TerminateInstances", "RebootInstances")
    records = [record(name, number, eventTime=f"2026-11-22T12:0{number}:00Z") for number, name in enumerate(names, 1)]
    world.objects.put(key(), log_file(*records))
    world.queue.send(s3_event(key()))
    await world.settle()
    path = "/api/lifecycles/applications/greeter/versions"
    first, *others = (await asked.ask("GET", path)).body["content"]
    assert first == {
        "application": "greeter", "version": "1.0", "event_date": "2026-11-22T00:00:00.000Z",
        "image_id": first["image_id"], "image_name": None, "region": "eu-central-1", "instance_boot_time": None,
        "event_type": "RunInstances", "instance_id": LISTED, "created": "2026-11-22T12:01:00.000Z",
    }  # fmt: skip
    assert [row["event_type"] for row in others] == ["StopInstances", "StartInstances", "TerminateInstances"]
    params = [("sort", "created,desc"), ("size", "1"), ("page", "1")]
    page = (await asked.ask("GET", f"{path}/1.0", params=params)).body
    assert ([row["event_type"] for row in page["content"]], page["total_pages"]) == (["StartInstances"], 4)
    assert (await asked.ask("GET", f"{path}/2.0")).body["total_elements"] == 0


async def test_user_data_that_instances_sent_is_in_lifecycles_if_it_states_application_and_version(
    asked: Asked,
) -> None:
    logs = InstanceLogs(
        database=asked.house.database, ledger=asked.house.ledger, accounts={ACCOUNT}, account_day_bytes_max=10_000,
        keep_days=1, now=asked.house.clock,
    )  # fmt: skip
    head = b"#taupage-ami-config\nruntime: Docker\nsource: r.example.org/a/b:1\napplication_id: greeter\n"
    for content, kind in (
        (head + b"application_version: '1.0'\n", "USER_DATA"), (head, "USER_DATA"), (b"\xff", "USER_DATA"),
        (head + b"application_version: '1.0'\n", "AUDIT_LOG"),
    ):  # fmt: skip
        one = InstanceLog(
            account_id=ACCOUNT, region="eu-central-1", instance_id=LISTED, boot_time="2026-11-22T11:59:00.000Z",
            log_type="USER_DATA" if kind == "USER_DATA" else "AUDIT_LOG", content=content,
        )  # fmt: skip
        assert await logs.record(one)
    path = "/api/lifecycles/applications/greeter/versions"
    (row,) = (await asked.ask("GET", path)).body["content"]
    assert row == {
        "application": "greeter", "version": "1.0", "event_date": f"{row['created'][:10]}T00:00:00.000Z",
        "image_id": None, "image_name": None, "region": "eu-central-1",
        "instance_boot_time": "2026-11-22T11:59:00.000Z", "event_type": "USER_DATA", "instance_id": LISTED,
        "created": to_instant(asked.house.clock()),
    }  # fmt: skip
    assert (await asked.ask("GET", f"{path}/1.0")).body["total_elements"] == 1
    assert (await asked.ask("GET", f"{path}/2.0")).body["total_elements"] == 0


async def test_pages_of_other_origins_may_call_with_a_token(asked: Asked) -> None:
    async with aiohttp.ClientSession(headers={"Origin": "https://dashboard.example.org"}) as page:
        async with page.options(f"{asked.url}/api/violations/7/resolution") as preflight:
            assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "*")
            assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
            assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        for token, status in (("", 401), ("reader", 200)):
            given = {"Authorization": f"Bearer {token}"} if token else {}
            async with page.get(f"{asked.url}/api/violations", headers=given) as answer:
                assert (answer.status, "Access-Control-Allow-Credentials" in answer.headers) == (status, False)
                assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_who_reports_for_one_account_reaches_no_application_that_does_not_run_there(asked: Asked) -> None:
    await broken_instance(asked)
    for token, application, event in (
        ("scanner", "other", "1"),
        ("scanner", "greeter", "2"),
        ("yourturn", "other", "3"),
    ):
        body = report(event_id=event, application_id=application)
        assert (await asked.ask("POST", "/api/violations", token=token, body=body)).status == 202
    rows = await asked.rows(("type", "PASSWORD_USED"))
    assert {one["event_id"]: one["application_id"] for one in rows} == {"1": None, "2": "greeter", "3": "other"}
