"""What the links of a lineage are called, what each holds in a few characters, and how its state is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LinkDocument = Mapping[str, Any]
STAGES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("Where it runs", ("account", "team", "instance", "ami")),
    ("What was asked", ("user_data", "application", "version", "approval")),
    ("What runs", ("image",)),
    ("Where it comes from", ("source", "commit", "review")),
    ("Who asked for it", ("ticket", "specification")),
)
GAPS = ("contradicted", "missing", "unknown")
"""From the worst."""
HELD = ("confirmed", "asserted")
COMMIT_CHARACTERS = 8
_DIGEST_CHARACTERS = 12
_NAMES = {"ami": "AMI", "user_data": "user data"}
_SOURCES = {
    "aws-signature": "AWS signature", "application-registry": "application registry", "ec2-api": "EC2 API",
    "git": "Git", "git-branch": "Git, branches", "git-signature": "Git, signature", "review": "code host",
    "push": "push to the registry", "cloudtrail": "CloudTrail",
}  # fmt: skip
_WITHOUT_VALUE = {"missing": "none", "unknown": "not known", "contradicted": "disputed"}
_EXPLAINED = {
    "contradicted": "Sources contradict each other",
    "missing": "It was asked for, and is not there",
    "unknown": "It could not be asked for",
}


def link_name(link: str) -> str:
    """Return what a link is called on pages."""
    return _NAMES.get(link, link)


def source_name(source: str) -> str:
    """Return what a source of evidence is called; a source that is not known here keeps its name."""
    name, colon, rest = source.partition(":")
    return _SOURCES.get(source) or (f"{_SOURCES.get(name, name)}: {rest}" if colon else source)


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: `a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def capital(text: str) -> str:
    """Return a reason as a sentence, with a full stop; with a capital unless it begins with an identifier."""
    sentence = text.strip()
    first = sentence.split(" ", 1)[0]
    end = "" if sentence.endswith((".", "!", "?", "…")) else "."
    shown = f"{sentence[:1].upper()}{sentence[1:]}" if first.rstrip(",:;").isalpha() else sentence
    return f"{shown}{end}" if shown else ""


def stated(link: LinkDocument) -> str:
    """Return in a sentence how the state of a link is known."""
    state, reason = str(link["state"]), str(link["reason"] or "")
    sources = listed(list(dict.fromkeys(source_name(str(one["source"])) for one in link["evidence"])))
    if state in GAPS:
        return capital(reason or _EXPLAINED[state])
    if state == "confirmed" and len({one["source"] for one in link["evidence"]}) > 1:
        known = f"confirmed: {sources} agree"
    else:
        known = f"{state} by {sources}" if sources else state
    return capital(f"{known}; {reason}" if reason and ":" in known else f"{known}: {reason}" if reason else known)


def short_value(link: LinkDocument) -> str:
    """Return what a link holds, in a few characters."""
    value = link["value"] or {}
    shown = _short(str(link["link"]), value) if value else ""
    return shown or _WITHOUT_VALUE.get(str(link["state"]), "")


def _short(link: str, value: Mapping[str, Any]) -> str:
    match link:
        case "account":
            return str(value.get("name") or value.get("account_id") or "")
        case "team":
            return str(value.get("resolved") or value.get("team_id") or "")
        case "user_data" | "image":
            return short_digest(value.get("digest"))
        case "version":
            return str(value.get("application_version") or "")
        case "approval":
            return f"{value['people']} of {value['required_approvers']}" if "people" in value else ""
        case "source":
            return repository_name(str(value.get("url") or ""))
        case "commit":
            return short_commit(value.get("commit"))
        case "review":
            return ", ".join(review_name(one) for one in value.get("reviews", ()))
        case "ticket":
            return ", ".join(str(one["id"]) for one in value.get("tickets", ()))
        case "specification":
            return str(value.get("id") or "") or str(value.get("url") or "").removeprefix("https://")
        case "instance" | "application":
            return str(value.get(f"{link}_id") or "")
        case _:
            return str(value.get("image_id") or "")


def short_digest(digest: object) -> str:
    """Return the beginning of a digest, to be shown beside the whole one and never to be compared."""
    return str(digest or "").removeprefix("sha256:")[:_DIGEST_CHARACTERS]


def short_commit(commit: object) -> str:
    return str(commit or "")[:COMMIT_CHARACTERS]


def repository_name(url: str) -> str:
    """Return the last part of a repository's URL."""
    return url.rstrip("/").rpartition("/")[2].removesuffix(".git") or url


def review_name(review: Mapping[str, Any]) -> str:
    return f"!{review['number']}" if review.get("number") is not None else str(review.get("url") or "")


def by_name(lineage: Mapping[str, Any]) -> dict[str, LinkDocument]:
    """Return the links of a lineage by their names, in order."""
    return {str(one["link"]): one for one in lineage["links"]}


def value_of(links: Mapping[str, LinkDocument], name: str) -> Mapping[str, Any]:
    """Return the value of a link; empty if it has none."""
    link = links.get(name)
    found = link["value"] if link is not None else None
    return found if isinstance(found, Mapping) else {}


def is_held(link: LinkDocument | None) -> bool:
    """Return whether a link holds: it is stated, nothing contradicts it, and it is all that a lineage needs."""
    return link is not None and link["state"] in HELD and not link["lacking"]
