"""A lineage in plain words: who, what, since when, for which ticket, approved by whom, and what is not known. Pure.

What one source states is never told as a fact: a sentence is as strong as the weakest link that it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.whence.ages import age
from whence_common.visible import printable

_Links = Mapping[str, Mapping[str, Any]]
_KNOWN = ("confirmed", "asserted")
_GAPS = {"contradicted": "sources disagree", "missing": "it is missing", "unknown": "it is unknown"}
_TEXT_CHARACTERS_MAX = 160
_REASON_CHARACTERS_MAX = 500
"""A reason ends with what to do about it."""
_COMMIT_CHARACTERS = 12
_LIVES = {
    "running": ("has been running", "was running"),
    "pending": ("is starting", "was starting"),
    "stopping": ("is stopping", "was stopping"),
    "stopped": ("has been stopped", "was stopped"),
    "shutting-down": ("is being terminated", "was being terminated"),
    "terminated": ("has been terminated", "was terminated"),
}

_STATED = {
    "boot": "it has run since", "change": "it has run what follows since", "stop": "it stopped at",
    "failed": "its boot failed at",
}  # fmt: skip
"""By the cause of the statement."""


def paragraph(lineage: Mapping[str, Any]) -> str:
    """Return one paragraph, in one line."""
    links = {str(link["link"]): link for link in lineage["links"]}
    sentences = (
        _presence(lineage), *_since(lineage, links), *_what(links), *_credentials(lineage, links),
        *_who(links), *_source(links), *_review(links),
        *_ticket(links), _approval(links),
    )  # fmt: skip
    return " ".join([*sentences, *_not_known(lineage, links)])


def _presence(lineage: Mapping[str, Any]) -> str:
    name, past = _text(lineage["subject"]["instance"]), lineage["heard"] is None
    life = _LIVES.get(str(lineage["life"]))
    when = f"At {_text(lineage['at'])}, " if past else ""
    if life is None:
        said = f"{when}it is not known whether {name} {'ran' if past else 'runs'}"
        said = said[0].upper() + said[1:]
    else:
        since = f" since {_text(lineage['life_since'])}" if lineage["life_since"] else ""
        said = f"{when}{name} {life[past]}{since}"
    heard = {"speaking": "; its agent reports", "never": "; no heartbeat of its agent ever arrived"}
    if lineage["heard"] == "silent":
        said += f"; its agent has been silent since {_text(lineage['last_seen'])}"
    late = "" if lineage["recorded_by_then"] else " Nothing was recorded by then: this was reported later."
    return f"{said}{heard.get(str(lineage['heard']), '')}.{late}"


def _since(lineage: Mapping[str, Any], links: _Links) -> Iterator[str]:
    """Yield since when it runs by the newest statement of its agent, where no other source states whether it does."""
    value = (links.get("instance") or {}).get("value") or {}
    stated = _STATED.get(str(value.get("cause")))
    if stated is None or not value.get("observed_at") or lineage["life"] in _LIVES:
        return
    then = str(value["observed_at"])
    ago = age(then, str(lineage["at"]))
    when = f", {ago} {'ago' if lineage['heard'] is not None else 'before'}" if ago else ""
    yield f"By the newest statement of its agent, {stated} {_text(then)}{when} (asserted)."


def _what(links: _Links) -> Iterator[str]:
    image, application, version = (links.get(name) for name in ("image", "application", "version"))
    if not _is_known(image):
        yield f"What runs on it is not known: {_reason(image)}."
        return
    parts = [f"image {_value(image, 'reference')} {_mark(image)}"]
    if _is_known(application):
        parts.append(f"of application {_value(application, 'application_id')} {_mark(application)}")
    if _is_known(version):
        parts.append(f"in version {_value(version, 'application_version')} {_mark(version)}")
    yield f"It runs {', '.join(parts)}."


def _credentials(lineage: Mapping[str, Any], links: _Links) -> Iterator[str]:
    """Yield which generations of its credentials it holds, where its agent states them."""
    value = (links.get("instance") or {}).get("value") or {}
    parts = []
    for one in value.get("credentials") or ():
        made = age(str(one.get("minted_at") or ""), str(lineage["at"]))
        generation = f"generation {_text(one['generation'])}" if one.get("generation") else "no stated generation"
        parts.append(f"{_text(one['file'])} of {generation}{f', made {made} ago' if made else ''}")
    if parts:
        yield f"It holds {'; '.join(parts)}."


def _who(links: _Links) -> Iterator[str]:
    team, account = links.get("team"), links.get("account")
    where = f" in account {_value(account, 'account_id')} {_mark(account)}" if _is_known(account) else ""
    if _is_known(team):
        yield f"Team {_value(team, 'team_id')} {_mark(team)} owns it{where}."
    elif where:
        yield f"It is{where}."


def _source(links: _Links) -> Iterator[str]:
    source, commit = links.get("source"), links.get("commit")
    strength = _weakest((source, commit))
    if strength is None:
        yield "From which commit the image was built is not known."
        return
    value = (commit or {}).get("value") or {}
    built = "was built" if strength == "confirmed" else "is said to have been built"
    author = f" by {_text(value['author'])}" if value.get("author") else ""
    subject = f": “{_text(value['subject'])}”" if value.get("subject") else ""
    named = _text(str(value.get("commit", ""))[:_COMMIT_CHARACTERS])
    yield f"The image {built} from commit {named} of {_text(value.get('repository', ''))}{author}{subject}."


def _review(links: _Links) -> Iterator[str]:
    """Yield by which reviews the commit came in, and whose approvals count. A gap is told with the others."""
    review = links.get("review")
    found = ((review or {}).get("value") or {}).get("reviews", ())
    if review is not None and _is_known(links.get("commit")) and _is_known(review) and found:
        yield f"The commit came in by {'; '.join(map(_one_review, found))}{_unproved(review, found)}."


def _unproved(review: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """Return that approvals prove nothing, where some count and the link is not confirmed; its reason follows later."""
    good = any(vote["counts"] is True for one in found for vote in one["approvals"])
    return ", which does not prove that this commit was approved" if good and review["state"] != "confirmed" else ""


def _one_review(one: Mapping[str, Any]) -> str:
    good = [_text(vote["by"]) for vote in one["approvals"] if vote["counts"] is True]
    approved = f"approved by {', '.join(good)}" if good else "without an approval that counts"
    return f"review {_text(one['url'] or one['number'])} of {_text(one['author'] or 'a deleted account')}, {approved}"


def _ticket(links: _Links) -> Iterator[str]:
    ticket = links.get("ticket")
    strength = _weakest((links.get("source"), links.get("commit"), ticket))
    tickets = ((ticket or {}).get("value") or {}).get("tickets", ())
    if strength is None or ticket is None or not tickets:
        yield "For which ticket it was changed is not known."
        return
    others = [one for one in tickets if one.get("state") in _GAPS or _is_weaker(one, ticket)]
    named = [one for one in tickets if one not in others] or tickets
    if strength == "confirmed":
        yield f"It was changed for {_named(named)}."
    else:
        it = "them" if len(named) > 1 else "it"
        yield f"The commit names {_named(named)}, which does not prove that it was changed for {it}."
    if others and named is not tickets:
        why = f": {_reason(ticket)}" if ticket["reason"] else ""
        yield f"Also named, but not confirmed: {_named(others)}{why}."


def _is_weaker(one: Mapping[str, Any], link: Mapping[str, Any]) -> bool:
    """Return whether a ticket is not what confirmed the link: no tracker was asked, or its answer proves nothing."""
    return link["state"] == "confirmed" and one.get("state") != "confirmed"


def _named(tickets: Sequence[Mapping[str, Any]]) -> str:
    """Return tickets by name, with title and status where a tracker has them."""
    shown = [
        f"{_text(one['id'])} (“{_text(one['title'])}”, {_text(one['status'])})"
        if one.get("title")
        else _text(one["id"])
        for one in tickets
    ]
    return f"ticket{'s' * (len(tickets) > 1)} {', '.join(shown)}"


def _approval(links: _Links) -> str:
    approval = links.get("approval")
    people = _people((approval or {}).get("value") or {})
    state = (approval or {}).get("state")
    if state == "missing":
        only = f", only by {', '.join(people)}" if people else ""
        return f"The version is not approved as required{only}."
    if not _is_known(approval) or not people:
        return "Who approved the version is not known."
    said = "The version was approved by" if state == "confirmed" else "The version is said to be approved by"
    return f"{said} {', '.join(people)}."


def _people(value: Mapping[str, Any]) -> list[str]:
    """Return the persons whose approvals count: not those of authors, and not those of which it is not known."""
    listed = value.get("approvals") or ()
    return [
        _text(one) for one in dict.fromkeys(one.get("user_id") for one in listed if one.get("counts") == "yes") if one
    ]


def _not_known(lineage: Mapping[str, Any], links: _Links) -> Iterator[str]:
    """Yield the sentence about links with a gap, and about those that were not checked."""
    gaps = [
        f"{_text(name).replace('_', ' ')} ({_GAPS.get(str(link['state']), 'it is unknown')}: {_reason(link)})"
        for name, link in links.items()
        if not _is_known(link)
    ]
    told = {name for name, link in links.items() if not _is_known(link)}
    gaps += [
        f"{_text(one['link'])} ({_text(one['reason'])})" for one in lineage["not_checked"] if one["link"] not in told
    ]
    if gaps:
        yield f"Not known, or disputed: {'; '.join(gaps)}."
    weak = [
        f"{_text(name).replace('_', ' ')} ({_reason(link)})"
        for name, link in links.items()
        if link["state"] == "asserted"
        and link["reason"]
        and name not in {one["link"] for one in lineage["not_checked"]}
    ]
    if weak:
        yield f"Not proved: {'; '.join(weak)}."
    if any(link["state"] == "asserted" for link in links.values()):
        yield "“Asserted” means that one source states it and none contradicts it."


def _weakest(links: Sequence[Mapping[str, Any] | None]) -> str | None:
    """Return how much may be said of what rests on all of these links; None if one of them has a gap."""
    if not all(map(_is_known, links)):
        return None
    return "confirmed" if all(link is not None and link["state"] == "confirmed" for link in links) else "asserted"


def _is_known(link: Mapping[str, Any] | None) -> bool:
    return link is not None and link["state"] in _KNOWN


def _mark(link: Mapping[str, Any] | None) -> str:
    return f"({_text((link or {}).get('state', 'unknown'))})"


def _value(link: Mapping[str, Any] | None, name: str) -> str:
    return _text(((link or {}).get("value") or {}).get(name) or "without a name")


def _reason(link: Mapping[str, Any] | None) -> str:
    return printable((link or {}).get("reason") or "no source was asked")[:_REASON_CHARACTERS_MAX]


def _text(value: object) -> str:
    return printable(value)[:_TEXT_CHARACTERS_MAX]
