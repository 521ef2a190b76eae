"""Which branches and tags GitHub, GitLab and Gitea protect, read by their APIs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.gitea_host import GiteaHost
from fakes.github_host import GithubHost
from fakes.gitlab_host import GitlabHost
from fakes.outside import OutsideHost, answering
from fakes.outside_client import outside_client
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.places import TrackerType
from whence_aggregator.trackers.protection import (
    NAMES_MAX,
    GiteaProtection,
    GithubProtection,
    GitlabProtection,
    ProtectedRefs,
)

READERS: dict[TrackerType, type[GithubProtection | GitlabProtection | GiteaProtection]] = {
    "github": GithubProtection, "gitlab": GitlabProtection, "gitea": GiteaProtection,
}  # fmt: skip
PATHS: dict[TrackerType, str] = {"github": "acme/greeter", "gitlab": "acme/shop/greeter", "gitea": "acme/greeter"}


async def protected(host: OutsideHost, kind: TrackerType, directory: Path) -> ProtectedRefs:
    login = "" if kind == "github" else "t1"
    async with host.serve(), outside_client(host, directory, login=login, kind=kind) as client:
        return await READERS[kind](client.source, host="git.example.org").protected(PATHS[kind])


def fake(kind: TrackerType, *names: str) -> OutsideHost:
    """Return a host with these protected branches, and one that is not, where the list has all."""
    if kind == "gitlab":
        gitlab = GitlabHost()
        gitlab.protect(*names)
        return gitlab
    host = GithubHost() if kind == "github" else GiteaHost()
    for name in names:
        host.branch(name, protected=True)
    host.branch("feature", protected=False)
    return host


@pytest.mark.parametrize("kind", READERS)
async def test_protected_branches_are_read_from_all_pages(kind: TrackerType, tmp_path: Path) -> None:
    names = [f"release/{number:03}" for number in range(NAMES_MAX + 60)]
    found = await protected(fake(kind, *names), kind, tmp_path)
    assert found.branches == tuple(names[:NAMES_MAX])
    assert found.reason == "60 of its protected names are not read"


@pytest.mark.parametrize("kind", READERS)
async def test_a_repository_without_protection_has_none(kind: TrackerType, tmp_path: Path) -> None:
    assert await protected(fake(kind), kind, tmp_path) == ProtectedRefs()


async def test_wildcards_and_tags_of_gitlab_are_read_and_tags_that_are_hidden_are_named(tmp_path: Path) -> None:
    host = GitlabHost()
    host.protect("main", "release/*", tags=("v*",))
    assert await protected(host, "gitlab", tmp_path) == ProtectedRefs(branches=("main", "release/*"), tags=("v*",))
    host.hidden.add("/projects/42/protected_tags")
    (tmp_path / "again").mkdir()
    assert await protected(host, "gitlab", tmp_path / "again") == ProtectedRefs(
        branches=("main", "release/*"), reason="the login for git.example.org may not read which tags are protected"
    )


@pytest.mark.parametrize("kind", READERS)
async def test_a_name_that_is_no_name_of_a_branch_is_left_out(kind: TrackerType, tmp_path: Path) -> None:
    host = fake(kind, "main", "a b", "a..b?", "x\x00y", "x\ny", "[a-z]", "", "x" * 300, "a:b", "--upload-pack=x")
    found = await protected(host, kind, tmp_path)
    assert found.branches == ("--upload-pack=x", "main")
    assert found.reason == "7 of its protected names are not read"


@pytest.mark.parametrize("kind", READERS)
async def test_a_repository_that_the_login_may_not_read_is_not_an_unprotected_one(
    kind: TrackerType, tmp_path: Path
) -> None:
    host = fake(kind, "main")
    host.hidden.add("/")
    with pytest.raises(SourceUnavailable, match="does not let this login read the protected branches of acme/"):
        await protected(host, kind, tmp_path)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("body", ["{}", "null", '"x"', "[[]]", "[null]", '[{"protected": true}]'])
async def test_a_list_of_another_shape_protects_nothing_or_is_refused(
    kind: TrackerType, body: str, tmp_path: Path
) -> None:
    host = fake(kind, "main")
    project = host.answers["/projects/acme%2Fshop%2Fgreeter"] if kind == "gitlab" else None
    host.faults = [answering(200, body)] * 3
    if project is not None:
        host.faults = [answering(200, '{"id": 42}'), answering(200, body), answering(200, body)]
    try:
        assert (await protected(host, kind, tmp_path)).branches == ()
    except SourceUnavailable as refused:
        assert refused.code == "outside-malformed"  # noqa: PT017 - either is right, none may break the reader
