"""The fake of GitHub, held to GitHub's own description of its API: its paths, members, types and words are GitHub's.

The fake leaves out members that nobody reads, so what GitHub requires is not required of it; what it has, GitHub has.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fakes.github_host import AT, BASE, HEAD, MERGE, GithubHost, person, review

DESCRIPTION = Path(__file__).parents[2] / ".venv-clients/node_modules/@octokit/openapi/generated/api.github.com.json"
PATHS = {
    "/repos/{owner}/{repo}": "",
    "/repos/{owner}/{repo}/commits/{commit_sha}/pulls": f"/commits/{MERGE}/pulls",
    "/repos/{owner}/{repo}/pulls/{pull_number}": "/pulls/12",
    "/repos/{owner}/{repo}/pulls/{pull_number}/reviews": "/pulls/12/reviews",
    "/repos/{owner}/{repo}/pulls/{pull_number}/commits": "/pulls/12/commits",
    "/repos/{owner}/{repo}/commits/{ref}/check-runs": f"/commits/{HEAD}/check-runs",
    "/repos/{owner}/{repo}/commits/{ref}/status": f"/commits/{HEAD}/status",
    "/repos/{owner}/{repo}/issues/{issue_number}": "/issues/7",
    "/repos/{owner}/{repo}/branches": "/branches",
    "/repos/{owner}/{repo}/git/commits/{commit_sha}": f"/git/commits/{MERGE}",
    "/repos/{owner}/{repo}/compare/{basehead}": f"/compare/{HEAD}...{BASE}",
    "/repos/{owner}/{repo}/collaborators/{username}/permission": "/collaborators/bob/permission",
}


@cache
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DESCRIPTION.read_bytes())
    return found


def host() -> GithubHost:
    """Return a fake with every kind of document, in every state."""
    fake = GithubHost()
    states = ("APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED", "PENDING")
    fake.pull(reviews=(*(review("bob", state) for state in states), review(None), review("ci[bot]", kind="Bot")))
    fake.checks(HEAD, ("build", "success"), ("lint", None), ("docs", "skipped"), statuses=(("ci", "failure"),))
    fake.issue(7, closed_at=AT, assignee=person("bob"), type=None)
    fake.compared(HEAD, BASE, ahead=0)
    fake.branch("main", protected=True)
    fake.branch("feature", protected=False)
    return fake


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its reference."""
    while "$ref" in schema:
        found: Any = description()
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema


def wrong_in(document: Any, schema: Any, place: str = "$") -> list[str]:
    """Return what in a document the schema does not have."""
    schema = resolved(schema)
    if document is None and (schema.get("nullable") or "null" in _types(schema)):
        return []
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            found = [wrong_in(document, one, place) for one in schema[name]]
            return min(found, key=len) if found else []
    if isinstance(document, dict) and "properties" in schema:
        wrong = [f"{place}.{name} is not a member" for name in document if name not in schema["properties"]]
        for name in document.keys() & schema["properties"].keys():
            wrong += wrong_in(document[name], schema["properties"][name], f"{place}.{name}")
        return wrong
    if isinstance(document, list) and "items" in schema:
        return [
            one
            for place_in, item in enumerate(document)
            for one in wrong_in(item, schema["items"], f"{place}[{place_in}]")
        ]
    plain = {name: schema[name] for name in ("type", "enum", "pattern") if name in schema}
    return [f"{place}: {error.message}" for error in Draft202012Validator(plain).iter_errors(document)]


def _types(schema: dict[str, Any]) -> list[str]:
    found = schema.get("type", [])
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("path", PATHS)
def test_each_document_of_the_fake_is_one_that_github_describes(path: str) -> None:
    answers = description()["paths"][path]["get"]["responses"]
    schema = resolved(answers["200"])["content"]["application/json"]["schema"]
    fake = host()
    assert wrong_in(fake.answers[fake.at(PATHS[path])], schema) == []


def test_the_statuses_and_parameters_that_are_relied_on_are_described() -> None:
    paths = description()["paths"]
    issue = paths["/repos/{owner}/{repo}/issues/{issue_number}"]["get"]["responses"]
    assert {"200", "301", "304", "404", "410"} <= issue.keys()
    for path in PATHS:
        if re.search(r"(pulls|reviews|commits|check-runs|status|basehead\})\Z", path):
            parameters = [resolved(one)["name"] for one in paths[path]["get"]["parameters"]]
            assert {"per_page", "page"} <= set(parameters), path


def test_a_member_that_github_does_not_have_is_found() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string", "nullable": True}}}
    assert wrong_in({"a": 1, "b": None}, schema) == []
    assert wrong_in({"a": "1", "c": 1}, schema) == ["$.c is not a member", "$.a: '1' is not of type 'integer'"]
