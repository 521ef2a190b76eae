"""Silences by the verdicts of agent-silent: where each begins and ends, and what is about no silence."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.projections.silences import silence_in
from whence_aggregator.queries.trace import SilencesOfRow
from whence_aggregator.trace.silence_rows import silences
from whence_aggregator.trace.silences import silent_since

SINCE, LATER = "2026-11-27T03:00:00.000Z", "2026-11-27T05:00:00.000Z"


def row(index: int, verdict: str, since: str = "") -> SilencesOfRow:
    return {"ledger_index": index, "at": f"2026-11-27T0{index}:00:00.000Z", "verdict": verdict, "silent_since": since}


@pytest.mark.parametrize(
    ("verdict", "reason", "expected"),
    [
        ("fail", f"silent since {SINCE}, and running in a listing after 2026-11-27T03:05:00.000Z", SINCE),
        ("unknown", f"silent since {SINCE}; the inventory of this account and region is not collected", SINCE),
        ("unknown", "the agent was never heard", ""),
        ("unknown", "the inventory, which cannot be read: denied", ""),
        ("pass", f"silent since {SINCE}", ""),
        ("gone", f"silent since {SINCE}", ""),
        ("fail", "silent since yesterday; really", ""),
        ("fail", "silent since ", ""),
        ("fail", f"it is silent since {SINCE}", ""),
    ],
)
def test_only_a_verdict_that_names_the_last_heartbeat_is_about_a_silence(
    verdict: str, reason: str, expected: str
) -> None:
    assert silent_since(verdict, reason) == expected


def test_a_silence_ends_when_the_rule_passes_and_is_proved_by_a_listing() -> None:
    (one,) = silences([row(1, "unknown", SINCE), row(2, "fail", SINCE), row(4, "pass")])
    assert (one.since, one.until, one.ended, one.proved) == (SINCE, "2026-11-27T04:00:00.000Z", "heard", True)
    assert (one.ledger_index, one.ended_index) == (1, 4)


def test_a_silence_that_lasts_has_no_end_and_one_may_end_with_the_instance() -> None:
    gone, lasting = silences([row(1, "fail", SINCE), row(2, "gone"), row(3, "unknown", LATER)])
    assert (gone.ended, gone.ended_index) == ("gone", 2)
    assert (lasting.until, lasting.ended, lasting.proved) == (None, None, False)


def test_one_that_was_heard_between_two_judgements_was_silent_twice() -> None:
    first, second = silences([row(1, "fail", SINCE), row(6, "fail", LATER), row(7, "pass")])
    assert (first.until, first.ended, first.ended_index) == (LATER, "heard", 6)
    assert (second.since, second.until) == (LATER, "2026-11-27T07:00:00.000Z")


def test_an_end_without_a_begin_is_no_silence() -> None:
    assert silences([row(1, "pass"), row(2, "gone")]) == []


def entry(
    verdict: str, reason: str = "", *, first: bool = False, rule: str = "agent-silent", kind: str = "instance"
) -> Any:
    stated = {"rule": rule, "version": 1, "verdict": verdict, "reason": reason}
    return {
        "subject": {"kind": kind, "id": "i-1"}, "at": LATER, "first": [rule] if first else [],
        "verdicts": [{**stated, "rule": "drift"}, stated],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "since"),
    [
        (entry("fail", f"silent since {SINCE}"), SINCE),
        (entry("unknown", f"silent since {SINCE}; EC2 is away"), SINCE),
        (entry("unknown", f"silent since {SINCE}", first=True), SINCE),
        (entry("pass"), ""),
        (entry("gone", "subject gone: terminated"), ""),
    ],
)
def test_an_entry_states_the_begin_or_the_end_of_a_silence(event: Any, since: str) -> None:
    verdict = event["verdicts"][1]["verdict"]
    assert silence_in(event) == {"at": LATER, "verdict": verdict, "silent_since": since}


@pytest.mark.parametrize(
    "event",
    [
        entry("pass", first=True),
        entry("gone", first=True),
        entry("unknown", "the agent was never heard"),
        entry("fail", "silent since yesterday"),
        entry("fail", f"silent since {SINCE}", rule="drift"),
        entry("fail", f"silent since {SINCE}", kind="account"),
        {**entry("fail", f"silent since {SINCE}"), "verdicts": []},
    ],
)
def test_an_entry_about_something_else_states_nothing(event: Any) -> None:
    assert silence_in(event) is None
