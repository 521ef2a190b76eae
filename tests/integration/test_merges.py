"""A merge commit that its host made, or that has only what was reviewed, against one that somebody pushed with more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import gitea_host, github_host, gitlab_host
from fakes.gitea_host import GiteaHost
from fakes.github_host import BASE, HEAD, MERGE, GithubHost, tree_of
from fakes.gitlab_host import GitlabHost
from fakes.outside_client import outside_client
from whence_aggregator.trackers.gitea import GiteaReader
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.gitlab import GitlabReader

FIRST, OTHER, REBASED = "6" * 40, "5" * 40, "7" * 40
MALLORY = {"name": "Mallory", "email": "mallory@example.org", "date": github_host.AT}
UNSIGNED = "the host did not sign it, and "
MORE = UNSIGNED + "its content is not that of the reviewed head"
BEHIND = UNSIGNED + "the reviewed head was not up to date with the base branch"


def merged_locally(host: GithubHost, *, more: bool, behind: int) -> None:
    host.commit(MERGE, BASE, HEAD, committer=MALLORY, tree="" if more else tree_of(HEAD)["sha"])
    host.compared(HEAD, BASE, ahead=behind)


def squashed_by_github(host: GithubHost) -> None:
    host.commit(MERGE, BASE)
    host.compared(MERGE, HEAD, ahead=1)


def committed_in_pages(host: GithubHost) -> None:
    """GitHub signs a commit of its pages that follows the merged head."""
    host.commit(MERGE, OTHER)
    host.compared(MERGE, HEAD, ahead=0)
    host.compared(HEAD, OTHER, ahead=1)


def made_by_an_app(host: GithubHost) -> None:
    """An App makes commits of any content by the API, and GitHub signs them."""
    host.commit(MERGE, BASE, HEAD, author="helper[bot]")


def rebased(host: GithubHost, *, more: bool = False, behind: int = 0) -> None:
    host.pull(commits=(FIRST, HEAD))
    host.commit(MERGE, REBASED, committer=MALLORY, tree=tree_of(HEAD)["sha"])
    host.commit(REBASED, BASE, committer=MALLORY, tree="" if more else tree_of(FIRST)["sha"])
    host.compared(HEAD, REBASED, ahead=1)
    host.compared(HEAD, BASE, ahead=behind)


def not_returned(host: GithubHost) -> None:
    del host.answers[host.at(f"/git/commits/{MERGE}")]


@pytest.mark.parametrize(
    ("prepared", "unproved"),
    [
        (lambda host: None, ""),
        (squashed_by_github, ""),
        (lambda host: merged_locally(host, more=False, behind=0), ""),
        (rebased, ""),
        (lambda host: merged_locally(host, more=True, behind=0), MORE),
        (lambda host: merged_locally(host, more=False, behind=2), BEHIND),
        (lambda host: rebased(host, more=True), BEHIND),
        (lambda host: rebased(host, behind=1), BEHIND),
        (committed_in_pages, MORE),
        (made_by_an_app, MORE),
        (not_returned, "the host does not return it"),
    ],
    ids=["merge", "squash", "local", "rebase", "evil", "lost", "evil-rebase", "lost-rebase", "pages", "app", "absent"],
)
async def test_a_merge_commit_of_github_is_proved_by_its_signature_or_its_content(
    prepared: Callable[[GithubHost], None], unproved: str, tmp_path: Path
) -> None:
    host = GithubHost(authorization=("Authorization", "Bearer t1"))
    host.pull()
    prepared(host)
    async with host.serve(), outside_client(host, tmp_path, login="t1") as client:
        found = await GithubReader(client.source, host="github.com").reviews("acme/greeter", MERGE)
    assert [one.unproved for one in found.reviews][-1] == unproved


@pytest.mark.parametrize(
    ("commit", "by_host", "content", "base", "unproved"),
    [
        (gitlab_host.MERGE, True, "", "", ""),
        (gitlab_host.SQUASH, False, "", "", ""),
        (gitlab_host.HEAD, False, "", "", ""),
        (gitlab_host.MERGE, False, gitlab_host.HEAD, gitlab_host.BASE, ""),
        (gitlab_host.MERGE, False, "", gitlab_host.BASE, MORE),
        (gitlab_host.MERGE, False, gitlab_host.HEAD, OTHER, BEHIND),
    ],
    ids=["merge", "squash", "head", "local", "evil", "lost"],
)
async def test_a_merge_commit_of_gitlab_is_proved_likewise(
    commit: str, by_host: bool, content: str, base: str, unproved: str, tmp_path: Path
) -> None:
    host = GitlabHost()
    host.merge_request(squash=gitlab_host.SQUASH if commit == gitlab_host.SQUASH else None)
    host.commit(gitlab_host.MERGE, gitlab_host.BASE, gitlab_host.HEAD, by_host=by_host, content=content)
    host.bases[frozenset((gitlab_host.HEAD, gitlab_host.BASE))] = base
    async with host.serve(), outside_client(host, tmp_path, login="t1", kind="gitlab") as client:
        found = await GitlabReader(client.source, host="gitlab.example.org").reviews("acme/shop/greeter", commit)
    assert [one.unproved for one in found.reviews] == [unproved]


@pytest.mark.parametrize(
    ("tree", "behind", "unproved"),
    [(gitea_host.HEAD[::-1], 0, ""), ("8" * 40, 0, MORE), (gitea_host.HEAD[::-1], 1, BEHIND)],
    ids=["local", "evil", "lost"],
)
async def test_a_merge_commit_of_gitea_is_proved_by_its_content(
    tree: str, behind: int, unproved: str, tmp_path: Path
) -> None:
    host = GiteaHost()
    host.pull()
    host.commit(gitea_host.MERGE, gitea_host.BASE, gitea_host.HEAD, tree=tree)
    host.compared(gitea_host.HEAD, gitea_host.BASE, ahead=behind)
    async with host.serve(), outside_client(host, tmp_path, login="t1", kind="gitea") as client:
        found = await GiteaReader(client.source, host="git.example.org").reviews("acme/greeter", gitea_host.MERGE)
    assert [one.unproved for one in found.reviews] == [unproved]
