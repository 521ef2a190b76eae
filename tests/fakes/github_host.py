"""GitHub's pull requests, reviews, checks and issues; tests/integration/test_github_description.py holds it to GitHub's own
description of its API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.outside import OutsideHost

AT = "2026-11-20T10:00:00Z"
HEAD, MERGE, BASE = "1" * 40, "2" * 40, "3" * 40
WEB_FLOW = {"name": "GitHub", "email": "noreply@github.com", "date": AT}
"""The committer of what is made in GitHub's pages, which GitHub signs."""


def tree_of(commit: str) -> dict[str, str]:
    """Return the tree of a commit, of its own content."""
    return {"sha": commit[::-1], "url": f"https://api.github.com/repos/acme/greeter/git/trees/{commit[::-1]}"}


def person(login: str, kind: str = "User") -> dict[str, Any]:
    return {"login": login, "id": 1, "type": kind}


def review(
    by: str | None, state: str = "APPROVED", *, commit: str | None = HEAD, kind: str = "User", at: str = AT,
    association: str = "MEMBER",
) -> dict[str, Any]:  # fmt: skip
    """Return a review of a pull request."""
    return {
        "id": 80, "user": person(by, kind) if by is not None else None, "body": "", "state": state,
        "commit_id": commit, "submitted_at": at, "author_association": association,
    }  # fmt: skip


@dataclass
class GithubHost(OutsideHost):
    """GitHub with one repository, `acme/greeter`, whose number is 42."""

    repository: str = "acme/greeter"
    headers: dict[str, str] = field(default_factory=lambda: {"x-ratelimit-remaining": "4999"})

    def __post_init__(self) -> None:
        self.answers[self.at()] = {
            "id": 42, "full_name": self.repository, "default_branch": "main", "private": True, "has_issues": True,
        }  # fmt: skip

    def limited(self) -> web.Response:
        headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(self.reset_at)}
        message = "API rate limit exceeded for installation ID 1."
        return web.json_response({"message": message}, status=403, headers=headers)

    def rename(self, old: str) -> None:
        """Have the repository's old name lead to its number, as GitHub does."""
        self.renamed[f"/repos/{old}"] = "/repositories/42"
        for path, document in list(self.answers.items()):
            self.answers[path.replace(self.at(), "/repositories/42", 1)] = document

    def at(self, rest: str = "") -> str:
        return f"/repos/{self.repository}{rest}"

    def pull(
        self, number: int = 12, *, commits: tuple[str, ...] = (HEAD,), merge: str | None = MERGE, head: str = HEAD,
        reviews: tuple[dict[str, Any], ...] = (), merged_at: str | None = AT, base: str = "main", base_id: int = 42,
        author: str = "ada", title: str = "Pay", body: str | None = None, branch: str = "feature/pay",
        listed_for: tuple[str, ...] = (), kind: str = "User",
    ) -> None:  # fmt: skip
        """Add a pull request; it is listed for its merge commit, its commits, and `listed_for`."""
        short = {
            "number": number, "state": "closed" if merged_at else "open", "title": title, "body": body,
            "user": person(author, kind), "merged_at": merged_at, "merge_commit_sha": merge,
            "html_url": f"https://github.com/{self.repository}/pull/{number}",
            "head": {"ref": branch, "sha": head}, "requested_reviewers": [person("bob")],
            "base": {"ref": base, "sha": BASE, "repo": {"id": base_id, "full_name": self.repository}},
        }  # fmt: skip
        place = self.at(f"/pulls/{number}")
        self.answers[place] = {
            **short, "merged": merged_at is not None, "merged_by": person("bob") if merged_at else None,
            "commits": len(commits),
        }  # fmt: skip
        self.answers[f"{place}/reviews"] = list(reviews)
        self.answers[f"{place}/commits"] = [
            {
                "sha": one, "author": person(author), "committer": person("web-flow"),
                "commit": {"tree": tree_of(one), "verification": {"verified": True, "reason": "valid"}},
            }
            for one in commits
        ]  # fmt: skip
        if merge is not None and merge not in commits:
            self.commit(merge, BASE, head)
        for one in reviews:
            if one["user"] is not None and one["state"] == "APPROVED":
                self.permission(one["user"]["login"])
        self.checks(head)
        for commit in {*commits, *([merge] if merge else []), *listed_for}:
            self.answers.setdefault(self.at(f"/commits/{commit}/pulls"), []).append(short)

    def commit(
        self, commit: str, *parents: str, tree: str = "", committer: dict[str, str] | None = None, author: str = "Ada"
    ) -> None:
        """Add a commit, by default one that GitHub made in its pages and signed."""
        by_host = committer is None
        self.answers[self.at(f"/git/commits/{commit}")] = {
            "sha": commit, "author": {"name": author, "email": "ada@example.org", "date": AT},
            "committer": committer or WEB_FLOW, "tree": {**tree_of(commit), **({"sha": tree} if tree else {})},
            "parents": [{"sha": one, "url": "https://api.github.com/x", "html_url": "https://github.com/x"}
                        for one in parents],
            "verification": {"verified": by_host, "reason": "valid" if by_host else "unsigned", "signature": None,
                             "payload": None, "verified_at": None},
        }  # fmt: skip

    def compared(self, base: str, other: str, *, ahead: int) -> None:
        """State how many commits another commit has that a base does not have."""
        self.answers[self.at(f"/compare/{base}...{other}")] = {
            "status": "ahead" if ahead else "behind", "ahead_by": ahead, "behind_by": 0, "total_commits": ahead,
            "commits": [],
        }  # fmt: skip

    def permission(self, login: str, permission: str = "write") -> None:
        """Set what a collaborator may do."""
        self.answers[self.at(f"/collaborators/{login}/permission")] = {
            "permission": permission, "role_name": permission, "user": None,
        }  # fmt: skip

    def checks(
        self, head: str = HEAD, *runs: tuple[str, str | None], statuses: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Set the check runs of a head, as (name, conclusion), and its statuses, as (context, state)."""
        found = [
            {"name": name, "status": "completed" if ended else "in_progress", "conclusion": ended}
            for name, ended in runs
        ]
        self.answers[self.at(f"/commits/{head}/check-runs")] = {"total_count": len(found), "check_runs": found}
        states = [{"context": context, "state": state} for context, state in statuses]
        self.answers[self.at(f"/commits/{head}/status")] = {
            "state": "pending", "sha": head, "total_count": len(states), "statuses": states,
        }  # fmt: skip

    def branch(self, name: str, *, protected: bool) -> None:
        """Add a branch; the list has all of them, whatever is asked for."""
        place = self.at("/branches")
        self.answers.setdefault(place, []).append(
            {"name": name, "commit": {"sha": HEAD, "url": f"https://api.github.com{self.at(f'/commits/{HEAD}')}"},
             "protected": protected}
        )  # fmt: skip

    def issue(self, number: int, *, closed_at: str | None = None, pull: bool = False, **more: Any) -> None:
        """Add an issue."""
        place = self.at(f"/issues/{number}")
        self.answers[place] = {
            "id": 7000 + number, "number": number, "title": "Let customers pay", "created_at": AT,
            "state": "closed" if closed_at else "open", "state_reason": "completed" if closed_at else None,
            "url": f"https://api.github.com{place}", "html_url": f"https://github.com/{self.repository}/issues/{number}",
            "closed_at": closed_at, "assignee": person("bob"), "parent_issue_url": None,
            **({"pull_request": {"url": f"https://api.github.com{self.at(f'/pulls/{number}')}"}} if pull else {}), **more,
        }  # fmt: skip
