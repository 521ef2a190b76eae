"""The change record as text, CSV and Markdown: what came from outside is never a formula, markup, or a line of its own."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.changes.approvals import ApprovedBy
from whence_aggregator.changes.ranges import CommitRange, RangeCommit, unknown
from whence_aggregator.changes.reviewed import reviewed
from whence_aggregator.whence.change_formats import COLUMNS, csv_head, csv_of, markdown_of, text_of
from whence_aggregator.whence.cli import whence

OLD = {"version": "1.0", "image": "sha256:" + "d" * 64, "user_data": "sha256:" + "0" * 64}
NEW = {"version": "1.1", "image": "sha256:" + "e" * 64, "user_data": "sha256:" + "0" * 64}
NOT_READ = unknown("not collected").to_wire(())
REVIEW = {"number": 4, "url": "https://git.example.org/pull/4", "author": "ada", "approved_by": ["bob", "eve"]}


def change(**started: Any) -> dict[str, Any]:
    """Return a change from 1.0 to 1.1; arguments change what started."""
    one = {
        **NEW, "replaced": OLD,
        "commit": {"state": "asserted", "reason": None, "repository": "git.example.org/demo/greeter", "commit": "b" * 40,
                   "author": "Ada <a@b.c>", "subject": "PAY-8: greet louder"},
        "commits": NOT_READ, "tickets": [{"id": "PAY-8", "url": "https://t.example.org/PAY-8"}], "reviews": ["#4"],
        "review": reviewed(None), "approvals": ApprovedBy.of((), NEW["image"]).to_wire(), **started,
    }  # fmt: skip
    return {
        "recorded_at": "2026-11-22T13:00:00.000Z", "observed_at": None, "ledger_index": 9, "application_id": "greeter",
        "account_id": "123456789012", "region": "eu-central-1", "instance_id": "i-00000001", "cause": "change",
        "before": [OLD], "after": [NEW], "started": [one], "ended": [OLD],
    }  # fmt: skip


def hostile(text: str) -> dict[str, Any]:
    """Return a change whose every text from outside is the given one."""
    commit = {"state": "asserted", "reason": text, "repository": text, "commit": text, "author": text, "subject": text}
    found = change(
        version=text, commit=commit, tickets=[{"id": text, "url": f"https://t.example.org/{text}"}],
        review={"state": "found", "reason": None, "reviews": [
            {"number": 4, "url": text, "author": text, "approved_by": [text]}]},
        reviews=[text], approvals=ApprovedBy(state="found", by=({"person": text},)).to_wire(),
        commits=CommitRange(
            state="found", only_a=(RangeCommit(commit_id=text, message=text),),
            only_b=(RangeCommit(commit_id=text, message=text),),
        ).to_wire(()),
    )  # fmt: skip
    return {**found, "application_id": text, "before": [{**OLD, "version": text}], "cause": text}


def rows(*changes: dict[str, Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_head() + "".join(map(csv_of, changes)), newline=""), strict=True))


def test_a_change_reads_as_lines() -> None:
    assert list(text_of(change())) == [
        "2026-11-22T13:00:00.000Z greeter in 123456789012/eu-central-1: started 1.1, ended 1.0 (change, i-00000001)",
        "   before: 1.0",
        "   after: 1.1",
        "   1.1 replaced 1.0",
        "     commit: bbbbbbbbbbbb of git.example.org/demo/greeter, asserted: PAY-8: greet louder",
        "     tickets: PAY-8, as commits name them",
        "     approved by: missing: no approval of this image as this version is recorded",
        "     not known: commits since the version before: not collected",
        "     not known: review: the review of the commit was not read",
    ]


def test_approvals_that_are_not_proved_to_be_of_the_commit_have_the_reason_beside_them() -> None:
    found = change(review={"state": "found", "reason": "#4 was merged elsewhere", "reviews": [REVIEW]})
    lines = list(text_of(found))
    place = lines.index("     review: https://git.example.org/pull/4 of ada, approved by bob, eve")
    assert lines[place + 1] == "     review not confirmed: #4 was merged elsewhere"
    assert "- review not confirmed: `#4 was merged elsewhere`" in list(markdown_of(found))
    row = dict(zip(*rows(found), strict=True))
    assert row["reviewed_by"] == ""
    assert "review not confirmed: #4 was merged elsewhere" in row["not_known"]


def test_no_ticket_is_told_as_none_only_where_all_that_came_is_known() -> None:
    assert "     tickets: none known, as commits name them" in list(text_of(change(tickets=[])))
    assert "- tickets: none known" in list(markdown_of(change(tickets=[])))
    nothing = CommitRange(state="found", only_a=(RangeCommit(commit_id="c" * 40),)).to_wire(())
    assert "     tickets: none, as commits name them" in list(text_of(change(tickets=[], commits=nothing)))
    assert "- tickets: none" in list(markdown_of(change(tickets=[], commits=nothing)))


@pytest.mark.parametrize(("state", "reason"), [("asserted", "withheld: why"), ("unknown", "the server is away")])
def test_a_message_that_is_not_read_or_not_shown_is_never_told_to_name_no_ticket(state: str, reason: str) -> None:
    commit = {**change()["started"][0]["commit"], "state": state, "reason": reason, "subject": None}
    found = change(commit=commit, tickets=[])
    assert f"     tickets: unknown: {reason}" in list(text_of(found))
    assert f"- tickets: unknown: `{reason}`" in list(markdown_of(found))


@pytest.mark.parametrize(
    ("review", "line", "people"),
    [
        ({"state": "found", "reason": None, "reviews": [REVIEW]},
         "review: https://git.example.org/pull/4 of ada, approved by bob, eve", "bob eve"),
        ({"state": "found", "reason": None, "reviews": [{**REVIEW, "approved_by": []}]},
         "review: https://git.example.org/pull/4 of ada, without an approval that counts", ""),
        ({"state": "missing", "reason": "it was pushed directly", "reviews": []},
         "review: missing: it was pushed directly", ""),
        ({"state": "unknown", "reason": "the host is away", "reviews": []}, "not known: review: the host is away", ""),
    ],
)  # fmt: skip
def test_the_review_of_the_commit_is_told_with_who_approved_it(review: Any, line: str, people: str) -> None:
    found = change(review=review)
    assert f"     {line}" in list(text_of(found))
    assert line.partition(":")[0] in {one.removeprefix("- ").partition(":")[0] for one in markdown_of(found)}
    assert dict(zip(COLUMNS, rows(found)[1], strict=True))["reviewed_by"] == people


def test_what_ran_before_and_still_runs_was_not_replaced() -> None:
    assert "   1.1 runs beside 1.0" in list(text_of({**change(), "after": [OLD, NEW]}))


def test_the_commits_that_came_with_a_version_are_listed() -> None:
    commits = CommitRange(state="found", only_b=(RangeCommit(commit_id="b" * 40, message="PAY-8: greet louder"),))
    found = change(commits=commits.to_wire(()))
    assert "       bbbbbbbbbbbb PAY-8: greet louder" in list(text_of(found))
    assert dict(zip(COLUMNS, rows(found)[1], strict=True))["commits"] == "b" * 40


def test_a_version_that_goes_back_lists_the_commits_that_it_is_without() -> None:
    gone = (RangeCommit(commit_id="c" * 40, message="PAY-9: whisper"),)
    found = change(commits=CommitRange(state="found", only_a=gone).to_wire(()), tickets=[])
    lines, note = list(text_of(found)), list(markdown_of(found))
    at = lines.index("     without these commits of 1.0:")
    assert lines[at + 1 : at + 3] == ["       cccccccccccc PAY-9: whisper", "     tickets: none, as commits name them"]
    assert "- without these commits of `1.0`:" in note
    assert "  - `cccccccccccc` `PAY-9: whisper`" in note
    row = dict(zip(COLUMNS, rows(found)[1], strict=True))
    assert (row["commits"], row["commits_without"], row["tickets"]) == ("", "c" * 40, "")


def test_a_cut_list_states_that_its_tickets_are_cut_too() -> None:
    commits = CommitRange(state="found", only_b=(RangeCommit(commit_id="b" * 40, message="PAY-8"),), cut=True)
    assert (
        "     not known: there are more commits than are listed: their tickets and reviews are not in this record"
        in list(text_of(change(commits=commits.to_wire(()))))
    )


def test_what_differs_in_user_data_only_is_told_apart_by_digest() -> None:
    other = {**OLD, "user_data": "sha256:" + "7" * 64}
    (_, _, after, *_) = text_of({**change(), "after": [OLD, other]})
    assert after == (
        "   after: 1.0 (image sha256:dddddddddddd, user data sha256:000000000000), "
        "1.0 (image sha256:dddddddddddd, user data sha256:777777777777)"
    )


def test_a_release_note_lists_versions_commits_and_tickets() -> None:
    commits = CommitRange(state="found", only_b=(RangeCommit(commit_id="b" * 40, message="PAY-8: greet louder"),))
    found = change(
        commits=commits.to_wire(()), approvals=ApprovedBy(state="found", by=({"person": "ada"},)).to_wire(),
        review={"state": "found", "reason": None, "reviews": [REVIEW]},
    )  # fmt: skip
    assert list(markdown_of(found)) == [
        "### `2026-11-22T13:00:00.000Z` `greeter`: started `1.1`, ended `1.0`",
        "",
        "- in `123456789012/eu-central-1`, by `i-00000001` (`change`)",
        "- before: `1.0`; after: `1.1`",
        "- commit: `bbbbbbbbbbbb` of `git.example.org/demo/greeter`, `asserted`: `PAY-8: greet louder`",
        "  - `bbbbbbbbbbbb` `PAY-8: greet louder`",
        "- tickets: [`PAY-8`](<https://t.example.org/PAY-8>)",
        "- review: `https://git.example.org/pull/4` of `ada`, approved by `bob`, `eve`",
        "- approved by: `ada`",
        "",
    ]


def test_each_version_that_started_is_a_row_and_so_is_an_end() -> None:
    head, started, ended = rows(change(), {**change(), "started": []})
    assert head == list(COLUMNS)
    row = dict(zip(head, started, strict=True))
    assert (row["started"], row["replaced"], row["tickets"], row["reviews"], row["subject"]) == (
        "1.1", "1.0", "PAY-8", "#4", "PAY-8: greet louder",
    )  # fmt: skip
    assert row["not_known"] == (
        "commits since the version before: not collected; review: the review of the commit was not read"
    )
    assert (ended[COLUMNS.index("started")], ended[COLUMNS.index("before")]) == ("", "1.0")


FORMULAS = [
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠A", "%0A=1",
    "|calc", 'a";=1', "a;=HYPERLINK(1)", "a; @x", '"=1"', "=1\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";"])
def test_no_cell_begins_a_formula_whichever_separator_a_spreadsheet_expects(text: str, separator: str) -> None:
    printed = csv_of(hostile(text))
    for row in csv.reader(io.StringIO(printed, newline=""), delimiter=separator):
        for cell in row:
            assert not re.match(r"[\s\"]*[=+\-@|%＝＋－＠]", cell), cell


@given(st.text(max_size=30))
def test_whatever_a_text_holds_a_row_is_one_line_with_all_columns(text: str) -> None:
    printed = csv_of(hostile(text))
    (row,) = csv.reader(io.StringIO(printed, newline=""), strict=True)
    assert len(row) == len(COLUMNS)
    assert printed.count("\n") == 1
    assert all(cell.isprintable() for cell in row)


MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://evil/p.png)",
    "@everyone", "#1", "owner/repo#1", "`code`", "``", "`", "a`<b>`c", "` <b>", "- item", "# title", "| a | b |", "~~~",
    "```\n<b>\n```", "&lt;b&gt;", "&#60;b&#62;", "\\`<b>", "http://evil.example", "a\n\n<b>", "<!--", "]]>", "x" * 5_000,
]  # fmt: skip


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def outside_of_spans(line: str) -> str:
    """Return a line of Markdown without its code spans, by CommonMark's rule: a fence ends at one of its length."""
    kept, position = [], 0
    for fence in re.finditer("`+", line):
        if fence.start() < position:
            continue
        close = next((one for one in re.finditer("`+", line[fence.end() :]) if len(one[0]) == len(fence[0])), None)
        assert close is not None, "a fence that does not end"
        kept.append(line[position : fence.start()])
        position = fence.end() + close.end()
    return "".join([*kept, line[position:]])


@pytest.mark.parametrize("text", MARKUP)
def test_a_release_note_has_no_markup_from_outside(text: str) -> None:
    for line in markdown_of(hostile(text)):
        rest = outside_of_spans(line)
        assert line.isprintable()
        assert re.fullmatch(
            r"(### |  - |- )?[A-Za-z0-9 :,;.()/]*(\[\]\(<https://t\.example\.org/[!-;=?-~]*>\))?[A-Za-z ]*", rest
        ), rest


@given(st.text(alphabet="`a<> \\[]()\n", max_size=15))
def test_no_text_leaves_its_code_span(text: str) -> None:
    for line in markdown_of(hostile(text)):
        rest = outside_of_spans(line)
        parser = Tags()
        parser.feed(re.sub(r"\(<https://t\.example\.org/[^ <>]*>\)", "", rest))
        assert parser.tags == []
        assert "](" not in rest.replace("](<https://t.example.org/", "")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//t.example.org/x", "http://", "https://[", "t", "", None]
)
def test_only_an_address_of_the_web_becomes_a_link(url: str | None) -> None:
    (line,) = [one for one in markdown_of(change(tickets=[{"id": "PAY-8", "url": url}])) if "tickets" in one]
    assert line == "- tickets: `PAY-8`"


@pytest.mark.parametrize("text", [*MARKUP, *FORMULAS, "\x1b[31m", "\u202e", "a\x00b"])
def test_text_for_people_moves_no_cursor_and_adds_no_line(text: str) -> None:
    lines = list(text_of(hostile(text)))
    assert len(lines) == 11
    assert all(line.isprintable() for line in lines)


class Pages:
    """An aggregator with two pages of changes."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str | None]] = []

    def get(self, path: str, **parameters: str | None) -> dict[str, Any]:
        assert path == "/v1/changes"
        self.asked.append(parameters)
        return {"changes": [change()], "next": "7" if parameters["cursor"] is None else None}


def ask(*options: str, pages: Pages | None = None) -> Result:
    return CliRunner().invoke(whence.commands["changes"], options, obj=pages or Pages())


def test_each_format_prints_every_page() -> None:
    for form, mark, times in (
        ("text", "PAY-8, as", 2),
        ("markdown", "### ", 2),
        ("csv", "\r\n", 3),
        ("json", '"ledger_index"', 2),
    ):
        result = ask("--application", "greeter", "--format", form, "--all")
        assert (result.exit_code, result.stdout_bytes.decode().count(mark)) == (0, times), form
    assert json.loads(ask("--team", "hello", "--json").stdout)["next"] is None


def test_its_options_are_the_parameters_and_one_filter_is_needed() -> None:
    pages = Pages()
    ask("--account", "123456789012", "--from", "a", "--to", "b", "--limit", "1", pages=pages)
    assert pages.asked == [
        {
            "application": None,
            "team": None,
            "account": "123456789012",
            "from": "a",
            "to": "b",
            "cursor": None,
            "limit": "1",
        }
    ]
    assert ask("--from", "a").exit_code == 2
