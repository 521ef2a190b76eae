"""Life: what the EC2 API last listed, weighed against what the newest statement said, by which of them is newer."""

from __future__ import annotations

import pytest

from whence_aggregator.trace.life import life_of
from whence_aggregator.trace.state import States
from whence_common.errors import InputError

LISTING = 1_000_000
BEFORE, JUST_BEFORE, AFTER = LISTING - 5_000, LISTING - 900, LISTING + 1


@pytest.mark.parametrize(
    ("listed", "cause", "spoke_at", "life"),
    [
        ("", "", 0, "unknown"),
        ("", "boot", AFTER, "unknown"),
        ("", "failed", AFTER, "unknown"),
        ("", "stop", AFTER, "stopped"),
        ("running", "", 0, "running"),
        ("running", "boot", BEFORE, "running"),
        ("running", "boot", AFTER, "running"),
        ("running", "stop", BEFORE, "running"),
        ("running", "stop", JUST_BEFORE, "stopping"),
        ("running", "stop", AFTER, "stopping"),
        ("pending", "boot", AFTER, "pending"),
        ("pending", "stop", AFTER, "stopping"),
        ("stopping", "stop", AFTER, "stopping"),
        ("stopping", "boot", AFTER, "unknown"),
        ("stopped", "stop", BEFORE, "stopped"),
        ("stopped", "boot", BEFORE, "stopped"),
        ("stopped", "boot", AFTER, "unknown"),
        ("stopped", "change", AFTER, "unknown"),
        ("shutting-down", "boot", AFTER, "shutting-down"),
        ("shutting-down", "stop", AFTER, "shutting-down"),
        ("terminated", "boot", AFTER, "terminated"),
        ("gone", "change", AFTER, "terminated"),
        ("gone", "", 0, "terminated"),
        ("a-state-of-2030", "boot", BEFORE, "unknown"),
    ],
)
def test_the_newer_of_listing_and_statement_decides(listed: str, cause: str, spoke_at: int, life: str) -> None:
    assert life_of(listed=listed, asked_at=LISTING if listed else 0, cause=cause, spoke_at=spoke_at) == life


def test_now_is_running_or_unknown_and_speaking() -> None:
    now = States.parse(None)
    assert now == States.parse("now")
    assert now.includes("running", "silent")
    assert now.includes("running", "never")
    assert now.includes("unknown", "speaking")
    assert not now.includes("unknown", "silent")
    assert not now.includes("stopped", "speaking")
    assert not now.includes("terminated", "speaking")


def test_words_of_life_and_of_hearing_can_be_combined() -> None:
    both = States.parse("unknown,stopped,silent")
    assert both.includes("unknown", "silent")
    assert both.includes("stopped", "silent")
    assert not both.includes("unknown", "speaking")
    assert not both.includes("running", "silent")
    assert States.parse("silent").includes("terminated", "silent")
    assert States.parse("any").includes("terminated", "never")


@pytest.mark.parametrize(
    "text", ["", "gone", "running,", "Running", "running;silent", "now,running", "any,silent", " running"]
)
def test_an_unknown_word_is_refused_with_the_list_of_valid_words(text: str) -> None:
    with pytest.raises(InputError) as caught:
        States.parse(text)
    assert "terminated" in (caught.value.fix or "")
