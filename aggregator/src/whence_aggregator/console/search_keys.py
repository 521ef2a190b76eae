"""Recognises what a text may be the key of, by its form alone: a text may have several meanings. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, is_application_id, is_application_version

QUERY_CHARACTERS_MAX = 200
KeyKind = Literal[
    "instance",
    "ami",
    "account",
    "digest",
    "beginning",
    "commit",
    "ticket",
    "review",
    "version",
    "violation",
    "person",
    "team",
]

_AMI = re.compile(r"ami-[0-9a-z]{1,40}\Z")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z")
_DIGEST_BEGINNING = re.compile(r"(?:sha256:)?([0-9a-f]{8,63})\Z")
_TOO_SHORT = re.compile(r"sha256:[0-9a-f]{0,7}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_VIOLATION = re.compile(r"v-[0-9a-f]{20}\Z")
_INSTANCE_BEGINNING = re.compile(r"i-[0-9a-f]{3,17}\Z")
_INSTANCE_CHARACTERS = 19
"""Of the ids that EC2 gives today; its first had 10, which may be the beginning of one of these."""
_TRACKED = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}-[1-9][0-9]{0,9}\Z")
"""A ticket of a tracker with projects, as PAY-7."""
_NUMBERED = re.compile(r"(?:[A-Za-z0-9_.~-]{1,60}(?:/[A-Za-z0-9_.~-]{1,60}){1,4})?#[1-9][0-9]{0,9}\Z")
"""A ticket of a code host, as #4 or demo/greeter#4."""
_REVIEW = re.compile(r"(?:[A-Za-z0-9_.~-]{1,60}(?:/[A-Za-z0-9_.~-]{1,60}){1,4})?![1-9][0-9]{0,9}\Z")
_PERSON = re.compile(r"[!-;=?A-~]{1,200}(?:@[!-;=?A-~]{1,200})?\Z")
_TEAM = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_OF_HOST = re.compile(r"/([^/]+(?:/[^/]+)*?)/(?:-/)?(issues|pull|pulls|merge_requests|commit|commits)/([^/]+)")
_IN_ARN = re.compile(r"\b(?:i|ami)-[0-9a-f]{8,17}\b")
_ARN_ACCOUNT = re.compile(r"arn:[a-z-]+:[a-z0-9-]*:[a-z0-9-]*:([0-9]{12}):")
_IMAGE_DIGEST = re.compile(r"@sha256:([0-9a-f]{64})\Z")
_FORMS: tuple[tuple[KeyKind, re.Pattern[str]], ...] = (
    ("instance", INSTANCE_ID), ("ami", _AMI), ("account", ACCOUNT_ID), ("violation", _VIOLATION), ("commit", _COMMIT),
)  # fmt: skip
_SHORT_DIGEST = "If it is the beginning of a digest: a digest is found by at least 8 of its digits."
_SHORT_INSTANCE = "If it is the beginning of an instance id: an instance is found by i- and at least 3 digits."


@dataclass(frozen=True, slots=True)
class SearchKey:
    """What the text may mean, as the API takes it. A version is `application/version`."""

    kind: KeyKind
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchKeys:
    """What a query may mean. `name` is what is looked for in names; empty if the text cannot be a part of one."""

    query: str
    keys: tuple[SearchKey, ...]
    name: str
    notes: tuple[str, ...] = ()
    """What would have to be written otherwise, if it was meant."""


def recognised(text: str) -> SearchKeys:
    """Return what a query may mean."""
    query = " ".join(text.split())[:QUERY_CHARACTERS_MAX]
    if not query:
        return SearchKeys(query="", keys=(), name="")
    if query.startswith(("http://", "https://")):
        return _of_url(query)
    if query.startswith("arn:"):
        return _of_arn(query)
    if found := _IMAGE_DIGEST.search(query):
        return SearchKeys(query=query, keys=(SearchKey("digest", f"sha256:{found[1]}"),), name="")
    keys, notes = _keys(query)
    return SearchKeys(query=query, keys=tuple(dict.fromkeys(keys)), name=_name(query), notes=tuple(notes))


def _keys(query: str) -> tuple[list[SearchKey], list[str]]:
    """Return the meanings of a text, those first that its form alone makes likely."""
    keys, notes = _of_machines(query.lower())
    if _TRACKED.match(query) and not keys:
        keys.append(SearchKey("ticket", query.upper()))
    if _NUMBERED.match(query):
        keys.append(SearchKey("ticket", query))
    if _REVIEW.match(query):
        keys.append(SearchKey("review", query))
    application, slash, version = query.replace("@", "/", 1).partition("/")
    if slash and is_application_id(application) and is_application_version(version):
        keys.append(SearchKey("version", f"{application}/{version}"))
    if _PERSON.match(query) and "/" not in query and not query.startswith(("#", "!", "sha256:")):
        keys.append(SearchKey("person", query))
    if _TEAM.match(query):
        keys.append(SearchKey("team", query))
    return keys, notes


def _of_machines(lower: str) -> tuple[list[SearchKey], list[str]]:
    """Return the meanings of what machines write: ids, digests and commits."""
    keys = [SearchKey(kind, lower) for kind, form in _FORMS if form.match(lower)]
    notes = []
    if found := _DIGEST.match(lower):
        keys.insert(0, SearchKey("digest", f"sha256:{found[1]}"))
    elif found := _DIGEST_BEGINNING.match(lower):
        keys.append(SearchKey("beginning", f"sha256:{found[1]}"))
    elif _TOO_SHORT.match(lower) or _COMMIT.match(lower):
        notes.append(_SHORT_DIGEST)
    if _INSTANCE_BEGINNING.match(lower) and len(lower) < _INSTANCE_CHARACTERS:
        keys.append(SearchKey("beginning", lower))
    elif re.match(r"i-[0-9a-f]{0,2}\Z", lower):
        notes.append(_SHORT_INSTANCE)
    return keys, notes


def _of_url(url: str) -> SearchKeys:
    """Return what the address of a ticket, a review, a commit or a repository means."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return SearchKeys(query=url, keys=(), name="")
    last = path.rstrip("/").rpartition("/")[2]
    if found := _OF_HOST.search(path):
        repository, kind, number = found[1], found[2], found[3]
        if kind in ("commit", "commits"):
            commit = number.lower()
            return SearchKeys(query=url, keys=(SearchKey("commit", commit),) if _COMMIT.match(commit) else (), name="")
        keys = [SearchKey("ticket", one) for one in (f"{repository}#{number}", f"#{number}") if _NUMBERED.match(one)]
        if kind != "issues" and keys:
            keys.append(SearchKey("review", f"{repository}#{number}"))
        return SearchKeys(query=url, keys=tuple(keys), name="")
    if _TRACKED.match(last):
        return SearchKeys(query=url, keys=(SearchKey("ticket", last.upper()),), name="")
    return SearchKeys(query=url, keys=(), name=_name(last.removesuffix(".git")))


def _of_arn(arn: str) -> SearchKeys:
    """Return the instance, the AMI, or the account that an ARN names."""
    found = _IN_ARN.search(arn.lower())
    if found is not None:
        return SearchKeys(
            query=arn, keys=(SearchKey("ami" if found[0].startswith("ami") else "instance", found[0]),), name=""
        )
    account = _ARN_ACCOUNT.match(arn)
    return SearchKeys(query=arn, keys=(SearchKey("account", account[1]),) if account is not None else (), name="")


def _name(text: str) -> str:
    """Return what is looked for in names; no digest, and no ticket of a code host, is a part of one."""
    if _DIGEST.match(text.lower()) or _NUMBERED.match(text) or _REVIEW.match(text):
        return ""
    return text if any(one.isalnum() for one in text) else ""
