"""`whence trace` shows who started an instance, from what the aggregator states."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from whence_aggregator.whence.picture import _draw_start, doer_text

JANE = {"type": "AssumedRole", "role": "arn:aws:iam::123456789012:role/deploy", "session": "laptop",
        "person": "jane@example.org"}  # fmt: skip


def drawn(start: dict[str, Any] | None, *, evidence: bool = False) -> str:
    screen = io.StringIO()
    _draw_start(Console(file=screen, width=200, no_color=True), start, evidence=evidence)
    return screen.getvalue()


def start(**changes: object) -> dict[str, Any]:
    value = {"event": "RunInstances", "event_id": "e-1", "at": "2026-11-22T12:00:00.000Z", "region": "eu-central-1",
             "by": JANE, "recorded_later": False, **changes}  # fmt: skip
    return {"state": "asserted", "value": value, "reason": None, "evidence": [{"ledger_index": 7}]}


def test_the_person_the_time_and_the_call_are_shown() -> None:
    line = "   started by jane@example.org at 2026-11-22T12:00:00.000Z (RunInstances)\n"
    assert drawn(start()) == line
    assert drawn(start(), evidence=True) == f"{line}     cloudtrail e-1, ledger 7\n"
    assert "(RunInstances, recorded later)" in drawn(start(recorded_later=True))


@pytest.mark.parametrize(
    "changes, shown",
    [
        ({}, "ben, who assumed deploy, at"),
        ({"state": "confirmed", "account_id": "210987654321"},
         "ben of account 210987654321, who assumed deploy, confirmed, at"),
        ({"known_by": "source-identity", "name": "jane@example.org"},
         "jane@example.org (source identity of a session of deploy) at"),
        ({"known_by": "session-name", "name": "laptop"}, "jane@example.org (a session's name, chosen by its caller) at"),
        ({"known_by": "identity"}, "jane@example.org at"),
        ({"state": "unknown", "known_by": None, "name": None}, "jane@example.org at"),
    ],
)  # fmt: skip
def test_it_is_shown_how_the_person_is_known(changes: dict[str, Any], shown: str) -> None:
    person = {"state": "asserted", "name": "ben", "known_by": "assume-role", "account_id": None, **changes}
    assert drawn(start(person=person)).startswith(f"   started by {shown} 2026-11-22")


def test_a_name_that_a_caller_chose_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in drawn(start(by={"type": "AssumedRole", "session": "\x1b[2J"}))


def test_nothing_is_shown_while_it_is_not_known() -> None:
    unknown: dict[str, Any] = {"state": "unknown", "value": None, "reason": "no event", "evidence": []}
    assert drawn(unknown) == drawn(None) == ""


@pytest.mark.parametrize(
    "by, name",
    [
        (JANE, "jane@example.org"),
        ({**JANE, "person": ""}, "deploy/laptop"),
        ({"type": "IAMUser", "user": "ben", "arn": "arn"}, "ben"),
        ({"type": "AWSService", "service": "autoscaling.amazonaws.com"}, "autoscaling.amazonaws.com"),
        ({"type": "AWSAccount", "account_id": "210987654321"}, "account 210987654321"),
        ({"type": "Unknown"}, "Unknown"),
    ],
)
def test_the_best_name_of_a_caller_is_shown(by: dict[str, str], name: str) -> None:
    assert doer_text(by) == name
