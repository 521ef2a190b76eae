"""The life of a violation: what is seen, what people do, and what expires, in any order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_aggregator.ports import Conflict
from whence_aggregator.projections.violation_rows import StoredViolation, after_step
from whence_aggregator.violations.exemption import Exemption, Scope, check_room
from whence_aggregator.violations.group import Group
from whence_aggregator.violations.life import (
    About,
    ObservedFault,
    ViolationStep,
    next_steps,
    shown_state,
    step_of,
    unexempted,
)

GROUP = Group(rule="image-unsigned", kind="version", subject="greeter@1.0")
ABOUT = About(application_id="greeter", account_id="123456789012", team="hello", severity=3, detail={"tokens": ["ci"]})
FAILING = ObservedFault(group=GROUP, failing=True, since="2026-11-22T10:00:00.000Z", reason="no signature", about=ABOUT)
UNKNOWN = replace(FAILING, failing=False, since="2026-11-22T11:30:00.000Z", reason="the registry was not read")
NOON = "2026-11-22T12:00:00.000Z"


def minute(n: int) -> str:
    return f"2026-11-22T{12 + n // 60:02}:{n % 60:02}:00.000Z"


def exemption(until: str, *, by: str = "ada", scope: Scope | None = None) -> Exemption:
    return Exemption(
        id=f"e-{until}", rule=GROUP.rule, scope=scope or Scope(application_id="greeter"), granted_at=NOON,
        granted_by=by, reason="migration", until=until,
    )  # fmt: skip


def taken(before: StoredViolation | None, steps: list[ViolationStep]) -> StoredViolation | None:
    """Return a violation after steps, as the log has them: encoded and decoded again."""
    for index, step in enumerate(steps):
        before = after_step(before, index, json.loads(json.dumps(step)))
    return before


def opened() -> StoredViolation:
    found = taken(None, next_steps(None, FAILING, now=NOON))
    assert found is not None
    return found


def names(steps: list[ViolationStep]) -> list[str]:
    return [one["step"] for one in steps]


def test_a_fault_opens_its_violation_under_an_id_that_never_changes() -> None:
    one = opened()
    assert (one.id, one.state, one.first_seen, one.team) == (
        "v-7c52a6e2bfde6aa827c1", "open", "2026-11-22T10:00:00.000Z", "hello"
    )  # fmt: skip
    assert next_steps(one, FAILING, now=minute(1)) == [], "it is seen still"


def test_what_is_not_known_opens_nothing_and_closes_nothing() -> None:
    assert next_steps(None, UNKNOWN, now=NOON) == []
    steps = next_steps(opened(), UNKNOWN, now=minute(5))
    one = taken(opened(), steps)
    assert names(steps) == ["unconfirmed"]
    assert one is not None
    assert (shown_state(one, minute(5)), one.unconfirmed_since) == ("open", "2026-11-22T11:30:00.000Z")
    assert next_steps(one, UNKNOWN, now=minute(6)) == []
    assert names(next_steps(one, FAILING, now=minute(7))) == ["confirmed"]


def test_a_fault_that_is_gone_closes_its_violation_and_reopens_it_when_it_is_back() -> None:
    one = taken(opened(), next_steps(opened(), None, now=minute(1)))
    assert one is not None
    assert shown_state(one, minute(1)) == "fixed"
    assert next_steps(one, UNKNOWN, now=minute(2)) == []
    again = taken(one, next_steps(one, FAILING, now=minute(3)))
    assert again is not None
    assert (shown_state(again, minute(3)), again.reopened, again.first_seen) == (
        "reopened", 1, "2026-11-22T10:00:00.000Z"
    )  # fmt: skip


def test_an_acknowledgement_ends_when_the_fault_is_gone() -> None:
    one = taken(opened(), [step_of("acknowledged", opened(), at=minute(1), by="ada", comment="on it")])
    assert one is not None
    assert (shown_state(one, minute(1)), one.comment) == ("acknowledged", "on it")
    closed = taken(one, next_steps(one, None, now=minute(2)))
    assert closed is not None
    again = taken(closed, next_steps(closed, FAILING, now=minute(3)))
    assert again is not None
    assert (again.acknowledged_by, shown_state(again, minute(3))) == ("", "reopened")


def test_an_exemption_expires_by_itself_and_reopens() -> None:
    exempted = taken(opened(), next_steps(opened(), FAILING, now=minute(1), exemptions=[exemption(minute(10))]))
    assert exempted is not None
    assert shown_state(exempted, minute(9)) == "exempted"
    assert shown_state(exempted, minute(10)) == "reopened", "before any step states it"
    steps = next_steps(exempted, FAILING, now=minute(10), exemptions=[])
    one = taken(exempted, steps)
    assert names(steps) == ["expired"]
    assert one is not None
    assert (shown_state(one, minute(10)), one.reopened) == ("reopened", 1)


def test_an_exemption_covers_its_scope_and_nothing_that_its_granter_caused() -> None:
    one, later = opened(), minute(10)
    assert exemption(later, scope=Scope(application_id="greeter", version="1.0")).covers(one)
    assert exemption(later, scope=Scope(team="hello")).covers(one)
    assert not exemption(later, scope=Scope(application_id="greeter", version="1.1")).covers(one)
    assert not exemption(later, scope=Scope(ami="ami-1")).covers(one)
    assert not exemption(later, scope=Scope()).covers(one), "an empty scope covers nothing"
    assert not exemption(later, by="ci").covers(one)
    assert not replace(exemption(later), severity_min=4).covers(one)


def test_a_violation_that_leaves_the_scope_is_not_exempted_any_more() -> None:
    granted = exemption(minute(50), scope=Scope(team="hello"))
    one = taken(opened(), next_steps(opened(), FAILING, now=minute(1), exemptions=[granted]))
    moved = replace(FAILING, about=replace(ABOUT, team="other"))
    steps = next_steps(one, moved, now=minute(2), exemptions=[granted])
    assert names(steps) == ["changed", "unexempted"]


def test_an_exemption_ends_when_its_granter_turns_out_to_have_caused_the_fault() -> None:
    granted = exemption(minute(50))
    one = taken(opened(), next_steps(opened(), FAILING, now=minute(1), exemptions=[granted]))
    pushed = replace(FAILING, about=replace(ABOUT, detail={"tokens": ["ada"]}))
    steps = next_steps(one, pushed, now=minute(2), exemptions=[granted])
    assert names(steps) == ["changed", "unexempted"]
    after = taken(one, steps)
    assert after is not None
    assert after.details["tokens"] == ["ada", "ci"]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["fail", "unknown", "gone", "acknowledge", "grant", "withdraw"]), st.integers(1, 9)),
    max_size=40,
)


@given(EVENTS)
@settings(max_examples=1000, deadline=None)
def test_in_any_order_of_steps_and_expiry_no_fault_is_hidden_and_the_log_tells_the_same(
    events: list[tuple[str, int]],
) -> None:
    one: StoredViolation | None = None
    log: list[ViolationStep] = []
    live: list[Exemption] = []
    observed: ObservedFault | None = None
    clock, openings = 0, 0
    for what, minutes in events:
        clock += minutes
        now, steps = minute(clock), list[ViolationStep]()
        live = [each for each in live if each.until > now]
        if what in ("fail", "unknown", "gone"):
            observed = {"fail": FAILING, "unknown": UNKNOWN, "gone": None}[what]
        elif what == "acknowledge" and one is not None and shown_state(one, now) in ("open", "reopened"):
            steps = [step_of("acknowledged", one, at=now, by="ada", comment="on it")]
        elif what == "grant":
            live.append(exemption(minute(clock + minutes * 3)))
        elif what == "withdraw" and live:
            gone = live.pop()
            steps = [unexempted(one, at=now, by="ada", comment="undone")] if one and one.exemption == gone.id else []
        one = taken(one, steps)
        follow = next_steps(one, observed, now=now, exemptions=live)
        openings += sum(step["step"] in ("reopened", "expired") for step in follow)
        log += steps + follow
        one = taken(one, follow)
        assert next_steps(one, observed, now=now, exemptions=live) == [], "nothing is left to do"
        if one is None:
            assert observed is None or not observed.failing
            continue
        state = shown_state(one, now)
        assert (state == "fixed") == (observed is None or (not observed.failing and not one.is_open))
        assert state != "exempted" or any(each.id == one.exemption and each.covers(one) for each in live)
        assert (one.unconfirmed_since != "") == (one.is_open and observed is not None and not observed.failing)
        assert one.reopened == openings
    replayed = taken(None, log)
    assert (replayed and replace(replayed, ledger_index=0)) == (one and replace(one, ledger_index=0))


def test_an_exemption_of_a_type_covers_its_rules_and_reports_of_it_and_one_of_a_report_covers_no_rule() -> None:
    scope = Scope(application_id="greeter", version="1.0")
    by_type = replace(exemption(minute(9), scope=scope), rule="WRONG_AMI")
    of_report = replace(by_type, rule="reported/WRONG_AMI")
    judged = replace(opened(), rule="ami-untrusted")
    reported = replace(opened(), rule="reported/WRONG_AMI", kind="report", detail='{"version": "1.0"}')
    assert (by_type.is_by_type, of_report.is_by_type) == (True, False)
    assert [by_type.covers(one) for one in (judged, reported, opened())] == [True, True, False]
    assert [of_report.covers(one) for one in (judged, reported)] == [False, True]
    assert not by_type.covers(replace(reported, detail="{}")), "of another version, or of none"


def test_one_team_cannot_use_up_the_exemptions_that_others_need() -> None:
    of_hello = [exemption(minute(9), scope=Scope(team="hello"))] * 200
    with pytest.raises(Conflict) as refused:
        check_room(of_hello, of_hello[0])
    assert refused.value.message == "200 exemptions of team hello are in force"
    check_room(of_hello, exemption(minute(9), scope=Scope(team="other")))
    with pytest.raises(Conflict):
        check_room(of_hello * 5, exemption(minute(9), scope=Scope(ami="ami-1")))
