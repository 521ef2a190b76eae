"""GitLab, Gitea and Forgejo: the merge or pull request that a commit came in by, which approvals are of its head, issues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes import gitea_host, gitlab_host
from fakes.gitea_host import GiteaHost
from fakes.gitlab_host import AT, GitlabHost, approval
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.gitea import GiteaReader
from whence_aggregator.trackers.gitlab import GitlabReader
from whence_aggregator.trackers.review import Review, good_approvals, last_words

STRANGE = "5" * 40
PROJECT = "acme/shop/greeter"


@asynccontextmanager
async def gitlab(host: GitlabHost, directory: Path) -> AsyncIterator[GitlabReader]:
    async with host.serve(), outside_client(host, directory, login="t1", kind="gitlab") as client:
        yield GitlabReader(client.source, host="gitlab.example.org")


@asynccontextmanager
async def gitea(host: GiteaHost, directory: Path) -> AsyncIterator[GiteaReader]:
    async with host.serve(), outside_client(host, directory, login="t1", kind="gitea") as client:
        yield GiteaReader(client.source, host="git.example.org")


async def the_review(host: GitlabHost, directory: Path, commit: str = gitlab_host.MERGE) -> Review:
    async with gitlab(host, directory) as reader:
        (one,) = (await reader.reviews(PROJECT, commit)).reviews
    return one


@pytest.mark.parametrize(
    ("commit", "how"),
    [(gitlab_host.MERGE, "merge_commit"), (gitlab_host.SQUASH, "merge_commit"), (gitlab_host.HEAD, "in_branch")],
)
async def test_gitlab_finds_the_merge_request_of_merge_squash_and_source_commits(
    commit: str, how: str, tmp_path: Path
) -> None:
    host = GitlabHost()
    host.merge_request(squash=gitlab_host.SQUASH, approvals=(approval("bob"),))
    one = await the_review(host, tmp_path, commit)
    assert (one.number, one.how, one.base, one.head, one.author, one.merged_by, one.checks) == (
        12, how, "main", gitlab_host.HEAD, "ada", "bob", "success",
    )  # fmt: skip
    assert [vote.by for vote in good_approvals(one)] == ["bob"]


async def test_a_fast_forward_of_gitlab_has_no_merge_commit_and_is_found_all_the_same(tmp_path: Path) -> None:
    host = GitlabHost()
    host.merge_request(merge=None)
    one = await the_review(host, tmp_path, gitlab_host.HEAD)
    assert (one.how, one.merge_commit) == ("in_branch", "")


@pytest.mark.parametrize(
    ("resets", "at", "pushed_at", "counts"),
    [
        (True, None, "2026-11-20T09:00:00.000Z", True),
        (False, AT, "2026-11-20T09:00:00.000Z", True),
        (False, AT, "2026-11-20T11:00:00.000Z", False),
        (True, AT, "2026-11-20T11:00:00.000Z", False),
        (False, None, "2026-11-20T09:00:00.000Z", False),
    ],
)
async def test_an_approval_of_gitlab_counts_only_where_it_is_known_to_be_of_the_head(
    resets: bool, at: str | None, pushed_at: str, counts: bool, tmp_path: Path
) -> None:
    """No approval of GitLab states a commit."""
    host = GitlabHost()
    host.resets(pushed=resets)
    host.merge_request(approvals=(approval("bob", at=at),), pushed_at=pushed_at)
    (word,) = last_words(await the_review(host, tmp_path))
    assert (word.counts, word.why) == (counts, "" if counts else "it is not known which head it is about")


async def test_the_access_token_of_a_project_is_a_bot_and_the_author_approves_nothing(tmp_path: Path) -> None:
    host = GitlabHost()
    host.merge_request(approvals=(approval("project_42_bot_9f"), approval("ada")))
    assert [one.why for one in last_words(await the_review(host, tmp_path))] == [
        "it is by a bot", "it is by the author",
    ]  # fmt: skip


async def test_open_merge_requests_and_those_into_other_projects_do_not_count(tmp_path: Path) -> None:
    host = GitlabHost()
    host.merge_request(12, state="opened")
    host.merge_request(13, target=99)
    async with gitlab(host, tmp_path) as reader:
        finding = await reader.reviews(PROJECT, gitlab_host.MERGE)
        strange = await reader.reviews(PROJECT, STRANGE)
        host.hidden = {"/projects/"}
        with pytest.raises(SourceUnavailable, match="does not let this login read acme/shop/greeter"):
            await reader.reviews(PROJECT, gitlab_host.MERGE)
    assert (finding.reviews, finding.unmerged, finding.none, strange.none) == ((), (12,), "no-review", "commit-unknown")


async def test_issues_of_gitlab_are_found_missing_forbidden_or_moved(tmp_path: Path) -> None:
    host = GitlabHost()
    host.issue(7, closed_at=AT, epic={"iid": 5, "references": {"full": "acme&5"}})
    host.issue(8, closed_at=AT, moved_to_id=555)
    host.issue(9, closed_at=AT, moved_to_id=556)
    host.answers["/issues/555"] = {"id": 555, "iid": 3, "title": "Moved", "state": "opened",
                                   "references": {"full": "acme/plans#3"}, "moved_to_id": None}  # fmt: skip
    async with gitlab(host, tmp_path) as reader:
        found = {number: await reader.ticket(f"{PROJECT}#{number}") for number in (7, 8, 9, 99)}
        elsewhere = await reader.ticket("secret/place#1")
    ticket, moved = found[7].ticket, found[8].ticket
    assert ticket is not None
    assert moved is not None
    assert (ticket.id, ticket.closed, ticket.closed_at, ticket.parent, ticket.assignee) == (
        f"{PROJECT}#7", True, AT, "acme&5", "bob",
    )  # fmt: skip
    assert (moved.id, moved.project, moved.closed, moved.closed_at) == ("acme/plans#3", "acme/plans", False, "")
    assert [found[9].problem, found[99].problem, elsewhere.problem] == ["forbidden", "missing", "forbidden"]


async def test_gitea_finds_the_pull_request_of_a_merge_and_of_a_commit_inside(tmp_path: Path) -> None:
    host = GiteaHost()
    host.pull(11, merge="4" * 40, commits=("6" * 40,))
    host.pull(12, reviews=(gitea_host.review("bob"),))
    async with gitea(host, tmp_path) as reader:
        for commit, how in ((gitea_host.MERGE, "merge_commit"), (gitea_host.HEAD, "in_branch")):
            (one,) = (await reader.reviews("acme/greeter", commit)).reviews
            assert (one.number, one.how, one.merged_by, one.checks) == (12, how, "bob", "success")
            assert [vote.by for vote in good_approvals(one)] == ["bob"]
        assert (await reader.reviews("acme/greeter", STRANGE)).none == "no-review"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stale": True}, "it is stale: the change was updated after it"),
        ({"dismissed": True}, "it was dismissed"),
        ({"official": False}, "the reviewer may not approve here"),
        ({"state": "REQUEST_CHANGES"}, "it requests changes"),
    ],
)  # fmt: skip
async def test_reviews_of_gitea_that_are_stale_dismissed_or_unofficial_do_not_count(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    host = GiteaHost()
    host.pull(reviews=(gitea_host.review("bob", **changes), gitea_host.review("bob", "REQUEST_REVIEW")))
    async with gitea(host, tmp_path) as reader:
        (one,) = (await reader.reviews("acme/greeter", gitea_host.MERGE)).reviews
    assert [word.why for word in last_words(one)] == [why]


async def test_more_closed_pull_requests_than_are_read_are_unknown_and_not_missing(tmp_path: Path) -> None:
    host = GiteaHost()
    for number in range(1, 61):
        host.pull(number, merged=False)
    async with gitea(host, tmp_path) as reader:
        with pytest.raises(SourceUnavailable, match="none of the 50 newest closed pull requests, and there are more"):
            await reader.reviews("acme/greeter", STRANGE)


async def test_issues_of_gitea_are_found_missing_forbidden_or_pull_requests(tmp_path: Path) -> None:
    host = GiteaHost()
    host.issue(7, closed_at=AT)
    host.issue(8, pull_request={"merged": True})
    async with gitea(host, tmp_path) as reader:
        found = await reader.ticket("acme/greeter#7")
        problems = [(await reader.ticket(one)).problem for one in ("acme/greeter#8", "acme/greeter#9", "secret/x#1")]
    assert found.ticket is not None
    assert (found.ticket.closed, found.ticket.closed_at, found.ticket.status) == (True, AT, "closed")
    assert problems == ["review", "missing", "forbidden"]
