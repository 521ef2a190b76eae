"""What became of violations over a period: the numbers balance, whatever happened."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_aggregator.reports.period import (
    UNFIXED,
    PeriodStep,
    StateThen,
    StepsOfViolation,
    ViolationsOverPeriod,
    over_period,
    stood,
)

SINCE, UNTIL = "2026-11-10T00:00:00.000Z", "2026-11-20T00:00:00.000Z"


def step(name: str, day: int, *, until: str = "") -> PeriodStep:
    return PeriodStep(ledger_index=day, step=name, at=f"2026-11-{day:02}T12:00:00.000Z", exempt_until=until)


def violation(*steps: PeriodStep, name: str = "v-1") -> StepsOfViolation:
    return StepsOfViolation(
        id=name, rule="source-dirty", severity=1, kind="version", subject="greeter@1.0", application_id="greeter",
        account_id="", team="hello", steps=steps,
    )  # fmt: skip


def counts(*found: StepsOfViolation) -> dict[str, int]:
    shown = ViolationsOverPeriod(violations=over_period(found, since=SINCE, until=UNTIL)).counts
    return {name: number for name, number in shown.items() if number}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("opened", 5)], {"open_at_start": 1, "open_at_end": 1}),
        ([step("opened", 12)], {"opened": 1, "open_at_end": 1}),
        ([step("opened", 5), step("fixed", 12)], {"open_at_start": 1, "fixed": 1}),
        ([step("opened", 5), step("fixed", 8)], {}),
        ([step("opened", 5), step("fixed", 8), step("reopened", 12)], {"reopened": 1, "open_at_end": 1}),
        ([step("opened", 25)], {}),
        ([step("opened", 12), step("fixed", 25)], {"opened": 1, "open_at_end": 1}),
        ([step("opened", 5), step("unconfirmed", 12)],
         {"open_at_start": 1, "unconfirmed": 1, "open_at_end": 1, "unconfirmed_at_end": 1}),
        ([step("opened", 5), step("exempted", 12, until="2026-12-01T00:00:00.000Z")],
         {"open_at_start": 1, "exempted": 1, "open_at_end": 1, "exempted_at_end": 1}),
        ([step("opened", 5), step("exempted", 12, until="2026-11-15T00:00:00.000Z")],
         {"open_at_start": 1, "exempted": 1, "open_at_end": 1}),
    ],
    ids=["open all the time", "opened", "fixed", "over before", "reopened", "opened after", "fixed after",
         "not confirmed", "exempted", "exemption expired without a step"],
)  # fmt: skip
def test_a_violation_counts_by_its_steps(steps: list[PeriodStep], expected: dict[str, int]) -> None:
    assert counts(violation(*steps)) == expected


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], "none"), ([step("opened", 1)], "open"), ([step("opened", 1), step("acknowledged", 2)], "acknowledged"),
        ([step("opened", 1), step("acknowledged", 2), step("unacknowledged", 3)], "open"),
        ([step("opened", 1), step("exempted", 2, until="2026-12-01T00:00:00.000Z"), step("unexempted", 3)], "open"),
        ([step("opened", 1), step("exempted", 2, until="2026-11-05T00:00:00.000Z"), step("expired", 6)], "open"),
        ([step("opened", 1), step("fixed", 2)], "fixed"), ([step("opened", 11)], "none"),
    ],
)  # fmt: skip
def test_a_violation_stands_as_its_newest_step_leaves_it(steps: list[PeriodStep], state: StateThen) -> None:
    found = stood(steps, SINCE)
    assert found.state == state
    assert found.entry == max((one.ledger_index for one in steps if one.at < SINCE), default=None)


def test_what_is_not_known_to_be_there_stays_open() -> None:
    found = stood([step("opened", 1), step("unconfirmed", 2)], SINCE)
    assert (found.state, found.unconfirmed) == ("open", True)
    assert stood([step("opened", 1), step("unconfirmed", 2), step("confirmed", 3)], SINCE).unconfirmed is False


FURTHER = ("acknowledged", "exempted", "unconfirmed", "confirmed", "expired", "changed")


@st.composite
def lives(draw: st.DrawFn) -> StepsOfViolation:
    """Draw the life of a violation: it is opened, and then fixed and reopened in turns, with other steps between."""
    days = draw(st.lists(st.integers(1, 28), max_size=10, unique=True).map(sorted))
    steps, is_open = list[PeriodStep](), False
    for day in days:
        if is_open and draw(st.booleans()):
            steps.append(step(draw(st.sampled_from(FURTHER)), day, until="2026-11-15T00:00:00.000Z"))
            continue
        steps.append(step("fixed" if is_open else "reopened" if steps else "opened", day))
        is_open = not is_open
    return violation(*steps, name=draw(st.uuids()).hex)


@settings(max_examples=200, deadline=None)
@given(st.lists(lives(), max_size=5))
def test_what_was_open_and_opened_and_not_fixed_is_open_in_the_end(found: list[StepsOfViolation]) -> None:
    shown = over_period(found, since=SINCE, until=UNTIL)
    numbers = ViolationsOverPeriod(violations=shown).counts
    opened = numbers["open_at_start"] + numbers["opened"] + numbers["reopened"]
    assert opened - numbers["fixed"] == numbers["open_at_end"]
    assert numbers["open_at_end"] == sum(stood(one.steps, UNTIL).state in UNFIXED for one in found)
