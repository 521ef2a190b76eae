"""Reviews and tickets of commits in words: what is unknown is never told as if there were none. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from whence_common.visible import printable

_TEXT_CHARACTERS_MAX = 200
_REASON_CHARACTERS_MAX = 500
"""A reason ends with what to do about it."""
_NOT_CONFIGURED = "not configured"
"""How the reason begins where the settings name no such host: the lineage states it once."""
Shown = Callable[[object], str]


def plain(value: object) -> str:
    """Return a text from outside in one line."""
    return printable(value)[:_TEXT_CHARACTERS_MAX]


def reason_of(value: object) -> str:
    """Return a reason in one line, with its end."""
    return printable(value)[:_REASON_CHARACTERS_MAX]


def ticket_words(ticket: Mapping[str, Any], shown: Shown = plain) -> str:
    """Return the state of a ticket, and its title and status or why it is not confirmed; empty if it is only named."""
    state = ticket.get("state") or "asserted"
    if state == "asserted":
        return f"asserted {shown(ticket['reason'])}" if ticket.get("reason") else ""
    if state == "confirmed":
        named = [ticket.get("title"), ticket.get("status"), *([ticket["reason"]] if ticket.get("reason") else [])]
    else:
        named = [ticket.get("problem") if ticket.get("problem") not in (state, None) else None, ticket.get("reason")]
    said = ", ".join(shown(one) for one in named if one)
    return f"{plain(state)} {said}" if said else plain(state)


def review_words(review: Mapping[str, Any] | None, shown: Shown = plain) -> str:
    """Return by which review a commit came in, and who approved it; empty if its host is not asked."""
    if not _is_asked(review):
        return ""
    state = review["state"]
    if state == "unknown":
        return f"review unknown: {shown(review['reason'])}"
    if state == "missing":
        return f"no review: {shown(review['reason'])}"
    named = f"#{plain(review['number'])}"
    by = f" by {shown(review['author'])}" if review["author"] else ""
    said = f"review {shown(named)}{by}, "
    approved = ", ".join(map(shown, review["approved_by"]))
    if state == "confirmed":
        return f"{said}approved by {approved}"
    if state == "contradicted":
        return f"{said}contradicted: {shown(review['reason'])}"
    return (
        f"{said}approved by {approved}, not proved: {shown(review['reason'])}"
        if approved
        else (f"{said}without an approval that counts")
    )


def _is_asked(review: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    return review is not None and not str(review["reason"]).startswith(_NOT_CONFIGURED)


def unknown_reviews(commits: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why the reviews of commits are unknown, each reason once with the number of commits."""
    reasons = Counter(
        str(one["review"]["reason"])
        for one in commits
        if _is_asked(one.get("review")) and one["review"]["state"] == "unknown"
    )
    for reason, number in reasons.items():
        what = "the review of 1 commit is" if number == 1 else f"the reviews of {number} commits are"
        yield f"{what} unknown: {reason_of(reason)}"


def unknown_tickets(tickets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why tickets are unknown."""
    return [
        f"ticket {plain(one['id'])}: {reason_of(one.get('reason'))}" for one in tickets if one.get("state") == "unknown"
    ]
