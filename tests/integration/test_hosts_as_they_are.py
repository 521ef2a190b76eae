"""What GitHub, GitLab, Gitea and Jira all do, each in its form: limits, renames, pages, and 404 for what is forbidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import gitea_host, github_host, gitlab_host
from fakes.gitea_host import GiteaHost
from fakes.github_host import GithubHost
from fakes.gitlab_host import GitlabHost
from fakes.jira_host import JiraHost
from fakes.outside import OutsideHost
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.gitea import GiteaReader
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.gitlab import GitlabReader
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.places import TrackerType
from whence_aggregator.trackers.readers import ReviewFinding
from whence_aggregator.trackers.source import JsonSource

HOSTS: tuple[TrackerType, ...] = ("github", "gitlab", "gitea")
OLD = {"github": "acme/old", "gitlab": "acme/shop/old", "gitea": "acme/old"}
PATH = {"github": "acme/greeter", "gitlab": "acme/shop/greeter", "gitea": "acme/greeter"}
MERGES = {"github": github_host.MERGE, "gitlab": gitlab_host.MERGE, "gitea": gitea_host.MERGE}
TICKETS = {
    "github": "acme/greeter#7", "gitlab": "acme/shop/greeter#7", "gitea": "acme/greeter#7", "jira-cloud": "PAY-7",
}  # fmt: skip
KINDS: tuple[TrackerType, ...] = ("github", "gitlab", "gitea", "jira-cloud")
LOGINS = {"github": "", "gitlab": "t1", "gitea": "t1", "jira-cloud": "robot@example.org:t1"}


def fake(kind: TrackerType, *, comments: int = 0) -> OutsideHost:
    """Return a host with one merged review that Bob approved after some comments of others, and the ticket 7."""
    if kind == "jira-cloud":
        jira = JiraHost()
        jira.issue("PAY-7")
        return jira
    if kind == "github":
        github = GithubHost()
        votes = [github_host.review(f"reader-{number}", "COMMENTED") for number in range(comments)]
        github.pull(reviews=(*votes, github_host.review("bob")))
        github.issue(7)
        return github
    if kind == "gitlab":
        gitlab = GitlabHost()
        gitlab.merge_request(approvals=(gitlab_host.approval("bob"),))
        gitlab.issue(7)
        return gitlab
    gitea = GiteaHost()
    gitea.pull(
        reviews=(*(gitea_host.review(f"r-{one}", "COMMENT") for one in range(comments)), gitea_host.review("bob"))
    )
    gitea.issue(7)
    return gitea


def reader_of(kind: TrackerType, source: JsonSource) -> GithubReader | GitlabReader | GiteaReader | JiraReader:
    if kind == "github":
        return GithubReader(source, host="git.example.org")
    if kind == "gitlab":
        return GitlabReader(source, host="git.example.org")
    if kind == "gitea":
        return GiteaReader(source, host="git.example.org")
    return JiraReader(source, host="jira.example.org", version=3, browse_url="https://jira.example.org")


async def reviews(host: OutsideHost, kind: TrackerType, path: str, directory: Path) -> ReviewFinding:
    async with host.serve(), outside_client(host, directory, login=LOGINS[kind], kind=kind) as client:
        reader = reader_of(kind, client.source)
        assert not isinstance(reader, JiraReader)
        return await reader.reviews(path, MERGES[kind])


@pytest.mark.parametrize("kind", HOSTS)
async def test_a_renamed_repository_is_read_under_its_old_name_and_its_new_one_is_known(
    kind: TrackerType, tmp_path: Path
) -> None:
    host = fake(kind)
    assert isinstance(host, GithubHost | GitlabHost | GiteaHost)
    host.rename(OLD[kind])
    found = await reviews(host, kind, OLD[kind], tmp_path)
    assert (found.repository_id, found.renamed_to, len(found.reviews)) == ("42", PATH[kind], 1)


@pytest.mark.parametrize("kind", HOSTS)
async def test_an_approval_behind_pages_of_comments_is_found(kind: TrackerType, tmp_path: Path) -> None:
    (one,) = (await reviews(fake(kind, comments=130), kind, PATH[kind], tmp_path)).reviews
    assert [vote.by for vote in one.votes if vote.state == "approved"] == ["bob"]


@pytest.mark.parametrize("kind", HOSTS)
async def test_a_forbidden_repository_is_404_and_neither_missing_nor_without_review(
    kind: TrackerType, tmp_path: Path
) -> None:
    host = fake(kind)
    host.hidden = {"/repos", "/projects"}
    with pytest.raises(SourceUnavailable, match="does not let this login read"):
        await reviews(host, kind, PATH[kind], tmp_path)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_ticket_in_a_forbidden_project_is_forbidden_and_not_missing(kind: TrackerType, tmp_path: Path) -> None:
    host = fake(kind)
    host.hidden = {"/repos", "/projects", "/rest/api/3/issue", "/rest/api/3/project"}
    async with host.serve(), outside_client(host, tmp_path, login=LOGINS[kind], kind=kind) as client:
        assert (await reader_of(kind, client.source).ticket(TICKETS[kind])).problem == "forbidden"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_used_up_limit_ends_the_reading_and_it_goes_on_after_the_reset(
    kind: TrackerType, tmp_path: Path
) -> None:
    host = fake(kind)
    async with host.serve(), outside_client(host, tmp_path, login=LOGINS[kind], kind=kind) as client:
        reader = reader_of(kind, client.source)
        host.requests_left, host.reset_at = 0, int(client.clock().timestamp()) + 60
        for _ in range(3):
            with pytest.raises(SourceUnavailable) as limited:
                await reader.ticket(TICKETS[kind])
            assert limited.value.code == "outside-limited"
            assert limited.value.retry_after_seconds == 60.0
        assert len(host.asked) == 1
        client.clock.advance(61)
        host.requests_left = 5_000
        assert (await reader.ticket(TICKETS[kind])).ticket is not None


@pytest.mark.parametrize("kind", HOSTS)
async def test_a_limit_that_ends_in_the_middle_of_a_review_leaves_no_half_of_it(
    kind: TrackerType, tmp_path: Path
) -> None:
    host = fake(kind)
    async with host.serve(), outside_client(host, tmp_path, login=LOGINS[kind], kind=kind) as client:
        reader = reader_of(kind, client.source)
        assert not isinstance(reader, JiraReader)
        for left in range(3):
            host.requests_left, host.reset_at = left, int(client.clock().timestamp()) + 60
            with pytest.raises(SourceUnavailable, match="limits requests"):
                await reader.reviews(PATH[kind], MERGES[kind])
            client.clock.advance(3_601)
        host.requests_left = None
        assert len((await reader.reviews(PATH[kind], MERGES[kind])).reviews) == 1
