"""Tickets in commit messages, commit objects, and the picture of a lineage."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from whence_aggregator.collect.collectors import parse_commit
from whence_aggregator.command.picture import draw
from whence_aggregator.trace.tickets import DEFAULT_PATTERNS, tickets_in, words_of
from whence_common.backoff import Backoff
from whence_common.open_metrics import Metric, render


@pytest.mark.parametrize(
    "message, patterns, tickets",
    [
        ("PAY-12: pay", DEFAULT_PATTERNS, ("PAY-12",)),
        ("fix (#7), see PAY-1 and #7", DEFAULT_PATTERNS, ("#7", "PAY-1")),
        ("UTF-8 and nothing else", ("PAY-{number}",), ()),
        ("PAY-12x", DEFAULT_PATTERNS, ()),
        ("xPAY-12", ("PAY-{number}",), ()),
        ("pay-12", DEFAULT_PATTERNS, ()),
        ("org/repo#12", ("org/repo#{number}",), ("org/repo#12",)),
        ("a.b-1 axb-1", ("a.b-{number}",), ("a.b-1",)),
        ("", DEFAULT_PATTERNS, ()),
    ],
)
def test_tickets_are_found_by_pattern(message: str, patterns: tuple[str, ...], tickets: tuple[str, ...]) -> None:
    assert tickets_in(message, patterns) == tickets


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.from_regex(r"[A-Z]{2,5}-[0-9]{1,6}|#[0-9]{1,6}", fullmatch=True), max_size=10),
    st.sampled_from([", ", "/", " and ", ".", "; ", "\n", ")("]),
)
def test_every_ticket_that_is_found_is_a_word_that_leads_back(tickets: list[str], separator: str) -> None:
    message = "Do it: " + separator.join(tickets) + "."
    assert set(tickets_in(message, DEFAULT_PATTERNS)) <= set(words_of(message))


def test_a_commit_object_is_read() -> None:
    found = parse_commit(
        b"tree x\nparent y\nauthor Ada L <ada@example.org> 1763800000 +0100\ncommitter B <b@c> 1763800001 -0500\n"
        b"gpgsig -----BEGIN\n more\n\nSubject line\n\nBody\n"
    )
    assert found == {
        "author": "Ada L <ada@example.org>",
        "committed_at": "2025-11-22T08:26:41.000Z",
        "subject": "Subject line",
        "message": "Subject line\n\nBody\n",
    }


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"author x\n\n", b"committer A <a> 99999999999999999999 +0\n\nx", b"\xff" * 50]
)
def test_a_hostile_commit_object_does_no_harm(content: bytes) -> None:
    assert parse_commit(content)["committed_at"] == ""


def test_control_characters_of_others_never_reach_the_terminal() -> None:
    link = {
        "link": "commit", "state": "confirmed", "reason": "\x1b[2J", "evidence": [],
        "value": {"commit": "c", "subject": "\x1b]0;owned\x07", "author": "a\nb"},
    }  # fmt: skip
    out = io.StringIO()
    lineage = {
        "subject": {"instance": "i-1"},
        "at": "now",
        "complete": True,
        "recorded_by_then": True,
        "reported_later": {"total": 0},
        "links": [link],
    }
    draw(Console(file=out, width=200), lineage, evidence=True)
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()


def test_pauses_grow_jitter_and_stay_bounded() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=60.0, random=lambda: 1.0)
    assert [backoff.seconds(attempt) for attempt in (1, 2, 3, 100)] == [1.0, 2.0, 4.0, 60.0]
    assert backoff.seconds(1, at_least_seconds=30.0) == 30.0
    assert backoff.seconds(1, at_least_seconds=1e9) == 240.0
    assert Backoff(first_seconds=1.0, longest_seconds=60.0, random=lambda: 0.0).seconds(1) == 0.1


def test_metrics_are_escaped_and_end() -> None:
    text = render([Metric(name="a", kind="counter", help="h", value=1, labels={"l": 'x"\n\\'})])
    assert text == '# TYPE a counter\n# HELP a h\na_total{l="x\\"\\n\\\\"} 1\n# EOF\n'
