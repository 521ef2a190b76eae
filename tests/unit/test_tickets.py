"""Tickets in commit messages, commit objects, and the picture of a lineage."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from whence_aggregator.trace.ticket_forms import Mention
from whence_aggregator.trace.tickets import (
    MESSAGE_CHARACTERS_MAX,
    PATTERNS_MAX,
    TicketPatternInvalid,
    check_pattern,
    named_in,
    words_of,
)
from whence_aggregator.whence.picture import draw
from whence_common.backoff import Backoff
from whence_common.open_metrics import Metric, render


def ids(message: str, *patterns: str) -> tuple[str, ...]:
    return tuple(one.id for one in named_in(message, patterns).tickets)


@pytest.mark.parametrize(
    "message, patterns, tickets",
    [
        ("pay for PAY-12 and #7", ("PAY-{number}", "#{number}"), ("PAY-12", "#7")),
        ("UTF-8 and nothing else", ("PAY-{number}",), ()),
        ("SHA-256", ("{project}-{number}",), ("SHA-256",)),
        ("squashed (#7)", ("#{number}",), ("#7",)),
        ("Merge pull request #12 from a/b\n\n#7", ("#{number}",), ("#7",)),
        ("Pull request #12: pay #7", ("#{number}",), ("#7",)),
        ("PAY-12x", ("PAY-{number}",), ()),
        ("xPAY-12", ("PAY-{number}",), ()),
        ("org/repo#12", ("org/repo#{number}",), ("org/repo#12",)),
        ("a.b-1 axb-1", ("a.b-{number}",), ("a.b-1",)),
        ("JIRA:12, a-PAY-12, #PAY-13", ("JIRA:{number}", "PAY-{number}"), ("JIRA:12", "PAY-12", "PAY-13")),
        ("", ("PAY-{number}",), ()),
    ],
)
def test_an_applications_own_patterns_count_anywhere(
    message: str, patterns: tuple[str, ...], tickets: tuple[str, ...]
) -> None:
    assert ids(message, *patterns) == tickets


@pytest.mark.parametrize(
    "message",
    [
        "Scale the group (#345)",
        "Scale the group (#345) (#346)",
        'Revert "Scale the group (#345)" (#350)',
        "gh numbers in CPython's manner (GH-12345)",
        "Merge pull request #12 from team/branch",
        "Merge pull request #12 from team/branch\n\nScale the group",
        "Merged in feature/x (pull request #3)",
        "Merged PR 12: scale",
        "Pull request #5: Scale the group\n\nMerge in TEAM/app from x to main",
        "Merge branch 'x' into 'main'\n\nScale\n\nSee merge request group/app!12",
        "Scale\n\nCloses #793 from ada/branch",
        "Scale\n\nPR-URL: https://github.com/nodejs/node/pull/12",
        "Read UTF-8", "UTF-8: read it", "(SHA-256) sums", "ISO-8601 dates", "[RFC-2616] headers", "CVE-2024-1: bump",
        "Fixes CVE-2024-47535", "X-1: y", "X-1 style", "PEP-8", "fix MYSQL-8 support", "fix for MYSQL-8", "Upgrade to JAVA-1.8",
        "see #7", "Bump a from 1.2-3 to #4", "pay-12: pay", "PAY-0: pay", "PAY-012: pay", "PAY-12x pay", "PAY-12-x",
        "Q3-2024: roadmap", "X86-64: build", "[X86-64] build", "USB-3: support", "DDR-4: x", "WIP-2: x", "PBKDF-2: x",
        "Merge branch 'release/1.2-3'", "Bumps [x](https://github.com/a/b/pull/12)", "Fixes: 1a2b3c4d (\"scale\")",
        "pay\n\nthe text mentions PAY-12 somewhere", "port of PR#38986", "", "\n", "Change-Id: I7c738b31", "a\n\n(#7)",
        "Reviewed-by: Ada <ada+PAY-12@example.org>",
    ],
)  # fmt: skip
def test_what_is_not_a_ticket_does_not_count(message: str) -> None:
    assert ids(message) == ()


@pytest.mark.parametrize(
    "message, tickets",
    [
        ("PAY-12: pay", ("PAY-12",)),
        ("Pull request #5: PAY-12 pay\n\nMerge in TEAM/app from x to main", ("PAY-12",)),
        ("\ufeffPAY-12: pay\r\n", ("PAY-12",)),
        ("PAY-12 pay (#345)", ("PAY-12",)),
        ("PAY-12. pay", ("PAY-12",)),
        ("[PAY-12] pay", ("PAY-12",)),
        ("[PAY-12, PAY-13] pay", ("PAY-12", "PAY-13")),
        ("PAY-12/PAY-13: pay", ("PAY-12", "PAY-13")),
        ("pay (PAY-12)", ("PAY-12",)),
        ("feat(PAY-12): pay", ("PAY-12",)),
        ("feat(scope)!: PAY-12 pay", ("PAY-12",)),
        ("[ui] docs: PAY-12 pay", ("PAY-12",)),
        ("fixup! PAY-12: pay", ("PAY-12",)),
        ('Revert "PAY-12: pay"', ("PAY-12",)),
        ("Revert PAY-12", ("PAY-12",)),
        ("reverting PAY-12 since it breaks", ("PAY-12",)),
        ("Tentative fix for #252", ("#252",)),
        ("#7 pay", ("#7",)),
        ("#7: pay", ("#7",)),
        ("[#7] pay", ("#7",)),
        ("[finishes #123] pay", ("#123",)),
        ("fix #7 (#8)", ("#7",)),
        ("pay (fixes #7)", ("#7",)),
        ("pay\n\nFixes #7, #8 and #9", ("#7", "#8", "#9")),
        ("pay\n\nfixes GH-7 and org/app#8", ("GH-7", "org/app#8")),
        ("pay (#12)\n\nCloses org/app#8\nResolves: PAY-1", ("org/app#8", "PAY-1")),
        ("pay\n\nThis is part of PAY-12. See PAY-13.", ("PAY-12", "PAY-13")),
        ("pay\n\nTicket: PAY-12 PAY-13\nSigned-off-by: Ada <a@b.c>", ("PAY-12", "PAY-13")),
        ("pay\n\nBug: 12345", ("12345",)),
        ("pay\n\nCloses-Bug: #1234567", ("#1234567",)),
        ("pay\n\nIssue-Id: PAY-12\r\n", ("PAY-12",)),
        ("pay\n\nref. #63", ("#63",)),
        ("pay\n\nFixes AB#12", ("AB#12",)),
        ("pay\n\nFixes: https://github.com/org/app/issues/8", ("org/app#8",)),
        ("pay\n\nRefs https://gitlab.example.org/g/sub/app/-/issues/8.", ("g/sub/app#8",)),
        ("pay\n\nTicket: https://jira.example.org/browse/PAY-12", ("PAY-12",)),
        ("all of it\n\n* PAY-12: pay\n* [PAY-13] ship\n* UTF-8: read", ("PAY-12", "PAY-13")),
        ("Merge branch 'feature/PAY-12-pay' into 'main'", ("PAY-12",)),
        ("Merge pull request #3 from team/#7-pay\n\n#8 pay", ("#7", "#8")),
        ("Merged in PAY-12 (pull request #3)", ("PAY-12",)),
    ],
)
def test_well_known_forms_count_at_their_places(message: str, tickets: tuple[str, ...]) -> None:
    assert ids(message) == tickets


def test_the_answer_contains_the_pattern_and_the_place_of_the_match() -> None:
    found = named_in("Scale (#345)\n\nSee what PAY-9 says.\n\nTicket: PAY-12\nCloses: #7\n")
    assert found.tickets == (
        Mention(id="PAY-12", pattern="Ticket: {project}-{number}", place="trailer", line=5),
        Mention(id="#7", pattern="Closes: #{number}", place="trailer", line=6),
    )
    assert found.reviews == (Mention(id="#345", pattern="subject (#{number})", place="subject", line=1),)
    assert named_in("a\nb PAY-12", ("PAY-{number}",)).tickets == (
        Mention(id="PAY-12", pattern="PAY-{number}", place="body", line=2),
    )


def test_a_picked_commit_keeps_its_trailers() -> None:
    (found,) = named_in("Pay\n\nDetails.\n\nFixes: PAY-7\n(cherry picked from commit 0123456)\n").tickets
    assert found == Mention(id="PAY-7", pattern="Fixes: {project}-{number}", place="trailer", line=5)


def test_the_number_that_a_merge_got_is_its_review_wherever_it_stands() -> None:
    found = named_in("#345 scale (#345)\n\nFixes #345, #7")
    assert ([one.id for one in found.tickets], [one.id for one in found.reviews]) == (["#7"], ["#345"])


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("aZ09PAY-#/.:_ (\n\"'x,éß²"), max_size=80),
    st.sampled_from(
        ["{project}-{number}", "#{number}", "a{number}", "{number}", "P.{number}", "{number}:A", "A/{number}"]
    ),
)
def test_every_ticket_that_a_pattern_matches_is_an_indexed_word(message: str, pattern: str) -> None:
    assert set(ids(message, pattern)) | set(ids(message)) <= set(words_of(message))


def test_a_hostile_message_is_read_in_bounded_time() -> None:
    units = ["1.", "a/1#", "PAY-1 ", "fixes #1, ", "[", "(PAY-", "https://a/b/", "a: ", "\n#1", "Merged in a "]
    for unit in (*units, ".", "#", "." * 75 + "1" + "a" * 75):
        message = unit * (MESSAGE_CHARACTERS_MAX // len(unit))
        began = time.process_time()
        assert len(named_in(message).tickets) <= 50
        assert len(named_in(message, ("PAY-{number}",)).tickets) <= 50
        assert len(words_of(message)) <= 2_050
        assert time.process_time() - began < 1.0, unit


@pytest.mark.parametrize(
    "pattern",
    [
        "{project}{number}", "A{number}{project}", "{number}{project}", "{project}-{number}-" + "0" * 80, "{number}", "0{number}", "A{project}A{number}A",
        "." * 80 + "{number}", "NEVER-{number}-NEVER", "((((((((((a+)+)+)+$-{number}"[-10:],
    ],
)  # fmt: skip
def test_no_pattern_of_an_application_backtracks_for_ever(pattern: str) -> None:
    """Patterns are plain text: each has bounded parts, so that each place of a message costs a bounded time."""
    written = tuple(dict.fromkeys((pattern, *(f"{pattern}{one}"[:100] for one in range(PATTERNS_MAX - 1)))))
    for unit in ("A", "0", "A0", "PAY", "A" * 16 + "0" * 12, "0A", "-", ".", "A-0-", "." * 9_000 + "1"):
        message = "s\n\n" + unit * (MESSAGE_CHARACTERS_MAX // len(unit))
        began = time.process_time()
        assert len(named_in(message, written).tickets) <= 50
        assert len(words_of(message)) <= 2_050
        assert time.process_time() - began < 1.0, (pattern, unit)


@pytest.mark.parametrize(
    ("message", "tickets"),
    [
        ("Merge branch 'feature/PAY-3-x'", ["PAY-3"]), ("Merge branch 'feature/PAY-3-x' into 'PAY-4-release'", ["PAY-3"]),
        ("Merge branches 'PAY-3-x', 'PAY-5_y' and 'z' into main", ["PAY-3", "PAY-5"]),
        ("Merge pull request #12 from demo/feature/PAY-3-x", ["PAY-3"]),
        ("Merge remote-tracking branch 'origin/PAY-3-x'", ["PAY-3"]),
        ("Merged in feature/PAY-3-x (pull request #4)", ["PAY-3"]),
        ("Merge pull request #12 from demo/feature/PAY-3-x\n\nPAY-9: pay", ["PAY-3", "PAY-9"]),
        ("Tidy\n\nMerge branch 'feature/PAY-3-x'", []), ("Tidy 'feature/PAY-3-x'", []),
        ("Merge branch 'feature/PREPAY-3-x'", []), ("Merge branch 'feature/PAY-3x'", []),
    ],
)  # fmt: skip
def test_an_own_pattern_finds_the_ticket_in_the_branch_of_a_merge(message: str, tickets: list[str]) -> None:
    found = named_in(message, ("PAY-{number}",)).tickets
    assert [one.id for one in found] == tickets
    assert {one.place for one in found if one.line == 1} <= {"subject"}
    assert set(tickets) <= set(words_of(message))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+{number}", "a*{number}", "{number}|x", "[0-9]+{number}", "^{number}$", "\\d{number}", "{number}{number}", "{number}{project}{project}",
     "PAY", "", "{}", "{number", "{number}}", "{project}", "PAY {number}", "PAY-{number}\n", "é{number}", "a" * 100 + "{number}", "{number}?",
     "(?:{number})"],
)  # fmt: skip
def test_a_regular_expression_is_no_pattern(pattern: str) -> None:
    with pytest.raises(TicketPatternInvalid):
        check_pattern(pattern)


def test_control_characters_of_others_never_reach_the_terminal() -> None:
    link = {
        "link": "commit", "state": "confirmed", "reason": "\x1b[2J", "evidence": [],
        "value": {"commit": "c", "subject": "\x1b]0;owned\x07", "author": "a\nb"},
    }  # fmt: skip
    out = io.StringIO()
    lineage = {
        "subject": {"instance": "i-1"},
        "at": "now",
        "life": "running",
        "life_since": None,
        "heard": "silent",
        "last_seen": "\x1b[2J",
        "complete": True,
        "recorded_by_then": True,
        "reported_later": {"total": 0},
        "not_checked": [],
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
