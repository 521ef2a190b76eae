"""Plans and reports as lines of text. Pure.

`+` is created, `~` is changed, `-` is deleted, `!` needs a decision, could not be read or is wrong, `·` is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from whence_aggregator.accounts.canonical import canonical_json
from whence_aggregator.accounts.plan import AccountPlan, PlanFile, PlannedChange, Remark
from whence_aggregator.accounts.report import AccountReport, ApplyReport
from whence_aggregator.accounts.resources import Json, referred
from whence_common.visible import printable

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_REMARKS = {"unread": "!", "kept": "!", "foreign": "·", "unsearched": "·", "warning": "!"}
_OUTCOMES = {"done": "✓", "already": "=", "failed": "✗", "refused": "✗", "skipped": "…"}
_VALUE_CHARACTERS_MAX = 200
_LINES_OF_CHANGE_MAX = 60
LINES_MAX = 5_000
"""Of a plan or report; an account that would need more is shown without values, or in few lines."""
_NAMED_MAX = 10
"""Remarks or failures that such an account has besides."""


def plan_lines(plan: PlanFile) -> Iterator[str]:
    """Yield the readable form of a plan, with the totals last. Its length is bounded."""
    left = LINES_MAX
    shortened = 0
    for account in plan.accounts:
        if account.changes or account.remarks:
            lines = [*account_lines(account), ""]
            if len(lines) > left:
                shortened += 1
                lines = [*account_lines(account, with_values=False), ""]
            if len(lines) > left:
                lines = _short_account(account)
            left = max(0, left - len(lines))
            yield from lines
    yield from _shortened(shortened)
    yield totals(plan)


def _short_account(account: AccountPlan) -> list[str]:
    """Return an account in few lines: how much changes, and what could not be read."""
    what = _numbers(account.changes) if account.changes else "no changes"
    unread = [one for one in account.remarks if one.kind == "unread"]
    others = len(account.remarks) - len(unread)
    notes = f", {others} remark{'s' if others != 1 else ''}" if others else ""
    more = [f"  ! {len(unread) - _NAMED_MAX} more could not be read"] if len(unread) > _NAMED_MAX else []
    return [
        f"{printable(account.account)} ({account.account_id}): {what}{notes}",
        *(f"  ! {printable(one.address)}: {_told(one)}" for one in unread[:_NAMED_MAX]), *more,
    ]  # fmt: skip


def _shortened(count: int) -> Iterator[str]:
    if count:
        accounts = f"{count} account{'s are' if count != 1 else ' is'}"
        yield ""
        yield f"{accounts} summed up here: --json shows all, and a pattern of names shows some accounts."


def account_lines(account: AccountPlan, *, with_values: bool = True) -> Iterator[str]:
    yield f"{printable(account.account)} ({account.account_id})"
    for change in account.changes:
        yield f"  {_SIGNS[change.action]} {printable(change.address)}"
        yield from (f"      {line}" for line in change_lines(change)) if with_values else ()
    for remark in account.remarks:
        yield f"  {_REMARKS[remark.kind]} {printable(remark.address)}: {_told(remark)}"


def change_lines(change: PlannedChange) -> Sequence[str]:
    """Return what a change does to each value, a line each."""
    if change.action == "delete":
        return []
    before, after = change.before or {}, change.after or {}
    lines = [line for aspect, value in after.items() for line in _differences(aspect, before.get(aspect), value)]
    if len(lines) > _LINES_OF_CHANGE_MAX:
        left = len(lines) - _LINES_OF_CHANGE_MAX
        return [*lines[:_LINES_OF_CHANGE_MAX], f"… {left} more; --json shows all"]
    return lines


def totals(plan: PlanFile) -> str:
    """Return one line about the whole plan."""
    changes = [one for account in plan.accounts for one in account.changes]
    unread = sum(not account.is_whole for account in plan.accounts)
    told = f"; {unread} of them could not be read whole" if unread else ""
    accounts = f"{len(plan.accounts)} account{'s' if len(plan.accounts) != 1 else ''}{told}"
    if not changes:
        return f"No changes in {accounts}."
    return f"{_numbers(changes)} in {accounts}. Plan {plan.digest}"


def _numbers(changes: Sequence[PlannedChange]) -> str:
    count = {action: sum(one.action == action for one in changes) for action in _SIGNS}
    return f"{count['create']} to create, {count['update']} to change, {count['delete']} to delete"


def report_lines(report: ApplyReport) -> Iterator[str]:
    """Yield the readable form of a report, per account and step. Its length is bounded."""
    left = LINES_MAX
    shortened = 0
    for account in report.accounts:
        if account.changes or account.error:
            lines = list(_account_report(account))
            if len(lines) > left:
                shortened += 1
                lines = _short_report(account)
            left = max(0, left - len(lines))
            yield from lines
    yield from _shortened(shortened)
    done = sum(one.outcome == "done" for account in report.accounts for one in account.changes)
    left = sum(one.outcome in ("failed", "refused", "skipped") for each in report.accounts for one in each.changes)
    already = sum(one.outcome == "already" for account in report.accounts for one in account.changes)
    so = f"{already} so already, " if already else ""
    wrong = sum(bool(account.error) for account in report.accounts)
    told = f", {wrong} of them refused or not reached" if wrong else ""
    count = len(report.accounts)
    yield f"{done} changed, {so}{left} not changed, in {count} account{'s' if count != 1 else ''}{told}."


def _short_report(account: AccountReport) -> list[str]:
    """Return an account in few lines: how much changed, and what failed."""
    done = sum(one.outcome in ("done", "already") for one in account.changes)
    failed = [one for one in account.changes if one.outcome in ("failed", "refused")]
    more = [f"  ✗ {len(failed) - _NAMED_MAX} more failed"] if len(failed) > _NAMED_MAX else []
    return [
        f"{printable(account.account)} ({account.account_id}): {done} of {len(account.changes)} done",
        *([f"  ✗ {printable(account.error)}"] if account.error else []),
        *(f"  ✗ {printable(one.address)}: {printable(one.message)}" for one in failed[:_NAMED_MAX]), *more,
    ]  # fmt: skip


def _account_report(account: AccountReport) -> Iterator[str]:
    yield f"{printable(account.account)} ({account.account_id})"
    if account.error:
        yield f"  ✗ {printable(account.error)}"
    steps: dict[str, list[str]] = {}
    for one in account.changes:
        message = f": {printable(one.message)}" if one.message else ""
        fix = f" ({printable(one.fix)})" if one.fix else ""
        steps.setdefault(one.step, []).append(f"{_OUTCOMES[one.outcome]} {printable(one.address)}{message}{fix}")
    for step, lines in steps.items():
        yield f"  {step}"
        yield from (f"    {line}" for line in lines)


def _told(remark: Remark) -> str:
    return printable(f"{remark.message} ({remark.fix})" if remark.fix else remark.message)


def _differences(path: str, before: Json, after: Json) -> Iterator[str]:
    """Yield the values that differ below a path. Lists are compared as a whole, item by item without order."""
    if before is None and _has_parts(after):
        before = {}
    if before is None and _is_list(after) and any(isinstance(one, Mapping) for one in after):  # type: ignore[union-attr]  # it is a list
        before = []
    if isinstance(before, Mapping) and isinstance(after, Mapping) and not referred(after):
        for name in sorted({*before, *after}):
            if canonical_json(before.get(name)) != canonical_json(after.get(name)):
                yield from _differences(f"{path}.{name}", before.get(name), after.get(name))
    elif _is_list(before) and _is_list(after):
        old = {canonical_json(one): one for one in before}  # type: ignore[union-attr]  # both are lists
        new = {canonical_json(one): one for one in after}  # type: ignore[union-attr]
        yield from (f"{path} - {_value(one)}" for key, one in old.items() if key not in new)
        yield from (f"{path} + {_value(one)}" for key, one in new.items() if key not in old)
        if sorted(old) == sorted(new):
            yield f"{path}: other order"
    elif before is None:
        yield f"{path}: {_value(after)}"
    else:
        yield f"{path}: {_value(before)} → {_value(after)}"


def _has_parts(value: Json) -> bool:
    """Return whether a value is a mapping that reads better part by part: one of mappings, or a policy."""
    if not isinstance(value, Mapping) or "$of" in value or "Effect" in value:
        return False
    return any(isinstance(one, Mapping) for one in value.values()) or "Statement" in value


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _value(value: Json) -> str:
    if isinstance(value, Mapping) and "$of" in value:
        return f"{value['output']} of {value['$of']}"
    if isinstance(value, Mapping) and "Effect" in value:
        return _short(_statement(value))
    if value == "":
        return '""'
    return "nothing" if value is None else _short(value if isinstance(value, str) else canonical_json(value))


def _statement(statement: Mapping[str, Json]) -> str:
    """Return a statement of a policy in words: its effect, actions, resources, principals and conditions."""
    words = [str(statement["Effect"])]
    named = (("Action", ""), ("NotAction", "all but "), ("Resource", "on "), ("NotResource", "on all but "),
             ("Principal", "to "), ("NotPrincipal", "to all but "))  # fmt: skip
    words += [f"{word}{_listed(statement[name])}" for name, word in named if name in statement]
    condition = statement.get("Condition")
    if isinstance(condition, Mapping):
        tests = [
            f"{key} {operator} {_listed(one)}"
            for operator, keys in condition.items()
            if isinstance(keys, Mapping)
            for key, one in keys.items()
        ]
        words.append(f"if {' and '.join(tests)}")
    return " ".join(words)


def _listed(value: Json) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_listed(one) for one in value.values()) if "$of" not in value else _value(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_listed(one) for one in value)
    return str(value)


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _VALUE_CHARACTERS_MAX else f"{shown[: _VALUE_CHARACTERS_MAX - 1]}…"
