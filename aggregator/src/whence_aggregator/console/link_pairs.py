"""What each link of a lineage holds, as names and values for a person. What is absent is left out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.console.frame import part
from whence_aggregator.console.link_words import LinkDocument, listed, person_of, review_name, value_of

PairForm = Literal["text", "code", "digest", "time"]
_MEMBERS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPair:
    """A name and its value. `path` leads to a page of the console, `url` out of it."""

    name: str
    value: str
    form: PairForm = "text"
    path: str = ""
    url: str = ""
    note: str = ""


_Value = Mapping[str, Any]


def pairs(name: str, links: Mapping[str, LinkDocument]) -> list[LinkPair]:
    """Return what the link of this name holds."""
    value = value_of(links, name)
    return [one for one in _PAIRS[name](value, links) if one.value] if value else []


def _account(value: _Value, _: object) -> Iterator[LinkPair]:
    account = str(value.get("account_id") or "")
    yield LinkPair(name="Account", value=account, path=f"/accounts/{part(account)}", note=_text(value.get("name")))
    owner = _text(value.get("owner"))
    yield LinkPair(name="Owner", value=owner, path=f"/teams/{part(owner)}")
    owners = value.get("owners") or {}
    if not owner and owners:
        yield LinkPair(name="Owners stated", value="; ".join(f"{source}: {team}" for source, team in owners.items()))
    yield LinkPair(name="Status", value=_text(value.get("status")))


def _team(value: _Value, _: object) -> Iterator[LinkPair]:
    team = _text(value.get("resolved") or value.get("team_id"))
    yield LinkPair(name="Team", value=team, path=f"/teams/{part(team)}", note=_text(value.get("name")))
    yield LinkPair(name="Status", value=_text(value.get("status")))


def _instance(value: _Value, _: object) -> Iterator[LinkPair]:
    yield LinkPair(name="Instance", value=_text(value.get("instance_id")), form="code")
    yield LinkPair(name="Region", value=_text(value.get("region")), note=_text(value.get("instance_type")))
    yield LinkPair(name="Proof", value=_proof(str(value.get("proof") or "")))
    keys = value.get("bindings") or ()
    if keys:
        yield LinkPair(name="Keys", value=f"{len(keys)} since it enrolled")
        yield LinkPair(name="Newest key", value=_text(keys[-1].get("enrolled_at")), form="time")
    yield LinkPair(name="Last cause", value=_text(value.get("cause")))
    yield LinkPair(name="Last heard", value=_text(value.get("last_seen")), form="time")


def _proof(level: str) -> str:
    return {
        "document": "AWS's signature of its identity document",
        "document+sts": "AWS's signature of its identity document, and its role by STS",
    }.get(level, level)


def _ami(value: _Value, _: object) -> Iterator[LinkPair]:
    image = _text(value.get("image_id"))
    yield LinkPair(name="AMI", value=image, form="code", path=f"/amis/{part(image)}")
    statement, machine = value.get("statement") or {}, value.get("machine") or {}
    if statement:
        yield LinkPair(name="Statement", value=_text(statement.get("digest")), form="digest")
        yield LinkPair(name="Commit", value=_text(statement.get("commit")), note=_text(statement.get("repository")))
        yield LinkPair(name="Builder", value=_text(statement.get("builder_id")))
        yield LinkPair(name="Packages", value=_text(str(statement.get("packages"))))
    copied = value.get("copied_from") or {}
    if copied:
        source = _text(copied.get("image_id"))
        yield LinkPair(name="Copied from", value=source, form="code", path=f"/amis/{part(source)}",
                       note=_text(copied.get("region")))  # fmt: skip
    if machine:
        differing = machine.get("unread") or f"{machine.get('differing')} differ from the image"
        yield LinkPair(name="Packages of the machine", value=_text(differing))


def _user_data(value: _Value, _: object) -> Iterator[LinkPair]:
    yield LinkPair(name="Digest", value=_text(value.get("digest")), form="digest")
    problems = value.get("problems") or ()
    note = "at their lines below" if problems else ""
    yield LinkPair(name="Problems", value=str(len(problems)) if problems else "none", note=note)
    yield LinkPair(name="Withheld", value=_text(value.get("withheld")))


def _application(value: _Value, _: object) -> Iterator[LinkPair]:
    application = _text(value.get("application_id"))
    path = f"/applications/{part(application)}"
    yield LinkPair(name="Application", value=application, path=path, note=_text(value.get("name")))
    if value.get("active") is not None:
        yield LinkPair(name="Registered as", value="active" if value["active"] else "not active")


def _version(value: _Value, links: Mapping[str, LinkDocument]) -> Iterator[LinkPair]:
    version = _text(value.get("application_version"))
    application = _text(value_of(links, "application").get("application_id"))
    path = f"/applications/{part(application)}/versions/{part(version)}" if application else ""
    yield LinkPair(name="Version", value=version, path=path)


def _approval(value: _Value, _: object) -> Iterator[LinkPair]:
    if "people" in value:
        yield LinkPair(name="People", value=f"{value['people']} of {value['required_approvers']} required")
    for one in (value.get("approvals") or ())[:_MEMBERS_MAX]:
        counts = {"yes": "counts", "no": "does not count"}.get(str(one.get("counts")), "not known whether it counts")
        why = f"{counts}: {one['reason']}" if one.get("reason") else counts
        yield LinkPair(name=_text(one.get("approval_type")) or "Approval", value=_text(one.get("user_id")), note=why)
    yield LinkPair(name="Missing", value=listed([str(one) for one in value.get("missing") or ()]))
    yield LinkPair(name="Whose approvals count", value=_text(value.get("note")))


def _image(value: _Value, _: object) -> Iterator[LinkPair]:
    digest, index = _text(value.get("digest")), _text(value.get("index_digest"))
    yield LinkPair(name="Reference", value=_text(value.get("reference")), form="code")
    yield LinkPair(name="Digest", value=digest, form="digest", path=f"/images/{part(digest)}")
    yield LinkPair(name="Of the index", value=index, form="digest", path=f"/images/{part(index)}")


def _source(value: _Value, _: object) -> Iterator[LinkPair]:
    url = _text(value.get("url"))
    yield LinkPair(name="Repository", value=url, url=url.removeprefix("git:"))
    yield LinkPair(name="Revision", value=_text(value.get("revision")), form="code")
    if value.get("dirty") is not None:
        yield LinkPair(
            name="Tree", value="with changes that are in no commit" if value["dirty"] else "clean",
            note=_text(value.get("status")),
        )  # fmt: skip
    yield LinkPair(name="Stated by", value=_text(value.get("said_by")))
    yield LinkPair(name="Builder", value=_text(value.get("builder") or value.get("job")))
    yield LinkPair(name="Confirmed by", value=_text(value.get("confirmed_by")))
    same = "the same repository" if value.get("repository_confirmed") else ""
    yield LinkPair(name="Registered with", value=_text(value.get("registered_url")), note=same)
    yield LinkPair(name="Notes", value="; ".join(str(one) for one in value.get("notes") or ()))


def _commit(value: _Value, _: object) -> Iterator[LinkPair]:
    commit = _text(value.get("commit"))
    yield LinkPair(name="Commit", value=commit, form="code", path=f"/commits/{part(commit)}")
    yield LinkPair(name="Subject", value=_text(value.get("subject")))
    person = person_of(value.get("author"))
    path = f"/people/{part(person)}" if person else ""
    yield LinkPair(name="Author", value=_text(value.get("author")), path=path)
    yield LinkPair(name="Committed", value=_text(value.get("committed_at")), form="time")
    yield LinkPair(name="Repository", value=_text(value.get("repository")))
    branch = value.get("branch") or {}
    reached = [str(one).removeprefix("heads/") for one in branch.get("reached_by") or ()]
    if branch.get("reachable") is True:
        yield LinkPair(name="Reached by", value=listed(reached[:3] or [_text(branch.get("branch"))]))
    elif branch.get("reachable") is False:
        yield LinkPair(name="Not reached by", value=_text(branch.get("branch")))
    signature = value.get("signature") or {}
    yield LinkPair(name="Signature", value=_text(signature.get("state")), note=_text(signature.get("signer")))


def _review(value: _Value, _: object) -> Iterator[LinkPair]:
    for one in (value.get("reviews") or ())[:_MEMBERS_MAX]:
        good = [_text(vote.get("by")) for vote in one.get("approvals") or () if vote.get("counts") is True]
        approved = f"approved by {listed(good)}" if good else "no approval that counts"
        author = f"by {one['author']}, " if one.get("author") else ""
        yield LinkPair(
            name=review_name(one), value=_text(one.get("title")) or review_name(one), url=_text(one.get("url")),
            note=f"{author}{approved}",
        )  # fmt: skip


def _ticket(value: _Value, _: object) -> Iterator[LinkPair]:
    for one in (value.get("tickets") or ())[:_MEMBERS_MAX]:
        ticket = _text(one.get("id"))
        states = [_text(one.get(name)) for name in ("title", "status", "problem") if one.get(name)]
        named = f"named in the commit's {one['place']}, line {one['line']}" if one.get("place") else ""
        yield LinkPair(
            name="Ticket", value=ticket, path=f"/tickets/{part(ticket)}", note=", ".join(states) or named,
        )  # fmt: skip
        yield LinkPair(name="In the tracker", value=_text(one.get("url")), url=_text(one.get("url")))


def _specification(value: _Value, _: object) -> Iterator[LinkPair]:
    url, ticket = _text(value.get("url")), _text(value.get("id"))
    yield LinkPair(name="Ticket", value=ticket, path=f"/tickets/{part(ticket)}", note=_text(value.get("title")))
    yield LinkPair(name="Specification", value=url, url=url)
    yield LinkPair(name="Status", value=_text(value.get("status")))


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, bool) else str(value)


_PAIRS: Mapping[str, Callable[[_Value, Mapping[str, LinkDocument]], Iterator[LinkPair]]] = {
    "account": _account, "team": _team, "instance": _instance, "ami": _ami, "user_data": _user_data,
    "application": _application, "version": _version, "approval": _approval, "image": _image, "source": _source,
    "commit": _commit, "review": _review, "ticket": _ticket, "specification": _specification,
}  # fmt: skip
