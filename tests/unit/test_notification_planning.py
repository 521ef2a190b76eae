"""What a destination is told of a violation's steps: how long it waits, what it never hears, and what it always does."""

from __future__ import annotations

from typing import Any

from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.planning import Effect, Hold, Send, Skip, TakenStep, Told, plan
from whence_aggregator.projections.violation_rows import StoredViolation

TEAM = frozenset({"hello"})
OPEN: dict[str, Any] = {"team": "hello", "severity": 2}
FIXED: dict[str, Any] = {**OPEN, "state": "fixed"}
ACKNOWLEDGED: dict[str, Any] = {**OPEN, "acknowledged_at": "2026-11-22T12:00:00.000Z"}
EXEMPTED: dict[str, Any] = {**OPEN, "exemption": "e-1"}
UNCONFIRMED: dict[str, Any] = {**OPEN, "unconfirmed_since": "2026-11-22T12:00:00.000Z"}
THEIRS: dict[str, Any] = {**OPEN, "team": "shop"}


def destination(**changes: Any) -> Destination:
    stated: dict[str, Any] = {"teams": TEAM, "notify_after_seconds": 600.0}
    return Destination(name="ops", kind="webhook", host="h", **{**stated, **changes})


def told(*steps: tuple[str, int, dict[str, Any]], of: Destination | None = None) -> tuple[Told | None, list[Effect]]:
    """Take steps, each some minutes after noon, and return all that follows."""
    state, effects = None, list[Effect]()
    for index, (step, minute, after) in enumerate(steps):
        taken = TakenStep(
            ledger_index=index, step=step, at=f"2026-11-22T12:{minute:02}:00.000Z",
            after=StoredViolation(id="v", rule="r", kind="version", subject="a@1", **after),
        )  # fmt: skip
        state, found = plan(state, taken, of or destination())
        effects += found
    return state, effects


OPENED = Send(ledger_index=0, due_at="2026-11-22T12:10:00.000Z")


def test_a_fault_is_announced_once_it_has_stood_for_ten_minutes() -> None:
    state, effects = told(("opened", 0, OPEN))
    assert effects == [OPENED]
    assert state == Told(announced=0, not_before="2026-11-22T12:10:00.000Z")


def test_a_fault_that_is_fixed_within_that_time_is_never_sent() -> None:
    for minute in (1, 10):
        assert told(("opened", 0, OPEN), ("fixed", minute, FIXED)) == (
            None, [OPENED, Skip(ledger_index=0, why="fixed before it was to be sent")],
        )  # fmt: skip


def test_a_fault_that_is_fixed_later_is_announced_and_then_fixed() -> None:
    fixed = Send(ledger_index=1, due_at="2026-11-22T12:11:00.000Z")
    assert told(("opened", 0, OPEN), ("fixed", 11, FIXED)) == (None, [OPENED, fixed])


def test_a_fault_that_is_acknowledged_or_exempted_within_that_time_is_not_sent() -> None:
    for step, after in (("acknowledged", ACKNOWLEDGED), ("exempted", EXEMPTED)):
        state, effects = told(("opened", 0, OPEN), (step, 5, after), ("fixed", 30, FIXED))
        assert (state, effects) == (None, [OPENED, Skip(ledger_index=0, why=f"{step} before it was to be sent")])


def test_a_fault_that_an_exemption_covers_from_the_start_is_not_sent() -> None:
    now = destination(notify_after_seconds=0.0)
    _, effects = told(("opened", 0, OPEN), ("exempted", 0, EXEMPTED), of=now)
    assert effects[1:] == [Skip(ledger_index=0, why="exempted before it was to be sent")]


def test_the_fault_is_announced_when_its_exemption_expires() -> None:
    state, effects = told(("opened", 0, OPEN), ("exempted", 5, EXEMPTED), ("expired", 20, OPEN))
    assert effects[2:] == [Send(ledger_index=2, due_at="2026-11-22T12:30:00.000Z")]
    assert state == Told(announced=2, not_before="2026-11-22T12:30:00.000Z")


def test_each_return_of_a_fault_waits_for_itself() -> None:
    _, effects = told(
        ("opened", 0, OPEN), ("fixed", 5, FIXED), ("reopened", 6, OPEN), ("fixed", 12, FIXED), ("reopened", 20, OPEN),
        ("fixed", 40, FIXED),
    )  # fmt: skip
    assert effects == [
        OPENED, Skip(ledger_index=0, why="fixed before it was to be sent"),
        Send(ledger_index=2, due_at="2026-11-22T12:16:00.000Z"),
        Skip(ledger_index=2, why="fixed before it was to be sent"),
        Send(ledger_index=4, due_at="2026-11-22T12:30:00.000Z"),
        Send(ledger_index=5, due_at="2026-11-22T12:40:00.000Z"),
    ]  # fmt: skip


def test_what_is_not_confirmed_is_held_and_not_sent_as_a_fault() -> None:
    state, effects = told(("opened", 0, OPEN), ("unconfirmed", 5, UNCONFIRMED))
    assert effects == [OPENED, Hold(ledger_index=0, held=True)]
    assert state == Told(announced=0, not_before="2026-11-22T12:10:00.000Z", held=True)
    _, confirmed = told(("opened", 0, OPEN), ("unconfirmed", 5, UNCONFIRMED), ("confirmed", 20, OPEN))
    assert confirmed[2:] == [Hold(ledger_index=0, held=False)]
    _, gone = told(("opened", 0, OPEN), ("unconfirmed", 5, UNCONFIRMED), ("fixed", 50, FIXED))
    assert gone[2:] == [Skip(ledger_index=0, why="fixed before it was to be sent")]


def test_a_fault_that_moves_to_a_team_is_announced_there_and_ended_where_it_was() -> None:
    ours = destination(teams=frozenset({"shop"}))
    _, effects = told(("opened", 0, OPEN), ("changed", 20, THEIRS), of=ours)
    assert effects == [Send(ledger_index=1, due_at="2026-11-22T12:30:00.000Z")]
    state, effects = told(("opened", 0, OPEN), ("changed", 20, THEIRS), ("fixed", 30, {**FIXED, "team": "shop"}))
    assert effects == [OPENED, Send(ledger_index=1, due_at="2026-11-22T12:20:00.000Z")]
    assert state is None


def test_a_fault_that_moves_before_it_was_announced_is_not_sent_to_the_first_team() -> None:
    _, effects = told(("opened", 0, OPEN), ("changed", 5, THEIRS))
    assert effects == [OPENED, Skip(ledger_index=0, why="changed before it was to be sent")]


def test_only_the_steps_and_severities_that_are_wanted_are_sent() -> None:
    quiet = destination(steps=frozenset({"opened", "fixed"}))
    _, effects = told(("opened", 0, OPEN), ("acknowledged", 20, ACKNOWLEDGED), ("fixed", 30, FIXED), of=quiet)
    assert [effect.ledger_index for effect in effects] == [0, 2]
    assert told(("opened", 0, OPEN), of=destination(severities=frozenset({1}))) == (None, [])


def test_a_destination_that_never_heard_of_a_fault_does_not_hear_that_it_is_fixed() -> None:
    assert told(("fixed", 5, FIXED)) == (None, [])
    assert told(("acknowledged", 5, ACKNOWLEDGED), ("fixed", 6, FIXED)) == (None, [])
