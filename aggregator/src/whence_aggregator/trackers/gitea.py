"""Reviews and issues of Gitea and Forgejo by their REST API, version 1: which requests are sent, and what they mean.

They name the pull request of the commit that a merge made, and never that of a commit inside: for those, the closed
pull requests are read, newest first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.committed import are_proved, committers, trees_of
from whence_aggregator.trackers.loose import flag, instant, items, line, link, member, text, whole
from whence_aggregator.trackers.merges import Made, unproved
from whence_aggregator.trackers.numbered import number_of
from whence_aggregator.trackers.readers import ReviewFinding, TicketFinding
from whence_aggregator.trackers.review import Checked, Review, Vote, VoteState, condensed
from whence_aggregator.trackers.source import JsonSource, all_items, path_of
from whence_aggregator.trackers.ticket import Ticket

_PAGE = {"limit": "50"}
CLOSED_READ_MAX = 50
"""Closed pull requests whose commits are read, newest first, for a commit that is inside one."""
_STATES: dict[str, VoteState] = {
    "APPROVED": "approved", "REQUEST_CHANGES": "changes_requested", "COMMENT": "commented", "PENDING": "pending",
    "REQUEST_REVIEW": "pending",
}  # fmt: skip
_CHECKS: dict[str, Checked] = {
    "success": "success", "failure": "failure", "error": "failure", "warning": "success", "pending": "pending",
}  # fmt: skip


class GiteaReader:
    """Reads one host of Gitea or Forgejo."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        place = _split(path)
        repository = await self._source.get(path_of("repos", *place))
        if repository.status != 200:
            raise SourceUnavailable(
                "review-repository", f"{self._host} does not let this login read {path}, or it does not exist",
                fix=f"allow the login for {self._host} to read the repository and its pull requests",
            )  # fmt: skip
        name = line(repository.document, "full_name")
        known = ReviewFinding(
            repository_id=line(repository.document, "id"),
            default_branch=line(repository.document, "default_branch"),
            renamed_to=name if name and name.lower() != path.lower() else "",
        )  # fmt: skip
        answer = await self._source.get(path_of("repos", *place, "commits", commit_id, "pull"))
        pull = answer.document if answer.status == 200 else await self._inside(place, commit_id)
        if pull is None:
            return replace(known, none="no-review")
        if not flag(pull, "merged"):
            return replace(known, unmerged=(whole(pull, "number") or 0,), none="no-review")
        return replace(known, reviews=(await self._review(place, pull, commit_id),))

    async def ticket(self, ticket_id: str) -> TicketFinding:
        path, number = number_of(ticket_id)
        answer = await self._source.get(path_of("repos", *_split(path), "issues", str(number)))
        if answer.status != 200:
            repository = await self._source.get(path_of("repos", *_split(path)))
            if answer.status in (404, 410) and repository.status == 200:
                return TicketFinding(problem="missing", reason=f"{self._host} has no issue {ticket_id}")
            reason = f"{self._host} does not let this login read {path}, or it does not exist"
            return TicketFinding(problem="forbidden", reason=reason)
        issue = answer.document
        if member(issue, "pull_request") is not None:
            return TicketFinding(problem="review", reason=f"{ticket_id} is a pull request, not an issue")
        project, closed = line(issue, "repository", "full_name") or path, line(issue, "state") == "closed"
        return TicketFinding(ticket=Ticket(
            id=f"{project}#{whole(issue, 'number')}", project=project, title=line(issue, "title"),
            status=line(issue, "state"), closed=closed, assignee=line(issue, "assignee", "login"),
            closed_at=instant(issue, "closed_at") if closed else "", created_at=instant(issue, "created_at"),
            url=link(issue, "html_url"), internal=line(issue, "id"),
        ))  # fmt: skip

    async def _inside(self, place: tuple[str, str], commit_id: str) -> Any:
        """Return the merged pull request that has a commit among its own; None when none of the newest has.

        Raises SourceUnavailable when there are more closed ones than are read.
        """
        query = {**_PAGE, "state": "closed", "sort": "recentupdate"}
        first = await self._source.get(path_of("repos", *place, "pulls", query=query))
        pulls = first.document if first.status == 200 and isinstance(first.document, list) else []
        for pull in pulls[:CLOSED_READ_MAX]:
            if not flag(pull, "merged"):
                continue
            number = whole(pull, "number") or 0
            commits = await all_items(
                self._source, path_of("repos", *place, "pulls", str(number), "commits", query=_PAGE)
            )
            if any(line(one, "sha") == commit_id for one in commits or ()):
                return pull
        if first.next or len(pulls) > CLOSED_READ_MAX:
            raise SourceUnavailable(
                "review-not-found", f"{self._host}: the commit is in none of the {CLOSED_READ_MAX} newest closed pull"
                " requests, and there are more", fix="merge by squash or merge commit, which the host can name",
            )  # fmt: skip
        return None

    async def _review(self, place: tuple[str, str], pull: Any, commit_id: str) -> Review:
        number, head = whole(pull, "number") or 0, line(pull, "head", "sha")
        base = ("repos", *place, "pulls", str(number))
        votes = await all_items(self._source, path_of(*base, "reviews", query=_PAGE))
        commits = await all_items(self._source, path_of(*base, "commits", query=_PAGE))
        if votes is None or commits is None:
            raise SourceUnavailable("review-unreadable", f"{self._host}: pull request {number} cannot be read whole")
        status = await self._source.get(path_of("repos", *place, "commits", head, "status"))
        made, state = line(pull, "merge_commit_sha"), line(status.document, "state")
        why = ""
        if made == commit_id:
            merges = _Merges(self._source, place)
            why = await unproved(merges, commit_id, head=head, commits=trees_of(commits)[::-1])
        return Review(
            number=number, url=link(pull, "html_url"), title=line(pull, "title"), text=text(pull, "body"),
            branch=line(pull, "head", "ref"), base=line(pull, "base", "ref"), head=head,
            author=line(pull, "user", "login"), author_bot=False, merged_at=instant(pull, "merged_at"),
            merged_by=line(pull, "merged_by", "login"), merge_commit=made,
            how="merge_commit" if made == commit_id else "in_branch", votes=condensed(map(_vote, votes)),
            asked=tuple(line(one, "login") for one in items(pull, "requested_reviewers")),
            committers=committers(commits), committers_proved=are_proved(commits, total=None), unproved=why,
            checks=_CHECKS.get(state, "none") if status.status == 200 else "unknown",
        )  # fmt: skip


class _Merges:
    """Reads commits of one repository.

    NOTE: that a key is the host's is not in its API, and anybody who may push can name a commit as a manual merge.
    """

    def __init__(self, source: JsonSource, place: tuple[str, str]) -> None:
        self._source = source
        self._place = ("repos", *place)

    async def made(self, commit_id: str) -> Made | None:
        query = {"stat": "false", "files": "false"}
        answer = await self._source.get(path_of(*self._place, "git", "commits", commit_id, query=query))
        if answer.status != 200:
            return None
        parents = tuple(line(one, "sha") for one in items(answer.document, "parents"))
        return Made(parents=parents, tree=line(answer.document, "commit", "tree", "sha"))

    async def has(self, commit_id: str, other: str) -> bool | None:
        answer = await self._source.get(path_of(*self._place, "compare", f"{commit_id}...{other}"))
        ahead = whole(answer.document, "total_commits") if answer.status == 200 else None
        return None if ahead is None else ahead == 0


def _vote(one: Any) -> Vote:
    return Vote(
        by=line(one, "user", "login"), at=instant(one, "submitted_at"), commit=line(one, "commit_id"),
        state="dismissed" if flag(one, "dismissed") else _STATES.get(line(one, "state"), "pending"),
        official=flag(one, "official"), stale=flag(one, "stale"),
    )  # fmt: skip


def _split(path: str) -> tuple[str, str]:
    owner, _, name = path.partition("/")
    if not owner or not name or "/" in name or {owner, name} & {".", ".."}:
        raise SourceUnavailable("review-repository", f"{path[:120]!r} is not OWNER/NAME", retryable=False)
    return owner, name
