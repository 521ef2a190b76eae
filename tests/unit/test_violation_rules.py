"""Who may move a violation, what may be exempted, how findings are grouped, and what a spreadsheet is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from unit.test_violation_life import FAILING, UNKNOWN, opened
from whence_aggregator.callers.caller import Caller
from whence_aggregator.findings.subjects import FindingSubject
from whence_aggregator.findings.violations import FindingViolation
from whence_aggregator.ports import Forbidden
from whence_aggregator.violations.exemption import Exemption, Scope, new_exemption, scope_from
from whence_aggregator.violations.life import About
from whence_aggregator.violations.observing import merged, observed_of_finding
from whence_aggregator.violations.permission import check_acknowledge, check_exempt, check_undo
from whence_aggregator.violations.shown import shown_violation, to_csv
from whence_common.clock import parse_instant
from whence_common.errors import InputError

NOW = parse_instant("2026-11-22T12:00:00Z")
ADA = Caller(name="ada", teams=frozenset({"hello"}))
EVE = Caller(name="eve", teams=frozenset({"evil"}))
OLGA = Caller(name="olga", teams=frozenset(), rights=frozenset({"operate"}))
CI = Caller(name="ci", teams=None)


@pytest.mark.parametrize(("caller", "severity", "refused"), [
    (ADA, 3, ""), (ADA, 4, ""), (ADA, 2, "violation-forbidden"), (ADA, 1, "violation-forbidden"),
    (EVE, 4, "violation-forbidden"), (OLGA, 1, ""), (OLGA, 4, ""), (CI, 4, "violation-own"),
])  # fmt: skip
def test_a_team_exempts_severity_3_and_4_and_operate_all_but_nobody_their_own(
    caller: Caller, severity: int, refused: str
) -> None:
    one = replace(opened(), severity=severity)
    if not refused:
        check_exempt(caller, one)
        return
    with pytest.raises(Forbidden) as raised:
        check_exempt(caller, one)
    assert raised.value.code == refused


def test_the_owning_team_acknowledges_and_without_one_who_may_operate() -> None:
    check_acknowledge(ADA, opened())
    check_acknowledge(OLGA, replace(opened(), team=""))
    check_undo(OLGA, opened())
    for caller, one in ((OLGA, opened()), (EVE, opened()), (ADA, replace(opened(), team=""))):
        with pytest.raises(Forbidden):
            check_acknowledge(caller, one)
    with pytest.raises(Forbidden):
        check_undo(EVE, opened())


@pytest.mark.parametrize("until", ["2026-11-22T12:00:00Z", "2027-11-24T12:00:00Z", "9999-01-01T00:00:00Z"])
def test_an_exemption_ends_and_never_later_than_in_366_days(until: str) -> None:
    with pytest.raises(InputError, match="until must be later than now, and at most 366 days from now"):
        _exemption(until)
    assert _exemption("2027-11-23T12:00:00Z").until == "2027-11-23T12:00:00Z"


def _exemption(until: str, now: datetime = NOW) -> Exemption:
    return new_exemption("r", Scope(team="hello"), reason="why", until=until, by="ada", now=now, unique=b"1")


@pytest.mark.parametrize(
    "wire", [{}, {"aplication": "a"}, {"team": ""}, {"team": 1}, {"team": "a\n"}, {"team": "a" * 301}]
)
def test_a_scope_that_is_empty_or_not_understood_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(InputError):
        scope_from(wire)


def test_findings_about_instances_belong_to_their_application_else_their_account() -> None:
    def about(application: str, severity: int, verdict: str = "fail") -> FindingViolation:
        subject = FindingSubject(kind="instance", id="i-1", account_id="123456789012", application_id=application)
        return FindingViolation(
            rule="prowler/x", subject=subject, verdict="fail" if verdict == "fail" else "unknown", severity=severity,
            reason=f"{severity}", since=f"2026-11-2{severity}T00:00:00.000Z", first_seen="", last_seen="", reopened=0,
            findings=1, suppressed=False, remedy="", title="", ledger_index=1,
        )  # fmt: skip

    found = merged(map(observed_of_finding, (
        about("greeter", 3), about("greeter", 2), about("greeter", 1, "unknown"), about("", 4),
    )))  # fmt: skip
    assert {
        (group.kind, group.subject): (one.failing, one.about.severity, one.since) for group, one in found.items()
    } == {
        ("application", "greeter"): (True, 2, "2026-11-22T00:00:00.000Z"),
        ("account", "123456789012"): (True, 4, "2026-11-24T00:00:00.000Z"),
    }


def test_a_fault_outweighs_what_is_not_known_and_several_accounts_are_none() -> None:
    elsewhere = replace(FAILING, about=About(account_id="210987654321", severity=3))
    (one,) = merged([UNKNOWN, FAILING, elsewhere]).values()
    assert (one.failing, one.about.account_id, one.since) == (True, "", "2026-11-22T10:00:00.000Z")


def test_no_text_of_others_becomes_a_formula_of_a_spreadsheet() -> None:
    shown = shown_violation(replace(opened(), reason='=HYPERLINK("x")'), now="2026-11-22T12:00:00.000Z")
    assert '"\'=HYPERLINK(""x"")"' in to_csv([shown])
    for text in ("\n=1", " =1", "|calc", "＝1", "+1"):
        assert "'" in to_csv([{**shown, "reason": text}]), text


def test_no_text_of_others_moves_a_terminals_cursor_in_csv() -> None:
    shown = shown_violation(replace(opened(), reason="\x1b]0;evil\x07\u202e"), now="2026-11-22T12:00:00.000Z")
    assert "\ufffd]0;evil\ufffd\ufffd" in to_csv([shown])
