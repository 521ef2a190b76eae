"""GitLab's merge requests, approvals and issues, by version 4 of its API.

tests/integration/test_tracker_clients.py drives it by python-gitlab, a client that others wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.outside import OutsideHost

AT = "2026-11-20T10:00:00.000Z"
HEAD, SQUASH, MERGE, BASE = "1" * 40, "2" * 40, "3" * 40, "4" * 40


def approval(username: str, *, at: str | None = AT) -> dict[str, Any]:
    return {"user": {"id": 5, "username": username, "name": username}, **({"approved_at": at} if at else {})}


@dataclass
class GitlabHost(OutsideHost):
    """GitLab with one project, `acme/shop/greeter`, whose number is 42."""

    prefix: str = "/api/v4"
    page_items: int = 20
    project: str = "acme/shop/greeter"
    authorization: tuple[str, str] | None = ("PRIVATE-TOKEN", "t1")
    headers: dict[str, str] = field(default_factory=lambda: {"RateLimit-Remaining": "1999"})
    contents: dict[str, str] = field(default_factory=dict)
    """By commit, what identifies its content."""
    bases: dict[frozenset[str], str] = field(default_factory=dict)
    """By two commits, the newest one that both have."""

    def __post_init__(self) -> None:
        document = {"id": 42, "path_with_namespace": self.project, "default_branch": "main", "name": "greeter"}
        for name in ("42", self.project.replace("/", "%2F")):
            self.answers[f"/projects/{name}"] = document
        self.answers["/user"] = {"id": 1, "username": "robot"}
        self.resets(pushed=True)

    def limited(self) -> web.Response:
        headers = {
            "RateLimit-Limit": "2000", "RateLimit-Observed": "2001", "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(self.reset_at), "Retry-After": "60",
        }  # fmt: skip
        return web.Response(status=429, text="Retry later\n", headers=headers)

    def _unlimited(self, request: web.Request) -> web.Response:
        """Answer what depends on the query: the root of a commit's tree, and what two commits have in common."""
        path = request.raw_path.partition("?")[0].removeprefix(self.prefix)
        if path.endswith("/repository/tree") and request.query["ref"] in self.contents:
            return self._document(request, [{
                "id": self.contents[request.query["ref"]], "name": "a", "type": "blob", "path": "a", "mode": "100644",
            }])  # fmt: skip
        if path.endswith("/repository/merge_base"):
            base = self.bases.get(frozenset(request.query.getall("refs[]")))
            return self._document(request, {"id": base}) if base else self._json({"message": "404"}, status=404)
        return super()._unlimited(request)

    def rename(self, old: str) -> None:
        """Have the project's old path lead to its number, as GitLab does since 16.7."""
        self.renamed[f"/projects/{old.replace('/', '%2F')}"] = "/projects/42"

    def resets(self, *, pushed: bool) -> None:
        """Set whether the project removes approvals on a push."""
        for name in ("42", self.project.replace("/", "%2F")):
            self.answers[f"/projects/{name}/approvals"] = {"reset_approvals_on_push": pushed}

    def merge_request(
        self, number: int = 12, *, approvals: tuple[dict[str, Any], ...] = (), state: str = "merged", head: str = HEAD,
        merge: str | None = MERGE, squash: str | None = None, pushed_at: str = "2026-11-20T09:00:00.000Z",
        pipeline: str | None = "success", target: int = 42, listed_for: tuple[str, ...] = (), author: str = "ada",
        **more: Any,
    ) -> None:  # fmt: skip
        """Add a merge request; it is listed for its head, squash and merge commits, and for `listed_for`."""
        document = {
            "id": 900 + number, "iid": number, "project_id": 42, "title": "Pay", "description": "Closes #7",
            "state": state, "source_branch": "feature/pay", "target_branch": "main", "sha": head,
            "merge_commit_sha": merge, "squash_commit_sha": squash, "source_project_id": 42,
            "target_project_id": target, "author": {"id": 4, "username": author},
            "merge_user": {"id": 5, "username": "bob"}, "merged_at": AT if state == "merged" else None,
            "web_url": f"https://gitlab.example.org/{self.project}/-/merge_requests/{number}",
            "reviewers": [{"id": 5, "username": "bob"}],
            "head_pipeline": {"id": 1, "status": pipeline} if pipeline else None, **more,
        }  # fmt: skip
        versions = [{"id": 2, "head_commit_sha": head, "created_at": pushed_at},
                    {"id": 1, "head_commit_sha": "9" * 40, "created_at": "2026-11-01T00:00:00.000Z"}]  # fmt: skip
        for name in ("42", self.project.replace("/", "%2F")):
            place = f"/projects/{name}/merge_requests/{number}"
            self.answers[place] = document
            self.answers[f"{place}/approvals"] = {"iid": number, "approvals_left": 0, "approved_by": list(approvals)}
            self.answers[f"{place}/versions"] = versions
            for commit in {head, merge, squash, *listed_for} - {None}:
                known = self.answers.setdefault(f"/projects/{name}/repository/commits/{commit}/merge_requests", [])
                known.append(document)
                parents = [BASE, squash or head] if commit == merge else [BASE]
                self.commit(str(commit), *parents, by_host=commit in (merge, squash))

    def commit(self, commit: str, *parents: str, by_host: bool = False, content: str = "") -> None:
        """Add a commit of some content, by default its own; `by_host`: GitLab made and signed it."""
        status = "verified_system" if by_host else "unverified"
        for name in ("42", self.project.replace("/", "%2F")):
            place = f"/projects/{name}/repository/commits/{commit}"
            self.answers[place] = {"id": commit, "parent_ids": list(parents)}
            self.answers[f"{place}/signature"] = {"signature_type": "SSH", "verification_status": status}
        self.contents[commit] = content or commit

    def protect(self, *branches: str, tags: tuple[str, ...] = ()) -> None:
        """Set the protected branches and tags; names may have wildcards."""
        levels = [{"access_level": 40, "access_level_description": "Maintainers", "user_id": None, "group_id": None}]
        for name in ("42", self.project.replace("/", "%2F")):
            self.answers[f"/projects/{name}/protected_branches"] = [
                {"id": place, "name": one, "push_access_levels": levels, "merge_access_levels": levels,
                 "allow_force_push": False, "code_owner_approval_required": False}
                for place, one in enumerate(branches)
            ]  # fmt: skip
            self.answers[f"/projects/{name}/protected_tags"] = [
                {"name": one, "create_access_levels": levels} for one in tags
            ]

    def issue(self, number: int, *, closed_at: str | None = None, **more: Any) -> dict[str, Any]:
        """Add an issue, and return its document."""
        document = {
            "id": 7000 + number, "iid": number, "project_id": 42, "title": "Let customers pay",
            "state": "closed" if closed_at else "opened", "closed_at": closed_at, "created_at": AT,
            "assignee": {"id": 5, "username": "bob"}, "issue_type": "issue", "moved_to_id": None, "epic": None,
            "references": {"full": f"{self.project}#{number}", "short": f"#{number}"},
            "web_url": f"https://gitlab.example.org/{self.project}/-/issues/{number}", **more,
        }  # fmt: skip
        for name in ("42", self.project.replace("/", "%2F")):
            self.answers[f"/projects/{name}/issues/{number}"] = document
        return document
