"""GitHub: the pull request that a commit came in by, as the reader finds it by the commit's id, and GitHub's issues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fakes.github_host import AT, HEAD, MERGE, GithubHost, person, review
from fakes.outside import answering
from fakes.outside_client import Client, outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.readers import ReviewFinding
from whence_aggregator.trackers.review import good_approvals, last_words
from whence_common.errors import InputError

REBASED, STRANGE = "4" * 40, "5" * 40
INSTANT = "2026-11-20T10:00:00.000Z"


@pytest.fixture
async def github() -> AsyncIterator[GithubHost]:
    host = GithubHost(authorization=("Authorization", "Bearer t1"))
    async with host.serve():
        yield host


@pytest.fixture
async def client(github: GithubHost, tmp_path: Path) -> AsyncIterator[Client]:
    async with outside_client(github, tmp_path, login="t1") as client:
        yield client


async def found(client: Client, commit: str = MERGE, path: str = "acme/greeter") -> ReviewFinding:
    return await GithubReader(client.source, host="github.com").reviews(path, commit)


async def test_a_merge_commit_leads_to_its_pull_request(github: GithubHost, client: Client) -> None:
    github.pull(reviews=(review("bob"),), body="Closes #7")
    github.checks(HEAD, ("build", "success"), ("docs", "skipped"), statuses=(("ci", "success"),))
    finding = await found(client)
    (one,) = finding.reviews
    assert (finding.repository_id, finding.default_branch, finding.renamed_to, finding.none) == ("42", "main", "", None)
    assert one.to_wire() == {
        "number": 12, "url": "https://github.com/acme/greeter/pull/12", "title": "Pay", "text": "Closes #7",
        "branch": "feature/pay", "base": "main", "head": HEAD, "author": "ada", "author_bot": False,
        "merged_at": INSTANT, "merged_by": "bob", "merge_commit": MERGE, "how": "merge_commit", "checks": "success",
        "asked": ["bob"], "committers": ["ada"], "committers_proved": True, "failed_checks": [],
        "unproved": "",
        "votes": [{"by": "bob", "state": "approved", "commit": HEAD, "at": INSTANT, "bot": False, "official": True,
                   "stale": False, "unproved": ""}],
    }  # fmt: skip


@pytest.mark.parametrize(("commit", "how"), [(MERGE, "merge_commit"), (HEAD, "in_branch"), (REBASED, "in_branch")])
async def test_squash_merge_and_rebase_commits_all_lead_to_the_pull_request(
    commit: str, how: str, github: GithubHost, client: Client
) -> None:
    github.pull(commits=(HEAD,), listed_for=(REBASED,))
    finding = await found(client, commit)
    assert [(one.number, one.how) for one in finding.reviews] == [(12, how)]


SIGNED = {"verification": {"verified": True}}


@pytest.mark.parametrize(
    ("commit", "proved"),
    [
        ({"author": person("ada"), "committer": person("web-flow"), "commit": SIGNED}, True),
        ({"author": None, "committer": person("web-flow"), "commit": SIGNED}, False),
        ({"author": person("ada"), "committer": None, "commit": SIGNED}, False),
        ({"author": person("ada"), "committer": person("ada"),
          "commit": {"verification": {"verified": False}}}, False),
        ({"author": person("ada"), "committer": person("ada")}, False),
    ],
)  # fmt: skip
async def test_who_committed_is_proved_by_signatures_and_not_by_the_addresses_that_authors_chose(
    commit: dict[str, Any], proved: bool, github: GithubHost, client: Client
) -> None:
    github.pull(commits=(HEAD, REBASED))
    github.answers[github.at("/pulls/12/commits")][1] = {"sha": REBASED, **commit}
    (one,) = (await found(client)).reviews
    assert one.committers_proved is proved


async def test_who_committed_is_not_proved_where_github_lists_only_the_first_commits(
    github: GithubHost, client: Client
) -> None:
    github.pull()
    github.answers[github.at("/pulls/12")]["commits"] = 251
    (one,) = (await found(client)).reviews
    assert not one.committers_proved


@pytest.mark.parametrize(
    ("association", "permission", "expected"),
    [
        ("OWNER", None, (True, "")),
        ("MEMBER", "write", (True, "")),
        ("COLLABORATOR", "admin", (True, "")),
        ("MEMBER", "read", (False, "the reviewer may not approve here")),
        ("COLLABORATOR", "none", (False, "the reviewer may not approve here")),
        ("CONTRIBUTOR", "write", (False, "the reviewer may not approve here")),
        ("MEMBER", None, (None, "it is not known whether the reviewer may write here: let the login read the permissions"
                          " of collaborators (an App: Metadata; a person's token: push access)")),
    ],
)  # fmt: skip
async def test_a_member_or_collaborator_may_approve_only_with_a_permission_to_write(
    association: str, permission: str | None, expected: tuple[bool | None, str], github: GithubHost, client: Client
) -> None:
    github.pull(reviews=(review("bob", association=association),))
    if permission is None:
        del github.answers[github.at("/collaborators/bob/permission")]
    else:
        github.permission("bob", permission)
    (one,) = (await found(client)).reviews
    (word,) = last_words(one)
    assert (word.vote.official, word.why) == expected


async def test_a_commit_without_a_pull_request_was_pushed_directly(github: GithubHost, client: Client) -> None:
    github.answers[github.at(f"/commits/{STRANGE}/pulls")] = []
    assert (await found(client, STRANGE)).none == "no-review"


async def test_a_commit_that_the_host_does_not_have_is_unknown_to_it(github: GithubHost, client: Client) -> None:
    github.faults = []
    assert (await found(client, STRANGE)).none == "commit-unknown"


async def test_an_open_pull_request_is_no_review_that_let_the_commit_in(github: GithubHost, client: Client) -> None:
    """GitHub's `merge_commit_sha` is a throw-away test merge until the pull request is merged."""
    github.pull(merged_at=None)
    finding = await found(client)
    assert (finding.reviews, finding.unmerged, finding.none) == ((), (12,), "no-review")


async def test_pull_requests_of_a_fork_do_not_count(github: GithubHost, client: Client) -> None:
    github.pull(base_id=99)
    finding = await found(client)
    assert (finding.reviews, finding.unmerged) == ((), ())


async def test_the_pull_request_into_the_default_branch_comes_first(github: GithubHost, client: Client) -> None:
    github.pull(11, base="release", merged_at="2026-11-01T10:00:00Z")
    github.pull(12)
    assert [(one.number, one.base) for one in (await found(client)).reviews] == [(12, "main"), (11, "release")]


async def test_reviews_on_the_third_page_are_read(github: GithubHost, client: Client) -> None:
    chatter = tuple(review("eve", "COMMENTED") for _ in range(250))
    github.pull(reviews=(*chatter, review("bob")))
    (one,) = (await found(client)).reviews
    assert [(vote.by, vote.state) for vote in one.votes] == [("bob", "approved"), ("eve", "commented")]
    assert [vote.by for vote in good_approvals(one)] == ["bob"]


async def test_a_renamed_repository_is_followed_and_its_number_kept(github: GithubHost, client: Client) -> None:
    github.pull()
    github.renamed = {"/repos/acme/old": "/repos/acme/greeter"}
    finding = await found(client, path="acme/old")
    assert (finding.repository_id, finding.renamed_to, len(finding.reviews)) == ("42", "acme/greeter", 1)


async def test_a_repository_that_the_login_may_not_read_is_unknown_and_not_missing(
    github: GithubHost, client: Client
) -> None:
    github.hidden = {"/repos/acme"}
    with pytest.raises(SourceUnavailable, match="does not let this login read acme/greeter, or it does not exist"):
        await found(client)


@pytest.mark.parametrize("path", ["acme", "acme/greeter/deep", "../greeter", "acme/.."])
async def test_a_path_that_is_no_repository_of_github_sends_nothing(
    path: str, github: GithubHost, client: Client
) -> None:
    with pytest.raises(SourceUnavailable, match="is not OWNER/NAME"):
        await found(client, path=path)
    assert github.asked == []


@pytest.mark.parametrize(
    ("runs", "statuses", "expected"),
    [
        ((), (), ("none", ())),
        ((("build", "success"),), (("ci", "pending"),), ("pending", ())),
        ((("build", None),), (), ("pending", ())),
        ((("build", "failure"), ("lint", "cancelled")), (("ci", "error"),), ("failure", ("build", "lint", "ci"))),
    ],
)  # fmt: skip
async def test_the_checks_of_the_head_are_summed_up(
    runs: tuple[tuple[str, str | None], ...], statuses: tuple[tuple[str, str], ...], expected: object,
    github: GithubHost, client: Client,
) -> None:  # fmt: skip
    github.pull()
    github.checks(HEAD, *runs, statuses=statuses)
    (one,) = (await found(client)).reviews
    assert (one.checks, one.failed_checks) == expected


async def test_checks_that_the_login_may_not_read_are_unknown(github: GithubHost, client: Client) -> None:
    github.pull()
    github.hidden = {github.at(f"/commits/{HEAD}/check-runs")}
    (one,) = (await found(client)).reviews
    assert one.checks == "unknown"


async def test_a_list_that_the_login_may_not_read_is_unknown_and_only_checks_may_be(
    github: GithubHost, client: Client
) -> None:
    github.pull()
    forbidden = answering(403, '{"message": "Resource not accessible by integration"}')
    await found(client)
    path = github.at(f"/commits/{HEAD}/check-runs")
    place = github.paths.index(path)

    async def passed(request: web.Request) -> web.StreamResponse:
        return github.found(request)

    github.faults = [passed] * place + [forbidden]
    (one,) = (await found(client)).reviews
    assert one.checks == "unknown"
    github.faults = [passed, forbidden]
    with pytest.raises(SourceUnavailable, match="the login may not read this"):
        await found(client)


async def test_documents_of_other_shapes_than_githubs_do_not_break_the_reader(
    github: GithubHost, client: Client
) -> None:
    github.pull(reviews=(review(None), review("bob", "NONSENSE")))
    place = github.at("/pulls/12")
    github.answers[place] |= {"user": None, "title": 7, "body": ["x"], "head": None, "merged_by": "bob",
                              "requested_reviewers": {"login": "x"}, "merge_commit_sha": {"a": 1}}  # fmt: skip
    github.answers[f"{place}/commits"] = [None, 7, {"author": None}]
    github.answers[github.at("/commits//check-runs")] = {"check_runs": []}
    (one,) = (await found(client)).reviews
    assert (one.title, one.text, one.head, one.author, one.merged_by) == ("7", "", "", "", "")
    assert good_approvals(one) == []


async def test_a_second_reading_costs_no_limit(github: GithubHost, client: Client) -> None:
    github.pull(reviews=(review("bob"),))
    first = await found(client)
    count = len(github.asked)
    assert await found(client) == first
    assert {one.status for one in github.asked[count:]} == {304}


# --- issues


async def ticket(client: Client, ticket_id: str = "acme/greeter#7") -> tuple[Any, str | None]:
    """Return an issue's members, and its problem."""
    finding = await GithubReader(client.source, host="github.com").ticket(ticket_id)
    return (finding.ticket.to_wire() if finding.ticket is not None else finding.reason), finding.problem


async def test_an_issue_has_its_title_state_assignee_parent_and_closed_time(github: GithubHost, client: Client) -> None:
    github.issue(7, closed_at=AT, type={"name": "Story"}, assignee={"login": "bob"},
                 parent_issue_url="https://api.github.com/repos/acme/plans/issues/3")  # fmt: skip
    assert await ticket(client) == ({
        "id": "acme/greeter#7", "project": "acme/greeter", "title": "Let customers pay", "status": "closed",
        "closed": True, "assignee": "bob", "type": "Story", "parent": "acme/plans#3", "closed_at": INSTANT,
        "created_at": INSTANT, "url": "https://github.com/acme/greeter/issues/7", "outcome": "completed",
        "internal": "7007",
    }, None)  # fmt: skip


async def test_a_pull_request_is_no_ticket(github: GithubHost, client: Client) -> None:
    github.issue(7, pull=True)
    assert await ticket(client) == ("acme/greeter#7 is a pull request, not an issue", "review")


async def test_missing_deleted_and_forbidden_issues_are_told_apart(github: GithubHost, client: Client) -> None:
    assert await ticket(client) == ("github.com has no issue acme/greeter#7", "missing")
    github.faults = [answering(410, "{}")]
    assert await ticket(client) == ("acme/greeter#7 was deleted", "missing")
    github.hidden = {"/repos/acme"}
    assert await ticket(client) == (
        "github.com does not let this login read acme/greeter, or it does not exist", "forbidden",
    )  # fmt: skip


async def test_a_transferred_issue_is_found_under_its_new_name(github: GithubHost, client: Client) -> None:
    github.renamed = {"/repos/acme/greeter/issues/7": "/repos/acme/other/issues/3"}
    github.answers["/repos/acme/other/issues/3"] = {
        "number": 3, "title": "Moved", "state": "open", "url": "https://api.github.com/repos/acme/other/issues/3",
    }  # fmt: skip
    found_ticket, problem = await ticket(client)
    assert (found_ticket["id"], found_ticket["project"], problem) == ("acme/other#3", "acme/other", None)


@pytest.mark.parametrize("wrong", ["#7", "acme#7", "acme/greeter#0", "acme/greeter#7/../..", "acme/../x#7", "PAY-7",
                                   "acme/greeter#7?x=1", "acme/greeter#99999999999999"])  # fmt: skip
async def test_what_is_not_an_issues_id_sends_nothing(wrong: str, github: GithubHost, client: Client) -> None:
    with pytest.raises(InputError, match="is not an issue"):
        await ticket(client, wrong)
    assert github.asked == []
