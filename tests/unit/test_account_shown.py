"""Plans and reports as people read them: what changes in each value, and no character that moves the cursor."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.plan import AccountPlan, PlanFile, PlannedChange, Remark
from whence_aggregator.accounts.report import AccountReport, Applied, ApplyReport
from whence_aggregator.accounts.shown import LINES_MAX, account_lines, change_lines, plan_lines, report_lines

ALLOW = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::b/*"],
         "Principal": {"AWS": ["*"]}, "Condition": {"Bool": {"aws:SecureTransport": ["false"]}}}  # fmt: skip
IN_WORDS = "Allow s3:GetObject, s3:PutObject on arn:aws:s3:::b/* to * if aws:SecureTransport Bool false"


def change(before: dict[str, Any] | None, after: dict[str, Any] | None, action: Any = "update") -> PlannedChange:
    return PlannedChange(address="role/x", step="roles", action=action, before=before, after=after)


@pytest.mark.parametrize(
    "before, after, lines",
    [
        (None, {"path": "/"}, ["path: /"]),
        ({"path": "/"}, {"path": "/a/"}, ["path: / → /a/"]),
        ({"path": "/"}, {"path": None}, ["path: / → nothing"]),
        ({"tags": {"a": "1", "b": "2"}}, {"tags": {"a": "1", "b": "3"}}, ["tags.b: 2 → 3"]),
        ({"tags": {"a": "1"}}, {"tags": {}}, ["tags.a: 1 → nothing"]),
        ({"tags": {"a": ""}}, {"tags": {"b": ""}}, ['tags.a: "" → nothing', 'tags.b: ""']),
        ({"nets": ["10/8", "11/8"]}, {"nets": ["11/8", "12/8"]}, ["nets - 10/8", "nets + 12/8"]),
        ({"nets": [1, 2]}, {"nets": [2, 1]}, ["nets: other order"]),
        (None, {"policy": {"One": ALLOW}}, [f"policy.One: {IN_WORDS}"]),
        (None, {"trust": {"Version": "2012-10-17", "Statement": [ALLOW]}},
         [f"trust.Statement + {IN_WORDS}", "trust.Version: 2012-10-17"]),
        ({"trust": {"Statement": []}}, {"trust": {"Statement": [ALLOW]}}, [f"trust.Statement + {IN_WORDS}"]),
        (None, {"vpc": {"$of": "vpc/main", "output": "id"}}, ["vpc: id of vpc/main"]),
        ({"vpc": "vpc-1"}, {"vpc": {"$of": "vpc/main", "output": "id"}}, ["vpc: vpc-1 → id of vpc/main"]),
        (None, {"text": "a\x1b[31mb\u202e"}, ["text: a\ufffd[31mb\ufffd"]),
        (None, {"text": "x" * 500}, ["text: " + "x" * 199 + "…"]),
    ],
)  # fmt: skip
def test_a_change_is_read_value_by_value(
    before: dict[str, Any] | None, after: dict[str, Any], lines: list[str]
) -> None:
    assert list(change_lines(change(before, after))) == lines


def test_a_change_of_many_values_says_how_many_are_left_out() -> None:
    lines = change_lines(change(None, {str(number): number for number in range(100)}))
    assert (len(lines), lines[-1]) == (61, "… 40 more; --json shows all")


def test_a_plan_names_accounts_and_counts_at_its_end() -> None:
    remarks = (
        Remark(address="bucket/x", step="buckets", kind="foreign", message="statement A is left as it is"),
        Remark(address="vpc/*", step="network", kind="unread", message="AWS denies it", fix="allow it"),
        Remark(address="root-user/account", step="identity", kind="warning", message="it has no MFA device"),
    )
    account = AccountPlan(
        account="hello", account_id="123456789012", access=AccountAccess(), regions=("eu-west-1",), alias=None,
        changes=(change(None, {"path": "/"}, "create"), change({}, None, "delete")), standing=(), remarks=remarks,
    )  # fmt: skip
    plan = PlanFile(made_at="2026-11-27T08:00:00Z", configuration="sha256:00", accounts=(account,))
    assert list(plan_lines(plan)) == [
        "hello (123456789012)",
        "  + role/x",
        "      path: /",
        "  - role/x",
        "  · bucket/x: statement A is left as it is",
        "  ! vpc/*: AWS denies it (allow it)",
        "  ! root-user/account: it has no MFA device",
        "",
        f"1 to create, 0 to change, 1 to delete in 1 account; 1 of them could not be read whole. Plan {plan.digest}",
    ]


def test_what_was_so_already_is_counted_by_itself() -> None:
    changes = tuple(
        Applied(address=f"role/{one}", step="roles", action="create", outcome=one) for one in ("done", "already")
    )
    report = ApplyReport(
        plan=f"sha256:{'0' * 64}", configuration="", begun_at="", ended_at="",
        accounts=(AccountReport(account="hello", account_id="123456789012", changes=changes),),
    )  # fmt: skip
    assert list(report_lines(report))[-1] == "1 changed, 1 so already, 0 not changed, in 1 account."


def test_every_kind_of_remark_has_a_sign() -> None:
    remarks = tuple(
        Remark(address="a", step="s", kind=kind, message=kind) for kind in get_args(get_type_hints(Remark)["kind"])
    )
    account = AccountPlan(
        account="hello", account_id="123456789012", access=AccountAccess(), regions=("eu-west-1",), alias=None, changes=(),
        standing=(), remarks=remarks,
    )  # fmt: skip
    assert len(list(account_lines(account))) == 1 + len(remarks)


def test_a_report_is_by_step_with_why_and_what_to_do() -> None:
    changes = (
        Applied(address="role/x", step="roles", action="create", outcome="failed", message="denied", fix="allow it"),
        Applied(address="zone/y", step="dns", action="create", outcome="done"),
        Applied(address="role/z", step="roles", action="update", outcome="skipped", message="it needs role/x"),
    )
    report = ApplyReport(
        plan=f"sha256:{'0' * 64}", configuration="", begun_at="", ended_at="",
        accounts=(
            AccountReport(account="hello", account_id="123456789012", changes=changes),
            AccountReport(account="world", account_id="210987654321", changes=(), error="another account"),
        ),
    )  # fmt: skip
    assert not report.succeeded
    assert list(report_lines(report)) == [
        "hello (123456789012)",
        "  roles",
        "    ✗ role/x: denied (allow it)",
        "    … role/z: it needs role/x",
        "  dns",
        "    ✓ zone/y",
        "world (210987654321)",
        "  ✗ another account",
        "1 changed, 2 not changed, in 2 accounts, 1 of them refused or not reached.",
    ]


def _many(count: int, changes: int, values: int = 1, unread: int = 0) -> PlanFile:
    made = tuple(
        PlannedChange(address=f"role/r{number}", step="roles", action="create", before=None,
                      after={f"value{each}": "x" for each in range(values)})
        for number in range(changes)
    )  # fmt: skip
    remarks = tuple(
        Remark(address=f"vpc/{number}", step="vpc", kind="unread", message="AWS denies it") for number in range(unread)
    )
    accounts = tuple(
        AccountPlan(
            account=f"a{number}", account_id=f"{number:012}", access=AccountAccess(), regions=("eu-west-1",), alias=None,
            changes=made, standing=(), remarks=remarks,
        )
        for number in range(count)
    )  # fmt: skip
    return PlanFile(made_at="", configuration="", accounts=accounts)


def test_a_plan_of_200_accounts_is_bounded_and_names_each_account_and_what_was_not_read() -> None:
    lines = list(plan_lines(_many(200, changes=100, values=2, unread=1)))
    assert len(lines) < LINES_MAX + 3 * 200
    assert all(any(line.startswith(f"a{number} (") for line in lines) for number in range(200))
    assert sum("vpc/0: AWS denies it" in line for line in lines) == 200
    assert "a199 (000000000199): 100 to create, 0 to change, 0 to delete" in lines
    assert lines[-2].endswith(" summed up here: --json shows all, and a pattern of names shows some accounts.")
    assert lines[-1].startswith("20000 to create, 0 to change, 0 to delete in 200 accounts; 200 of them could not")


def test_a_plan_of_one_account_with_many_values_shows_every_resource_without_them() -> None:
    lines = list(plan_lines(_many(1, changes=200, values=50)))
    assert (len(lines), "  + role/r199" in lines) == (205, True)


def test_a_plan_of_one_account_that_is_too_long_is_summed_up() -> None:
    lines = list(plan_lines(_many(1, changes=LINES_MAX)))
    assert lines[0] == f"a0 (000000000000): {LINES_MAX} to create, 0 to change, 0 to delete"


def test_a_report_of_200_accounts_is_bounded_and_shows_what_failed() -> None:
    changes = tuple(
        Applied(address=f"role/r{number}", step="roles", action="create", outcome="failed" if number < 30 else "done")
        for number in range(100)
    )
    accounts = tuple(
        AccountReport(account=f"a{number}", account_id=f"{number:012}", changes=changes) for number in range(200)
    )
    digest = f"sha256:{'0' * 64}"
    lines = list(report_lines(ApplyReport(plan=digest, configuration="", begun_at="", ended_at="", accounts=accounts)))
    assert len(lines) < LINES_MAX + 200 * 13
    assert "a199 (000000000199): 70 of 100 done" in lines
    assert lines.count("  ✗ 20 more failed") > 100
    assert lines[-1] == "14000 changed, 6000 not changed, in 200 accounts."
