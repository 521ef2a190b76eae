"""GitLab's merge requests and issues by its REST API, version 4: which requests are sent, and what they mean.

No approval states the commit that it is about. It counts for the newest version of the change if it was made after that
version was pushed. Where GitLab states no time, it counts if the project removes approvals on a push.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.gitlab_merges import GitlabMerges
from whence_aggregator.trackers.loose import flag, instant, items, line, link, text, whole
from whence_aggregator.trackers.merges import unproved
from whence_aggregator.trackers.numbered import number_of
from whence_aggregator.trackers.readers import ReviewFinding, TicketFinding
from whence_aggregator.trackers.review import Checked, Review, Vote, condensed
from whence_aggregator.trackers.source import PAGE_ITEMS, JsonSource, all_items, path_of
from whence_aggregator.trackers.ticket import Ticket
from whence_common.clock import parse_instant

REVIEWS_MAX = 5
_MOVES_MAX = 5
_CHECKS: dict[str, Checked] = {
    "success": "success", "failed": "failure", "canceled": "failure", "skipped": "none", "running": "pending",
    "pending": "pending", "created": "pending", "waiting_for_resource": "pending", "preparing": "pending",
    "manual": "pending", "scheduled": "pending",
}  # fmt: skip
_BOT = re.compile(r"(?:project|group)_[0-9]+_bot")
_REFERENCE = re.compile(r"(?P<path>[A-Za-z0-9_.~/+-]+)#[0-9]+\Z")


class GitlabReader:
    """Reads one GitLab host."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        answer = await self._source.get(path_of("projects", path))
        project = whole(answer.document, "id")
        if answer.status != 200 or project is None:
            raise SourceUnavailable(
                "review-repository", f"{self._host} does not let this login read {path}, or it does not exist",
                fix=f"give the login for {self._host} the scope read_api and the role Reporter",
            )  # fmt: skip
        name = line(answer.document, "path_with_namespace")
        known = ReviewFinding(
            repository_id=str(project), default_branch=line(answer.document, "default_branch"),
            renamed_to=name if name and name.lower() != path.lower() else "",
        )  # fmt: skip
        commit = ("projects", str(project), "repository", "commits", commit_id)
        listed = await all_items(self._source, path_of(*commit, "merge_requests", query=_page()), pages_max=3)
        if listed is None:
            return replace(known, none="commit-unknown")
        ours = [one for one in listed if whole(one, "target_project_id") == project]
        merged = [one for one in ours if line(one, "state") == "merged"]
        merged.sort(key=lambda one: (line(one, "target_branch") != known.default_branch, instant(one, "merged_at")))
        unmerged = tuple(number for one in ours if one not in merged and (number := whole(one, "iid")) is not None)
        found = [await self._review(project, one, commit_id) for one in merged[:REVIEWS_MAX]]
        return replace(known, reviews=tuple(found), unmerged=unmerged[:REVIEWS_MAX],
                             none=None if found else "no-review")  # fmt: skip

    async def ticket(self, ticket_id: str) -> TicketFinding:
        path, number = number_of(ticket_id)
        answer = await self._source.get(path_of("projects", path, "issues", str(number)))
        if answer.status != 200:
            return await self._absent(ticket_id, path)
        issue = answer.document
        for _ in range(_MOVES_MAX):
            moved = whole(issue, "moved_to_id")
            if moved is None:
                break
            answer = await self._source.get(path_of("issues", str(moved)))  # administrators only, by GitLab's manual
            if answer.status != 200:
                reason = f"{ticket_id} was moved to the issue with the id {moved}, which this login may not read"
                return TicketFinding(problem="forbidden", reason=reason)
            issue = answer.document
        return TicketFinding(ticket=_ticket(issue, path))

    async def _absent(self, ticket_id: str, path: str) -> TicketFinding:
        """Return whether an issue is missing or its project hidden: GitLab answers 404 for both."""
        project = await self._source.get(path_of("projects", path))
        if project.status == 200:
            reason = f"{self._host} has no issue {ticket_id} that this login may read"
            return TicketFinding(problem="missing", reason=reason)
        reason = f"{self._host} does not let this login read {path}, or it does not exist"
        return TicketFinding(problem="forbidden", reason=reason)

    async def _review(self, project: int, listed: Any, commit_id: str) -> Review:
        number = whole(listed, "iid") or 0
        base = ("projects", str(project), "merge_requests", str(number))
        answer = await self._source.get(path_of(*base))
        approvals = await self._source.get(path_of(*base, "approvals"))
        versions = await all_items(self._source, path_of(*base, "versions", query=_page()))
        rules = await self._source.get(path_of("projects", str(project), "approvals"))
        if answer.status != 200 or approvals.status != 200 or versions is None:
            raise SourceUnavailable("review-unreadable", f"{self._host}: merge request {number} cannot be read whole")
        merge, head = answer.document, line(answer.document, "sha")
        resets = rules.status == 200 and flag(rules.document, "reset_approvals_on_push")
        pushed = max(
            (instant(one, "created_at") for one in versions if line(one, "head_commit_sha") == head), default=""
        )
        made = line(merge, "merge_commit_sha") or line(merge, "squash_commit_sha") or line(merge, "merged_commit_sha")
        pipeline = line(merge, "head_pipeline", "status")
        # NOTE: who committed is not read: GitLab's commits have names and addresses, and no users
        hosts = [line(merge, one) for one in ("merge_commit_sha", "squash_commit_sha", "merged_commit_sha")]
        why, squashed = "", line(merge, "squash_commit_sha")
        if commit_id in hosts and commit_id != squashed:  # GitLab states a squash only where it made it
            merges = GitlabMerges(self._source, project, head=head, squashed=squashed)
            why = await unproved(merges, commit_id, head=head, commits=())
        return Review(
            number=number, url=link(merge, "web_url"), title=line(merge, "title"), text=text(merge, "description"),
            branch=line(merge, "source_branch"), base=line(merge, "target_branch"), head=head,
            author=line(merge, "author", "username"), author_bot=_is_bot(line(merge, "author", "username")),
            merged_at=instant(merge, "merged_at"),
            merged_by=line(merge, "merge_user", "username") or line(merge, "merged_by", "username"),
            merge_commit=made, how="merge_commit" if commit_id in hosts else "in_branch",
            votes=condensed(_vote(one, head, pushed, resets) for one in items(approvals.document, "approved_by")),
            asked=tuple(line(one, "username") for one in items(merge, "reviewers")),
            checks=_CHECKS.get(pipeline, "unknown" if pipeline else "none"), unproved=why,
        )  # fmt: skip


def _vote(one: Any, head: str, pushed: str, resets: bool) -> Vote:
    """Return an approval; it is about the head only where that is known.

    NOTE: whether the project removes approvals on a push is known for now only: it may have been set after the merge.
    """
    at = instant(one, "approved_at")
    about_head = parse_instant(at) >= parse_instant(pushed) if at and pushed else resets
    return Vote(
        by=line(one, "user", "username"), state="approved", at=at, bot=_is_bot(line(one, "user", "username")),
        commit=head if about_head else "",
    )  # fmt: skip


def _is_bot(username: str) -> bool:
    """Return whether a user name is one that GitLab makes for access tokens."""
    return _BOT.match(username) is not None


def _ticket(issue: Any, path: str) -> Ticket:
    reference = _REFERENCE.match(line(issue, "references", "full"))
    project, closed = reference["path"] if reference is not None else path, line(issue, "state") == "closed"
    return Ticket(
        id=f"{project}#{whole(issue, 'iid')}", project=project, title=line(issue, "title"), status=line(issue, "state"),
        closed=closed, assignee=line(issue, "assignee", "username"), type=line(issue, "issue_type"),
        parent=line(issue, "epic", "references", "full") or line(issue, "epic", "iid"),
        closed_at=instant(issue, "closed_at") if closed else "", created_at=instant(issue, "created_at"),
        url=link(issue, "web_url"), internal=str(whole(issue, "id") or ""),
    )  # fmt: skip


def _page() -> dict[str, str]:
    return {"per_page": str(PAGE_ITEMS)}
