"""Gitea's and Forgejo's pull requests, reviews and issues, by version 1 of their API, as reference/trackers.md quotes it:
the pull request of a commit is one object, and only that of the commit that a merge made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from fakes.outside import OutsideHost

AT = "2026-11-20T10:00:00Z"
HEAD, MERGE, BASE = "1" * 40, "2" * 40, "3" * 40


def review(by: str, state: str = "APPROVED", **more: Any) -> dict[str, Any]:
    return {"id": 1, "user": {"id": 5, "login": by}, "state": state, "commit_id": HEAD, "stale": False,
            "official": True, "dismissed": False, "submitted_at": AT, **more}  # fmt: skip


@dataclass
class GiteaHost(OutsideHost):
    """Gitea with one repository, `acme/greeter`, whose number is 42."""

    prefix: str = "/api/v1"
    page_names: tuple[str, str] = ("limit", "page")
    authorization: tuple[str, str] | None = ("Authorization", "token t1")

    def __post_init__(self) -> None:
        self.answers[self.at()] = {"id": 42, "full_name": "acme/greeter", "default_branch": "main"}
        self.answers[self.at("/pulls")] = []

    def is_signed_in(self, request: web.Request) -> bool:
        """Return whether the token is right, in either of the two forms that Gitea takes."""
        return super().is_signed_in(request) or request.headers.get("Authorization") == "Bearer t1"

    def rename(self, old: str) -> None:
        """Have the repository's old name lead to the new one, as Gitea does."""
        self.renamed_status = 307
        self.renamed[f"/repos/{old}"] = self.at()

    def at(self, rest: str = "") -> str:
        return f"/repos/acme/greeter{rest}"

    def pull(
        self, number: int = 12, *, reviews: tuple[dict[str, Any], ...] = (), merged: bool = True, merge: str = MERGE,
        commits: tuple[str, ...] = (HEAD,), state: str = "success",
    ) -> None:  # fmt: skip
        """Add a closed pull request."""
        document = {
            "id": 900, "number": number, "state": "closed", "title": "Pay", "body": "Closes #7", "merged": merged,
            "merged_at": AT if merged else None, "merge_commit_sha": merge if merged else None,
            "merged_by": {"login": "bob"} if merged else None, "user": {"login": "ada"},
            "html_url": f"https://git.example.org/acme/greeter/pulls/{number}",
            "head": {"ref": "pay", "sha": HEAD}, "base": {"ref": "main", "sha": "3" * 40}, "requested_reviewers": None,
        }  # fmt: skip
        place = self.at(f"/pulls/{number}")
        self.answers |= {
            place: document, f"{place}/reviews": list(reviews),
            f"{place}/commits": [{"sha": one, "author": {"login": "ada"}, "committer": None,
                                  "commit": {"tree": {"sha": one[::-1]}}} for one in commits],
            self.at(f"/commits/{HEAD}/status"): {"state": state, "statuses": []},
        }  # fmt: skip
        if merged:
            self.answers[self.at(f"/commits/{merge}/pull")] = document
            self.commit(merge, BASE, HEAD, tree=HEAD[::-1])
            self.compared(HEAD, BASE, ahead=0)
        self.answers[self.at("/pulls")].append(document)

    def commit(self, commit: str, *parents: str, tree: str = "") -> None:
        self.answers[self.at(f"/git/commits/{commit}")] = {
            "sha": commit, "parents": [{"sha": one} for one in parents], "commit": {"tree": {"sha": tree or commit}},
        }  # fmt: skip

    def compared(self, base: str, other: str, *, ahead: int) -> None:
        """State how many commits another commit has that a base does not have."""
        self.answers[self.at(f"/compare/{base}...{other}")] = {"total_commits": ahead, "commits": []}

    def branch(self, name: str, *, protected: bool) -> None:
        self.answers.setdefault(self.at("/branches"), []).append(
            {"name": name, "commit": {"id": HEAD}, "protected": protected,
             "effective_branch_protection_name": name if protected else ""}
        )  # fmt: skip

    def issue(self, number: int, *, closed_at: str | None = None, **more: Any) -> None:
        self.answers[self.at(f"/issues/{number}")] = {
            "id": 7000 + number, "number": number, "title": "Let customers pay", "created_at": AT,
            "state": "closed" if closed_at else "open", "closed_at": closed_at, "assignee": {"login": "bob"},
            "pull_request": None, "repository": {"id": 42, "full_name": "acme/greeter"},
            "html_url": f"https://git.example.org/acme/greeter/issues/{number}", **more,
        }  # fmt: skip
