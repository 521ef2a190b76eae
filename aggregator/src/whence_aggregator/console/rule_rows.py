"""What the rules found about one instance: its own verdicts, and the violations of the version that it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.console.ages import shown_time

RuleRowState = Literal["fail", "unknown", "pass", "gone"]
_WORST_FIRST: tuple[RuleRowState, ...] = ("fail", "unknown", "gone", "pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """What one rule found. `violation` is the id of the open violation that it is part of; empty if there is none."""

    rule: str
    state: RuleRowState
    reason: str
    title: str = ""
    severity: int = 4
    remedy: str = ""
    link: str = ""
    """The link of the lineage that the rule is about; empty for none."""
    since: str = ""
    ledger_index: int | None = None
    violation: str = ""
    standing: str = ""
    """Whether the violation is acknowledged or exempted, which leaves the verdict as it is."""
    of_version: bool = False


def rule_rows(
    verdicts: Iterable[Mapping[str, Any]], violations: Iterable[Mapping[str, Any]], rules: Iterable[Mapping[str, Any]]
) -> Sequence[RuleRow]:
    """Return a row for each rule, the worst first."""
    known = {str(one["id"]): one for one in rules}
    open_ones = {str(one["rule"]): one for one in violations if one["state"] != "fixed"}
    found = [_of_verdict(one, known.get(str(one["rule"])), open_ones.get(str(one["rule"]))) for one in verdicts]
    judged = {one.rule for one in found}
    found += [_of_violation(one, known.get(rule)) for rule, one in open_ones.items() if rule not in judged]
    return sorted(found, key=lambda one: (_WORST_FIRST.index(one.state), one.severity, one.rule))


def counted(rows: Sequence[RuleRow], state: RuleRowState) -> int:
    return sum(one.state == state for one in rows)


def _of_verdict(
    verdict: Mapping[str, Any], rule: Mapping[str, Any] | None, violation: Mapping[str, Any] | None
) -> RuleRow:
    stated = str(verdict["verdict"])
    state: RuleRowState = next((one for one in _WORST_FIRST if one == stated), "unknown")
    return RuleRow(
        rule=str(verdict["rule"]), state=state, reason=str(verdict["reason"] or ""), since=str(verdict["since"] or ""),
        ledger_index=verdict["ledger_index"],
        **(_of_open(violation) if violation is not None and state != "pass" else {}), **_of_rule(rule),
    )  # fmt: skip


def _of_violation(violation: Mapping[str, Any], rule: Mapping[str, Any] | None) -> RuleRow:
    """Return the row of a violation of the version, application or account, which is no verdict on the instance."""
    unsure = violation["not_confirmed_since"] is not None
    shown = {**_of_rule(rule), "title": str(violation["title"]), "severity": violation["severity"],
             "remedy": str(violation["remedy"])}  # fmt: skip
    return RuleRow(
        rule=str(violation["rule"]), state="unknown" if unsure else "fail", reason=str(violation["reason"]),
        since=str(violation["since"]), ledger_index=violation["ledger_index"], of_version=True,
        **_of_open(violation), **shown,
    )  # fmt: skip


def _of_rule(rule: Mapping[str, Any] | None) -> dict[str, Any]:
    if rule is None:
        return {}
    return {"title": str(rule["title"]), "severity": rule["severity"], "remedy": str(rule["remedy"]),
            "link": str(rule["link"] or "")}  # fmt: skip


def _of_open(violation: Mapping[str, Any]) -> dict[str, Any]:
    """Return which violation it is, and whether somebody looks after it or accepted it for a time."""
    acknowledged, exemption = violation["acknowledged"], violation["exemption"]
    standing = ""
    if violation["state"] == "exempted" and exemption is not None:
        standing = f"exempted until {shown_time(exemption.get('until'))}"
    elif violation["state"] == "acknowledged" and acknowledged is not None:
        standing = f"acknowledged by {acknowledged.get('by')}"
    return {"violation": str(violation["id"]), "standing": standing}
