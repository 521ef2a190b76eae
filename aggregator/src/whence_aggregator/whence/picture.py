"""Draw lineages and images in the terminal: one line per link with its state in colour, reason and evidence below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from whence_aggregator.whence.ages import age, age_seconds
from whence_common.visible import printable

_STYLES = {
    "confirmed": ("✔", "green"),
    "asserted": ("•", "cyan"),
    "contradicted": ("✘", "bold red"),
    "missing": ("○", "yellow"),
    "unknown": ("?", "magenta"),
}
_REFS_SHOWN = 3
_COMMITS_SHOWN, _COMMIT_CHARACTERS = 5, 12
_GAPS = ("contradicted", "missing", "unknown")
_AGE_SHOWN_SECONDS = 3_600
_OF_OTHERS = {("commit", "git-branch"): "branches", ("review", "review"): "review"}
"""What a source stated that changes without the commit, by link and source."""
_VALUE_KEYS = {
    "account": ("account_id", "name", "owner", "status"),
    "team": ("team_id", "name"),
    "instance": ("instance_id", "region", "cause"),
    "ami": ("image_id", "of_statement", "of_machine"),
    "user_data": ("digest",),
    "application": ("application_id", "name"),
    "version": ("application_version",),
    "image": ("reference", "digest"),
    "source": ("url", "revision"),
    "commit": ("commit", "subject", "author", "on", "signed"),
    "specification": ("url",),
}


def draw(console: Console, lineage: Mapping[str, Any], *, evidence: bool) -> None:
    """Print one lineage."""
    subject = lineage["subject"]["instance"]
    heading = f" at {lineage['at']}, {_presence(lineage)}: "
    console.print(Text.assemble((printable(subject), "bold"), heading, _verdict(lineage)))
    _draw_times(console, lineage)
    _draw_contained(console, lineage.get("contains") or ())
    links, required = lineage["links"], lineage.get("required")
    for number, link in enumerate(links):
        last = number == len(links) - 1
        optional = link["state"] in _GAPS and required is not None and link["link"] not in required
        _draw_link(console, link, last=last, evidence=evidence, note=" (not required)" if optional else "")
        for text in _ages(link, str(lineage["at"])):
            console.print(Text.assemble("  " if last else "│ ", "     ", (text, "dim")), soft_wrap=True)
    _draw_start(console, lineage.get("started_by"), evidence=evidence)
    for one in lineage["not_checked"]:
        line = f"   not checked: {printable(one['link'])}: {printable(one['reason'])}"
        console.print(Text(line, "yellow"), soft_wrap=True)


def _verdict(lineage: Mapping[str, Any]) -> tuple[str, str]:
    """Return the verdict on the whole lineage, and its style. What was not checked or is not required is no gap."""
    if lineage["complete"]:
        return "complete", "green"
    required = lineage.get("required")  # an earlier aggregator does not state it: then all are
    unasked = {one["link"] for one in lineage["not_checked"]}
    asked = [one for one in lineage["links"] if one["link"] not in unasked]
    if any(link["state"] in _GAPS for link in asked if required is None or link["link"] in required):
        return "has gaps", "bold red"
    because = ", ".join(dict.fromkeys(_because(lineage)))
    return "no gaps, not complete" + (f": {because}" if because else ""), "yellow"


def _because(lineage: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a lineage without gaps lacks. An earlier aggregator does not state which links do."""
    required = lineage.get("required")
    for link in lineage["links"]:
        if link.get("lacking") and (required is None or link["link"] in required):
            yield printable(link["link"])
    for one in lineage["not_checked"]:
        if required is None or one["link"] in required:
            yield f"{printable(one['link'])} was not checked"
    if not lineage["recorded_by_then"]:
        yield "it was recorded later"


def _draw_contained(console: Console, commits: Sequence[str]) -> None:
    """Print which commits were found in what runs, if the image was built from a later one."""
    if commits:
        named = ", ".join(printable(one)[:_COMMIT_CHARACTERS] for one in commits[:_COMMITS_SHOWN])
        more = f" and {len(commits) - _COMMITS_SHOWN} more" if len(commits) > _COMMITS_SHOWN else ""
        console.print(Text(f"   contains {named}{more}; was built from a later commit", "cyan"), soft_wrap=True)


def _draw_times(console: Console, lineage: Mapping[str, Any]) -> None:
    """Print a warning if statements about the requested time were recorded later."""
    later = lineage["reported_later"]
    if not lineage["recorded_by_then"]:
        text = f"   nothing was recorded by {lineage['at']}: this was recorded later"
        console.print(Text(text, "yellow"), soft_wrap=True)
    elif later["total"]:
        text = f"   {later['total']} statements about this time were recorded later; they are not considered"
        console.print(Text(text, "yellow"), soft_wrap=True)


def _presence(lineage: Mapping[str, Any]) -> str:
    """Return the instance's state and its begin, and whether the agent reports."""
    life = f"life {lineage['life']}" + (f" since {lineage['life_since']}" if lineage["life_since"] else "")
    heard = f", {lineage['heard']}" if lineage["heard"] is not None else ""
    since = f" since {lineage['last_seen']}" if lineage["heard"] == "silent" else ""
    return printable(life + heard + since)


def _draw_start(console: Console, start: Mapping[str, Any] | None, *, evidence: bool) -> None:
    """Print who started the instance. An earlier aggregator does not state it."""
    value = (start or {}).get("value")
    if start is None or value is None:
        return
    name = _person_text(value.get("person"), value["by"])
    later = ", recorded later" if value["recorded_later"] else ""
    line = f"   started by {printable(name)} at {value['at']} ({printable(value['event'])}{later})"
    console.print(Text(line), soft_wrap=True)
    if evidence:
        seen = "".join(f", ledger {one['ledger_index']}" for one in start["evidence"])
        console.print(Text(f"     cloudtrail {printable(value['event_id'])}{seen}", "dim"), soft_wrap=True)


def _person_text(person: Mapping[str, Any] | None, by: Mapping[str, Any]) -> str:
    """Return who is behind a call and how that is known. An earlier aggregator does not state it."""
    if person is None or not person["name"] or person["known_by"] in ("identity", "service"):
        return doer_text(by)
    role = str(by.get("role", "")).rpartition("/")[2]
    match person["known_by"]:
        case "assume-role":
            elsewhere = person["account_id"] not in (None, by.get("account_id"))
            account = f" of account {person['account_id']}" if elsewhere else ""
            agreed = ", confirmed" if person["state"] == "confirmed" else ""
            return f"{person['name']}{account}, who assumed {role}{agreed},"
        case "source-identity":
            return f"{person['name']} (source identity of a session of {role})"
        case _:
            return f"{doer_text(by)} (a session's name, chosen by its caller)"


def doer_text(by: Mapping[str, Any]) -> str:
    """Return the best name of who made a call: the person, else the user, the session of a role, or the service."""
    role = str(by.get("role", "")).rpartition("/")[2]
    session = "/".join(one for one in (role, str(by.get("session", ""))) if one)
    account = f"account {by['account_id']}" if by.get("account_id") else ""
    named = (by.get("person"), by.get("user"), session, by.get("arn"), by.get("service"), account)
    return next((str(one) for one in named if one), str(by["type"]))


def draw_image(console: Console, image: Mapping[str, Any]) -> None:
    """Print one image of the registry."""
    source = image["source"] or {"state": "unknown", "reason": "not collected yet"}
    pushed = f" pushed {image['created_at']} by {printable(image['created_by'])}, ledger {image['ledger_index']}"
    console.print(Text.assemble((printable(image["image"]), "bold"), pushed), soft_wrap=True)
    console.print(Text(f"├─ digest {image['digest']}"), soft_wrap=True)
    mark, style = _STYLES.get(source["state"], ("?", "magenta"))
    claim = " ".join(printable(str(source.get(name, ""))) for name in ("url", "revision")).strip()
    claim = claim or printable(str(source.get("reason") or "the image names no source"))
    console.print(Text.assemble("└─ source ", (f"{mark} {source['state']}", style), f" {claim}"), soft_wrap=True)
    if source.get("dirty"):
        console.print(Text("     the source tree had uncommitted changes", "yellow"), soft_wrap=True)
    if image["digests_seen"] > 1:
        console.print(
            Text(f"     the tag has moved: it pointed to {image['digests_seen']} different images", "yellow"),
            soft_wrap=True,
        )


def _draw_link(console: Console, link: Mapping[str, Any], *, last: bool, evidence: bool, note: str) -> None:
    mark, style = _STYLES.get(link["state"], ("?", "magenta"))
    branch, below = ("└─", "  ") if last else ("├─", "│ ")
    line = Text.assemble(f"{branch} ", (mark, style), f" {link['link']:<13} ", (f"{link['state']:<12}", style), " ")
    line.append(value_text(link) + note)
    console.print(line, soft_wrap=True)
    if link["reason"]:
        console.print(Text.assemble(f"{below}     ", (printable(link["reason"]), "yellow")), soft_wrap=True)
    for problem in _problems(link):
        console.print(Text.assemble(f"{below}     ", (problem, "red")), soft_wrap=True)
    if evidence:
        for one in link["evidence"]:
            seen = f"{one['source']} at {one['observed_at']}"
            seen += f", recorded at {one['recorded_at']}" if one["recorded_at"] else ""
            seen += f", {one['digest']}" if one["digest"] else ""
            seen += f", ledger {one['ledger_index']}" if one["ledger_index"] is not None else ""
            console.print(Text.assemble(f"{below}     ", (printable(seen), "dim")), soft_wrap=True)


def _ages(link: Mapping[str, Any], at: str) -> Iterator[str]:
    """Yield how old the answers about branches and reviews are, from an hour on: much may have changed since."""
    for one in link["evidence"]:
        name, then = _OF_OTHERS.get((link["link"], one["source"])), str(one["observed_at"])
        seconds = age_seconds(then, at)
        if name is not None and seconds is not None and seconds > _AGE_SHOWN_SECONDS:
            read = (link["value"] or {}).get("read")
            yield printable(f"{name} as of {then} ({age(then, at)} old{f'; {read}' if read else ''})")


def value_text(link: Mapping[str, Any]) -> str:
    value = link["value"] or {}
    if link["link"] == "review":
        return ", ".join(map(_review, value.get("reviews", [])))
    if link["link"] == "ticket":
        return ", ".join(map(_ticket, value.get("tickets", [])))
    if link["link"] == "commit":
        value = {**value, **_of_commit(value)}
    if link["link"] == "ami":
        value = {**value, **_of_ami(value)}
    if link["link"] == "approval" and "people" in value:
        return f"{value['people']} of {value['required_approvers']} people"
    return "  ".join(printable(value[key]) for key in _VALUE_KEYS.get(link["link"], ()) if value.get(key))


def _of_ami(value: Mapping[str, Any]) -> dict[str, str]:
    """Return what the statement about an AMI states, and how the machine's packages differ from it."""
    statement, machine = value.get("statement") or {}, value.get("machine") or {}
    shown = {}
    if statement:
        commit = str(statement["commit"] or "no commit")[:_COMMIT_CHARACTERS]
        shown["of_statement"] = f"{statement['name']}, {statement['packages']} packages, {commit}"
    if machine.get("unread"):
        shown["of_machine"] = f"packages not read: {machine['unread']}"
    elif machine.get("differing"):
        shown["of_machine"] = f"{machine['differing']} packages differ on the machine"
    return shown


def _of_commit(value: Mapping[str, Any]) -> dict[str, str]:
    """Return which branch reaches a commit, and what its signature is worth."""
    shown = {}
    branch = value.get("branch") or {}
    if branch.get("reachable"):
        reached = [name.removeprefix("heads/") for name in branch.get("reached_by") or [str(branch["branch"])]]
        shown["on"] = f"on {', '.join(reached[:_REFS_SHOWN])}" + (" and others" if len(reached) > _REFS_SHOWN else "")
    signature = value.get("signature")
    if signature is not None:
        signer = f" of {signature['signer']}" if signature.get("signer") else ""
        shown["signed"] = f"signature {signature['state']}{signer}"
    return shown


def _ticket(ticket: Mapping[str, Any]) -> str:
    """Return a ticket with its title and status, if its tracker was read, and where and how it is named."""
    place = "" if ticket["place"] in ("subject", "body", "trailer") else f"{ticket['place']}, "
    named = f"{printable(ticket['url'] or ticket['id'])} ({place}line {ticket['line']}: {printable(ticket['pattern'])})"
    if not ticket.get("title"):
        return named
    problem = f", {printable(ticket['problem'])}" if ticket.get("problem") else ""
    return f"{named} {printable(ticket['title'])} [{printable(ticket['status'])}{problem}]"


def _review(review: Mapping[str, Any]) -> str:
    """Return a review with its author and whose approvals count."""
    good = [printable(one["by"]) for one in review["approvals"] if one["counts"]]
    approved = f"approved by {', '.join(good)}" if good else "no approval that counts"
    return f"{printable(review['url'] or str(review['number']))} by {printable(review['author'])}, {approved}"


def _problems(link: Mapping[str, Any]) -> list[str]:
    """Return the errors in user data, one text each."""
    value = link["value"] or {}
    return [
        printable(f"{p.get('line')}:{p.get('column')} {p.get('message')} [{p.get('code')}] {p.get('fix')}")
        for p in value.get("problems", [])
        if isinstance(p, Mapping) and p.get("severity") == "error"
    ]
