"""The fake of Gitea, held to the types of gitea-js, which are made of Gitea's own description of its API.

The fake leaves out members that nobody reads; what it has, Gitea has, of that type.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fakes.gitea_host import BASE, HEAD, MERGE, GiteaHost, review

TYPES = Path(__file__).parents[2] / ".venv-clients/node_modules/gitea-js/dist/index.d.ts"
_INTERFACE = re.compile(r"^interface (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r"^    (\w+)\??: ([^\n]+);$", re.MULTILINE)
PATHS = {
    "": "Repository", "/pulls/12": "PullRequest", "/pulls/12/reviews": "PullReview[]", "/pulls/12/commits": "Commit[]",
    "/pulls": "PullRequest[]", f"/commits/{HEAD}/status": "CombinedStatus", "/issues/7": "Issue", "/branches": "Branch[]",
    f"/git/commits/{MERGE}": "Commit", f"/compare/{HEAD}...{BASE}": "Compare",
}  # fmt: skip


@cache
def interfaces() -> dict[str, dict[str, str]]:
    """Return the members of each type by name, each with its type."""
    text = TYPES.read_text(encoding="utf-8")
    return {name: dict(_MEMBER.findall(body)) for name, body in _INTERFACE.findall(text)}


def wrong_in(document: Any, kind: str, place: str = "$") -> list[str]:
    """Return what in a document its type does not have. Members without a value are left out, or null."""
    if document is None:
        return []
    if kind.endswith("[]"):
        if not isinstance(document, list):
            return [f"{place} is no list"]
        return [
            wrong for number, one in enumerate(document) for wrong in wrong_in(one, kind[:-2], f"{place}[{number}]")
        ]
    if kind in interfaces():
        members = interfaces()[kind]
        wrong = [f"{place}.{name} is not a member of {kind}" for name in document if name not in members]
        known = document.keys() & members.keys()
        return wrong + [
            one for name in sorted(known) for one in wrong_in(document[name], members[name], f"{place}.{name}")
        ]
    plain = {"string": str, "number": int, "boolean": bool}.get(kind, str)  # other types are words
    return [] if isinstance(document, plain) else [f"{place} is not of the type {kind}"]


@pytest.mark.parametrize("path", PATHS)
def test_each_document_of_the_fake_is_one_that_gitea_describes(path: str) -> None:
    fake = GiteaHost()
    states = ("APPROVED", "REQUEST_CHANGES", "COMMENT", "PENDING", "REQUEST_REVIEW")
    fake.pull(reviews=tuple(review("bob", state) for state in states))
    fake.issue(7)
    fake.branch("main", protected=True)
    assert wrong_in(fake.answers[fake.at(path)], PATHS[path]) == []


def test_what_gitea_does_not_describe_is_noticed() -> None:
    assert wrong_in({"number": "12", "reviewers": []}, "PullRequest") == [
        "$.reviewers is not a member of PullRequest", "$.number is not of the type number",
    ]  # fmt: skip
