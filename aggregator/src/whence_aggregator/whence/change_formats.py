"""The change record as text, CSV and Markdown. Pure: text from outside starts no formula, no markup and no line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from whence_aggregator.whence.tracked_words import review_words, ticket_words, unknown_reviews, unknown_tickets
from whence_common.visible import printable

_Change = Mapping[str, Any]
_DOUBTS = {"no": "does not count", "unknown": "may not count"}
_TEXT_CHARACTERS_MAX = 500
_FORMULA = re.compile(r"(^|;)([\s\"]*)(?=[=+\-@|%＝＋－＠])")
"""Where a spreadsheet begins a formula: a cell's start, also after the other separator that some of them expect."""
COLUMNS = (
    "recorded_at", "application_id", "account_id", "region", "instance_id", "cause", "before", "after", "started",
    "replaced", "image", "repository", "commit", "author", "subject", "commits", "commits_without",
    "tickets", "ticket_states", "reviews", "reviewed_by", "commit_reviews", "approved_by", "not_known", "not_counted",
)  # fmt: skip


def text_of(change: _Change) -> Iterator[str]:
    """Yield the lines of a change for people."""
    place = f"{_text(change['application_id'] or 'no application')} in {_place(change)}"
    by = f"({_text(change['cause'])}, {_text(change['instance_id'])})"
    yield f"{_text(change['recorded_at'])} {place}: {_what(change)} {by}"
    yield f"   before: {_names(change['before'])}"
    yield f"   after: {_names(change['after'])}"
    for one in change["started"]:
        yield f"   {_text(_name(one))} {_instead(change, one)}"
        yield f"     commit: {_commit(one['commit'])}"
        for commit in one["commits"]["only_b"]:
            yield f"       {_text(commit['commit'][:12])} {_text(commit['subject'])}{_said(commit)}"
        if one["commits"]["only_a"]:
            yield f"     without these commits of {_text(_name(one['replaced']))}:"
        for commit in one["commits"]["only_a"]:
            yield f"       {_text(commit['commit'][:12])} {_text(commit['subject'])}{_said(commit)}"
        yield f"     tickets: {_unread(one) or _tickets(one['tickets'], none=_none(one))}"
        yield from (f"     {line}" for line in _reviews(one["review"]))
        yield f"     approved by: {_approved(one['approvals'])}"
        yield from (f"     not known: {_text(reason)}" for reason in _unknown(one))


def csv_head() -> str:
    """Return the first line of the CSV."""
    return _csv([COLUMNS])


def csv_of(change: _Change) -> str:
    """Return the rows of a change: one for each version that started, or one if none did."""
    rows = [_row(change, one) for one in change["started"] or [None]]
    return _csv([[_safe(row.get(column)) for column in COLUMNS] for row in rows])


def markdown_of(change: _Change) -> Iterator[str]:
    """Yield the lines of a change for a release note: whatever came from outside is a code span."""
    application = _span(change["application_id"] or "no application")
    yield f"### {_span(change['recorded_at'])} {application}: {_what(change, _span)}"
    yield ""
    yield f"- in {_span(_place(change))}, by {_span(change['instance_id'])} ({_span(change['cause'])})"
    yield f"- before: {_names(change['before'], _span)}; after: {_names(change['after'], _span)}"
    for one in change["started"]:
        yield f"- commit: {_commit(one['commit'], _span)}"
        for commit in one["commits"]["only_b"]:
            yield f"  - {_span(commit['commit'][:12])} {_span(commit['subject'])}{_said(commit, _span)}"
        if one["commits"]["only_a"]:
            yield f"- without these commits of {_span(_name(one['replaced']))}:"
        for commit in one["commits"]["only_a"]:
            yield f"  - {_span(commit['commit'][:12])} {_span(commit['subject'])}{_said(commit, _span)}"
        yield f"- tickets: {_unread(one, _span) or ', '.join(map(_ticket, one['tickets'])) or _none(one)}"
        yield from (f"- {line}" for line in _reviews(one["review"], _span))
        yield f"- approved by: {_approved(one['approvals'], _span)}"
        yield from (f"- not known: {_span(reason)}" for reason in _unknown(one))
    yield ""


def _row(change: _Change, started: _Change | None) -> dict[str, object]:
    row: dict[str, object] = {name: change[name] for name in COLUMNS if name in change}
    row |= {"before": _names(change["before"]), "after": _names(change["after"]), "started": ""}
    if started is None:
        return row
    commit = started["commit"]
    return {
        **row,
        "started": _name(started),
        "replaced": _name(started["replaced"]) if started["replaced"] else "",
        "image": started["image"],
        **{name: commit[name] for name in ("repository", "commit", "author", "subject")},
        "commits": " ".join(one["commit"] for one in started["commits"]["only_b"]),
        "commits_without": " ".join(one["commit"] for one in started["commits"]["only_a"]),
        "tickets": " ".join(ticket["id"] for ticket in started["tickets"]),
        "ticket_states": "; ".join(f"{one['id']} {one.get('state') or 'asserted'}" for one in started["tickets"]),
        "reviews": " ".join(started["reviews"]),
        "reviewed_by": " ".join(_reviewers(started["review"])),
        "commit_reviews": "; ".join(
            f"{one['commit'][:12]} {words}"
            for one in started["commits"]["only_b"]
            if (words := review_words(one.get("review")))
        ),
        "approved_by": " ".join(
            dict.fromkeys(str(one.get("person", "")) for one in started["approvals"]["by"] if one.get("counts") != "no")
        ),
        "not_counted": "; ".join(
            f"{one['person']} {one['type']} {_DOUBTS[one['counts']]}: {one['why']}"
            for one in started["approvals"]["by"]
            if one.get("counts") in _DOUBTS
        ),
        "not_known": "; ".join(
            [
                *_unknown(started),
                *(f"{line}: {started['review']['reason']}" for line in _unconfirmed(started["review"])),
            ]
        ),
    }


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _safe(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe stands before what could begin one."""
    return _FORMULA.sub(r"\1'\2", _text(value)) if value is not None else ""


def _text(value: object) -> str:
    return printable(value)[:_TEXT_CHARACTERS_MAX]


def _span(value: object) -> str:
    """Return a code span of Markdown, in which nothing is markup, HTML, a link or a mention of a person."""
    text = _text(value).strip() or " "
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _link(ticket: _Change) -> str:
    """Return a ticket, as a link if its URL is one of the web."""
    url = printable(ticket["url"] or "")
    try:
        web = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        web = False
    return f"[{_span(ticket['id'])}](<{quote(url, safe=':/?#@!$&*+,;=%~._-')}>)" if web else _span(ticket["id"])


def _said(commit: _Change, shown: Callable[[object], str] = _text) -> str:
    """Return by which review a commit came in, to follow its subject; why that is unknown stands once, at the end."""
    review = commit.get("review")
    words = review_words(review, shown) if review is not None and review["state"] != "unknown" else ""
    return f", {words}" if words else ""


def _ticket(ticket: _Change) -> str:
    words = ticket_words(ticket, _span)
    return f"{_link(ticket)} {words}" if words else _link(ticket)


def _unread(started: _Change, shown: Callable[[object], str] = _text) -> str:
    """Return why it is not known which tickets came: a message that was not read, or is not shown, may name some."""
    commit = started["commit"]
    if started["tickets"] or (commit["state"] == "asserted" and not commit["reason"]):
        return ""
    return f"unknown: {shown(commit['reason'])}"


def _none(started: _Change) -> str:
    """Return the word for no tickets: commits and reviews that are not known yet may name some."""
    commits = started["commits"]
    unread = commits["state"] == "unknown" or (commits["only_b"] and _unknown(started))
    return "none known" if unread else "none"


def _tickets(tickets: Sequence[_Change], *, none: str) -> str:
    """Return tickets with their states; of those that no tracker was asked about, where they were found."""
    said = [f"{_text(one['id'])} ({words})" if (words := ticket_words(one)) else _text(one["id"]) for one in tickets]
    named = any(not ticket_words(one) for one in tickets) or not tickets
    return f"{', '.join(said) or none}{', as commits name them' if named else ''}"


def _what(change: _Change, shown: Callable[[object], str] = _text) -> str:
    parts = [f"started {_names(change['started'], shown)}"] if change["started"] else []
    parts += [f"ended {_names(change['ended'], shown)}"] if change["ended"] else []
    return ", ".join(parts)


def _names(deployed: Sequence[_Change], shown: Callable[[object], str] = _text) -> str:
    """Return what runs, by version; what differs in image or user data only is told apart by digest."""
    versions = [one["version"] for one in deployed]
    return _list((_name(one, whole=versions.count(one["version"]) > 1) for one in deployed), shown, none="nothing")


def _name(one: _Change, *, whole: bool = False) -> str:
    image, user_data = (str(one[part] or "none")[:19] for part in ("image", "user_data"))
    if not one["version"]:
        return f"image {image}"
    return f"{one['version']} (image {image}, user data {user_data})" if whole else str(one["version"])


def _list(names: Iterator[str] | Sequence[str], shown: Callable[[object], str] = _text, none: str = "none") -> str:
    return ", ".join(map(shown, names)) or none


def _place(change: _Change) -> str:
    return f"{change['account_id']}/{change['region']}"


def _commit(commit: _Change, shown: Callable[[object], str] = _text) -> str:
    if not commit["commit"]:
        return f"{shown(commit['state'])}: {shown(commit['reason'])}"
    named = f"{shown(commit['commit'][:12])} of {shown(commit['repository'])}, {shown(commit['state'])}"
    return f"{named}: {shown(commit['subject'])}" if commit["subject"] else named


def _approved(approvals: _Change, shown: Callable[[object], str] = _text) -> str:
    if approvals["state"] != "found":
        return f"{approvals['state']}: {shown(approvals['reason'])}"
    people = dict.fromkeys(str(one.get("person", "")) for one in approvals["by"])
    return ", ".join(shown(one) + _doubts(one, approvals, shown) for one in people) or "none"


def _doubts(person: str, approvals: _Change, shown: Callable[[object], str]) -> str:
    """Return which approvals of a person do not count, and why, in brackets; empty if all do or none is judged."""
    doubts = [
        f"{shown(one['type'])} {_DOUBTS[one['counts']]}: {shown(one['why'])}"
        for one in approvals["by"]
        if str(one.get("person", "")) == person and one.get("counts") in _DOUBTS
    ]
    return f" ({'; '.join(doubts)})" if doubts else ""


def _instead(change: _Change, started: _Change) -> str:
    """Return what a version replaced: what was stated last before it may still run."""
    before = started["replaced"]
    if not before:
        return "is new here"
    name = _text(_name(before))
    return f"runs beside {name}" if before in change["after"] else f"replaced {name}"


def _reviews(review: _Change, shown: Callable[[object], str] = _text) -> Iterator[str]:
    """Yield a line for each review that brought the commit in, or that there is none; what is unknown is told apart."""
    if review["state"] == "missing":
        yield f"review: missing: {shown(review['reason'])}"
    for one in review["reviews"]:
        good = _list(one["approved_by"], shown, none="")
        approved = f"approved by {good}" if good else "without an approval that counts"
        author = shown(one["author"] or "a deleted account")
        yield f"review: {shown(one['url'] or one['number'])} of {author}, {approved}"
    yield from (f"{line}: {shown(review['reason'])}" for line in _unconfirmed(review))


def _unconfirmed(review: _Change) -> Iterator[str]:
    """Yield how the line begins that states why the approvals of what was found do not confirm the commit."""
    if review["state"] == "found" and review["reason"]:
        yield "review not confirmed"


def _reviewers(review: _Change) -> list[str]:
    """Return whose approvals count; nobody where it is not proved that they are about the commit."""
    if review["reason"]:
        return []
    return list(dict.fromkeys(by for one in review["reviews"] for by in one["approved_by"]))


def _unknown(started: _Change) -> list[str]:
    """Return what is not known about what came with a version."""
    commits, reasons = started["commits"], []
    if commits["state"] == "unknown":
        reasons.append(f"commits since the version before: {commits['reason']}")
    if started["review"]["state"] == "unknown":
        reasons.append(f"review: {started['review']['reason']}")
    if commits["cut"]:
        reasons.append("there are more commits than are listed: their tickets and reviews are not in this record")
    return [*reasons, *unknown_reviews(commits["only_b"]), *unknown_tickets(started["tickets"])]
