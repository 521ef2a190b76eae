"""GitHub's reviews and issues by its REST API, version 2022-11-28: which requests are sent, and what they mean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.committed import are_proved, committers, trees_of
from whence_aggregator.trackers.github_merges import GithubMerges
from whence_aggregator.trackers.loose import instant, items, line, link, member, text, whole
from whence_aggregator.trackers.merges import unproved
from whence_aggregator.trackers.numbered import number_of
from whence_aggregator.trackers.readers import ReviewFinding, TicketFinding
from whence_aggregator.trackers.review import Checked, Review, Vote, VoteState, condensed
from whence_aggregator.trackers.source import FORBIDDEN, PAGE_ITEMS, JsonSource, all_items, path_of
from whence_aggregator.trackers.ticket import Ticket

REVIEWS_MAX = 5
"""A commit comes in by one merged pull request, rarely by some."""
_COMMIT_PAGES_MAX = 3
"""GitHub lists at most 250 commits of a pull request."""
APPROVERS_ASKED_MAX = 20
"""Approvers of one pull request whose permission is read."""
_OFFICIAL = {"OWNER": True, "MEMBER": None, "COLLABORATOR": None}
"""Whether somebody of an association may write here: any reader may review, and a member may be one."""
_WRITING = ("admin", "write")
"""GitHub's permission of those who may push: it states `write` for `maintain` too, and `read` for `triage`."""
_UNPROVED = (
    "it is not known whether the reviewer may write here: let the login read the permissions of collaborators (an App:"
    " Metadata; a person's token: push access)"
)
_STATES: dict[str, VoteState] = {
    "APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested", "COMMENTED": "commented",
    "DISMISSED": "dismissed", "PENDING": "pending",
}  # fmt: skip
_GOOD = ("success", "neutral", "skipped")
_FAILED_CHECKS_MAX = 20
_ISSUE_OF = re.compile(r"/repos/([^/]+/[^/]+)/issues/([0-9]+)\Z")


class GithubReader:
    """Reads one GitHub host."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        place = _split(path)
        repository = await self._repository(path)
        listed = await all_items(
            self._source, path_of("repos", *place, "commits", commit_id, "pulls", query=_page()), pages_max=3
        )
        repository_id, default = whole(repository, "id"), line(repository, "default_branch")
        name = line(repository, "full_name")
        known = ReviewFinding(
            repository_id=str(repository_id or ""), default_branch=default,
            renamed_to=name if name and name.lower() != path.lower() else "",
        )  # fmt: skip
        if listed is None:
            return replace(known, none="commit-unknown")
        ours = [one for one in listed if whole(one, "base", "repo", "id") == repository_id]
        merged = [one for one in ours if instant(one, "merged_at")]
        merged.sort(key=lambda one: (line(one, "base", "ref") != default, instant(one, "merged_at")))
        unmerged = tuple(number for one in ours if one not in merged and (number := whole(one, "number")) is not None)
        found = [await self._review(place, one, commit_id) for one in merged[:REVIEWS_MAX]]
        return replace(known, reviews=tuple(found), unmerged=unmerged[:REVIEWS_MAX],
                             none=None if found else "no-review")  # fmt: skip

    async def ticket(self, ticket_id: str) -> TicketFinding:
        path, number = number_of(ticket_id)
        answer = await self._source.get(path_of("repos", *_split(path), "issues", str(number)))
        if answer.status == 410:
            return TicketFinding(problem="missing", reason=f"{ticket_id} was deleted")
        if answer.status != 200:
            return await self._absent(ticket_id, path, answer.status)
        issue = answer.document
        if member(issue, "pull_request") is not None:
            return TicketFinding(problem="review", reason=f"{ticket_id} is a pull request, not an issue")
        return TicketFinding(ticket=_ticket(issue, ticket_id))

    async def _absent(self, ticket_id: str, path: str, status: int) -> TicketFinding:
        """Return whether an issue is missing or hidden: GitHub answers 404 for both."""
        repository = await self._source.get(path_of("repos", *_split(path)))
        if status == 404 and repository.status == 200:
            return TicketFinding(problem="missing", reason=f"{self._host} has no issue {ticket_id}")
        reason = f"{self._host} does not let this login read {path}, or it does not exist"
        return TicketFinding(problem="forbidden", reason=reason)

    async def _repository(self, path: str) -> Any:
        """Return the repository: without it, a 404 for anything in it means nothing. Raises SourceUnavailable."""
        answer = await self._source.get(path_of("repos", *_split(path)))
        if answer.status != 200 or whole(answer.document, "id") is None:
            raise SourceUnavailable(
                "review-repository", f"{self._host} does not let this login read {path}, or it does not exist",
                fix=f"allow the login for {self._host} to read the repository and its pull requests",
            )  # fmt: skip
        return answer.document

    async def _review(self, place: tuple[str, str], listed: Any, commit_id: str) -> Review:
        number = whole(listed, "number") or 0
        base = ("repos", *place, "pulls", str(number))
        answer = await self._source.get(path_of(*base))
        votes = await all_items(self._source, path_of(*base, "reviews", query=_page()))
        commits = await all_items(self._source, path_of(*base, "commits", query=_page()), pages_max=_COMMIT_PAGES_MAX)
        if answer.status != 200 or votes is None or commits is None:
            raise SourceUnavailable("review-unreadable", f"{self._host}: pull request {number} cannot be read whole")
        pull = answer.document
        head = line(pull, "head", "sha")
        checks, failed = await self._checks(place, head)
        merge_commit, why = line(pull, "merge_commit_sha"), ""
        if merge_commit == commit_id:
            merges = GithubMerges(self._source, place, host=self._host)
            why = await unproved(merges, commit_id, head=head, commits=trees_of(commits))
        return Review(
            number=number, url=link(pull, "html_url"), title=line(pull, "title"), text=text(pull, "body"),
            branch=line(pull, "head", "ref"), base=line(pull, "base", "ref"), head=head,
            author=line(pull, "user", "login"), author_bot=line(pull, "user", "type") == "Bot",
            merged_at=instant(pull, "merged_at"), merged_by=line(pull, "merged_by", "login"),
            merge_commit=merge_commit, how="merge_commit" if merge_commit == commit_id else "in_branch",
            votes=await self._with_rights(place, condensed(map(_vote, votes))),
            asked=tuple(line(one, "login") for one in items(pull, "requested_reviewers")),
            committers=committers(commits), checks=checks, failed_checks=failed,
            committers_proved=are_proved(commits, total=whole(pull, "commits")), unproved=why,
        )  # fmt: skip

    async def _with_rights(self, place: tuple[str, str], votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
        """Return votes with whether approvers may write here now: a member, or a collaborator, may read only."""
        asked: dict[str, bool | None] = {}
        found = []
        for one in votes:
            if one.state == "approved" and one.official is None:
                if one.by not in asked and len(asked) < APPROVERS_ASKED_MAX:
                    asked[one.by] = await self._may_write(place, one.by)
                official = asked.get(one.by)
                found.append(replace(one, official=official, unproved=_UNPROVED if official is None else ""))
            else:
                found.append(one)
        return tuple(found)

    async def _may_write(self, place: tuple[str, str], login: str) -> bool | None:
        """Return whether somebody may write in a repository; None where this login may not read it."""
        if not login:
            return None
        answer = await self._source.get(path_of("repos", *place, "collaborators", login, "permission"))
        stated = line(answer.document, "permission") if answer.status == 200 else ""
        return stated in _WRITING if stated else None

    async def _checks(self, place: tuple[str, str], head: str) -> tuple[Checked, tuple[str, ...]]:
        """Return how the checks of a head ended, by check runs and statuses; `unknown` if they cannot be read."""
        commit = ("repos", *place, "commits", head)
        try:
            runs = await all_items(self._source, path_of(*commit, "check-runs", query=_page()), member="check_runs")
        except SourceUnavailable as exc:
            if exc.code != FORBIDDEN:
                raise
            return "unknown", ()
        status = await self._source.get(path_of(*commit, "status", query=_page()))
        if runs is None or status.status != 200:
            return "unknown", ()
        ended = [(line(one, "name"), line(one, "conclusion")) for one in runs if line(one, "status") == "completed"]
        failed = [name for name, conclusion in ended if conclusion not in _GOOD]
        statuses = items(status.document, "statuses")
        failed += [line(one, "context") for one in statuses if line(one, "state") in ("failure", "error")]
        waits = len(ended) < len(runs) or any(line(one, "state") == "pending" for one in statuses)
        if failed:
            return "failure", tuple(failed[:_FAILED_CHECKS_MAX])
        return ("pending" if waits else "success" if runs or statuses else "none"), ()


def _vote(one: Any) -> Vote:
    return Vote(
        by=line(one, "user", "login"), state=_STATES.get(line(one, "state"), "pending"), commit=line(one, "commit_id"),
        at=instant(one, "submitted_at"), bot=line(one, "user", "type") == "Bot",
        official=_OFFICIAL.get(line(one, "author_association"), False),
    )  # fmt: skip


def _ticket(issue: Any, asked: str) -> Ticket:
    """Return an issue. The name is that of the repository in which it is now: a transfer redirects."""
    where = _ISSUE_OF.search(line(issue, "url"))
    project, number = (where[1], where[2]) if where is not None else (number_of(asked)[0], str(whole(issue, "number")))
    closed = line(issue, "state") == "closed"
    return Ticket(
        id=f"{project}#{number}", project=project, title=line(issue, "title"), status=line(issue, "state"),
        closed=closed, assignee=line(issue, "assignee", "login"), type=line(issue, "type", "name"),
        parent=_parent(line(issue, "parent_issue_url")), closed_at=instant(issue, "closed_at") if closed else "",
        created_at=instant(issue, "created_at"), url=link(issue, "html_url"), outcome=line(issue, "state_reason"),
        internal=str(whole(issue, "id") or ""),
    )  # fmt: skip


def _parent(url: str) -> str:
    found = _ISSUE_OF.search(url)
    return f"{found[1]}#{found[2]}" if found is not None else ""


def _split(path: str) -> tuple[str, str]:
    """Return owner and name of a repository. Raises SourceUnavailable for a path of another depth."""
    owner, _, name = path.partition("/")
    if not owner or not name or "/" in name or {owner, name} & {".", ".."}:
        raise SourceUnavailable("review-repository", f"{path[:120]!r} is not OWNER/NAME", retryable=False)
    return owner, name


def _page() -> dict[str, str]:
    return {"per_page": str(PAGE_ITEMS)}
